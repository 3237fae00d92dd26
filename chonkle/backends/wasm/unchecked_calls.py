"""Calls of guest functions, prepared once so that each costs less than a microsecond.

`wasmtime.Func.__call__` asks for the function's type and boxes every value: 50 microseconds for a
call of a few nanoseconds. wasmtime's C API has an unchecked call and is public; the bindings of the
Python package to it are not. All code below the package's public API is in this file. It is tried
once before use; where it does not work as expected, or is not tested with the installed version,
the public API is used, with a warning.

Unchecked means that wasmtime does not compare the arguments with the function's type. A guest whose
function takes a reference where the host passes a number could choose an address of the host. So
every function is compared with the expected type when it is prepared, by wasmtime's own view of it.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import c_int64, c_size_t, c_void_p
from functools import cache
from types import FunctionType
from typing import Any, Protocol, cast

import wasmtime

from chonkle.errors import LimitExceeded, WasmFormatError, printable
from chonkle.formats.wasm_binary import type_parts
from chonkle.wasmtime_version import TESTED, is_tested, wasmtime_version

# wasmtime's message for a guest that called a host function that failed.
HOST_FUNCTION_FAILED = "a function of the host failed"

_PROBE_HIGH, _PROBE_LOW = 0x1234_5678, 0x2BCD_EF01
# Functions with so many parameters are called without packing their arguments.
_FEW = 2
_FOUR = 4


type GuestFunction = Callable[..., int]
type GuestMemory = tuple[Callable[[], int], Callable[[], memoryview]]


class Calls(Protocol):
    """A way of calling guests."""

    def function(self, wasm_store: wasmtime.Store, function: object, type_: str) -> GuestFunction:
        """Prepare a function of integers with one result or none.

        Arguments are unsigned. An i32 is returned in the lower 32 bits; the others are undefined.

        Args:
            wasm_store: the store that the function belongs to.
            function: the function.
            type_: the type that it must have, such as `(i32, i32) -> i64`.

        Returns:
            A callable that raises `wasmtime.Trap` or `wasmtime.WasmtimeError`.

        Raises:
            WasmFormatError: when it is no function, or has another type.
        """

    def memory(self, wasm_store: wasmtime.Store, memory: object) -> GuestMemory:
        """Prepare the view of a linear memory.

        Args:
            wasm_store: the store that the memory belongs to.
            memory: the memory, which may grow but never moves.

        Returns:
            Two callables: one gives the memory's size in bytes, and one a view of the whole memory
            at its current size.

        Raises:
            WasmFormatError: when it is no memory.
        """


class PublicCalls:
    """Calls through the documented API of the wasmtime package."""

    def function(self, wasm_store: wasmtime.Store, function: object, type_: str) -> GuestFunction:
        """Prepare a function."""
        function = _function(function, type_)
        found = function.type(wasm_store)
        # Asking for a type that this API has no name for aborts the process. chonkle's reader
        # refuses modules with such types before.
        parts = tuple(tuple(map(str, each)) for each in (found.params, found.results))
        if parts != type_parts(type_):
            raise _other_type(type_)
        widths = [32 if each == "i32" else 64 for each in parts[0]]

        def call(*given: int) -> int:
            # The package takes signed integers.
            signed = (
                value - (1 << width) if value >> (width - 1) else value
                for value, width in zip(given, widths, strict=True)
            )
            result = _call_function(function, wasm_store, *signed)
            return result if isinstance(result, int) else 0

        return call

    def memory(self, wasm_store: wasmtime.Store, memory: object) -> GuestMemory:
        """Prepare the view of a linear memory."""
        memory = _memory(memory)

        def view() -> memoryview:
            address = ctypes.addressof(memory.data_ptr(wasm_store).contents)
            return _view(address, memory.data_len(wasm_store), wasm_store)

        return lambda: memory.data_len(wasm_store), view


class PreparedCalls:
    """Calls through wasmtime's C API, with arguments made once."""

    def __init__(self) -> None:
        """Bind the C functions.

        Raises:
            AttributeError: when the package lacks what this needs.
            OSError: when its library cannot be opened.
        """
        self._ffi: Any = wasmtime._ffi  # noqa: SLF001 - see above
        # A handle of our own: argument types set on the package's would break the package. `CDLL`
        # releases the GIL during a call.
        library = ctypes.CDLL(str(self._ffi.filename))
        self._call = library.wasmtime_func_call_unchecked
        # No `argtypes`: the arguments are converted once. A conversion by ctypes costs 40
        # nanoseconds for each of five arguments of a call.
        self._call.restype = c_void_p
        self._data = library.wasmtime_memory_data
        self._data.restype = c_void_p
        self._data_size = library.wasmtime_memory_data_size
        self._data_size.restype = c_size_t
        # Asking for the kind of a newer type aborts the process. Comparing two types works for all.
        self._equal = self._ffi.wasmtime_wasm_valtype_equal
        self._types = {"i32": wasmtime.ValType.i32(), "i64": wasmtime.ValType.i64()}

    def function(self, wasm_store: wasmtime.Store, function: object, type_: str) -> GuestFunction:
        """Prepare a function."""
        function = _function(function, type_)
        parameters, results = type_parts(type_)
        if not self._has_type(function.type(wasm_store), parameters, results):
            raise _other_type(type_)
        arity = len(parameters)
        # Arguments and result use the same array of wasmtime_val_raw_t, sixteen bytes each, of
        # which integers use the first eight.
        count = max(arity, len(results))
        values = (c_int64 * (2 * max(count, _FEW)))()
        trap = c_void_p()
        handle = function._func  # noqa: SLF001 - see above
        arguments = (
            _context(wasm_store),
            _address(handle),
            _address(values),
            c_size_t.from_param(count),
            _address(trap),
        )
        # The call keeps alive what the addresses point at.
        run, failure, kept = self._call, self._failure, (wasm_store, handle)

        # A view takes half the time of a ctypes array.
        result = memoryview(values).cast("B").cast("q")
        cells = result.cast("B").cast("Q")

        def call_with_one(only: int) -> int:
            cells[0] = only
            error = run(*arguments)
            if error or trap.value:
                raise failure(error, trap, kept)
            return result[0]

        def call(first: int = 0, second: int = 0) -> int:
            cells[0] = first
            cells[2] = second
            error = run(*arguments)
            if error or trap.value:
                raise failure(error, trap, kept)
            return result[0]

        # The allocator of a component is called three times for a large chunk.
        def call_with_four(first: int, second: int, third: int, fourth: int) -> int:
            cells[4] = third
            cells[6] = fourth
            return call(first, second)

        def call_with_more(*given: int) -> int:
            values[4 : 2 * arity : 2] = list(given[_FEW:])
            return call(*given[:_FEW])

        if arity <= _FEW:
            return call_with_one if arity == 1 else call
        return call_with_four if arity == _FOUR else call_with_more

    def memory(self, wasm_store: wasmtime.Store, memory: object) -> GuestMemory:
        """Prepare the view of a linear memory."""
        memory = _memory(memory)
        handle = memory._memory  # noqa: SLF001 - see above
        arguments = (_context(wasm_store), _address(handle))
        data, data_size, kept = self._data, self._data_size, (wasm_store, handle)

        def size() -> int:
            in_bytes: int = data_size(*arguments)
            return in_bytes

        def view() -> memoryview:
            return _view(data(*arguments) or 0, size(), kept)

        return size, view

    def _has_type(
        self, found: wasmtime.FuncType, parameters: tuple[str, ...], results: tuple[str, ...]
    ) -> bool:
        """Compare wasmtime's type of a function with the names of integer types."""
        pointer = found.ptr()
        for vector, names in (
            (self._ffi.wasm_functype_params(pointer).contents, parameters),
            (self._ffi.wasm_functype_results(pointer).contents, results),
        ):
            if vector.size != len(names):
                return False
            for index, name in enumerate(names):
                if not self._equal(vector.data[index], self._types[name].ptr()):
                    return False
        return True

    def _failure(self, error: int | None, trap: c_void_p, _kept: object) -> Exception:
        """Take ownership of the error or trap of a call."""
        if error:
            pointer = ctypes.cast(error, ctypes.POINTER(self._ffi.wasmtime_error_t))
            return wasmtime.WasmtimeError._from_ptr(pointer)  # noqa: SLF001 - see above
        pointer = ctypes.cast(trap.value or 0, ctypes.POINTER(self._ffi.wasm_trap_t))
        trap.value = None
        return wasmtime.Trap._from_ptr(pointer)  # noqa: SLF001 - see above


