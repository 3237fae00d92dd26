"""One guest call for a small chunk: the desk.

A call of a codec is several guest calls, to allocate, to transform and to free, with copying
between them. For a small chunk, going in and out that often costs more than the work itself. The
desk is a module of ours with a small memory, linked to a codec's exports: the host puts an encoded
port-map on it, and one call allocates, copies, transforms, copies back and frees.

What a transform of the desk gives is what the codec's own gave, for the host to go on with as if
there were no desk; except from `_ON_DESK` to -1: then the lower half is the size of the answer, an
encoded port-map that lies on the desk, or one of the codes below. `_GROWN` is added to the size
where the codec's memory has become larger than is kept.

Here is what every desk has, and the desk of core modules. That of components has more to do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.calls import Calls, instantiate
from chonkle.backends.guest import (
    LIGHT_MEMORY_BYTES,
    GuestFunctions,
    PortCopier,
    limited_store,
    no_room_for,
    place,
    room_for_one_more,
)
from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.compilers import ModuleCompiler
from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.errors import CodecTrap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction
from chonkle.locking import ForkableLock

# A chunk of 64 KiB and what stands around it. Beyond 96 KiB, three calls are quicker than two more
# copies.
DESK_BYTES: Final = 65536 + 4096
# Up to here, to join what is written and to write it at once is quicker than to write it twice.
_JOINED_MAX: Final = 4096
# To set a desk up takes longer than it spares a process that makes one call.
_CALLS_WITHOUT_DESK: Final = 1
_PAGE_BYTES: Final = 65536
_PAGES: Final = -(-DESK_BYTES // _PAGE_BYTES)

_ON_DESK: Final = -(1 << 32)
_GROWN: Final = 1 << 31
_NO_ROOM: Final = 0xFFFF_FFFF
_INPUT_OUTSIDE: Final = 0xFFFF_FFFE
_NOT_ALIGNED: Final = 0xFFFF_FFFD

# What a guest is being called for, as a byte behind what lies on the desk says.
IN_TRANSFORM, IN_ALLOCATOR, IN_CLEANUP = range(3)
_STAGE_AT: Final = DESK_BYTES

_NUMBERS: Final = {
    "pages": _PAGES,
    "light_pages": LIGHT_MEMORY_BYTES // _PAGE_BYTES,
    "desk_bytes": DESK_BYTES,
    "on_desk": _ON_DESK,
    "grown": _GROWN,
    "no_room": _ON_DESK | _NO_ROOM,
    "input_outside": _ON_DESK | _INPUT_OUTSIDE,
    "not_aligned": _ON_DESK | _NOT_ALIGNED,
    "nowhere": 0xFFFF_FFFE_FFFF_FFFF,
    "stage_at": _STAGE_AT,
    "in_transform": IN_TRANSFORM,
    "in_allocator": IN_ALLOCATOR,
    "in_cleanup": IN_CLEANUP,
}
_COMMON: Final = """
  (memory $desk (export "desk") {pages} {pages})
  (func $outside (param $start i32) (param $size i32) (result i32)
    (i64.gt_u
      (i64.add (i64.extend_i32_u (local.get $start)) (i64.extend_i32_u (local.get $size)))
      (i64.shl (i64.extend_i32_u (memory.size $codec)) (i64.const 16))))
  (func $answered (param $size i32) (result i64)
    (i64.or
      (i64.const {on_desk})
      (i64.extend_i32_u
        (select
          (i32.or (local.get $size) (i32.const {grown}))
          (local.get $size)
          (i32.gt_u (memory.size $codec) (i32.const {light_pages}))))))
"""


@dataclass(frozen=True, slots=True)
class DeskDesign:
    """The text of a desk.

    The texts may name what stands in `_NUMBERS` and `_COMMON`, and the codec's memory is `$codec`.

    Attributes:
        label: the desk, for people.
        imports: what it needs of a codec, as `DeskedInstance.desk_import` names it.
        functions: what its transforms share.
        transform: one transform, `{direction}`: takes the size of the port-map on the desk.
    """

    label: str
    imports: str
    transform: str
    functions: str = ""

    def wasm(self) -> bytes:
        """Give the desk's module, as binary."""
        transforms = "".join(
            self.transform.format(direction=direction, **_NUMBERS) for direction in DIRECTIONS
        )
        shared = "".join(part.format(**_NUMBERS) for part in (_COMMON, self.functions))
        return bytes(wasmtime.wat2wasm(f"(module {self.imports} {shared} {transforms})"))


CORE_DESK: Final = DeskDesign(
    label="chonkle's desk",
    imports="""
  (import "codec" "memory" (memory $codec 0))
  (import "codec" "alloc" (func $alloc (param i32) (result i32)))
  (import "codec" "dealloc" (func $dealloc (param i32 i32)))
  (import "codec" "encode" (func $encode (param i32 i32) (result i64)))
  (import "codec" "decode" (func $decode (param i32 i32) (result i64)))
""",
    transform="""
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
    (call $answered (local.get $answer)))
""",
)


