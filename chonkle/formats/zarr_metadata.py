"""The metadata of Zarr arrays, as far as chunks need them: `zarr.json` (format 3), `.zarray` (2).

Only regular chunk grids are read. A chunk of a sharded array is an inner chunk: its grid is that of
all inner chunks, and the outer chunk that it is in is a shard.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from chonkle.errors import PipelineError
from chonkle.formats.dtypes import Dtype
from chonkle.formats.values import format_value, is_value

METADATA_FILES = ("zarr.json", ".zarray")
# Data types whose elements have no fixed size, or are objects of Python.
_VARIABLE = ("string", "variable_length_utf8", "variable_length_bytes", "bytes", "|O")


@dataclass(frozen=True, slots=True)
class Shards:
    """How chunks are kept in shards (ZEP 2).

    Attributes:
        shape: the chunks in a shard, by axis.
        index_codecs: the codecs of the index, as in metadata.
        index_location: where the index is.
    """

    shape: tuple[int, ...]
    index_codecs: tuple[object, ...]
    index_location: Literal["start", "end"]

    @property
    def index_shape(self) -> tuple[int, ...]:
        """The shape of the index: an offset and a size, both uint64, for each chunk."""
        return (*self.shape, 2)


@dataclass(frozen=True, slots=True)
class ZarrArray:
    """What the metadata of an array say of its chunks.

    Attributes:
        codecs: configurations of the codecs in the order of encoding: numcodecs' in format 2.
        dtype: the type of the elements.
        shape: that of the array.
        chunk_shape: that of a chunk.
        order: the order of the elements in a chunk, before its codecs: C or F.
        separator: what is between the numbers in the key of a chunk.
        prefix: what is before them.
        shards: how chunks are kept in shards; None where each has a key.
    """

    codecs: tuple[object, ...]
    dtype: Dtype
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    order: Literal["C", "F"] = "C"
    separator: str = "/"
    prefix: str = "c"
    shards: Shards | None = None

    @classmethod
    def from_json(cls, document: Any) -> "ZarrArray":  # noqa: ANN401 - checked here
        """Read metadata.

        Raises:
            PipelineError: they are not those of an array that can be read.
        """
        match document:
            case {"zarr_format": 3, "node_type": "array"}:
                return _read_v3(document)
            case {"zarr_format": 2, "chunks": _, "dtype": _}:
                return _read_v2(document)
        raise PipelineError(
            "not the metadata of a Zarr array",
            expected="a document with `zarr_format` 3 and `node_type` `array`, or a `.zarray`",
            got=format_value(document),
        )

    def key(self, chunk: Sequence[int]) -> tuple[str, tuple[int, ...]]:
        """Give the key of the file that a chunk is in, and its place in it.

        Args:
            chunk: the index of the chunk, by axis.

        Returns:
            The key, and the index of the chunk in its shard; empty without shards.

        Raises:
            PipelineError: there is no such chunk.
        """
        grid = tuple(map(math.ceil, map(_ratio, self.shape, self.chunk_shape)))
        if len(chunk) != len(grid) or not all(0 <= i < n for i, n in zip(chunk, grid, strict=True)):
            raise PipelineError(
                f"no chunk {self._joined(chunk)}",
                expected=f"{len(grid)} numbers, each below {list(grid)}",
            )
        place: tuple[int, ...] = ()
        if self.shards is not None:
            place = tuple(i % n for i, n in zip(chunk, self.shards.shape, strict=True))
            chunk = tuple(i // n for i, n in zip(chunk, self.shards.shape, strict=True))
        numbers = [str(each) for each in chunk]
        if not self.prefix:
            return self.separator.join(numbers) or "0", place
        return self.separator.join([self.prefix, *numbers]), place

    def _joined(self, chunk: Sequence[int]) -> str:
        return ".".join(map(str, chunk))


def _ratio(extent: int, chunk: int) -> float:
    return -(-extent // chunk) if chunk else 0


def _read_v3(document: Mapping[str, Any]) -> ZarrArray:
    grid = document.get("chunk_grid")
    match grid:
        case {"name": "regular", "configuration": {"chunk_shape": chunk_shape}}:
            pass
        case _:
            raise _wrong("chunk_grid", "a regular one", grid)
    separator, prefix = "/", "c"
    match document.get("chunk_key_encoding"):
        case {"name": "v2", **rest}:
            separator, prefix = _separator(rest, "."), ""
        case {"name": "default", **rest}:
            separator = _separator(rest, "/")
        case encoding:
            raise _wrong("chunk_key_encoding", "`default` or `v2`", encoding)
    codecs, shape = document.get("codecs"), _shape("chunk_shape", chunk_shape)
    if not isinstance(codecs, (list, tuple)):
        raise _wrong("codecs", "a list", codecs)
    shards = None
    sharding = codecs[0] if len(codecs) == 1 else None
    match sharding:
        case {"name": "sharding_indexed", "configuration": {"chunk_shape": inner, **rest}}:
            codecs = tuple(cast("Any", rest.get("codecs", ())))
            outer, shape = shape, _shape("chunk_shape", inner)
            if len(outer) != len(shape) or any(
                n == 0 or m % n for m, n in zip(outer, shape, strict=True)
            ):
                raise _wrong("chunk_shape", f"a divisor of {list(outer)}", list(shape))
            location = rest.get("index_location", "end")
            if location not in ("start", "end"):
                raise _wrong("index_location", "`start` or `end`", location)
            shards = Shards(
                tuple(m // n for m, n in zip(outer, shape, strict=True)),
                tuple(cast("Any", rest.get("index_codecs", ()))),
                location,
            )
    return ZarrArray(
        tuple(codecs),
        _dtype(document.get("data_type")),
        _shape("shape", document.get("shape")),
        shape,
        separator=separator,
        prefix=prefix,
        shards=shards,
    )


def _read_v2(document: Mapping[str, Any]) -> ZarrArray:
    filters, compressor = document.get("filters") or (), document.get("compressor")
    order = document.get("order", "C")
    if order not in ("C", "F"):
        raise _wrong("order", "`C` or `F`", order)
    if not isinstance(filters, (list, tuple)):
        raise _wrong("filters", "a list, or null", filters)
    return ZarrArray(
        (*filters, *([compressor] if compressor is not None else ())),
        _dtype(document["dtype"]),
        _shape("shape", document.get("shape")),
        _shape("chunks", document["chunks"]),
        order=order,
        separator=document.get("dimension_separator") or ".",
        prefix="",
    )


def _dtype(written: object) -> Dtype:
    name = written.get("name") if isinstance(written, Mapping) else written
    if isinstance(name, str) and name in _VARIABLE:
        raise PipelineError(
            f"elements of type `{name}`: text and bytes of variable length, and objects, are "
            "decoded by zarr-python only"
        )
    return Dtype.of(written)


def _separator(encoding: Mapping[Any, Any], default: str) -> str:
    settings = encoding.get("configuration") or {}
    separator = settings.get("separator", default) if isinstance(settings, Mapping) else default
    return separator if separator in ("/", ".") else default


def _shape(name: str, value: object) -> tuple[int, ...]:
    extents = list(value) if isinstance(value, (list, tuple)) else value
    if not isinstance(extents, list) or not is_value(extents, "uint[]"):
        raise _wrong(name, "a list of whole numbers", value)
    return tuple(extents)


def _wrong(name: str, expected: str, got: object) -> PipelineError:
    return PipelineError(f"Zarr metadata: bad `{name}`", expected=expected, got=format_value(got))