def _function(found: object, type_: str) -> wasmtime.Func:
    if not isinstance(found, wasmtime.Func):
        raise _other_type(type_)
    return found


def _memory(found: object) -> wasmtime.Memory:
    if not isinstance(found, wasmtime.Memory):
        raise WasmFormatError("the guest's memory is no memory to wasmtime")
    return found


def _other_type(type_: str) -> WasmFormatError:
    return WasmFormatError(
        "a function of the guest has another type to wasmtime than the codec ABI",
        expected=type_,
    )


# The package keeps the exception of a failed callback in one variable of the process. The next call
# that fails raises it, in any thread and for any user of the package. So our callbacks do not set
# it, and our calls do not read it. What follows are the package's own functions with these parts
# replaced; where a version lacks these parts, or is not tested, its functions are used unchanged.


def _with_own[**P, R](function: Callable[P, R], **own: object) -> Callable[P, R]:
    """Copy a function of the package, with some of its globals replaced."""
    names = getattr(function, "__globals__", {})
    has_them = isinstance(function, FunctionType) and own.keys() <= names.keys()
    # The same name may mean something else in another version.
    if not has_them or not is_tested():
        return function
    copied: Any = FunctionType(
        function.__code__, {**names, **own}, function.__name__, function.__defaults__
    )
    return cast("Callable[P, R]", copied)


