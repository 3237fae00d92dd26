"""The desk of components: lowers and lifts as the canonical ABI says, in the call itself.

Its calls of the guest, their order and its checks are those of `component_abi`, which
goes on where this does not: with a refusal, with a result that lies nowhere, and
with an answer too large for the desk. By then nothing was freed yet. What is left for the host to
find, when it reads the answer, is a name that is not UTF-8 or occurs twice.

A port-map is rows of sixteen bytes, `{name, name_len, data, data_len}`, and one that is encoded has
the same strings in the same order, so that names and data are lowered and lifted alike.
"""

from typing import Final

from chonkle.backends.wasm.trampoline import DeskDesign
from chonkle.formats.portmap import PORTS_MAX

COMPONENT_DESK: Final = DeskDesign(
    label="chonkle's desk for components",
    imports="""
  (import "encode" "memory" (memory $codec 0))
  (import "encode" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
  (import "encode" "function" (func $encode (param i32 i32) (result i32)))
  (import "encode" "post_return" (func $post-encode (param i32)))
  (import "decode" "function" (func $decode (param i32 i32) (result i32)))
  (import "decode" "post_return" (func $post-decode (param i32)))
""",
    functions=f"""
  (func $stage (param $stage i32)
    (i32.store8 $desk (i32.const {{stage_at}}) (local.get $stage)))

  ;; Copies the port-map into the guest; gives the address of its rows, or a code, negative.
  (func $lower (param $size i32) (result i64)
    (local $rows i32) (local $row i32) (local $at i32) (local $start i32) (local $length i32)
    (local.set $length (i32.shl (i32.load $desk (i32.const 0)) (i32.const 4)))
    (local.set $rows
      (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (local.get $length)))
    (if (i32.and (local.get $rows) (i32.const 3))
      (then (return (i64.const {{not_aligned}}))))
    (if (call $outside (local.get $rows) (local.get $length))
      (then (return (i64.const {{input_outside}}))))
    (local.set $row (local.get $rows))
    (local.set $at (i32.const 4))
    (loop $strings
      (if (i32.lt_u (local.get $at) (local.get $size))
        (then
          (local.set $length (i32.load $desk (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (local.set $start
            (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $length)))
          (if (call $outside (local.get $start) (local.get $length))
            (then (return (i64.const {{input_outside}}))))
          (memory.copy $codec $desk (local.get $start) (local.get $at) (local.get $length))
          (i32.store $codec (local.get $row) (local.get $start))
          (i32.store $codec offset=4 (local.get $row) (local.get $length))
          (local.set $row (i32.add (local.get $row) (i32.const 8)))
          (local.set $at (i32.add (local.get $at) (local.get $length)))
          (br $strings))))
    (i64.extend_i32_u (local.get $rows)))

  ;; Copies the ports of a result onto the desk; gives their size, or 0 where that is not for here.
  (func $lift (param $result i32) (result i32)
    (local $row i32) (local $left i32) (local $at i32) (local $start i32) (local $length i32)
    (if (i32.or (i32.and (local.get $result) (i32.const 3))
                (call $outside (local.get $result) (i32.const 12)))
      (then (return (i32.const 0))))
    (if (i32.load8_u $codec (local.get $result)) (then (return (i32.const 0))))
    (local.set $row (i32.load $codec offset=4 (local.get $result)))
    (local.set $left (i32.load $codec offset=8 (local.get $result)))
    (if (i32.gt_u (local.get $left) (i32.const {PORTS_MAX})) (then (return (i32.const 0))))
    (if (i32.or (i32.and (local.get $row) (i32.const 3))
                (call $outside (local.get $row) (i32.shl (local.get $left) (i32.const 4))))
      (then (return (i32.const 0))))
    (i32.store $desk (i32.const 0) (local.get $left))
    (local.set $left (i32.shl (local.get $left) (i32.const 1)))
    (local.set $at (i32.const 4))
    (loop $strings
      (if (local.get $left)
        (then
          (local.set $start (i32.load $codec (local.get $row)))
          (local.set $length (i32.load $codec offset=4 (local.get $row)))
          (if (call $outside (local.get $start) (local.get $length))
            (then (return (i32.const 0))))
          (if (i64.gt_u
                (i64.add (i64.extend_i32_u (i32.add (local.get $at) (i32.const 4)))
                         (i64.extend_i32_u (local.get $length)))
                (i64.const {{desk_bytes}}))
            (then (return (i32.const 0))))
          (i32.store $desk (local.get $at) (local.get $length))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (memory.copy $desk $codec (local.get $at) (local.get $start) (local.get $length))
          (local.set $at (i32.add (local.get $at) (local.get $length)))
          (local.set $row (i32.add (local.get $row) (i32.const 8)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $strings))))
    (local.get $at))
""",
    transform="""
  (func (export "{direction}") (param $size i32) (result i64)
    (local $rows i64) (local $count i32) (local $result i32) (local $answer i32)
    (local.set $count (i32.load $desk (i32.const 0)))
    (call $stage (i32.const {in_allocator}))
    (local.set $rows (call $lower (local.get $size)))
    (call $stage (i32.const {in_transform}))
    (if (i64.lt_s (local.get $rows) (i64.const 0)) (then (return (local.get $rows))))
    (local.set $result
      (call ${direction} (i32.wrap_i64 (local.get $rows)) (local.get $count)))
    (local.set $answer (call $lift (local.get $result)))
    (if (i32.eqz (local.get $answer))
      (then (return (i64.extend_i32_u (local.get $result)))))
    (call $stage (i32.const {in_cleanup}))
    (call $post-{direction} (local.get $result))
    (call $stage (i32.const {in_transform}))
    (call $answered (local.get $answer)))
""",
)
