"""`chonkle pipeline`: make pipelines of what other programs write."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from chonkle.cli.chunks import LocalPath
from chonkle.cli.options import (
    allow_source_option,
    allowed_sources_of,
    listed_resolver_options,
    resolver_of,
    runtime_of,
)
from chonkle.cli.output import print_json
from chonkle.cli.signals import interruptible


@click.group
def pipeline() -> None:
    """Make pipelines of what other programs write.

    \b
    Examples:
      chonkle pipeline from-zarr data.zarr/temperature > chunk.json

    \b
    See also:
      `chonkle run`, and docs/reference/pipeline.md.
    """


@pipeline.command("from-zarr")
@click.argument("path", type=LocalPath())
@click.option("--index", "is_index", is_flag=True, help="That of the index of a shard.")
@allow_source_option
@listed_resolver_options
def from_zarr(path: Path, *, is_index: bool, **options: Any) -> None:  # noqa: ANN401 - click's
    """Print the pipeline of the chunks of the Zarr array PATH.

    PATH is the folder of the array, or its metadata: zarr.json or .zarray. A chunk of a sharded
    array is an inner one.

    \b
    Exit codes:
      1  the metadata cannot be read, or a codec is missing

    \b
    Environment:
      PICKING REGISTRY

    \b
    Examples:
      chonkle pipeline from-zarr data.zarr/temperature > chunk.json
      chonkle run chunk.json --direction decode \\
          --input bytes=c/0/0 --output bytes=chunk.raw

    \b
    See also:
      `chonkle run`, `chonkle decode --zarr`, and docs/guides/read-zarr.md.
    """
    # Late: they bring wasmtime, which the help does without.
    from chonkle.dag.codec_list import zarr_codec_list  # noqa: PLC0415
    from chonkle.pipeline import list_pipeline  # noqa: PLC0415
    from chonkle.zarr_files import read_metadata  # noqa: PLC0415

    codec_list = zarr_codec_list(read_metadata(path), "index" if is_index else "chunk")
    resolver = replace(resolver_of(options), allowed_sources=allowed_sources_of(options))
    with runtime_of(options) as runtime, interruptible():
        made = list_pipeline(codec_list, resolver, runtime)
    print_json(made.to_json())