@contextmanager
def _enter_wasm(_wasm_store: object) -> Iterator[object]:
    """Run guest code, and raise only its own trap."""
    trap: Any = ctypes.POINTER(wasmtime._ffi.wasm_trap_t)()  # noqa: SLF001 - see above
    yield ctypes.byref(trap)
    if trap:
        raise wasmtime.Trap._from_ptr(trap)  # noqa: SLF001


def _enter_component(run: Callable[[], Any]) -> None:
    """Run guest code of a component, and raise only its own error."""
    error = run()
    if error:
        raise wasmtime.WasmtimeError._from_ptr(error)  # noqa: SLF001 - see above


_call_function = _with_own(wasmtime.Func.__call__, enter_wasm=_enter_wasm)
_instantiate = _with_own(wasmtime.Instance.__init__, enter_wasm=_enter_wasm)
_instantiate_linked = _with_own(wasmtime.Linker.instantiate, enter_wasm=_enter_wasm)


def instantiate(
    wasm_store: wasmtime.Store, module: wasmtime.Module, imports: Sequence[Any]
) -> wasmtime.Instance:
    """Instantiate a module with imports in its order; raises only its own failure."""
    instance = wasmtime.Instance.__new__(wasmtime.Instance)
    _instantiate(instance, wasm_store, module, imports)
    return instance


def instantiate_linked(
    linker: wasmtime.Linker, wasm_store: wasmtime.Store, module: wasmtime.Module
) -> wasmtime.Instance:
    """Instantiate a module through a linker; raises only its own failure."""
    return _instantiate_linked(linker, wasm_store, module)


def call_component(
    function: Callable[..., Any], wasm_store: wasmtime.Store, *arguments: object
) -> Any:  # noqa: ANN401 - whatever its type says
    """Call a `wasmtime.component.Func`; raises only its own failure."""
    call = _with_own(type(function).__call__, enter_wasm=_enter_component)
    return call(function, wasm_store, *arguments)


def host_function(
    wasm_store: wasmtime.Store, type_: wasmtime.FuncType, callback: Callable[..., int | None]
) -> wasmtime.Func:
    """Make a function of the host that guests may import.

    Args:
        wasm_store: the store of the guests.
        type_: its type: integers, and one result or none.
        callback: gives the result. Where it raises, the guest traps and the exception is dropped,
            so `callback` records what its caller needs to know.
    """
    try:
        trampoline = _trampoline() if is_tested() else None
    except AttributeError:
        trampoline = None
    if trampoline is None:
        # Another version makes functions in another way.
        return wasmtime.Func(wasm_store, type_, _trapping(callback))
    function = wasmtime.Func.__new__(wasmtime.Func)
    _with_own(wasmtime.Func.__init__, trampoline=trampoline)(function, wasm_store, type_, callback)
    return function


def _trapping(callback: Callable[..., int | None]) -> Callable[..., int | None]:
    """Make a callback that raises nothing but a trap: the package raises it in the guest's call."""

    def call(*arguments: int) -> int | None:
        try:
            return callback(*arguments)
        except BaseException:  # noqa: BLE001 - the guest has to end, and `host_function` says so
            raise wasmtime.Trap(HOST_FUNCTION_FAILED) from None

    return call


@cache
def _trampoline() -> object:
    """Give the C function through which guests call host functions, as in the package."""
    functions = wasmtime._func.FUNCTIONS  # noqa: SLF001 - see above
    value: Any = wasmtime.Val

    def run_callback(index: int | None, _: object, *values: Any) -> int:  # noqa: ANN401 - C's arrays
        given, count, results, _ = values
        try:
            run, result_types, _ = functions.get(index or 0)
            result = run(*(value._from_raw(None, given[at]).value for at in range(count)))  # noqa: SLF001
            for at, type_ in enumerate(result_types):
                results[at] = value._convert_to_raw(None, type_, result)  # noqa: SLF001
        except BaseException:  # noqa: BLE001 - C knows no exceptions, and `host_function` says so
            trap = wasmtime.Trap(HOST_FUNCTION_FAILED)._consume()  # noqa: SLF001
            return ctypes.cast(trap, c_void_p).value or 0
        return 0

    return wasmtime._ffi.wasmtime_func_callback_t(run_callback)  # noqa: SLF001


