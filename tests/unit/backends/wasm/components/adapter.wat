;; The shape that `wasm-tools component new --adapt` makes: the codec is instantiated with a shim
;; whose table is filled in last, because the adapter and the lowered imports need the codec's own
;; memory. A nested component gives on what is lifted. Here the codec's result has one more row,
;; whose data are random bytes from the host.
(component
  (type $error-interface (instance (export "error" (type (sub resource)))))
  (import "wasi:io/error@0.2.0" (instance $error-interface (type $error-interface)))
  (alias export $error-interface "error" (type $error))
  (type $streams-interface
    (instance
      (alias outer 1 $error (type $outer-error))
      (export "error" (type $error (eq $outer-error)))
      (export "output-stream" (type $stream (sub resource)))
      (type $failure (own $error))
      (type $result (result (error $failure)))
      (type $flush (func (param "self" (borrow $stream)) (result $result)))
      (export "[method]output-stream.blocking-flush" (func (type $flush)))))
  (import "wasi:io/streams@0.2.0" (instance $streams-interface (type $streams-interface)))
  (type $random-interface
    (instance
      (type $get (func (param "len" u64) (result (list u8))))
      (export "get-random-bytes" (func (type $get)))))
  (import "wasi:random/random@0.2.0" (instance $random-interface (type $random-interface)))

  (core module $main
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (memory (export "memory") 64)
    (global $next (mut i32) (i32.const 1024))
    (func $allocate (export "cabi_realloc")
      (param $old i32) (param i32) (param $align i32) (param $size i32) (result i32)
      (local $start i32)
      (local.set $start
        (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $start) (local.get $size)))
      (local.get $start))
    (data (i32.const 64) "random")
    (func (export "chonkle:codec/transform@0.1.0#encode")
      (param $rows i32) (param $count i32) (result i32)
      (local $new i32) (local $last i32)
      (local.set $new
        (call $allocate (i32.const 0) (i32.const 0) (i32.const 4)
          (i32.shl (i32.add (local.get $count) (i32.const 1)) (i32.const 4))))
      (memory.copy (local.get $new) (local.get $rows) (i32.shl (local.get $count) (i32.const 4)))
      (local.set $last
        (i32.add (local.get $new) (i32.shl (local.get $count) (i32.const 4))))
      (drop (call $random_get (i32.const 80) (i32.const 8)))
      (i32.store (local.get $last) (i32.const 64))
      (i32.store offset=4 (local.get $last) (i32.const 6))
      (i32.store offset=8 (local.get $last) (i32.const 80))
      (i32.store offset=12 (local.get $last) (i32.const 8))
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get $new))
      (i32.store (i32.const 24) (i32.add (local.get $count) (i32.const 1)))
      (i32.const 16))
    (func (export "cabi_post_chonkle:codec/transform@0.1.0#encode") (param i32)
      (global.set $next (i32.const 1024))))
  (core module $adapter
    (import "env" "memory" (memory 1))
    (import "wasi:io/error@0.2.0" "[resource-drop]error" (func $drop (param i32)))
    (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-flush"
      (func $flush (param i32 i32)))
    (import "wasi:random/random@0.2.0" "get-random-bytes" (func $get (param i64 i32)))
    (func (export "random_get") (param $start i32) (param $size i32) (result i32)
      (call $get (i64.extend_i32_u (local.get $size)) (i32.const 32))
      (memory.copy (local.get $start) (i32.load (i32.const 32)) (local.get $size))
      (i32.const 0))
    (func (export "cabi_import_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 48)))
  (core module $shim
    (table (export "$imports") 2 2 funcref)
    (func (export "0") (param i32 i32) (result i32)
      (call_indirect (param i32 i32) (result i32)
        (local.get 0) (local.get 1) (i32.const 0)))
    (func (export "1") (param i64 i32)
      (call_indirect (param i64 i32) (local.get 0) (local.get 1) (i32.const 1)))
    (func (export "2") (param i32 i32) unreachable))
  (core module $fixup
    (import "" "0" (func (param i32 i32) (result i32)))
    (import "" "1" (func (param i64 i32)))
    (import "" "$imports" (table 2 2 funcref))
    (elem (i32.const 0) func 0 1))

  (core instance $shim (instantiate $shim))
  (alias core export $shim "0" (core func $indirect-random_get))
  (core instance $preview1 (export "random_get" (func $indirect-random_get)))
  (core instance $main (instantiate $main (with "wasi_snapshot_preview1" (instance $preview1))))
  (alias core export $main "memory" (core memory $memory))
  (core instance $env (export "memory" (memory $memory)))
  (alias export $error-interface "error" (type $dropped))
  (core func $drop (canon resource.drop $dropped))
  (core instance $io-error (export "[resource-drop]error" (func $drop)))
  (alias core export $shim "2" (core func $indirect-flush))
  (core instance $io-streams
    (export "[method]output-stream.blocking-flush" (func $indirect-flush)))
  (alias core export $shim "1" (core func $indirect-get))
  (core instance $random (export "get-random-bytes" (func $indirect-get)))
  (core instance $adapter
    (instantiate $adapter
      (with "env" (instance $env))
      (with "wasi:io/error@0.2.0" (instance $io-error))
      (with "wasi:io/streams@0.2.0" (instance $io-streams))
      (with "wasi:random/random@0.2.0" (instance $random))))
  (alias export $random-interface "get-random-bytes" (func $get-random-bytes))
  (alias core export $adapter "cabi_import_realloc" (core func $cabi_import_realloc))
  (core func $get-random-bytes
    (canon lower (func $get-random-bytes) (memory $memory) (realloc $cabi_import_realloc)))
  (alias core export $adapter "random_get" (core func $random_get))
  (alias core export $shim "$imports" (core table $imports))
  (core instance $filled
    (export "0" (func $random_get))
    (export "1" (func $get-random-bytes))
    (export "$imports" (table $imports)))
  (core instance (instantiate $fixup (with "" (instance $filled))))

  (type $port-map (list (tuple string (list u8))))
  (type $transform (func (param "inputs" $port-map) (result (result $port-map (error string)))))
  (alias core export $main "chonkle:codec/transform@0.1.0#encode" (core func $run))
  (alias core export $main "cabi_post_chonkle:codec/transform@0.1.0#encode" (core func $done))
  (alias core export $main "cabi_realloc" (core func $cabi_realloc))
  (func $encode (type $transform)
    (canon lift (core func $run) (memory $memory)
      (realloc $cabi_realloc) string-encoding=utf8 (post-return $done)))
  (component $shell
    (type $list (list u8))
    (type $row (tuple string $list))
    (type $rows (list $row))
    (import "import-type-port-map" (type $port-map (eq $rows)))
    (type $result (result $port-map (error string)))
    (type $transform (func (param "inputs" $port-map) (result $result)))
    (import "import-func-encode" (func $encode (type $transform)))
    (import "import-func-decode" (func $decode (type $transform)))
    (export $exported "port-map" (type $rows))
    (type $exported-result (result $exported (error string)))
    (type $exported-transform (func (param "inputs" $exported) (result $exported-result)))
    (export "encode" (func $encode) (func (type $exported-transform)))
    (export "decode" (func $decode) (func (type $exported-transform))))
  (instance $given-on
    (instantiate $shell
      (with "import-func-encode" (func $encode))
      (with "import-func-decode" (func $encode))
      (with "import-type-port-map" (type $port-map))))
  (export "chonkle:codec/transform@0.1.0" (instance $given-on)))
