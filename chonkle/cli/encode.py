"""`chonkle encode`: encode a chunk with its codec list."""

from typing import Any

import click

from chonkle.cli.chunks import (
    chunk_codec,
    chunk_options,
    described_array,
    is_array_file,
    read_array,
)
from chonkle.cli.progress import progress
from chonkle.cli.signals import interruptible
from chonkle.cli.streams import read_input, write_output
from chonkle.errors import PipelineError


@click.command
@click.argument("array")
@click.option(
    "-o", "--output", required=True, metavar="CHUNK", help="File to write; `-` is standard output."
)
@chunk_options
def encode(array: str, output: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Encode the file ARRAY with the codec list beside the chunk that is written.

    An input with the suffix .npy is an array, any other the bytes of its elements in C order. `-`
    is standard input.

    \b
    Exit codes:
      1  the array does not fit, a codec is missing, fails or exceeds a limit, or a file fails

    \b
    Environment:
      CHONKLE_CODEC_STORE CHONKLE_POLICY CACHE COMPILING CHONKLE_FORCE_DOWNLOAD
      CHONKLE_OFFLINE REGISTRY

    \b
    Examples:
      chonkle encode chunk.npy -o chunks/0
      chonkle encode chunk.npy --codecs zarr.json -o c/0/0

    \b
    See also:
      `chonkle decode`, and docs/reference/pipeline.md for codec lists.
    """
    with chunk_codec(output, options) as (codec, is_transposed):
        data: Any = read_input("array", array, size_max=codec.limits.memory_bytes)
        if is_array_file(array):
            data = read_array(data, array)
        elif is_transposed:
            raise PipelineError(
                f"{array}: raw elements in C order, for chunks in Fortran order",
                hint="give a .npy file",
            )
        with interruptible(), progress(f"encoding {array}"):
            encoded = codec.encode(data.T if is_transposed else data, **described_array(options))
    write_output("chunk", output, encoded)