class DeskOpener:
    """Gives the compiled desk of an engine, once, from the AOT cache like any other module.

    Args of the constructor:
        cache: where the codecs' native code is.
        design: which desk.
    """

    def __init__(self, cache: AotCache, design: DeskDesign) -> None:
        # With counts of its own: what a session counts are codecs.
        self._cache = AotCache(cache.engine, cache.layers)
        self._design = design
        self._lock = ForkableLock()
        self._module: wasmtime.Module | None = None
        self._is_open = False

    def __call__(self) -> wasmtime.Module | None:
        """Give the module, or None where there shall be none.

        There is none where nothing may be compiled and the cache lacks it, and where the system
        limits the addresses of this process: each memory takes 4 GiB of them, which codecs need.
        """
        with self._lock:
            if not self._is_open and not _addresses_are_limited():
                wasm = self._design.wasm()
                binary = Binary(wasm, Digest.blake3(wasm), codec_id="", label=self._design.label)
                self._module = self._cache.find_or_compile(binary, ModuleCompiler())
                self._is_open = True
            return self._module


def _addresses_are_limited() -> bool:
    """Tell whether there is a `ulimit -v`."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return False
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft != resource.RLIM_INFINITY


class Desk:
    """A desk, linked to one instance of a codec.

    Attributes:
        has_grown: whether the codec's memory has become larger than a light one.

    Args of the constructor:
        own: what the desk's instance exports.
        wasm_store: the store of the codec's instance, and of the desk's.
        functions: prepares functions of the store.
        calls: how the memory is looked at.
        copier: copies answers.
    """

    __slots__ = ("_copy", "_transforms", "_view", "has_grown")

    def __init__(
        self,
        own: Mapping[str, Any],
        *,
        wasm_store: wasmtime.Store,
        functions: GuestFunctions,
        calls: Calls,
        copier: PortCopier,
    ) -> None:
        _, see = calls.memory(wasm_store, own["desk"])
        self._view = see()
        self._transforms = {
            direction: functions.prepare(own[direction], "(i32) -> i64", begins=True)
            for direction in DIRECTIONS
        }
        self._copy = copier.copy
        self.has_grown = False

    def run(
        self, direction: Direction, pieces: Sequence[Buffer], size: int
    ) -> dict[str, bytes] | int:
        """Make a small call.

        Args:
            direction: which transform.
            pieces: the parts of an encoded port-map.
            size: how many bytes they are together, at most `DESK_BYTES`.

        Returns:
            The ports of the answer. Or what the codec's own transform gave, which is then where it
            was, for the host to go on with.

        Raises:
            CodecTrap: when what the guest returned is no answer.
            LimitExceeded: when it had no room, or returned too much.
            wasmtime.Trap: when it trapped.
        """
        if size <= _JOINED_MAX:
            self._view[:size] = b"".join(pieces)
        else:
            place(pieces, self._view)
        result = self._transforms[direction](size)
        if not _ON_DESK <= result < 0:
            return result
        answered = result - _ON_DESK
        if answered > DESK_BYTES:
            answered = self._decode(answered, size)
        return self._copy(self._view, answered, direction)

    def _decode(self, code: int, size: int) -> int:
        """Give the size of an answer that is more than a size, or raise what a code stands for."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSetup:
    """What the instances of a codec share.

    Attributes:
        engine: the engine that compiled the codec.
        limits: what one call may take.
        calls: how the guest's functions are called.
        open_desk: gives the compiled desk, or None where there shall be none.
        copier: copies answers.
    """

    engine: Engine
    limits: Limits
    calls: Calls
    open_desk: Callable[[], wasmtime.Module | None]
    copier: PortCopier


class DeskedInstance(ABC):
    """An instance of a codec that may have a desk.

    Attributes:
        served: how many calls it was taken for.
        kept_bytes: see `chonkle.backends.guest.Pooled`.
        given_s: likewise.
        desk: its desk, if it has one yet.
        functions: prepares functions of the guest, and says how long they may take.

    Args of the constructor:
        setup: what the codec's instances share.
    """

    def __init__(self, setup: InstanceSetup) -> None:
        self.served = 0
        self.kept_bytes = 0
        self.given_s = 0.0
        self.desk: Desk | None = None
        self._setup = setup
        self._desk_was_tried = False
        self._wasm_store = limited_store(setup.engine, setup.limits)
        self.functions = GuestFunctions(
            setup.engine, self._wasm_store, limits=setup.limits, calls=setup.calls
        )

    @abstractmethod
    def desk_import(self, module: str, name: str) -> object:
        """Find what a desk imports."""

    def set_up_desk(self) -> Desk | None:
        """Set up the desk, at the second call and once; gives None where there is none."""
        if self.served <= _CALLS_WITHOUT_DESK or self._desk_was_tried:
            return None
        self._desk_was_tried = True
        setup, wasm_store = self._setup, self._wasm_store
        module = setup.open_desk()
        if module is None:
            return None
        imports: list[Any] = [
            self.desk_import(each.module, each.name or "") for each in module.imports
        ]
        try:
            with room_for_one_more(wasm_store, setup.limits, _PAGES * _PAGE_BYTES):
                own = instantiate(wasm_store, module, imports)
        except wasmtime.WasmtimeError:
            # The system gives this process no other memory: it goes on without, only slower.
            return None
        self.desk = Desk(
            own.exports(wasm_store),
            wasm_store=wasm_store,
            functions=self.functions,
            calls=setup.calls,
            copier=setup.copier,
        )
        return self.desk
