"""Failures of guests as errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.wasm.unchecked_calls import HOST_FUNCTION_FAILED, no_room
from chonkle.engine import INTERRUPTED, innermost_cause
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded, OutOfMemory

# How much of a guest's error text is read.
ERROR_TEXT_MAX_BYTES = 4096
# wasmtime's words for a guest that asks for more than its store allows, and for all other failures
# at the start that are the guest's fault. The rest are the system's.
_OVER_MEMORY = ("exceeds memory limits", "memory minimum size")
_OVER_OTHERS = ("exceeds table limits", "resource limit exceeded")
_OF_THE_GUEST = (
    *_OVER_MEMORY, *_OVER_OTHERS,
    "unknown import", "wasm backtrace", "wasm trap", HOST_FUNCTION_FAILED,
)  # fmt: skip

# The message for a refusal without a text.
NO_MESSAGE = "the codec failed and gave no message"


@contextmanager
def starting() -> Iterator[None]:
    """Tell the system's failures from the guest's while an instance starts.

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
    """Give the error for a guest without memory for its input."""
    return OutOfMemory(
        f"the guest has no room for {size} bytes of input",
        hint="raise the memory limit",
        limit="memory_bytes",
    )


def trap_error(failure: Exception, limits: Limits) -> ChonkleError:
    """Turn wasmtime's failure of a guest into an error of ours.

    Args:
        failure: a trap, or an error of instantiation.
        limits: what the guest was allowed.
    """
    reason = innermost_cause(failure)
    if reason == INTERRUPTED:
        return LimitExceeded(f"ran longer than the allowed {limits.timeout_s} s", limit="timeout_s")
    if any(words in reason for words in _OVER_MEMORY):
        return LimitExceeded(
            "asked for more memory than allowed",
            expected=f"at most {limits.memory_bytes} bytes",
            limit="memory_bytes",
        )
    if "fuel allocated for hostcalls" in reason:
        return LimitExceeded(
            "returned more than wasmtime's component support copies", expected="about 2 MiB"
        )
    if any(words in reason for words in _OVER_OTHERS):
        return LimitExceeded("asked for more than allowed", got=reason)
    return CodecTrap(f"the guest trapped: {reason}")


def is_unreachable(trap: wasmtime.Trap) -> bool:
    """Tell whether a guest aborted, which compilers translate to `unreachable`."""
    return innermost_cause(trap) == "wasm `unreachable` instruction executed"


def refusal(text: str) -> CodecError | LimitExceeded:
    """Turn the text of a refusal into an error.

    Args:
        text: the guest's text. If it begins with `out of memory`, the guest needs more memory than
            allowed, which is not the input's fault.
    """
    words = text[:ERROR_TEXT_MAX_BYTES].strip()
    if words.startswith("out of memory"):
        return OutOfMemory(
            words,
            hint="raise the memory limit, if the input is to be trusted",
            limit="memory_bytes",
        )
    return CodecError(words or NO_MESSAGE)
