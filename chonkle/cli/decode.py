"""`chonkle decode`: decode a chunk with its codec list."""

from typing import Any

import click

from chonkle.cli.chunks import (
    array_file,
    chunk_codec,
    chunk_options,
    described_array,
    is_array_file,
)
from chonkle.cli.signals import interruptible
from chonkle.cli.streams import read_input, write_output
from chonkle.errors import PipelineError


@click.command
@click.argument("chunk")
@click.option("-o", "--output", required=True, metavar="FILE", help="File to write.")
@chunk_options
def decode(chunk: str, output: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Decode the file CHUNK with the codec list beside it.

    An output with the suffix .npy is an array, any other the bytes of its elements in C order.

    \b
    Examples:
      chonkle decode chunks/0 -o chunk.npy
      chonkle decode c/0/0 --codecs zarr.json -o chunk.npy
      chonkle decode tile.bin --codecs list.json --dtype uint16 --shape 512,512 -o tile.npy
    """
    with chunk_codec(chunk, options) as codec:
        data = read_input("chunk", chunk, size_max=codec.limits.memory_bytes)
        with interruptible():
            decoded = codec.decode(data, **described_array(options))
    if is_array_file(output):
        if isinstance(decoded, bytes):
            raise PipelineError(
                f"nothing says which array {chunk} is",
                hint="--dtype and --shape do, or `data_type` and `shape` in the codec list",
            )
        decoded = array_file(decoded)
    write_output("chunk", output, decoded if isinstance(decoded, bytes) else decoded.tobytes())
