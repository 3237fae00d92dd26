"""Codecs that the metadata of an array name by a reference: `"codec": "oci://...@sha256:..."`.

A reader that lacks such a codec fetches it, if its user allows the source. The data may come from
anybody, so that a reference must have a digest, and is never used for a codec that is there.
Otherwise it is like the `uri` of a codec list (`chonkle.allowed_sources`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from chonkle.codecs import ChunkCodec, codec
from chonkle.dag.codec_list import is_codec_list, read_entry
from chonkle.errors import ResolveError
from chonkle.fetch import Source
from chonkle.runtime import Runtime, default_runtime
from chonkle.zarr.options import Options

REFERENCE = "codec"
# Before a codec id, so that chonkle's codec can be named in any case.
PREFIX = "chonkle."
# Codecs that stay made.
_KEPT_MAX = 128


def make_codec(what: object, options: Options) -> ChunkCodec:
    """Make a codec with the options of the Zarr door, or give the one that was made before.

    Resolving codecs reads folders, and arrays of a dataset have few codecs that differ.

    Args:
        what: its metadata, which may have a reference, or anything else that `chonkle.codec` takes.
        options: how it is run.

    Raises:
        ResolveError: no implementation of it was found, or its source is not allowed.
        PipelineError: the configuration is wrong.
        FetchError: it cannot be fetched.
    """
    runtime = default_runtime()
    if isinstance(what, Sequence) and all(isinstance(each, ChunkCodec) for each in what):
        return _made_of(tuple(what), options, runtime)
    if not isinstance(what, Mapping) or is_codec_list(what):
        return _made(what, options)
    try:
        text = json.dumps(what, sort_keys=True)
    except (TypeError, ValueError):
        return _made_of_metadata(what, options)
    return _made_of_text(text, options, runtime)


def forget_codecs() -> None:
    """Make codecs anew from now on: others may be installed."""
    _made_of.cache_clear()
    _made_of_text.cache_clear()


# The runtime is that of the process, and in the key: it may be another one after a fork.
@lru_cache(maxsize=_KEPT_MAX)
def _made_of(codecs: tuple[ChunkCodec, ...], options: Options, _runtime: Runtime) -> ChunkCodec:
    # Each keeps its backend.
    return codec(codecs, resolver=options.resolver(), limits=options.limits)


@lru_cache(maxsize=_KEPT_MAX)
def _made_of_text(metadata: str, options: Options, _runtime: Runtime) -> ChunkCodec:
    return _made_of_metadata(json.loads(metadata), options)


def _made(what: object, options: Options) -> ChunkCodec:
    resolver, limits = options.resolver(), options.limits
    if options.backend != "native":
        return codec(what, backend=options.backend, resolver=resolver, limits=limits)
    try:
        return codec(what, backend="native", resolver=resolver, limits=limits)
    except ResolveError:
        # numcodecs lacks it, as it does `bytes`, which every array of Zarr 3 has.
        return codec(what, resolver=resolver, limits=limits)


def _made_of_metadata(metadata: Mapping[str, object], options: Options) -> ChunkCodec:
    entry = read_entry(metadata)
    settings = dict(entry.configuration)
    # As codec lists have it.
    reference = entry.uri
    if is_reference(settings.get(REFERENCE)):
        reference = str(settings.pop(REFERENCE))
    entry = replace(entry, name=entry.name.removeprefix(PREFIX), configuration=settings, uri="")
    try:
        return _made(entry, options)
    except ResolveError:
        if not reference:
            raise
    require_pinned(entry.name, reference)
    return _made(replace(entry, uri=reference), options)


def is_reference(value: object) -> bool:
    """Tell whether a value of a configuration is a reference."""
    return isinstance(value, str) and "://" in value


def require_pinned(name: str, reference: str) -> None:
    """Require that a reference in metadata has a digest.

    Args:
        name: the codec.
        reference: where it is.

    Raises:
        ResolveError: it has none.
        FetchError: the reference is malformed.
    """
    if not Source.parse(reference).is_pinned:
        raise ResolveError(
            f"codec `{name}` of the array: {reference} has no digest",
            expected="a reference that says which bytes it leads to",
        )
