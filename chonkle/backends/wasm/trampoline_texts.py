"""The two trampolines: of core modules, and of components.

Each makes the guest calls of its ABI, in the order and with the checks of `core_abi` and
`component_abi`. Where it stops, the host continues: with a refusal, with a result outside of the
guest's memory, and with a result too large for the buffer. The guest has freed nothing by then.

A port-map of a component is rows of sixteen bytes, `{name, name_len, data, data_len}`. An encoded
port-map has the same strings in the same order, so names and data are copied alike. Only names that
are not UTF-8, or occur twice, are left for the host to find.
"""

from typing import Final

from chonkle.backends.wasm.trampoline import TrampolineText
from chonkle.formats.portmap import PORTS_MAX

CORE_TRAMPOLINE: Final = TrampolineText(
    label="chonkle's trampoline",
    imports="""
  (import "codec" "memory" (memory $codec 0))
  (import "codec" "alloc" (func $alloc (param i32) (result i32)))
  (import "codec" "dealloc" (func $dealloc (param i32 i32)))
  (import "codec" "encode" (func $encode (param i32 i32) (result i64)))
  (import "codec" "decode" (func $decode (param i32 i32) (result i64)))
""",
    transform="""
  (func $transform-{direction} (param $slot i32) (param $size i32) (result i64)
    (local $pointer i32) (local $packed i64) (local $length i32)
    (local.set $pointer (call $alloc (local.get $size)))
    (if (i32.eqz (local.get $pointer)) (then (return (i64.const {no_room}))))
    (if (call $outside (local.get $pointer) (local.get $size))
      (then (return (i64.const {input_outside}))))
    (memory.copy $codec $buffer (local.get $pointer) (local.get $slot) (local.get $size))
    (local.set $packed (call ${direction} (local.get $pointer) (local.get $size)))
    (local.set $pointer (i32.wrap_i64 (i64.shr_u (local.get $packed) (i64.const 32))))
    (local.set $length (i32.wrap_i64 (local.get $packed)))
    ;; A result outside of the memory must not look like a code of the trampoline.
    (if (call $outside (local.get $pointer) (local.get $length))
      (then (return (i64.and (local.get $packed) (i64.const {nowhere})))))
    ;; The host handles a refusal, and a result too large for the buffer.
    (if (i32.or (i64.eqz (local.get $packed))
                (i32.gt_u (local.get $length) (i32.const {buffer_bytes})))
      (then (return (local.get $packed))))
    (memory.copy $buffer $codec (local.get $slot) (local.get $pointer) (local.get $length))
    (call $dealloc (local.get $pointer) (local.get $length))
    (call $copied (local.get $length)))
""",
)

COMPONENT_TRAMPOLINE: Final = TrampolineText(
    label="chonkle's trampoline for components",
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
    (i32.store8 $buffer (i32.const {{stage_at}}) (local.get $stage)))

  ;; Copies the port-map into the guest; gives the address of its rows, or a negative code.
  (func $lower (param $slot i32) (param $size i32) (result i64)
    (local $rows i32) (local $row i32) (local $at i32) (local $start i32) (local $length i32)
    (local.set $length (i32.shl (i32.load $buffer (local.get $slot)) (i32.const 4)))
    (local.set $rows
      (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (local.get $length)))
    (if (i32.and (local.get $rows) (i32.const 3))
      (then (return (i64.const {{not_aligned}}))))
    (if (call $outside (local.get $rows) (local.get $length))
      (then (return (i64.const {{input_outside}}))))
    (local.set $row (local.get $rows))
    (local.set $at (i32.add (local.get $slot) (i32.const 4)))
    (local.set $size (i32.add (local.get $slot) (local.get $size)))
    (loop $strings
      (if (i32.lt_u (local.get $at) (local.get $size))
        (then
          (local.set $length (i32.load $buffer (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (local.set $start
            (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $length)))
          (if (call $outside (local.get $start) (local.get $length))
            (then (return (i64.const {{input_outside}}))))
          (memory.copy $codec $buffer (local.get $start) (local.get $at) (local.get $length))
          (i32.store $codec (local.get $row) (local.get $start))
          (i32.store $codec offset=4 (local.get $row) (local.get $length))
          (local.set $row (i32.add (local.get $row) (i32.const 8)))
          (local.set $at (i32.add (local.get $at) (local.get $length)))
          (br $strings))))
    (i64.extend_i32_u (local.get $rows)))

  ;; Copies the ports of a result into the buffer; gives their size, or 0 where the host continues.
  (func $lift (param $slot i32) (param $result i32) (result i32)
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
    (i32.store $buffer (local.get $slot) (local.get $left))
    (local.set $left (i32.shl (local.get $left) (i32.const 1)))
    (local.set $at (i32.add (local.get $slot) (i32.const 4)))
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
                (i64.extend_i32_u (i32.add (local.get $slot) (i32.const {{buffer_bytes}}))))
            (then (return (i32.const 0))))
          (i32.store $buffer (local.get $at) (local.get $length))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (memory.copy $buffer $codec (local.get $at) (local.get $start) (local.get $length))
          (local.set $at (i32.add (local.get $at) (local.get $length)))
          (local.set $row (i32.add (local.get $row) (i32.const 8)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $strings))))
    (i32.sub (local.get $at) (local.get $slot)))
""",
    transform="""
  (func $transform-{direction} (param $slot i32) (param $size i32) (result i64)
    (local $rows i64) (local $count i32) (local $result i32) (local $length i32)
    (local.set $count (i32.load $buffer (local.get $slot)))
    (call $stage (i32.const {in_allocator}))
    (local.set $rows (call $lower (local.get $slot) (local.get $size)))
    (call $stage (i32.const {in_transform}))
    (if (i64.lt_s (local.get $rows) (i64.const 0)) (then (return (local.get $rows))))
    (local.set $result
      (call ${direction} (i32.wrap_i64 (local.get $rows)) (local.get $count)))
    (local.set $length (call $lift (local.get $slot) (local.get $result)))
    (if (i32.eqz (local.get $length))
      (then (return (i64.extend_i32_u (local.get $result)))))
    (call $stage (i32.const {in_cleanup}))
    (call $post-{direction} (local.get $result))
    (call $stage (i32.const {in_transform}))
    (call $copied (local.get $length)))
""",
)
