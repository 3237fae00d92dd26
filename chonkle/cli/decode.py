"""`chonkle decode`: decode a chunk with its codec list."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from chonkle.cli.chunks import (
    LocalPath,
    array_file,
    chunk_codec,
    chunk_options,
    described_array,
    is_array_file,
    zarr_codec,
)
from chonkle.cli.progress import progress
from chonkle.cli.signals import interruptible
from chonkle.cli.streams import read_input, write_output
from chonkle.cli.usage import WrongUsage
from chonkle.errors import ChonkleError, PipelineError


@click.command
@click.argument("chunk", required=False)
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="File to write; `-` is standard output."
)
@click.option(
    "--zarr",
    type=LocalPath(),
    metavar="PATH",
    help="Zarr array in a local folder, of which --chunk is decoded, instead of CHUNK.",
)
@click.option(
    "--chunk",
    "index",
    metavar="N.N",
    help="Index of the chunk of --zarr, such as 0.3, 0/3 or 0,3, or its key, such as c/0/3.",
)
@chunk_options
def decode(chunk: str | None, output: str, **options: Any) -> None:  # noqa: ANN401 - click's
    """Decode the file CHUNK with the codec list beside it, or a chunk of a Zarr array.

    An output with the suffix .npy is an array, any other the bytes of its elements in C order.
    With --codecs, CHUNK may be `-`, standard input.

    \b
    Exit codes:
      1  the chunk is damaged, a codec is missing, fails or exceeds a limit, or a file fails

    \b
    Environment:
      CHONKLE_CODEC_STORE CHONKLE_POLICY CACHE COMPILING CHONKLE_FORCE_DOWNLOAD
      CHONKLE_OFFLINE REGISTRY

    \b
    Examples:
      chonkle decode chunks/0 -o chunk.npy
      chonkle decode --zarr data.zarr/temperature --chunk 0.3 -o chunk.npy
      chonkle decode data.zst --codecs zstd -o data
      chonkle decode tile.bin --codecs list.json \\
          --dtype uint16 --shape 512,512 -o tile.npy

    \b
    See also:
      `chonkle encode`, `chonkle pipeline from-zarr`, and docs/reference/pipeline.md for
      codec lists.
    """
    zarr, index = options.pop("zarr"), options.pop("index")
    if chunk is not None and zarr is not None:
        raise WrongUsage("CHUNK and --zarr at once", hint="give CHUNK or --zarr, not both")
    if (chunk is None) != (zarr is not None) or (zarr is None) != (index is None):
        raise WrongUsage("nothing to decode", hint="give CHUNK, or --zarr PATH and --chunk N.N")
    if chunk is None:
        decoded = _of_zarr(zarr, index, options)
    else:
        with chunk_codec(chunk, options) as (codec, is_transposed):
            data = read_input("chunk", chunk, size_max=codec.limits.memory_bytes)
            with interruptible(), progress(f"decoding {chunk}"):
                decoded = codec.decode(data, **described_array(options))
        decoded = decoded.T if is_transposed else decoded
    if is_array_file(output):
        if isinstance(decoded, bytes):
            raise PipelineError(
                f"the dtype and shape of {chunk} are unknown",
                hint="give --dtype and --shape, or an output without .npy for the bytes",
            )
        decoded = array_file(decoded)
    write_output("chunk", output, decoded if isinstance(decoded, bytes) else decoded.tobytes())


def _of_zarr(path: Path, index: str, options: dict[str, Any]) -> Any:  # noqa: ANN401 - an array
    from chonkle.zarr_files import read_chunk, read_metadata  # noqa: PLC0415 - brings wasmtime

    zarr = read_metadata(path)
    # A chunk of an array without axes has no numbers.
    numbers = _numbers(index) if zarr.shape else []
    with ExitStack() as opened:
        opened.enter_context(_naming(f"chunk {index} of {path}"))
        codec = opened.enter_context(zarr_codec(zarr, "chunk", options))
        index_codec = None
        if zarr.shards is not None:
            index_codec = opened.enter_context(zarr_codec(zarr, "index", options))
        data = read_chunk(path, numbers, index=index_codec, size_max=codec.limits.memory_bytes)
        if data is None:
            raise PipelineError("it is not stored, so that it has the fill value")
        with interruptible(), progress(f"decoding chunk {index} of {path}"):
            decoded = codec.decode(data)
    return decoded.T if zarr.order == "F" else decoded


def _numbers(index: str) -> list[int]:
    """Read the index of a chunk, in any of the forms that a key has."""
    numbers = re.split("[./,]", re.sub("^c[./]", "", index))
    if not all(each.isascii() and each.isdigit() for each in numbers):
        raise WrongUsage("bad --chunk", expected="numbers such as 0.3", got=f"`{index}`")
    return [int(each) for each in numbers]


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Write what was decoded into the failures within a `with` statement."""
    try:
        yield
    except ChonkleError as failure:
        raise failure.within(what) from failure.__cause__
