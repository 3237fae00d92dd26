;; The codec `mask`, without defects; the parts in braces are replaced to make it lie or break.
;;
;; Encoded: "M", the number `note`, then each byte of the data, exclusive-or `key + i * step`.
;; Memory: 16 the result of a component's call, 1024 words, 4096 and on what is allocated.
  {more}
  (memory (export "memory") {memory})
  (global $next (mut i32) (i32.const 4096))
  (global $live (mut i32) (i32.const 0))
  (global $words (mut i64) (i64.const 0))
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 1024) "bytes")
  (data (i32.const 1040) "key")
  (data (i32.const 1056) "step")
  (data (i32.const 1072) "note")
  (data (i32.const 1100) "missing port `bytes`")
  (data (i32.const 1150) "missing port `key`")
  (data (i32.const 1200) "expected a number to 255")
  (data (i32.const 1250) "port `bytes`: no mask")
  (data (i32.const 1300) "malformed port-map")
  (data (i32.const 1350) "out of memory")

  ;; Moves on, and begins anew when nothing is in use.
  (func $alloc (export "alloc") (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $next))
    (global.set $next (i32.and (i32.const -8)
      (i32.add (i32.const 7) (i32.add (local.get $start) (local.get $size)))))
    (block $enough
      (br_if $enough (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
      (br_if $enough (i32.ne (i32.const -1)
        (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))
      (global.set $next (local.get $start))
      (return (i32.const 0)))
    (global.set $live (i32.add (global.get $live) (i32.const 1)))
    (local.get $start))
  (func $free (export "dealloc") (param i32 i32)
    (global.set $live (i32.sub (global.get $live) (i32.const 1)))
    (if (i32.eqz (global.get $live)) (then {anew})))

  (func $fail (param $at i32) (param $size i32) (result i64)
    (global.set $words (i64.or (i64.extend_i32_u (local.get $size))
      (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))))
    (i64.const 0))
  (func {last_error} (result i64) {words})

  ;; The length that stands at an address, or -1 where less than that is left.
  (func $part (param $at i32) (param $end i32) (result i32)
    (local $size i32)
    (if (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 4))
      (then (return (i32.const -1))))
    (local.set $size (i32.load (local.get $at)))
    (select (i32.const -1) (local.get $size)
      (i32.gt_u (local.get $size)
        (i32.sub (i32.sub (local.get $end) (local.get $at)) (i32.const 4)))))
  (func $equal (param $one i32) (param $other i32) (param $size i32) (result i32)
    (block $done
      (loop $more
        (br_if $done (i32.eqz (local.get $size)))
        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
        (br_if $more (i32.eq
          (i32.load8_u (i32.add (local.get $one) (local.get $size)))
          (i32.load8_u (i32.add (local.get $other) (local.get $size)))))
        (return (i32.const 0))))
    (i32.const 1))
  ;; The address of a port's length, 0 where it is missing, -1 for what is no port-map.
  (func $find (param $at i32) (param $end i32) (param $name i32) (param $name_size i32)
      (result i32)
    (local $count i32) (local $size i32) (local $found i32) (local $same i32)
    (local.set $count (i32.load (local.get $at)))
    (local.set $at (i32.add (local.get $at) (i32.const 4)))
    (block $done
      (loop $more
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (local.set $size (call $part (local.get $at) (local.get $end)))
        (if (i32.eq (local.get $size) (i32.const -1)) (then (return (i32.const -1))))
        (local.set $same (i32.const 0))
        (if (i32.eq (local.get $size) (local.get $name_size)) (then
          (local.set $same (call $equal
            (i32.add (local.get $at) (i32.const 4)) (local.get $name) (local.get $size)))))
        (local.set $at (i32.add (i32.add (local.get $at) (i32.const 4)) (local.get $size)))
        (local.set $size (call $part (local.get $at) (local.get $end)))
        (if (i32.eq (local.get $size) (i32.const -1)) (then (return (i32.const -1))))
        (if (local.get $same) (then
          (if (local.get $found) (then (return (i32.const -1))))
          (local.set $found (local.get $at))))
        (local.set $at (i32.add (i32.add (local.get $at) (i32.const 4)) (local.get $size)))
        (br $more)))
    (select (local.get $found) (i32.const -1) {whole}))
  ;; The JSON number of a port, from 0 to 255; -1 for anything else.
  (func $number (param $port i32) (result i32)
    (local $size i32) (local $digit i32) (local $value i32)
    (local.set $size (i32.load (local.get $port)))
    (local.set $port (i32.add (local.get $port) (i32.const 4)))
    (if (i32.gt_u (i32.sub (local.get $size) (i32.const 1)) (i32.const 2))
      (then (return (i32.const -1))))
    (loop $more
      (local.set $digit (i32.sub (i32.load8_u (local.get $port)) (i32.const 48)))
      (if (i32.gt_u (local.get $digit) (i32.const 9)) (then {no_number}))
      (local.set $value
        (i32.add (i32.mul (local.get $value) (i32.const 10)) (local.get $digit)))
      (local.set $port (i32.add (local.get $port) (i32.const 1)))
      (local.set $size (i32.sub (local.get $size) (i32.const 1)))
      (br_if $more (local.get $size)))
    (select (i32.const -1) (local.get $value) (i32.gt_u (local.get $value) (i32.const 255))))

  (func $run (param $at i32) (param $map_size i32) (param $decode i32) (result i64)
    (local $end i32) (local $from i32) (local $size i32) (local $to i32) (local $i i32)
    (local $key i32) (local $step i32) (local $note i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    {begin}
    (if (i32.lt_u (local.get $map_size) (i32.const 4))
      (then (return (call $fail (i32.const 1300) (i32.const 18)))))
    (local.set $end (i32.add (local.get $at) (local.get $map_size)))
    (local.set $from (call $find
      (local.get $at) (local.get $end) (i32.const 1024) (i32.const 5)))
    (if (i32.eq (local.get $from) (i32.const -1))
      (then (return (call $fail (i32.const 1300) (i32.const 18)))))
    (if (i32.eqz (local.get $from))
      (then (return (call $fail (i32.const 1100) (i32.const 20)))))
    (local.set $size (i32.load (local.get $from)))
    (local.set $from (i32.add (local.get $from) (i32.const 4)))

    (local.set $key (call $find (local.get $at) (local.get $end) (i32.const 1040) (i32.const 3)))
    (if (i32.eqz (local.get $key))
      (then (return (call $fail (i32.const 1150) (i32.const 18)))))
    (local.set $key (call $number (local.get $key)))
    (local.set $step (call $find (local.get $at) (local.get $end) (i32.const 1056) (i32.const 4)))
    (if (local.get $step)
      (then (local.set $step (call $number (local.get $step))))
      (else (local.set $step (i32.const 1))))
    (if (i32.eqz (local.get $decode)) (then
      (local.set $note
        (call $find (local.get $at) (local.get $end) (i32.const 1072) (i32.const 4)))
      (if (local.get $note) (then (local.set $note (call $number (local.get $note)))))))
    (if (i32.lt_s (i32.or (i32.or (local.get $key) (local.get $step)) (local.get $note))
        (i32.const 0))
      (then (return (call $fail (i32.const 1200) (i32.const 24)))))

    (if (local.get $decode)
      (then
        (if (i32.lt_u (local.get $size) (i32.const 2)) (then {no_mask}))
        (if (i32.ne (i32.load8_u (local.get $from)) (i32.const 77)) (then {no_mask}))
        (local.set $from (i32.add (local.get $from) (i32.const 2)))
        (local.set $size (i32.sub (local.get $size) (i32.const 2)))
        {decoded}))
    (local.set $to (call $alloc (i32.add (local.get $size) (i32.const 19))))
    (if (i32.eqz (local.get $to))
      (then (return (call $fail (i32.const 1350) (i32.const 13)))))
    (i32.store (local.get $to) (i32.const 1))
    (i32.store offset=4 (local.get $to) (i32.const 5))
    (memory.copy (i32.add (local.get $to) (i32.const 8)) (i32.const 1024) (i32.const 5))
    (local.set $end (local.get $to))
    (if (local.get $decode)
      (then (i32.store offset=13 (local.get $to) (local.get $size)))
      (else
        (i32.store offset=13 (local.get $to) (i32.add (local.get $size) (i32.const 2)))
        (i32.store8 offset=17 (local.get $to) (i32.const 77))
        (i32.store8 offset=18 (local.get $to) {note})
        (local.set $to (i32.add (local.get $to) (i32.const 2)))))
    (local.set $to (i32.add (local.get $to) (i32.const 17)))
    (block $done
      (loop $more
        (br_if $done (i32.eq (local.get $i) (local.get $size)))
        (i32.store8 (i32.add (local.get $to) (local.get $i)) (i32.xor
          (i32.load8_u (i32.add (local.get $from) (local.get $i)))
          {mask}))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $more)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $end)) (i64.const 32))
      (i64.extend_i32_u
        (i32.sub (i32.add (local.get $to) (local.get $size)) (local.get $end)))))
  (func $and_free (param $at i32) (param $size i32) (param $decode i32) (result i64)
    (local $answer i64)
    (local.set $answer
      (call $run (local.get $at) (local.get $size) (local.get $decode)))
    (if {frees} (then (call $free (local.get $at) (local.get $size))))
    (local.get $answer))
  (func $encode (export "encode") (param i32 i32) (result i64)
    (call $and_free (local.get 0) (local.get 1) (i32.const 0)))
  (func $decode (export "decode") (param i32 i32) (result i64)
    (call $and_free (local.get 0) (local.get 1) (i32.const 1)))

  ;; What a component is made of: rows to a port-map, and the answer's one port to a row.
  (func (export "realloc") (param i32 i32 i32 i32) (result i32)
    (call $alloc (local.get 3)))
  (func $rows (param $rows i32) (param $count i32) (param $decode i32) (result i32)
    (local $row i32) (local $end i32) (local $size i32) (local $map i32) (local $to i32)
    (local $answer i64)
    (local.set $end (i32.add (local.get $rows) (i32.shl (local.get $count) (i32.const 4))))
    (local.set $size (i32.const 4))
    (local.set $row (local.get $rows))
    (block $done
      (loop $more
        (br_if $done (i32.eq (local.get $row) (local.get $end)))
        (local.set $size (i32.add (i32.add (local.get $size) (i32.const 8)) (i32.add
          (i32.load offset=4 (local.get $row)) (i32.load offset=12 (local.get $row)))))
        (local.set $row (i32.add (local.get $row) (i32.const 16)))
        (br $more)))
    (local.set $map (call $alloc (local.get $size)))
    (i32.store (local.get $map) (local.get $count))
    (local.set $to (i32.add (local.get $map) (i32.const 4)))
    (local.set $row (local.get $rows))
    (block $done
      (loop $more
        (br_if $done (i32.eq (local.get $row) (local.get $end)))
        (local.set $to (call $put (local.get $to) (local.get $row)))
        (local.set $to (call $put (local.get $to) (i32.add (local.get $row) (i32.const 8))))
        (local.set $row (i32.add (local.get $row) (i32.const 16)))
        (br $more)))
    (call $free (local.get $rows) (i32.const 0))
    (local.set $answer
      (call $and_free (local.get $map) (local.get $size) (local.get $decode)))
    (i32.store8 (i32.const 16) (i64.eqz (local.get $answer)))
    (if (i64.eqz (local.get $answer))
      (then
        (i32.store (i32.const 20) (i32.wrap_i64 (i64.shr_u (global.get $words) (i64.const 32))))
        (i32.store (i32.const 24) (i32.wrap_i64 (global.get $words))))
      (else
        (local.set $map (i32.wrap_i64 (i64.shr_u (local.get $answer) (i64.const 32))))
        (local.set $row (call $alloc (i32.const 16)))
        (i32.store (local.get $row) (i32.add (local.get $map) (i32.const 8)))
        (i32.store offset=4 (local.get $row) (i32.const 5))
        (i32.store offset=8 (local.get $row) (i32.add (local.get $map) (i32.const 17)))
        (i32.store offset=12 (local.get $row) (i32.load offset=13 (local.get $map)))
        (i32.store (i32.const 20) (local.get $row))
        (i32.store (i32.const 24) (i32.const 1))))
    (i32.const 16))
  ;; Copies an address and a length as a length and bytes, frees the bytes, and gives where it ends.
  (func $put (param $to i32) (param $part i32) (result i32)
    (local $size i32)
    (local.set $size (i32.load offset=4 (local.get $part)))
    (i32.store (local.get $to) (local.get $size))
    (memory.copy (i32.add (local.get $to) (i32.const 4)) (i32.load (local.get $part))
      (local.get $size))
    (call $free (i32.load (local.get $part)) (local.get $size))
    (i32.add (i32.add (local.get $to) (i32.const 4)) (local.get $size)))
  (func (export "rows-encode") (param i32 i32) (result i32)
    (call $rows (local.get 0) (local.get 1) (i32.const 0)))
  (func (export "rows-decode") (param i32 i32) (result i32)
    (call $rows (local.get 0) (local.get 1) (i32.const 1)))
  (func (export "rows-end") (param i32)
    (if (i32.eqz (i32.load8_u (i32.const 16))) (then
      (call $free (i32.load (i32.const 20)) (i32.const 16))
      (call $free (i32.const 0) (i32.const 0)))))
