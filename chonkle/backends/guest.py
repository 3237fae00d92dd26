"""A running guest: one instance of a core module, its memory, its traps, and the pool it waits in.

An instance serves one call at a time. Whoever calls takes it out of the pool and gives it back; an
instance whose guest trapped, or whose memory grew large, is never given back.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import wasmtime

from chonkle.backends.base import Buffer, GuestBytes, Limits
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecTrap, LimitExceeded

# A guest's memory never shrinks. An instance that grew past this is not kept, so that one large
# chunk does not hold its memory for ever.
_KEPT_MEMORY_BYTES = 256 << 20
_TABLE_ELEMENTS_MAX = 1 << 20
_PYBUF_SIMPLE = 0


class _PyBuffer(ctypes.Structure):
    """`Py_buffer` of the C API; `obj` is opaque here, so that ctypes does not count references."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer = ctypes.PYFUNCTYPE(
    ctypes.c_int, ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int
)(("PyObject_GetBuffer", ctypes.pythonapi))
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_PyBuffer))(
    ("PyBuffer_Release", ctypes.pythonapi)
)


def copy_to(address: int, data: Buffer, size: int) -> None:
    """Copy a buffer to an address of this process, once.

    Args:
        address: where to; `size` bytes there belong to the caller.
        data: contiguous bytes.
        size: how many to copy.
    """
    if isinstance(data, bytes):
        ctypes.memmove(address, data, size)
    elif isinstance(data, GuestBytes):
        ctypes.memmove(address, data.address, size)
    else:
        view = _PyBuffer()
        _get_buffer(data, view, _PYBUF_SIMPLE)
        try:
            ctypes.memmove(address, view.buf, size)
        finally:
            _release_buffer(view)


class GuestInstance:
    """One instance of a core module with everything of it that a call needs.

    Attributes:
        engine: the engine that compiled the module.
        limits: what a call may take.
    """

    def __init__(self, engine: Engine, module: wasmtime.Module, limits: Limits) -> None:
        """Instantiate a module, with every import answered by a trap that names it.

        Args:
            engine: the engine that compiled it.
            module: the compiled module.
            limits: what its calls may take.

        Raises:
            CodecTrap: when the guest breaks while it starts.
            LimitExceeded: when it asks for more memory, or time, than its limits allow.
        """
        self.engine = engine
        self.limits = limits
        self._wasm_store = wasmtime.Store(engine.wasmtime)
        self._wasm_store.set_limits(
            memory_size=limits.memory_bytes, table_elements=_TABLE_ELEMENTS_MAX
        )
        linker = wasmtime.Linker(engine.wasmtime)
        linker.define_unknown_imports_as_traps(module)
        instance = self._guarded(lambda: linker.instantiate(self._wasm_store, module))
        self._exports = instance.exports(self._wasm_store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)  # noqa: S101 - the caller checked the exports
        self._memory = memory
        if "_initialize" in self._exports:
            self.function("_initialize")()

    def function(self, name: str) -> Callable[..., Any]:
        """Give an exported function, callable with integers.

        Args:
            name: an export that is known to be a function.
        """
        exported = self._exports[name]
        assert isinstance(exported, wasmtime.Func)  # noqa: S101 - the caller checked the exports
        return lambda *arguments: self._guarded(lambda: exported(self._wasm_store, *arguments))

    def _guarded[R](self, run: Callable[[], R]) -> R:
        """Run guest code under its deadline and turn what breaks into chonkle's errors."""
        try:
            with self.engine.deadline(self._wasm_store, self.limits.timeout_s):
                return run()
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise trap_error(failure, self.limits) from failure

    def memory_size(self) -> int:
        """Give the current size of the linear memory, in bytes."""
        return self._memory.data_len(self._wasm_store)

    def address(self, offset: int, size: int, *, what: str) -> int:
        """Give the address of a range of linear memory; valid until the guest runs again.

        Args:
            offset: where the range begins, as the guest says.
            size: its length in bytes, as the guest says.
            what: the range, for the message.

        Raises:
            CodecTrap: when the range does not lie in the memory.
        """
        if offset < 0 or size < 0 or offset + size > self.memory_size():
            raise CodecTrap(
                f"the guest's {what} lies outside of its memory",
                expected=f"at most {self.memory_size()} bytes",
                got=f"{size} bytes at {offset}",
            )
        base = ctypes.addressof(self._memory.data_ptr(self._wasm_store).contents)
        return base + offset


class InstancePool:
    """Instances of one module that wait for their next call.

    Taking and giving are single list operations, which need no lock; the last one given is the
    first one taken, because its memory is still in the processor's cache.
    """

    def __init__(self, start: Callable[[], GuestInstance]) -> None:
        """Make an empty pool.

        Args:
            start: makes an instance where none waits.
        """
        self._start = start
        self._idle: list[GuestInstance] = []

    def take(self) -> GuestInstance:
        """Take an instance out; nobody else has it until it is given back."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._start()

    def give(self, instance: GuestInstance) -> None:
        """Give back an instance whose last call ended well."""
        if instance.memory_size() <= _KEPT_MEMORY_BYTES:
            self._idle.append(instance)

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
    return last.removeprefix("wasm trap: ").removeprefix("0: ").removeprefix("1: ")


def one_line(text: str) -> str:
    """Make a guest's words fit for a terminal: no line breaks, no control characters."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
