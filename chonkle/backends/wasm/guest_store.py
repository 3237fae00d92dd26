"""Stores with limits, and functions of guests that are called under a deadline."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.wasm.unchecked_calls import Calls, GuestFunction
from chonkle.engine import Engine

_TABLE_ELEMENTS_MAX = 1 << 17
# A CPython in a component has sixty instances and two memories.
_INSTANCES_MAX = 256
_TABLES_MAX = 16
_MEMORIES_MAX = 3


def limited_store(engine: Engine, limits: Limits) -> wasmtime.Store:
    """Make a store with limits."""
    wasm_store = wasmtime.Store(engine.wasmtime)
    _limit(wasm_store, limits.memory_bytes)
    return wasm_store


@contextmanager
def room_for_one_more(
    wasm_store: wasmtime.Store, limits: Limits, memory_bytes: int
) -> Iterator[None]:
    """Let a store have one more instance: our own, beside the guest's.

    Args:
        wasm_store: the store.
        limits: the limits of its guest.
        memory_bytes: the size of the instance's memory.
    """
    _limit(wasm_store, max(limits.memory_bytes, memory_bytes), more=1)
    try:
        yield
    finally:
        _limit(wasm_store, limits.memory_bytes, more=1)


def _limit(wasm_store: wasmtime.Store, memory_bytes: int, *, more: int = 0) -> None:
    # The limit is for each memory; a component may have several.
    wasm_store.set_limits(
        memory_size=memory_bytes,
        table_elements=_TABLE_ELEMENTS_MAX,
        instances=_INSTANCES_MAX + more,
        tables=_TABLES_MAX,
        memories=_MEMORIES_MAX + more,
    )


class GuestFunctions:
    """Prepares the functions of one store, to be called under a deadline."""

    def __init__(
        self, engine: Engine, wasm_store: wasmtime.Store, *, limits: Limits, calls: Calls
    ) -> None:
        """Prepare functions of a store.

        Args:
            engine: the store's engine.
            wasm_store: the store.
            limits: what a call may take.
            calls: how functions are called.
        """
        self._engine = engine
        self._wasm_store = wasm_store
        self._timeout_s = limits.timeout_s
        self._ends_s = 0.0
        self._is_starting = False
        self._calls = calls

    def begin(self, *, is_start: bool = False) -> None:
        """Start the time limit of one call of the codec, which its guest calls share.

        Args:
            is_start: the instance starts now; the start counts towards its first call.
        """
        if self._timeout_s is not None:
            if not self._is_starting:
                self._ends_s = time.monotonic() + self._timeout_s
            self._is_starting = is_start

    def left_s(self) -> float | None:
        """Give the time that is left; None without a limit."""
        return None if self._timeout_s is None else max(self._ends_s - time.monotonic(), 0.0)

    def prepare(self, function: object, type_: str, *, begins: bool = False) -> GuestFunction:
        """Prepare a function of integers.

        Args:
            function: an export.
            type_: the type that it must have, such as `(i32, i32) -> i64`.
            begins: whether a call of the codec calls it first; see `begin`.

        Returns:
            A callable that raises `wasmtime.Trap` or `wasmtime.WasmtimeError`; see `trap_error`.

        Raises:
            WasmFormatError: when its type to wasmtime is another one.
        """
        call = self._calls.function(self._wasm_store, function, type_)
        if self._timeout_s is None:
            return call

        def call_in_time(*arguments: int) -> int:
            if begins:
                self.begin()
            with self._engine.deadline(self._wasm_store, self.left_s()):
                return call(*arguments)

        return call_in_time
