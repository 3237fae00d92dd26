"""A running guest: one instance of a core module, its memory, its traps, and the pool it waits in.

An instance serves one call at a time. Whoever calls takes it out of the pool and gives it back; an
instance whose guest trapped, or whose memory grew large, is never given back.
"""

from collections.abc import Callable

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.calls import Calls, GuestFunction
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecTrap, LimitExceeded

# A guest's memory never shrinks. An instance that grew past this is not kept, so that one large
# chunk does not hold its memory for ever.
_KEPT_MEMORY_BYTES = 256 << 20
_TABLE_ELEMENTS_MAX = 1 << 20


class GuestInstance:
    """One instance of a core module with everything of it that a call needs.

    Attributes:
        limits: what a call may take.
    """

    def __init__(
        self, engine: Engine, module: wasmtime.Module, *, limits: Limits, calls: Calls
    ) -> None:
        """Instantiate a module, with every import answered by a trap that names it.

        Args:
            engine: the engine that compiled it.
            module: the compiled module, whose exports were checked.
            limits: what its calls may take.
            calls: how its functions are called.

        Raises:
            wasmtime.Trap: when the guest breaks while it starts.
            wasmtime.WasmtimeError: when it asks for more than its limits allow.
        """
        self.limits = limits
        self._engine = engine
        self._calls = calls
        self._wasm_store = wasmtime.Store(engine.wasmtime)
        self._wasm_store.set_limits(
            memory_size=limits.memory_bytes, table_elements=_TABLE_ELEMENTS_MAX
        )
        linker = wasmtime.Linker(engine.wasmtime)
        linker.define_unknown_imports_as_traps(module)
        with engine.deadline(self._wasm_store, limits.timeout_s):
            instance = linker.instantiate(self._wasm_store, module)
        self._exports = instance.exports(self._wasm_store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)  # noqa: S101 - the caller checked the exports
        self._memory_size, self._see_memory = calls.memory(self._wasm_store, memory)
        self._memory = self._see_memory()
        if "_initialize" in self._exports:
            self.function("_initialize")()

    def function(self, name: str) -> GuestFunction:
        """Prepare an exported function.

        Args:
            name: an export that is known to be a function of integers.

        Returns:
            A callable that raises `wasmtime.Trap` or `wasmtime.WasmtimeError`; see `trap_error`.
        """
        exported = self._exports[name]
        assert isinstance(exported, wasmtime.Func)  # noqa: S101 - the caller checked the exports
        call = self._calls.function(self._wasm_store, exported)
        timeout_s = self.limits.timeout_s
        if timeout_s is None:
            return call

        def call_in_time(*arguments: int) -> int:
            with self._engine.deadline(self._wasm_store, timeout_s):
                return call(*arguments)

        return call_in_time

    def bytes_at(self, start: int, size: int, *, what: str) -> memoryview:
        """Show a range of linear memory in place, until the guest runs again.

        Args:
            start: where the range begins, as the guest says.
            size: its length in bytes, as the guest says.
            what: the range, for the message.

        Raises:
            CodecTrap: when the range does not lie in the memory.
        """
        end = start + size
        if end > len(self._memory):
            # The guest may have grown its memory since the last look.
            self._memory = self._see_memory()
            if end > len(self._memory):
                raise CodecTrap(
                    f"the guest's {what} lies outside of its memory",
                    expected=f"at most {len(self._memory)} bytes",
                    got=f"{size} bytes at {start}",
                )
        return self._memory[start:end]

    def is_worth_keeping(self) -> bool:
        """Tell whether the instance has stayed small enough to wait for another call."""
        return self._memory_size() <= _KEPT_MEMORY_BYTES


class InstancePool[I]:
    """Instances of one codec that wait for their next call.

    Taking and giving are single list operations, which need no lock; the last one given is the
    first one taken, because its memory is still in the processor's cache.
    """

    __slots__ = ("_idle", "_start", "give")

    def __init__(self, start: Callable[[], I]) -> None:
        """Make an empty pool.

        Args:
            start: makes an instance where none waits.
        """
        self._start = start
        self._idle: list[I] = []
        self.give = self._idle.append

    def take(self) -> I:
        """Take an instance out; nobody else has it until it is given back."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._start()

    def clear(self) -> None:
        """Forget the instances that wait."""
        self._idle.clear()


def trap_error(failure: Exception, limits: Limits) -> ChonkleError:
    """Turn wasmtime's failure of a guest into chonkle's words for it.

    Args:
        failure: a trap, or an error of instantiation.
        limits: what the guest was allowed.
    """
    code = failure.trap_code if isinstance(failure, wasmtime.Trap) else None
    if code is wasmtime.TrapCode.INTERRUPT:
        return LimitExceeded(f"ran longer than the allowed {limits.timeout_s:g} s")
    reason = _reason(failure)
    if "exceeds memory limits" in reason or "memory minimum size" in reason:
        return LimitExceeded(
            "asked for more memory than allowed", expected=f"at most {limits.memory_bytes} bytes"
        )
    return CodecTrap(f"the guest trapped: {reason}")


def _reason(failure: Exception) -> str:
    # wasmtime prints a chain of causes below a backtrace; the innermost one is the reason.
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    last = lines[-1] if lines else type(failure).__name__
    return one_line(last.removeprefix("wasm trap: ").removeprefix("0: ").removeprefix("1: "))


def one_line(text: str) -> str:
    """Make a guest's words fit for a terminal: no line breaks, no control characters."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
