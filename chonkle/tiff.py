"""Tiles of TIFF files, decoded by chonkle's codecs within async-tiff.

For example::

    tile = await tiff.fetch_tile(0, 0, 0)
    array = await tile.decode(decoder_registry=chonkle.tiff.decoder_registry())

A codec decompresses; async-tiff itself undoes predictors and swaps bytes, as for its own decoders.
"""

from collections.abc import Buffer, Mapping
from typing import NoReturn

from async_tiff import Decoder, DecoderRegistry

from chonkle.backends.base import Backend, Limits
from chonkle.codecs import ChunkCodec, best_codecs, codec
from chonkle.errors import ChonkleError, ResolveError
from chonkle.formats.aliases import aliases
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime

_SCOPE = "tiff_compression"
# TIFF 6.0, section 8: no compression. A codec would only copy.
_UNCOMPRESSED = 1
# TIFF 6.0, section 2: the tag `Compression` is a SHORT.
_NUMBERS_MAX = 2**16 - 1


def decoder_registry(
    codecs: Mapping[int, object] | None = None,
    /,
    *,
    backend: Backend | None = None,
    resolver: Resolver | None = None,
    runtime: Runtime | None = None,
    limits: Limits | None = None,
    strict: bool = False,
) -> DecoderRegistry:
    """Make a registry for async-tiff that decompresses with chonkle's codecs.

    It has every compression that a codec lists among its aliases. For others, such as JPEG, async-
    tiff uses its own decoders, which are native code and run in the process, unless `strict` is
    set. It copies uncompressed tiles itself.

    Args:
        codecs: the codec for a compression number, as `chonkle.codec` takes it, where it is to be
            another one.
        backend: as for `chonkle.codec`.
        resolver: as for `chonkle.codec`.
        runtime: as for `chonkle.codec`.
        limits: as for `chonkle.codec`.
        strict: a tile with a compression that no codec here has is an error.

    Raises:
        ResolveError: no implementation of a codec was found, or several codecs have one number.
        ChonkleError: as for `chonkle.codec`.
    """
    chosen: dict[int, object] = dict(codecs or {})
    for each in best_codecs(backend=backend, resolver=resolver, runtime=runtime):
        for number in map(int, aliases(each.signature, _SCOPE)):
            if number != _UNCOMPRESSED:
                chosen.setdefault(number, number)
    made = {
        number: codec(what, backend=backend, resolver=resolver, runtime=runtime, limits=limits)
        for number, what in chosen.items()
    }
    decoders: dict[int, Decoder] = {number: _decoder(number, each) for number, each in made.items()}
    if strict:
        # All of them: a later async-tiff may decode more.
        for number in range(_UNCOMPRESSED + 1, _NUMBERS_MAX + 1):
            decoders.setdefault(number, _refusal(number))
    return DecoderRegistry(decoders)


def _refusal(number: int) -> Decoder:
    def refuse(buffer: Buffer) -> NoReturn:  # noqa: ARG001 - what async-tiff gives
        raise ResolveError(
            f"TIFF compression {number}: no codec of chonkle has it, and `strict` is set",
            hint="without `strict`, a decoder of async-tiff may run, outside of the sandbox",
        )

    return refuse


def _decoder(number: int, made: ChunkCodec) -> Decoder:
    def decode(buffer: Buffer) -> bytes:
        try:
            decoded: bytes = made.decode(buffer)
        except ChonkleError as failure:
            raise failure.within(f"TIFF compression {number}") from failure
        return decoded

    return decode
