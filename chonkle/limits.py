"""Limits: how they are checked, and those of the compiler.

`chonkle.backends.base.Limits` bounds a call of a codec; `CompileLimits` bounds its compilation.
"""

from dataclasses import dataclass
from typing import cast

from chonkle.errors import LimitError

# More than any machine has, and far below what would overflow a count of bytes.
_BYTES_MAX = 1 << 44
_SECONDS_MAX = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class CompileLimits:
    """What compiling one codec may take, in a process of its own.

    The defaults are enough for a component that contains a whole language runtime, on a slow
    machine.

    Attributes:
        timeout_s: cap on the seconds that compiling takes, with the start of the process.
        memory_bytes: cap on the memory of that process, enforced on Linux.
    """

    timeout_s: float = 120.0
    memory_bytes: int = 3 << 30

    def __post_init__(self) -> None:
        """Refuse limits that limit nothing or cannot be kept, with a LimitError."""
        check_seconds("timeout_s", self.timeout_s)
        check_bytes("memory_bytes", self.memory_bytes)


def check_bytes(name: str, value: int, *, largest: int = _BYTES_MAX) -> None:
    """Require a limit on a number of bytes.

    Raises:
        LimitError: when it is no such number.
    """
    if type(value) is not int or not 0 < value <= largest:
        raise LimitError(f"bad limit `{name}`", expected=f"1 to {largest} bytes", got=repr(value))


def check_seconds(name: str, value: object) -> None:
    """Require a limit on a number of seconds.

    Raises:
        LimitError: when it is no such number.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Written so that a NaN, which compares with nothing, is refused.
    if not is_number or not 0 < cast("float", value) <= _SECONDS_MAX:
        raise LimitError(
            f"bad limit `{name}`",
            expected=f"more than 0 and at most {_SECONDS_MAX} seconds",
            got=repr(value),
        )
