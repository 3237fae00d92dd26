"""The options of the Zarr door, which stand in `zarr.config` below `chonkle`."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import zarr

from chonkle.allowed_sources import AllowedSources
from chonkle.backends.base import BACKENDS, Backend, Limits
from chonkle.errors import ChonkleError, PipelineError, suggest
from chonkle.formats.values import format_value
from chonkle.resolver import Resolver
from chonkle.settings import BOOLEANS, parse_size

CONFIG_KEY = "chonkle"


@dataclass(frozen=True, slots=True)
class Options:
    """How arrays are read and written.

    Attributes:
        backend: `core`, `component` or `native`; None for WebAssembly.
        memory_bytes: cap on each memory of a codec, on its output, and on the file of a chunk.
        timeout_s: cap on the seconds of a call of a codec; None for none.
        threads: how many chunks are decoded or encoded at once; None for one a processor.
        strict: refuse arrays with codecs that run outside of the sandbox, instead of running those
            in zarr-python. Shards are no such codec, but those within are looked at.
        sources: places that a codec named in metadata may be fetched from: references, or what
            they begin with, up to a `/`.
        locations: files and pinned URIs of codecs, by their names; `register` adds some.
    """

    backend: Backend | None = None
    memory_bytes: int = 1 << 30
    timeout_s: float | None = None
    threads: int | None = None
    strict: bool = False
    sources: tuple[str, ...] = ()
    locations: tuple[tuple[str, str], ...] = ()
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be kept: limits with a LimitError, the rest with a PipelineError."""
        if self.strict and self.backend == "native":
            raise PipelineError(
                "option `strict`, with the option `backend`",
                expected="a backend in the sandbox: `core` or `component`",
                got="`native`",
            )
        limits = Limits(
            memory_bytes=self.memory_bytes, output_bytes=self.memory_bytes, timeout_s=self.timeout_s
        )
        object.__setattr__(self, "limits", limits)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> "Options":
        """Make options of what a user wrote.

        Raises:
            PipelineError: an option does not exist, or has a value of a wrong type.
            LimitError: a limit cannot be kept.
        """
        read = {name: _read(name, value) for name, value in written.items()}
        return _options(tuple(sorted((name, _hashable(each)) for name, each in read.items())))

    @classmethod
    def current(cls) -> "Options":
        """Give the options in `zarr.config`.

        Raises:
            PipelineError: an option does not exist, or has a value of a wrong type.
            LimitError: a limit cannot be kept.
        """
        return cls.of(written_options())

    def resolver(self) -> Resolver:
        """Give what picks codecs."""
        uris = {name: place for name, place in self.locations if "://" in place}
        paths = {name: place for name, place in self.locations if name not in uris}
        return Resolver(paths=paths, pipeline_sources=uris, allowed_sources=self.allowed_sources)

    @property
    def allowed_sources(self) -> AllowedSources:
        """The sources that metadata may name."""
        return AllowedSources(
            self.sources, "`chonkle pull` installs it, and `chonkle.zarr.use(sources=[...])`"
        )


def written_options() -> Mapping[str, Any]:
    """Give the options in `zarr.config` as they are written there.

    Raises:
        PipelineError: they are no mapping.
    """
    written = zarr.config.get(CONFIG_KEY, None) or {}
    if not isinstance(written, Mapping):
        raise PipelineError(
            f"bad `{CONFIG_KEY}` in zarr.config",
            expected="options of `chonkle.zarr.use`",
            got=format_value(written),
        )
    return written


@lru_cache(maxsize=16)
def _options(written: tuple[tuple[str, Any], ...]) -> Options:
    return Options(**dict(written))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_texts(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(isinstance(each, str) for each in values)


# What each option takes, and whether a value is that. `Limits` checks the limits.
_EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "backend": (
        ", ".join(f"`{each}`" for each in BACKENDS),
        lambda value: value is None or value in BACKENDS,
    ),
    "memory_bytes": (
        "a number of bytes, or a size such as `256MiB`",
        lambda value: isinstance(value, int),
    ),
    "timeout_s": (
        "a number of seconds, or None",
        lambda value: value is None or isinstance(value, (int, float)),
    ),
    "threads": (
        "a whole number of at least 1, or None",
        lambda value: value is None or _is_count(value),
    ),
    "strict": ("True or False", lambda value: isinstance(value, bool)),
    "sources": ("a list of texts", _are_texts),
    "locations": (
        "an object of texts",
        lambda value: isinstance(value, Mapping) and _are_texts([*value, *value.values()]),
    ),
}


def _read(name: str, written: object) -> object:
    """Read the value of an option, which may come from the environment.

    Raises:
        PipelineError: there is no such option, or the value is of a wrong type.
    """
    if name not in _EXPECTED:
        raise PipelineError(
            f"unknown option `{name}`",
            expected=", ".join(f"`{each}`" for each in _EXPECTED),
            hint=suggest(name, _EXPECTED),
        )
    expected, holds = _EXPECTED[name]
    value = written
    if name == "memory_bytes":
        value = _read_bytes(written)
    elif name == "strict":
        value = BOOLEANS.get(str(written).lower())
    if not holds(value):
        raise PipelineError(f"option `{name}`", expected=expected, got=format_value(written))
    return value


def _read_bytes(written: object) -> object:
    """Read a size such as 256MiB, or a whole number as 1e9."""
    if isinstance(written, float) and written.is_integer():
        return int(written)
    if isinstance(written, str):
        with suppress(ChonkleError):
            return parse_size(written, what="size")
    return written


def _hashable(value: object) -> object:
    if isinstance(value, Mapping):
        return tuple(value.items())
    return tuple(value) if isinstance(value, list) else value
