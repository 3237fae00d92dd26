"""What `chonkle decode` and `chonkle encode` share: chunks, and the codec lists beside them."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chonkle.cli.access import together
from chonkle.cli.options import (
    Parsed,
    allow_source_option,
    allowed_sources_of,
    check_used,
    compile_options,
    limit_options,
    limits_of,
    listed_resolver_options,
    resolver_of,
    runtime_of,
)
from chonkle.cli.progress import progress
from chonkle.cli.signals import interruptible
from chonkle.cli.usage import WrongUsage
from chonkle.errors import PipelineError

if TYPE_CHECKING:
    import numpy as np

    from chonkle.codecs import ChunkCodec
    from chonkle.dag.codec_list import ChunkPart
    from chonkle.formats.zarr_metadata import ZarrArray

_NPY = ".npy"
_OLD_METADATA = ".zarray"
# Of a file with a codec list, which a codec's name does not have.
_LIST_ENDINGS = (".json", _OLD_METADATA)
_JSON_STARTS = ("[", "{", '"')


def _read_dtype(text: str) -> str | None:
    from chonkle.formats.dtypes import Dtype  # noqa: PLC0415 - not for help

    try:
        Dtype.of(text)
    except PipelineError:
        return None
    return text


def _read_shape(text: str) -> tuple[int, ...] | None:
    from chonkle.dag.codec_list import read_shape  # noqa: PLC0415 - not for help

    try:
        return read_shape([int(each) for each in text.split(",") if each.strip()])
    except ValueError:  # a PipelineError, too
        return None


chunk_options = together(
    click.option(
        "--codecs",
        "codec_list",
        metavar="FILE|NAME|JSON",
        help="File of a codec list, or zarr.json or .zarray of the array; the name of a codec, "
        "such as zstd; or a codec list as JSON. A file that exists comes first.  [default: the "
        "whole name of the chunk with .json appended, such as tile.bin.json]",
    ),
    allow_source_option,
    click.option(
        "--dtype",
        type=Parsed(_read_dtype, "a type of elements such as float32 or >u2"),
        metavar="TYPE",
        help="Type of the elements, such as float32 or >u2.",
    ),
    click.option(
        "--shape",
        type=Parsed(_read_shape, "a shape such as 512,512"),
        metavar="N,N",
        help="Shape of the array, such as 512,512.",
    ),
    listed_resolver_options,
    limit_options,
    compile_options,
)


class LocalPath(click.Path):
    """The path of a Zarr array, which is no URL: as a path, `s3://` would lose a slash."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - click's
        """Refuse a URL."""
        if "://" in str(value):
            raise WrongUsage(
                f"{value}: only arrays in local folders are read",
                hint="zarr-python reads other stores, with `chonkle.zarr.use()`",
            )
        return super().convert(value, param, ctx)


@contextmanager
def chunk_codec(chunk: str, options: dict[str, Any]) -> Iterator[tuple["ChunkCodec", bool]]:
    """Open the codecs of a chunk.

    Args:
        chunk: the path of the encoded chunk.
        options: those that `chunk_options` added.

    Yields:
        The codecs, and whether what they encode is transposed, as in Zarr 2 in Fortran order.
    """
    # Late: a command that is only asked for its help does without it.
    from chonkle.codecs import listed_chain, load_list  # noqa: PLC0415

    codec_list = _codec_list(options["codec_list"], chunk)
    if isinstance(codec_list, Path):
        zarr = _named_array(codec_list)
        if zarr is not None and codec_list.name == _OLD_METADATA:
            with zarr_codec(zarr, "chunk", options) as codec:
                yield codec, zarr.order == "F"
            return
    parsed = load_list(codec_list, runner="chonkle run")
    allowed = allowed_sources_of(options, folder=parsed.folder)
    resolver = replace(resolver_of(options), allowed_sources=allowed)
    with runtime_of(options) as runtime:
        with interruptible(), progress(f"preparing the codecs of {chunk}"):
            codec = listed_chain(
                parsed, resolver=resolver, runtime=runtime, limits=limits_of(options)
            )
        check_used(resolver, codec.codec_ids())
        yield codec, False


