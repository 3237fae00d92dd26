"""The trampoline: one guest call for a small chunk.

A call of a codec is several guest calls, to allocate, to transform and to free, with copying
between them. For a small chunk these often cost more than the transform. The trampoline is a small
module of ours with a buffer as its memory, linked to the exports of a codec. The host writes an
encoded port-map into the buffer, and one call allocates, copies, transforms, copies back and frees.

Several small chunks can share one call: each has a slot of the buffer, and a row of a table behind
the slots for its size and its result. Then threads of Python wait for each other once in many
chunks.

A call of the trampoline returns what the codec's transform returned, and the host continues as
without a trampoline. Values from `_IN_BUFFER` to -1 are the trampoline's own: their lower half is
the size of the result, an encoded port-map in the buffer, or one of the codes below. `_GROWN` is
added to the size when the codec's memory has become larger than `LIGHT_MEMORY_BYTES`.

The mechanism is here; the texts for the two ABIs are in `trampoline_texts`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.wasm.guest_errors import no_room_for
from chonkle.backends.wasm.guest_memory import PortReader, read_ports, write_segments
from chonkle.backends.wasm.guest_store import GuestFunctions, room_for_one_more
from chonkle.backends.wasm.instance_pool import LIGHT_MEMORY_BYTES
from chonkle.backends.wasm.unchecked_calls import Calls, instantiate
from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.compilers import ModuleCompiler
from chonkle.digest import Digest
from chonkle.errors import CodecTrap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction
from chonkle.locking import ForkableLock

# A chunk of 64 KiB and what surrounds it. Above 96 KiB, three calls are faster than two more
# copies.
BUFFER_BYTES: Final = 65536 + 4096
# Up to this size, joining the segments and writing once is faster than writing each.
_JOINED_MAX: Final = 4096
_PAGE_BYTES: Final = 65536
# How many chunks one call takes.
SLOTS: Final = 8
# Behind the slots.
_STAGE_AT: Final = SLOTS * BUFFER_BYTES
_TABLE_AT: Final = _STAGE_AT + 8
_TABLE: Final = [Struct(f"<{count}q") for count in range(SLOTS + 1)]
_PAGES: Final = -(-(_TABLE_AT + _TABLE[SLOTS].size) // _PAGE_BYTES)

_IN_BUFFER: Final = -(1 << 32)
_GROWN: Final = 1 << 31
_NO_ROOM: Final = 0xFFFF_FFFF
_INPUT_OUTSIDE: Final = 0xFFFF_FFFE
_NOT_ALIGNED: Final = 0xFFFF_FFFD

# What a guest is being called for. The trampoline keeps it in the byte behind the slots.
IN_TRANSFORM, IN_ALLOCATOR, IN_CLEANUP = range(3)

_NUMBERS: Final = {
    "pages": _PAGES,
    "light_pages": LIGHT_MEMORY_BYTES // _PAGE_BYTES,
    "buffer_bytes": BUFFER_BYTES,
    "in_buffer": _IN_BUFFER,
    "grown": _GROWN,
    "no_room": _IN_BUFFER | _NO_ROOM,
    "input_outside": _IN_BUFFER | _INPUT_OUTSIDE,
    "not_aligned": _IN_BUFFER | _NOT_ALIGNED,
    "nowhere": 0xFFFF_FFFE_FFFF_FFFF,
    "stage_at": _STAGE_AT,
    "table_at": _TABLE_AT,
    "in_transform": IN_TRANSFORM,
    "in_allocator": IN_ALLOCATOR,
    "in_cleanup": IN_CLEANUP,
}
_COMMON: Final = """
  (memory $buffer (export "buffer") {pages} {pages})
  (func $outside (param $start i32) (param $size i32) (result i32)
    (i64.gt_u
      (i64.add (i64.extend_i32_u (local.get $start)) (i64.extend_i32_u (local.get $size)))
      (i64.shl (i64.extend_i32_u (memory.size $codec)) (i64.const 16))))
  (func $copied (param $size i32) (result i64)
    (i64.or
      (i64.const {in_buffer})
      (i64.extend_i32_u
        (select
          (i32.or (local.get $size) (i32.const {grown}))
          (local.get $size)
          (i32.gt_u (memory.size $codec) (i32.const {light_pages}))))))
