"""Failures of guests, in chonkle's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.wasm.unchecked_calls import HOST_FUNCTION_FAILED, no_room
from chonkle.engine import INTERRUPTED, innermost_cause
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded, OutOfMemory

# How much of a guest's error text is read.
ERROR_TEXT_MAX_BYTES = 4096
# What wasmtime says of a guest that asks for more than its store allows, and of all other failures
# at the start that a guest is to blame for: the rest are the system's.
_OVER_MEMORY = ("exceeds memory limits", "memory minimum size")
_OVER_OTHERS = ("exceeds table limits", "resource limit exceeded")
_OF_THE_GUEST = (
    *_OVER_MEMORY, *_OVER_OTHERS,
    "unknown import", "wasm backtrace", "wasm trap", HOST_FUNCTION_FAILED,
)  # fmt: skip

# What is reported of a refusal that says nothing.
WORDLESS = "the codec failed without a word"


@contextmanager
def starting() -> Iterator[None]:
    """Tell, while an instance is set up, the system's failures from those of the guest.

    Raises:
        LimitExceeded: when the system gives this process too little for an instance.
    """
    try:
        yield
    except wasmtime.WasmtimeError as failure:
        if any(words in str(failure) for words in _OF_THE_GUEST):
            raise
        raise no_room(failure) from failure


def no_room_for(size: int) -> OutOfMemory:
    """Say that a guest had no room for so many bytes of input."""
    return OutOfMemory(
        f"the guest has no room for {size} bytes of input", hint="raise the memory limit"
    )


def trap_error(failure: Exception, limits: Limits) -> ChonkleError:
    """Turn wasmtime's failure of a guest into chonkle's words for it.

    Args:
        failure: a trap, or an error of instantiation.
        limits: what the guest was allowed.
    """
    reason = innermost_cause(failure)
    if reason == INTERRUPTED:
        return LimitExceeded(f"ran longer than the allowed {limits.timeout_s} s")
    if any(words in reason for words in _OVER_MEMORY):
        return LimitExceeded(
            "asked for more memory than allowed", expected=f"at most {limits.memory_bytes} bytes"
        )
    if "fuel allocated for hostcalls" in reason:
        return LimitExceeded(
            "returned more than wasmtime's component support copies", expected="about 2 MiB"
        )
    if any(words in reason for words in _OVER_OTHERS):
        return LimitExceeded("asked for more than allowed", got=reason)
    return CodecTrap(f"the guest trapped: {reason}")


def is_unreachable(trap: wasmtime.Trap) -> bool:
    """Tell whether a guest gave up by itself, as compilers have it abort."""
    return innermost_cause(trap) == "wasm `unreachable` instruction executed"


def refusal(text: str) -> CodecError | LimitExceeded:
    """Turn the words of a codec that said no into an error.

    Args:
        text: a guest's words; `out of memory` before all others says that it wanted more than it
            may have, which is not the input's fault.
    """
    words = text[:ERROR_TEXT_MAX_BYTES].strip()
    if words.startswith("out of memory"):
        return OutOfMemory(words, hint="raise the memory limit, if the input is to be trusted")
    return CodecError(words or WORDLESS)
