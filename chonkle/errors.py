"""The exception tree: every failure that chonkle reports is a `ChonkleError`.

Nothing here knows about layers above; an exception carries its own exit code, so that the command
line only prints it.
"""

import re
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Self

# Scheme, host with path, and query of a URL, up to a punctuation mark that belongs to the text.
_URL = re.compile(
    r"(\b(?:https?|oci)://)(?:[^\s/?#@]*@)?([^\s?#\"'`]*)"
    r"(\?[^\s#\"'`]*?(?=[,;:.)]*(?:[\s#\"'`]|$)))?",
    re.IGNORECASE,
)
_PART_MAX = 2000
_NOTE_MAX = 60
_NAMES_MAX = 12
_PROBLEMS_MAX = 50


def printable(text: str) -> str:
    """Make one line of text from a file, a guest or a registry, safe for a terminal and a log.

    What is not printable becomes an escape: control characters, line breaks, characters of no
    width, marks that turn text round, and halves of surrogate pairs. Text that is too long loses
    its middle. What this function gave, it gives back unchanged.
    """
    if len(text) <= _PART_MAX:
        text = _escaped(text)
    if len(text) <= _PART_MAX:
        return text
    kept = (_PART_MAX - _NOTE_MAX) // 2
    note = f"[... {len(text) - 2 * kept} characters ...]"
    return f"{_escaped(text[:kept])[:kept]}{note}{_escaped(text[-kept:])[-kept:]}"


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def without_secrets(text: str) -> str:
    """Remove user information and queries from the URLs in a text: either may hold a token."""
    if "://" not in text:
        return text
    return _URL.sub(lambda url: f"{url[1]}{url[2]}{'?...' if url[3] else ''}", text)


def explained(failure: OSError) -> str:
    """Say what the system said, without its number: `<path>: <reason>`."""
    if failure.strerror is None:
        return str(failure)
    return f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror


def offer(names: Collection[str]) -> str:
    """Say which names there are, for a message about one that there is not."""
    shown = ", ".join(f"`{name}`" for name in islice(names, _NAMES_MAX))
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"there is {shown}{more}" if names else "there is none"


def _safe(text: str) -> str:
    return without_secrets(printable(text))


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
        parts = [_safe(what)]
        if expected:
            parts.append(f"expected {_safe(expected)}")
        if got:
            parts.append(f"got {_safe(got)}")
        message = ", ".join(parts)
        # Everything is folded into the one positional argument, which is all that a plain exception
        # carries between processes.
        super().__init__(f"{message}; hint: {_safe(hint)}" if hint else message)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the message as it is: `__init__` would take its line breaks for a guest's."""
        return _restored, (type(self), self.args, self.__dict__)

    def within(self, context: str) -> Self:
        """Give the same failure with words for where it happened before its own."""
        return _restored(type(self), (f"{_safe(context)}: {self}",), self.__dict__)


def _restored[E: ChonkleError](
    kind: type[E], arguments: tuple[object, ...], state: dict[str, object]
) -> E:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(state)
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
        found = tuple(map(printable, problems))
        if len(found) == 1:
            text = f"pipeline `{printable(pipeline)}`: {found[0]}"
        else:
            lines = [f"pipeline `{printable(pipeline)}` has {len(found)} problems:"]
            lines += [f"  - {problem}" for problem in found[:_PROBLEMS_MAX]]
            if len(found) > _PROBLEMS_MAX:
                lines.append(f"  and {len(found) - _PROBLEMS_MAX} more")
            text = "\n".join(lines)
        return _restored(cls, (text,), {"problems": found})


class SignatureError(ChonkleError, ValueError):
    """A codec signature is missing, malformed or not allowed."""


class WasmFormatError(ChonkleError, ValueError):
    """Bytes that should be a WebAssembly binary are not one, or use what chonkle refuses."""


class PortMapError(ChonkleError, ValueError):
    """Bytes that should be a core-ABI port-map are not one."""


class ResolveError(ChonkleError, LookupError):
    """No implementation of a codec can be had, or the choice is not allowed."""


class LockError(ChonkleError, RuntimeError):
    """A lock of a pipeline is malformed, or what it asks for is not there."""


class StoreError(ChonkleError, RuntimeError):
    """A codec store holds, or was given, something that contradicts itself."""


class FetchError(ChonkleError, RuntimeError):
    """A source URI could not be read."""


class DigestMismatchError(FetchError):
    """Bytes are not the bytes that their digest promised."""


class AttestationError(ChonkleError, RuntimeError):
    """A key or an attestation is missing or malformed, or does not say what it has to."""


class PolicyError(ChonkleError, RuntimeError):
    """A policy is malformed, or does not allow a codec."""


class CodecError(ChonkleError, RuntimeError):
    """The codec said no: it ran to its end and reported a failure."""


class CodecTrap(ChonkleError, RuntimeError):  # noqa: N818 - the WebAssembly word for it
    """The codec broke: it trapped, or returned something that is not an answer."""


class LimitExceeded(ChonkleError, RuntimeError):  # noqa: N818 - names the event, as users say it
    """A codec, or compiling it, asked for more than allowed, or the system gave it too little."""


class OutOfMemory(LimitExceeded):
    """A codec had too little memory for what it was asked.

    An instance that served other calls may have less to give than a new one, so that the call is
    tried in a new one before anybody hears of it.
    """


class LimitError(ChonkleError, ValueError):
    """A limit that was asked for limits nothing, or cannot be kept."""


class CacheError(ChonkleError, RuntimeError):
    """The AOT cache cannot give what was demanded of it, or the process that compiles broke."""


class BuildError(ChonkleError, RuntimeError):
    """A codec could not be built from its source."""