"""
# `$transform-encode` and `$transform-decode` are the ABI's.
_CALLS: Final = """
  (func (export "{direction}") (param $size i32) (result i64)
    (call $transform-{direction} (i32.const 0) (local.get $size)))
  ;; Gives how many chunks have their result in the buffer; stops at the first that has not.
  (func (export "{direction}-many") (param $count i32) (result i32)
    (local $done i32) (local $slot i32) (local $row i32) (local $result i64)
    (local.set $row (i32.const {table_at}))
    (loop $chunks
      (if (i32.lt_u (local.get $done) (local.get $count))
        (then
          (local.set $result
            (call $transform-{direction}
              (local.get $slot) (i32.wrap_i64 (i64.load $buffer (local.get $row)))))
          (i64.store $buffer (local.get $row) (local.get $result))
          (if (i32.or (i64.lt_s (local.get $result) (i64.const {in_buffer}))
                      (i64.ge_s (local.get $result) (i64.const 0)))
            (then (return (local.get $done))))
          (local.set $slot (i32.add (local.get $slot) (i32.const {buffer_bytes})))
          (local.set $row (i32.add (local.get $row) (i32.const 8)))
          (local.set $done (i32.add (local.get $done) (i32.const 1)))
          (br $chunks))))
    (local.get $done))
