"""The exception tree: every failure that chonkle reports is a `ChonkleError`.

Nothing here knows about layers above; an exception carries its own exit code, so that the command
line only prints it.
"""

from collections.abc import Iterable
from typing import Self


class ChonkleError(Exception):
    """A failure with words: what happened, where, what was expected and what was found.

    Args:
        what: one clause, lower-case, without a full stop.
        expected: what would have been right.
        got: what was there instead.
        hint: what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, expected: str = "", got: str = "", hint: str = "") -> None:
        parts = [what]
        if expected:
            parts.append(f"expected {expected}")
        if got:
            parts.append(f"got {got}")
        message = ", ".join(parts)
        # Everything is folded into the one positional argument, so that the exception survives
        # pickling between processes.
        super().__init__(f"{message}; hint: {hint}" if hint else message)

    def within(self, context: str) -> Self:
        """Give the same failure with words for where it happened before its own."""
        error = type(self)(f"{context}: {self}")
        error.__dict__.update(self.__dict__)
        return error


class PipelineError(ChonkleError, ValueError):
    """A pipeline, or what was handed to it, is wrong.

    Attributes:
        problems: each thing that is wrong, one sentence each; they are found together.
    """

    problems: tuple[str, ...] = ()

    @classmethod
    def from_problems(cls, pipeline: str, problems: Iterable[str]) -> "PipelineError":
        """Fold several problems of one pipeline into one exception."""
        found = tuple(problems)
        if len(found) == 1:
            error = cls(f"pipeline `{pipeline}`: {found[0]}")
        else:
            listed = "".join(f"\n  - {problem}" for problem in found)
            error = cls(f"pipeline `{pipeline}` has {len(found)} problems:{listed}")
        error.problems = found
        return error


class SignatureError(ChonkleError, ValueError):
    """A codec signature is missing, malformed or not allowed."""


class WasmFormatError(ChonkleError, ValueError):
    """Bytes that should be a WebAssembly binary are not one, or use what chonkle refuses."""


class PortMapError(ChonkleError, ValueError):
    """Bytes that should be a core-ABI port-map are not one."""


class ResolveError(ChonkleError, LookupError):
    """No implementation of a codec can be had, or the choice is not allowed."""


class StoreError(ChonkleError, RuntimeError):
    """A codec store holds, or was given, something that contradicts itself."""


class FetchError(ChonkleError, RuntimeError):
    """A source URI could not be read."""


class DigestMismatchError(FetchError):
    """Bytes are not the bytes that their digest promised."""


class CodecError(ChonkleError, RuntimeError):
    """The codec said no: it ran to its end and reported a failure."""


class CodecTrap(ChonkleError, RuntimeError):  # noqa: N818 - the WebAssembly word for it
    """The codec broke: it trapped, or returned something that is not an answer."""


class LimitExceeded(ChonkleError, RuntimeError):  # noqa: N818 - names the event, as users say it
    """A codec asked for more time, memory or output than its limits allow."""


class CacheError(ChonkleError, RuntimeError):
    """The AOT cache cannot give what was demanded of it."""


class BuildError(ChonkleError, RuntimeError):
    """A codec could not be built from its source."""
