"""Codecs that the metadata of an array name by a reference: `"codec": "oci://...@sha256:..."`.

A reader that lacks such a codec fetches it, if its user allows the source. The data may come from
anybody, so that a reference must have a digest, and is never used for a codec that is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from chonkle.codecs import ChunkCodec, codec
from chonkle.dag.codec_list import is_codec_list, read_entry
from chonkle.errors import ResolveError
from chonkle.fetch import Source
from chonkle.runtime import Runtime, default_runtime
from chonkle.zarr.options import Options

REFERENCE = "codec"
# Before a codec id, so that chonkle's codec can be named in any case.
PREFIX = "chonkle."
_MADE_MAX = 256


def make_codec(what: object, options: Options) -> ChunkCodec:
    """Make a codec with the options of the Zarr door.

    Args:
        what: its metadata, which may have a reference, or anything else that `chonkle.codec` takes.
        options: how it is run.

    Raises:
        ResolveError: no implementation of it was found, or its source is not allowed.
        PipelineError: the configuration is wrong.
        FetchError: it cannot be fetched.
    """
    if isinstance(what, Mapping):
        return _make(_Given(repr(what), what), options, default_runtime())
    if isinstance(what, list) and all(isinstance(each, ChunkCodec) for each in what):
        # The same codecs, and not only equal ones, which may be from elsewhere.
        return _make(_Given(repr([*map(id, what)]), what), options, default_runtime())
    return _made(what, options)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a codec is made of, which cannot be hashed."""

    key: str
    what: Any = field(compare=False)


# Each array that is opened has its codecs made anew, though most have the same.
@lru_cache(maxsize=_MADE_MAX)
def _make(given: _Given, options: Options, _runtime: Runtime) -> ChunkCodec:
    """Make a codec; the runtime is that of the process, as the environment has it."""
    if not isinstance(given.what, Mapping) or is_codec_list(given.what):
        return _made(given.what, options)
    entry = read_entry(given.what)
    settings = dict(entry.configuration)
    reference = ""
    if is_reference(settings.get(REFERENCE)):
        reference = str(settings.pop(REFERENCE))
    entry = replace(entry, name=entry.name.removeprefix(PREFIX), configuration=settings)
    try:
        return _made(entry, options)
    except ResolveError:
        if not reference:
            raise
    require_allowed(entry.name, reference, options.sources)
    return _made(replace(entry, uri=reference), options)


def _made(what: object, options: Options) -> ChunkCodec:
    return codec(what, backend=options.backend, resolver=options.resolver(), limits=options.limits)


def forget_codecs() -> None:
    """Have codecs made anew from now on, as others may have been installed."""
    _make.cache_clear()


def is_reference(value: object) -> bool:
    """Tell whether a value of a configuration is a reference."""
    return isinstance(value, str) and "://" in value


def require_allowed(name: str, reference: str, sources: Sequence[str]) -> None:
    """Require that a codec may be fetched from where metadata say.

    Args:
        name: the codec.
        reference: where it is.
        sources: what the user allows.

    Raises:
        ResolveError: it may not.
        FetchError: the reference is malformed.
    """
    if not Source.parse(reference).is_pinned:
        raise ResolveError(
            f"codec `{name}` of the array: {reference} has no digest",
            expected="a reference that says which bytes it leads to",
        )
    for each in sources:
        if reference == each or reference.startswith((f"{each.rstrip('/')}/", f"{each}@")):
            return
    raise ResolveError(
        f"codec `{name}` of the array is not installed, and its source is not allowed",
        got=reference,
        hint=f"`chonkle pull {reference}` installs it, "
        f"`chonkle.zarr.use(sources=[...])` allows to fetch it",
    )
