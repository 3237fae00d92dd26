"""The exception tree: every failure that chonkle reports is a `ChonkleError`.

An exception carries its own exit code, so that the command line only prints it.
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
# No name is longer; comparing takes time that grows with the square of the length.
_SUGGESTED_MAX = 128
_PROBLEMS_MAX = 50


def printable(text: str) -> str:
    """Make text from a file, a guest or a registry one line that is safe for a terminal and a log.

    Characters that are not printable are escaped: control characters, line breaks, characters of no
    width, marks that turn text round, and halves of surrogate pairs. Text that is too long loses
    its middle. The function is idempotent.
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


def os_error_text(failure: OSError) -> str:
    """Write an error of the system without its number: `<path>: <reason>`."""
    if failure.strerror is None:
        return str(failure)
    return f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror


def list_choices(names: Collection[str]) -> str:
    """List the names that exist, for a message about one that does not."""
    displayed = ", ".join(f"`{name}`" for name in islice(names, _NAMES_MAX))
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"there is {displayed}{more}" if names else "there is none"


def warn(logger: str, message: str) -> None:
    """Log a warning, with all that is not printable escaped."""
    import logging  # noqa: PLC0415 - as slow as a call of a codec, and hardly ever needed

    logging.getLogger(logger).warning(printable(message))


def suggest(name: str, names: Iterable[str], *, otherwise: str = "") -> str:
    """Give the hint for a name that does not exist: a very similar one, or a few similar ones.

    Args:
        name: the name.
        names: the names that do exist.
        otherwise: the hint where none of them is similar.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only some failures need it

    # Their dashes would make all options similar.
    by_core = {each.casefold().lstrip("-"): each for each in names}
    wrong = name[:_SUGGESTED_MAX].casefold().lstrip("-")
    similar = get_close_matches(wrong, by_core, n=1, cutoff=0.8) or get_close_matches(
        wrong, by_core
    )
    if not similar:
        return otherwise
    return f"did you mean {', '.join(f'`{by_core[each]}`' for each in similar)}?"


def _safe(text: str) -> str:
    return without_secrets(printable(text))


class ChonkleError(Exception):
    """A failure: what happened and where, what was expected, what was found, and a hint.

    Args:
        what: one clause, lower-case, without a full stop.
        expected: what would have been right.
        got: what was found instead.
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
        # One positional argument is all that an exception carries between processes.
        super().__init__(f"{message}; hint: {_safe(hint)}" if hint else message)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the message as it is: `__init__` would escape its line breaks."""
        return _restored, (type(self), self.args, self.__dict__)

    def within(self, context: str) -> Self:
        """Return the same failure with the place where it happened, if any, before its message."""
        message = f"{_safe(context)}: {self}" if context else str(self)
        return _restored(type(self), (message,), self.__dict__)


def _restored[E: ChonkleError](
    kind: type[E], arguments: tuple[object, ...], state: dict[str, object]
) -> E:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(state)
    return error


class PipelineError(ChonkleError, ValueError):
    """A pipeline, or an input of a run, is wrong."""

    problems: tuple[str, ...] = ()  # everything that is wrong, one clause each

    @classmethod
    def from_problems(cls, subject: str, problems: Iterable[str]) -> "PipelineError":
        """Fold the problems of one pipeline into one exception.

        Args:
            subject: what has the problems, such as "pipeline `x`".
            problems: each problem.
        """
        found = tuple(map(printable, problems))
        name = printable(subject)
        if len(found) == 1:
            text = f"{name}: {found[0]}"
        else:
            lines = [f"{name} has {len(found)} problems:"]
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
    """No implementation of a codec was found, or the choice is not allowed."""


class LockError(ChonkleError, RuntimeError):
    """A lock of a pipeline is malformed, or a codec that it names was not found."""


class StoreError(ChonkleError, RuntimeError):
    """A codec store contradicts itself, or a file cannot be read or written."""


class FetchError(ChonkleError, RuntimeError):
    """A source URI could not be read."""


class DigestMismatchError(FetchError):
    """Bytes do not have the digest that was promised."""


class AttestationError(ChonkleError, RuntimeError):
    """A key or an attestation is missing, malformed or insufficient."""


class PolicyError(ChonkleError, RuntimeError):
    """A policy is malformed, or does not allow a codec."""


class CodecError(ChonkleError, RuntimeError):
    """The codec ran to its end and reported a failure."""


class CodecTrap(ChonkleError, RuntimeError):  # noqa: N818 - the WebAssembly word for it
    """The codec trapped, or its result is malformed."""


class LimitExceeded(ChonkleError, RuntimeError):  # noqa: N818 - names the event, as users say it
    """A codec, or compiling it, asked for more than allowed, or the system gave it too little.

    Attributes:
        limit: the field of `Limits` that would have to be larger; empty where none is.
    """

    limit: str = ""

    def __init__(self, what: str, *, limit: str = "", **parts: str) -> None:
        super().__init__(what, **parts)
        self.limit = limit


class OutOfMemory(LimitExceeded):
    """A codec had too little memory for a call.

    A used instance may have less free memory than a new one, so that the call is tried in a new
    instance before this is raised.
    """


class LimitError(ChonkleError, ValueError):
    """A limit is invalid: it limits nothing, or cannot be enforced."""


class CacheError(ChonkleError, RuntimeError):
    """The AOT cache cannot be used as required, or the compiling process failed."""


class BuildError(ChonkleError, RuntimeError):
    """A codec could not be built from its source."""