"""


@dataclass(frozen=True, slots=True)
class TrampolineText:
    """The WebAssembly text of the trampoline of one ABI.

    The texts may name the keys of `_NUMBERS` and what `_COMMON` defines. The codec's memory is
    `$codec`.
    """

    label: str  # the trampoline, for messages
    imports: str  # its imports, as `GuestInstance.trampoline_import` takes them
    # One transform, `{direction}`: takes the slot and the size of the port-map in it.
    transform: str
    functions: str = ""  # what both transforms call

    def wasm(self) -> bytes:
        """Assemble the module."""
        transforms = "".join(
            (self.transform + _CALLS).format(direction=direction, **_NUMBERS)
            for direction in DIRECTIONS
        )
        shared = "".join(part.format(**_NUMBERS) for part in (_COMMON, self.functions))
        return bytes(wasmtime.wat2wasm(f"(module {self.imports} {shared} {transforms})"))


class TrampolineOpener:
    """Compiles the trampoline for an engine, once, through the AOT cache like any other module.

    Args of the constructor:
        cache: the cache of the codecs' native code.
        text: which trampoline.
    """

    def __init__(self, cache: AotCache, text: TrampolineText) -> None:
        # With counts of its own: a runtime counts codecs.
        self._cache = AotCache(cache.engine, cache.layers)
        self._text = text
        self._lock = ForkableLock()
        self._module: wasmtime.Module | None = None
        self._is_open = False

    def __call__(self) -> wasmtime.Module | None:
        """Give the module.

        Returns:
            None where nothing may be compiled and the cache lacks it, and where `ulimit -v` limits
            the addresses of this process: each memory takes 4 GiB of them, which codecs need.
        """
        with self._lock:
            if not self._is_open and not _addresses_are_limited():
                wasm = self._text.wasm()
                binary = Binary(wasm, Digest.blake3(wasm), codec_id="", label=self._text.label)
                self._module = self._cache.find_or_compile(binary, ModuleCompiler())
                self._is_open = True
            return self._module


def _addresses_are_limited() -> bool:
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return False
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft != resource.RLIM_INFINITY


class Trampoline:
    """A trampoline, linked to one instance of a codec.

    Attributes:
        has_grown: whether the codec's memory has become larger than a light one.

    Args of the constructor:
        module: the compiled trampoline.
        find_import: finds an export of the codec by the two names of an import.
        wasm_store: the store of the codec's instance.
        functions: prepares functions of the store.
        calls: how the buffer is accessed.
        reader: reads the codec's results.
        limits: what a call may take.

    Raises:
        wasmtime.WasmtimeError: when the system has no other memory for this process.
    """

    __slots__ = (
        "_copy",
        "_limits",
        "_read",
        "_slots",
        "_transforms",
        "_transforms_many",
        "_view",
        "has_grown",
    )

    def __init__(
        self,
        module: wasmtime.Module,
        find_import: Callable[[str, str], Any],
        *,
        wasm_store: wasmtime.Store,
        functions: GuestFunctions,
        calls: Calls,
        reader: PortReader,
        limits: Limits,
    ) -> None:
        imports = [find_import(each.module, each.name or "") for each in module.imports]
        with room_for_one_more(wasm_store, limits, _PAGES * _PAGE_BYTES):
            exports = instantiate(wasm_store, module, imports).exports(wasm_store)
        _, view = calls.memory(wasm_store, exports["buffer"])
        self._view = view()
        self._transforms = {
            direction: functions.prepare(exports[direction], "(i32) -> i64", begins=True)
            for direction in DIRECTIONS
        }
        self._transforms_many = {
            direction: functions.prepare(exports[f"{direction}-many"], "(i32) -> i32", begins=True)
            for direction in DIRECTIONS
        }
        self._slots = [self._view[at * BUFFER_BYTES : _STAGE_AT] for at in range(SLOTS)]
        self._limits = limits
        self._copy = reader.copy
        self._read = reader.read
        self.has_grown = False

    def run(
        self, direction: Direction, segments: Sequence[Buffer], size: int, *, borrow: bool
    ) -> Mapping[str, Buffer] | int:
        """Make a small call.

        Args:
            direction: which transform.
            segments: the parts of an encoded port-map.
            size: their total size in bytes, at most `BUFFER_BYTES`.
            borrow: whether the ports may be views of the buffer, which hold until the next call.

        Returns:
            The ports of the result, or what the codec's transform returned, for the host to read.

        Raises:
            CodecTrap: when the guest returned no valid result.
            LimitExceeded: when it had no room, or returned too much.
            wasmtime.Trap: when it trapped.
        """
        if size <= _JOINED_MAX:
            self._view[:size] = b"".join(segments)
        else:
            write_segments(segments, self._view)
        result = self._transforms[direction](size)
        if not _IN_BUFFER <= result < 0:
            return result
        length = self._length(result, self._view, size)
        read = self._read if borrow else self._copy
        return read(self._view, length, direction)

    def run_many(
        self, direction: Direction, chunks: Sequence[tuple[Sequence[Buffer], int]]
    ) -> list[dict[str, memoryview]] | None:
        """Make several small calls as one.

        Args:
            direction: which transform.
            chunks: the parts of an encoded port-map and their total size, as for `run`; at most
                `SLOTS` of them.

        Returns:
            The ports of each result, which hold until the next call; None where a chunk needs the
            host, so that all have to be run again.

        Raises:
            CodecTrap: as `run`.
            LimitExceeded: as `run`.
            wasmtime.Trap: when the guest trapped.
        """
        table = _TABLE[len(chunks)]
        for slot, (segments, _) in zip(self._slots, chunks, strict=False):
            write_segments(segments, slot)
        table.pack_into(self._view, _TABLE_AT, *[size for _, size in chunks])
        if self._transforms_many[direction](len(chunks)) & 0xFFFF_FFFF != len(chunks):
            return None
        results = table.unpack_from(self._view, _TABLE_AT)
        return [
            self._read(slot, self._length(result, slot, size), direction)
            for slot, result, (_, size) in zip(self._slots, results, chunks, strict=False)
        ]

    def _length(self, result: int, slot: memoryview, size: int) -> int:
        """Give the size of a result in the buffer, or raise what went wrong."""
        length = result - _IN_BUFFER
        if length > BUFFER_BYTES:
            length = self._decode(length, size)
        if length > self._limits.output_bytes:
            self._limits.check_output(read_ports(slot[:length]))
        return length

    def _decode(self, code: int, size: int) -> int:
        """Give the size of the result of a guest that has grown, or raise what a code means."""
        if code == _NO_ROOM:
            raise no_room_for(size)
        if code == _INPUT_OUTSIDE:
            raise CodecTrap("the guest's input buffer lies outside of its memory")
        if code == _NOT_ALIGNED:
            raise CodecTrap("the guest's list of ports is not aligned")
        self.has_grown = True
        return code & ~_GROWN

    @property
    def stage(self) -> int:
        """What the guest is being called for, or was when it trapped."""
        return self._view[_STAGE_AT]
