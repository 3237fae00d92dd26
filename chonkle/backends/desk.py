"""One guest call for a small chunk: the desk.

A call of the core ABI is three guest calls, `alloc`, the transform and `dealloc`, with copying
between them. For a small chunk, going in and out three times costs more than the work itself. The
desk is a module of ours with a small memory, linked to a codec's exports: the host puts an
encoded port-map on it, and one call allocates, copies, transforms, copies back and frees.

What a transform of the desk gives is `pointer << 32 | size`, as a codec does, except where the
upper half is all ones, from `ON_DESK` to -1 with a sign: then the rest is the size of the answer
that lies on the desk, or one of the two codes below.
"""

from collections.abc import Mapping
from typing import Any, Final

import wasmtime

from chonkle.backends.calls import Calls
from chonkle.backends.guest import GuestFunctions
from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.native import ModuleCompiler
from chonkle.digest import Digest
from chonkle.locking import ForkableLock

# A chunk of 64 KiB and what stands around it. Beyond 96 KiB, three calls are quicker than two more
# copies.
DESK_BYTES: Final = 65536 + 4096
_PAGE_BYTES: Final = 65536
ON_DESK: Final = -(1 << 32)
NO_ROOM: Final = 0xFFFF_FFFF
INPUT_OUTSIDE: Final = 0xFFFF_FFFE

_TRANSFORM = """
  (func (export "{direction}") (param $size i32) (result i64)
    (local $pointer i32) (local $packed i64) (local $answer i32)
    (local.set $pointer (call $alloc (local.get $size)))
    (if (i32.eqz (local.get $pointer)) (then (return (i64.const {no_room}))))
    (if (call $outside (local.get $pointer) (local.get $size))
      (then (return (i64.const {input_outside}))))
    (memory.copy $codec $desk (local.get $pointer) (i32.const 0) (local.get $size))
    (local.set $packed (call ${direction} (local.get $pointer) (local.get $size)))
    (local.set $pointer (i32.wrap_i64 (i64.shr_u (local.get $packed) (i64.const 32))))
    (local.set $answer (i32.wrap_i64 (local.get $packed)))
    ;; An answer that lies nowhere may not look as if it lay on the desk.
    (if (call $outside (local.get $pointer) (local.get $answer))
      (then (return (i64.and (local.get $packed) (i64.const {nowhere})))))
    ;; A refusal and an answer too large for the desk are the host's matter.
    (if (i32.or (i64.eqz (local.get $packed))
                (i32.gt_u (local.get $answer) (i32.const {desk_bytes})))
      (then (return (local.get $packed))))
    (memory.copy $desk $codec (i32.const 0) (local.get $pointer) (local.get $answer))
    (call $dealloc (local.get $pointer) (local.get $answer))
    (i64.or (i64.const {on_desk}) (i64.extend_i32_u (local.get $answer))))
"""
_TEXT = """
(module
  (import "codec" "memory" (memory $codec 0))
  (import "codec" "alloc" (func $alloc (param i32) (result i32)))
  (import "codec" "dealloc" (func $dealloc (param i32 i32)))
  (import "codec" "encode" (func $encode (param i32 i32) (result i64)))
  (import "codec" "decode" (func $decode (param i32 i32) (result i64)))
  (memory $desk (export "desk") {pages} {pages})
  (func $outside (param $pointer i32) (param $size i32) (result i32)
    (i64.gt_u
      (i64.add (i64.extend_i32_u (local.get $pointer)) (i64.extend_i32_u (local.get $size)))
      (i64.shl (i64.extend_i32_u (memory.size $codec)) (i64.const 16))))
  {transforms})
"""


class DeskOpener:
    """Gives the compiled desk of an engine, once, from the AOT cache like any other module.

    Args of the constructor:
        cache: where the codecs' native code is.
    """

    def __init__(self, cache: AotCache) -> None:
        # With counts of its own: what a session counts are codecs.
        self._cache = AotCache(cache.engine, cache.layers)
        self._lock = ForkableLock()
        self._module: wasmtime.Module | None = None
        self._is_open = False

    def __call__(self) -> wasmtime.Module | None:
        """Give the module, or None where nothing may be compiled and the cache lacks it."""
        with self._lock:
            if not self._is_open:
                wasm = desk_module()
                binary = Binary(wasm, Digest.blake3(wasm), codec_id="", label="chonkle's desk")
                self._module = self._cache.find_or_compile(binary, ModuleCompiler())
                self._is_open = True
            return self._module


def desk_module() -> bytes:
    """Give the desk's module, as binary."""
    transforms = "".join(
        _TRANSFORM.format(
            direction=direction,
            desk_bytes=DESK_BYTES,
            on_desk=ON_DESK,
            no_room=ON_DESK | NO_ROOM,
            input_outside=ON_DESK | INPUT_OUTSIDE,
            nowhere=0xFFFF_FFFE_FFFF_FFFF,
        )
        for direction in ("encode", "decode")
    )
    return bytes(
        wasmtime.wat2wasm(_TEXT.format(transforms=transforms, pages=-(-DESK_BYTES // _PAGE_BYTES)))
    )


class Desk:
    """A desk, linked to one instance of a codec.

    Attributes:
        view: its memory, `DESK_BYTES` long.
        transforms: takes the size of the port-map on the desk; see above for what it gives.

    Args of the constructor:
        module: the compiled desk.
        wasm_store: the store of the codec's instance.
        exports: what that instance exports.
        functions: prepares functions of the store.
        calls: how the memory is looked at.
    """

    __slots__ = ("transforms", "view")

    def __init__(
        self,
        module: wasmtime.Module,
        *,
        wasm_store: wasmtime.Store,
        exports: Mapping[str, Any],
        functions: GuestFunctions,
        calls: Calls,
    ) -> None:
        imports = [exports[wanted.name or ""] for wanted in module.imports]
        own = wasmtime.Instance(wasm_store, module, imports).exports(wasm_store)
        memory = own["desk"]
        assert isinstance(memory, wasmtime.Memory)  # noqa: S101 - the text above says so
        _, see = calls.memory(wasm_store, memory)
        self.view = see()
        self.transforms = {
            "encode": functions.prepare(own["encode"]),
            "decode": functions.prepare(own["decode"]),
        }