def _codec_list(given: str | None, chunk: str) -> Any:  # noqa: ANN401 - checked by `load_list`
    """Give what `--codecs` is: the path of a file, or a document. Without it, the sidecar.

    Raises:
        PipelineError: there is no sidecar, or the text is malformed JSON.
    """
    from chonkle.formats.json_text import parse_json  # noqa: PLC0415 - not for help

    if given is None:
        sidecar = Path(f"{chunk}.json")
        if not sidecar.exists():
            raise PipelineError(
                f"no codec list {sidecar} beside the chunk",
                hint="--codecs FILE names another one, and --codecs zstd a codec",
            )
        return sidecar
    # Not `Path.exists`, which fails where JSON is longer than a path may be.
    if os.path.exists(given):  # noqa: PTH110
        return Path(given)
    if given.lstrip().startswith(_JSON_STARTS):
        document = parse_json(given, what="--codecs", error=PipelineError)
        return [document] if isinstance(document, str) else document
    is_path = "/" in given or os.sep in given or given.endswith(_LIST_ENDINGS)
    return Path(given) if is_path else [given]


def _named_array(codec_list: Path) -> "ZarrArray | None":
    """Read the metadata of an array that a codec list is, if it is.

    Raises:
        PipelineError: a file of the array is no chunk, or the metadata cannot be read.
    """
    from chonkle.formats.zarr_metadata import METADATA_FILES  # noqa: PLC0415 - not for help
    from chonkle.zarr_files import read_metadata  # noqa: PLC0415 - brings wasmtime

    if codec_list.name not in METADATA_FILES:
        return None
    zarr = read_metadata(codec_list)
    if zarr.shards is not None:
        raise PipelineError(
            f"{codec_list}: the array is in shards, and a file of it is a whole shard",
            hint="`chonkle decode` with --zarr and --chunk decodes the chunks in it",
        )
    return zarr


@contextmanager
def zarr_codec(
    zarr: "ZarrArray", part: "ChunkPart", options: dict[str, Any]
) -> Iterator["ChunkCodec"]:
    """Open the codecs of a Zarr array.

    Args:
        zarr: its metadata.
        part: a chunk, or the index of a shard.
        options: those that `chunk_options` added.
    """
    from chonkle.codecs import listed_chain  # noqa: PLC0415 - brings wasmtime
    from chonkle.dag.codec_list import zarr_codec_list  # noqa: PLC0415

    resolver = replace(resolver_of(options), allowed_sources=allowed_sources_of(options))
    with runtime_of(options) as runtime, interruptible():
        with progress("preparing the codecs of the array"):
            codec = listed_chain(
                zarr_codec_list(zarr, part),
                resolver=resolver,
                runtime=runtime,
                limits=limits_of(options),
            )
        if zarr.shards is None:
            check_used(resolver, codec.codec_ids())
        yield codec


def described_array(options: dict[str, Any]) -> dict[str, object]:
    """Give `dtype` and `shape` as the options have them, where they do."""
    return {name: options[name] for name in ("dtype", "shape") if options[name] is not None}


def is_array_file(file: str) -> bool:
    """Tell whether a file is one of NumPy's, by its name."""
    return file.endswith(_NPY)


def read_array(data: bytes, file: str) -> "np.ndarray[Any, Any]":
    """Read the bytes of a `.npy` file.

    Raises:
        PipelineError: when it is none, or has Python objects.
    """
    import numpy as np  # noqa: PLC0415 - raw chunks do without it

    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError, SyntaxError) as failure:
        raise PipelineError(f"cannot read {file} as an array: {failure}") from failure


def array_file(array: "np.ndarray[Any, Any]") -> bytes:
    """Give an array as the bytes of a `.npy` file."""
    import numpy as np  # noqa: PLC0415 - raw chunks do without it

    written = io.BytesIO()
    np.lib.format.write_array(written, array, allow_pickle=False)
    return written.getvalue()
