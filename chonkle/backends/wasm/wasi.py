"""The few WASI functions that a codec may call; their results reveal nothing.

Toolchains link `wasi:*` imports into every component, called or not. At start, language runtimes
call for an environment, which is empty, and random bytes, which are always the same: a codec is a
function of its input. Every other call traps, and the trap names the function.

Each function is written once, over values. `lower` passes its result as the canonical ABI says
(Component Model, `CanonicalABI.md`): a list goes to memory that the guest allocates, its address
and length to where the last argument points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Protocol

_LIST = Struct("<II")
_PAIR = Struct("<QQ")
# Seeding a hash table takes less.
_RANDOM_MAX_BYTES = 1 << 16
# A seed of hash tables, which may not be zero.
RANDOM_BITS = 0x2545_F491_4F6C_DD1D

type Value = bytes | int | list[object] | tuple[int, int] | None


class Caller(Protocol):
    """The guest that calls: its memory and its allocator, as the import's options name them."""

    def allocate(self, size: int, *, align: int) -> int:
        """Have the guest allocate memory."""

    def write(self, address: int, data: bytes) -> None:
        """Write into the guest's memory, within its bounds."""


class RefusedError(Exception):
    """The guest called an allowed function with arguments that are not allowed."""


def _write_bytes(caller: Caller, value: Value, result: int) -> None:
    data = value if isinstance(value, bytes) else b""
    address = caller.allocate(len(data), align=1)
    caller.write(address, data)
    caller.write(result, _LIST.pack(address, len(data)))


def _write_empty_list(caller: Caller, _value: Value, result: int) -> None:
    # An empty list may have any aligned address.
    caller.write(result, _LIST.pack(8, 0))


def _write_pair(caller: Caller, value: Value, result: int) -> None:
    caller.write(result, _PAIR.pack(*(value if isinstance(value, tuple) else (0, 0))))


def _write_none(caller: Caller, _value: Value, result: int) -> None:
    caller.write(result, b"\0")


def _random_bytes(size: int) -> bytes:
    if size > _RANDOM_MAX_BYTES:
        raise RefusedError(f"{size} random bytes at once")
    return (RANDOM_BITS.to_bytes(8, "little") * (size // 8 + 1))[:size]


@dataclass(frozen=True, slots=True)
class WasiFunction:
    """An allowed function."""

    type: str  # its type, as `interface.type_text` writes it
    core_type: str  # the type of core function that the canonical ABI flattens it to
    value: Callable[..., Value]  # gives its result for arguments as values
    # Writes the result into the guest's memory; None where it is returned as a number.
    write: Callable[[Caller, Value, int], None] | None = None

    def lower(self, caller: Caller, *arguments: int) -> int | None:
        """Answer a call with core values.

        Args:
            caller: the guest that calls.
            arguments: core values, unsigned; the last is where the result goes, if it does not
                fit into a number.
        """
        if self.write is None:
            value = self.value(*arguments)
            return value if isinstance(value, int) else None
        *given, result = arguments
        self.write(caller, self.value(*given), result)
        return None


_random = WasiFunction("(u64) -> list<u8>", "(i64, i32) -> ()", _random_bytes, _write_bytes)
_random_u64 = WasiFunction("() -> u64", "() -> i64", lambda: RANDOM_BITS)


def _nothing(type_: str) -> WasiFunction:
    return WasiFunction(type_, "(i32) -> ()", list, _write_empty_list)


# Interface without its version -> function. Versions of WASI 0.2 differ in what they add.
_ALLOWED = {
    ("wasi:random/random", "get-random-bytes"): _random,
    ("wasi:random/random", "get-random-u64"): _random_u64,
    ("wasi:random/insecure", "get-insecure-random-bytes"): _random,
    ("wasi:random/insecure", "get-insecure-random-u64"): _random_u64,
    ("wasi:random/insecure-seed", "insecure-seed"): WasiFunction(
        "() -> tuple<u64, u64>", "(i32) -> ()", lambda: (RANDOM_BITS, RANDOM_BITS), _write_pair
    ),
    ("wasi:cli/environment", "get-environment"): _nothing("() -> list<tuple<string, string>>"),
    ("wasi:cli/environment", "get-arguments"): _nothing("() -> list<string>"),
    ("wasi:cli/environment", "initial-cwd"): WasiFunction(
        "() -> option<string>", "(i32) -> ()", lambda: None, _write_none
    ),
}


def allowed(interface: str, function: str, type_: str) -> WasiFunction | None:
    """Find the function for an import, or None where it is denied.

    Args:
        interface: the imported interface, with or without `@version`.
        function: the function in it.
        type_: the imported type, of the function or of the core function.
    """
    found = _ALLOWED.get((interface.partition("@")[0], function))
    return found if found is not None and type_ in (found.type, found.core_type) else None
