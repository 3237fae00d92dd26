"""The options of the Zarr door, which stand in `zarr.config` below `chonkle`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import zarr

from chonkle.backends.base import Backend, Limits
from chonkle.errors import PipelineError, suggest
from chonkle.formats.values import format_value
from chonkle.resolver import Resolver

CONFIG_KEY = "chonkle"


@dataclass(frozen=True, slots=True)
class Options:
    """How arrays are read and written.

    Attributes:
        backend: `core`, `component` or `native`; None for WebAssembly.
        memory_bytes: cap on each memory of a codec, and on its output.
        timeout_s: cap on the seconds of a call of a codec; None for none.
        threads: how many chunks are decoded or encoded at once; None for one a processor.
        strict: refuse arrays with codecs that chonkle does not have, instead of running those in
            zarr-python.
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
        """Refuse values that cannot be kept, with a LimitError."""
        limits = Limits(
            memory_bytes=self.memory_bytes, output_bytes=self.memory_bytes, timeout_s=self.timeout_s
        )
        object.__setattr__(self, "limits", limits)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> "Options":
        """Make options of what a user wrote.

        Raises:
            PipelineError: an option does not exist.
            LimitError: a limit cannot be kept.
        """
        return _options(tuple(sorted((name, _hashable(each)) for name, each in written.items())))

    @classmethod
    def current(cls) -> "Options":
        """Give the options in `zarr.config`.

        Raises:
            PipelineError: an option does not exist.
            LimitError: a limit cannot be kept.
        """
        written = zarr.config.get(CONFIG_KEY, None) or {}
        if not isinstance(written, Mapping):
            raise PipelineError(
                f"bad `{CONFIG_KEY}` in zarr.config",
                expected="options of `chonkle.zarr.use`",
                got=format_value(written),
            )
        return cls.of(written)

    def resolver(self) -> Resolver:
        """Give what picks codecs."""
        uris = {name: place for name, place in self.locations if "://" in place}
        paths = {name: place for name, place in self.locations if name not in uris}
        return Resolver(paths=paths, pipeline_sources=uris)


@lru_cache(maxsize=16)
def _options(written: tuple[tuple[str, Any], ...]) -> Options:
    known = [each.name for each in fields(Options) if each.init]
    for name, _ in written:
        if name not in known:
            raise PipelineError(
                f"unknown option `{name}`",
                expected=", ".join(f"`{each}`" for each in known),
                hint=suggest(name, known),
            )
    return Options(**dict(written))


def _hashable(value: object) -> object:
    if isinstance(value, Mapping):
        return tuple(value.items())
    return tuple(value) if isinstance(value, list) else value