def _context(wasm_store: wasmtime.Store) -> object:
    """Give the C argument for a store, which the caller keeps alive."""
    pointer = wasm_store._context()  # noqa: SLF001 - see above
    return c_void_p.from_param(ctypes.cast(pointer, c_void_p).value)


def _address(data: ctypes.Structure | ctypes.Array[c_int64] | c_void_p) -> object:
    """Give the C argument for the address of data, which the caller keeps alive."""
    return c_void_p.from_param(ctypes.addressof(data))


def _view(address: int, size: int, kept: object) -> memoryview:
    displayed = (ctypes.c_ubyte * size).from_address(address)
    # A view keeps the memory alive that it shows, also without the guest's instance.
    displayed.kept = kept  # type: ignore[attr-defined]  # ctypes allows it
    return memoryview(displayed).cast("B")


def open_calls(*, prepared: bool = True) -> Calls:
    """Give the fastest way of calling guests that works.

    Args:
        prepared: whether to use prepared calls where they work.

    Raises:
        LimitExceeded: when this process has no room for any guest.
    """
    if not prepared:
        return PublicCalls()
    if not is_tested():
        _warn_of_version()
        return PublicCalls()
    try:
        calls: Calls = PreparedCalls()
        reason = _try_out(calls)
    except wasmtime.WasmtimeError as failure:
        raise no_room(failure) from failure
    except (AttributeError, OSError, TypeError, ValueError, ctypes.ArgumentError) as failure:
        reason = f"{type(failure).__name__}: {failure}"
    else:
        if reason is None:
            return calls
    import logging  # noqa: PLC0415 - rarely needed

    logging.getLogger("chonkle.calls").warning(
        "prepared calls do not work with this wasmtime, so calls are slower: %s", printable(reason)
    )
    return PublicCalls()


@cache
def _warn_of_version() -> None:
    """Log once in this process that the installed wasmtime is not tested."""
    import logging  # noqa: PLC0415 - rarely needed

    # A pool of workers would repeat what its parent said.
    processes = sys.modules.get("multiprocessing.process")
    is_worker = processes is not None and processes.parent_process() is not None
    logging.getLogger("chonkle.calls").log(
        logging.INFO if is_worker else logging.WARNING,
        "wasmtime %s is not among the versions that chonkle is tested with, %d to %d, so it is "
        "used through its public API only, and calls are slower; hint: install a tested version, "
        "or a newer chonkle",
        wasmtime_version(),
        TESTED[0],
        TESTED[-1],
    )


def no_room(failure: wasmtime.WasmtimeError) -> LimitExceeded:
    """Give the error for a system that lacks what a guest needs.

    Args:
        failure: wasmtime's error.
    """
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return LimitExceeded(
        "the system gave this process no room for a guest",
        got=": ".join(dict.fromkeys([lines[0], lines[-1]])) if lines else "no reason",
        hint="each reserves 4 GiB of addresses, of which it uses few, and each codec a file in"
        " memory: `ulimit -v`, `ulimit -n` or `ulimit -f` may forbid that",
    )


def _try_out(calls: Calls) -> str | None:
    """Try calls of host functions, which need no compiler; gives what went wrong, if anything."""
    wasm_store = wasmtime.Store()
    i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
    memory = wasmtime.Memory(wasm_store, wasmtime.MemoryType(wasmtime.Limits(1, 1)))

    function = host_function(
        wasm_store, wasmtime.FuncType([i32, i32], [i64]), lambda high, low: (high << 32) + low
    )
    call = calls.function(wasm_store, function, "(i32, i32) -> i64")
    if call(_PROBE_HIGH, _PROBE_LOW) != (_PROBE_HIGH << 32) + _PROBE_LOW:
        return "a known call gave a wrong result"
    _, see = calls.memory(wasm_store, memory)
    view = see()
    view[-1] = _PROBE_LOW & 0xFF
    try:
        calls.function(wasm_store, function, "(i32, i64) -> i64")
    except WasmFormatError:
        pass
    else:
        return "a function of another type was accepted"
    if memory.read(wasm_store, len(view) - 1) != bytes([_PROBE_LOW & 0xFF]):
        return "a memory is not where it should be"
    return None
