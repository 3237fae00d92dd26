"""Strategies: whole Zarr arrays, how they are written, and what is read of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import numcodecs
import numpy as np
from hypothesis.extra import numpy as npst
from zarr.testing.strategies import basic_indices, block_indices, orthogonal_indices

type Index = tuple[str, Any]
type _Codec = tuple[str, dict[str, Any]]

_SIMPLE = (
    "?", "i1", "u1", "<i2", ">i2", "<u2", "<i4", ">i4", ">u4", "<i8", ">u8",
    "<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c16",
    "<M8[ns]", ">M8[s]", "<m8[10us]", ">m8[ms]", "S1", "S5", "<U3", ">U2", "V4",
)  # fmt: skip
_STRUCTURED = (
    [("a", "<i4"), ("b", ">f8"), ("c", "S3")],
    [("a", "u1"), ("n", [("x", ">i2"), ("y", "?")])],
    [("a", "<f4"), ("b", "<f4")],
)
# A long chain of Blosc and LZMA takes as long as a hundred other arrays.
_EXTENT_MAX = 9


@dataclass(frozen=True, kw_only=True)
class Written:
    """An array, and how it is written and read.

    Attributes:
        settings: arguments of `zarr.create_array` that the two sides share.
        make: more of them, made on each side: numcodecs' objects.
        writes: selections, each with what is written there, in order.
        reads: what is read.
        resized: the shape that it gets after the writes.
        appended: what is appended after that, if anything.
        store: the kind of the store.
    """

    settings: Mapping[str, Any]
    make: Callable[[], Mapping[str, Any]]
    writes: list[tuple[Index, Any]] = field(default_factory=list)
    reads: list[Index] = field(default_factory=list)
    resized: tuple[int, ...] | None = None
    appended: Any = None
    store: str = "memory"
    shown: str = ""

    def __repr__(self) -> str:
        """Write what hypothesis prints."""
        return (
            f"{self.store}: {dict(self.settings)} {self.shown} writes={self.writes} "
            f"reads={self.reads} resized={self.resized} appended={self.appended}"
        )


def dtypes() -> st.SearchStrategy[Any]:
    """Give dtypes as NumPy's, and `str` for text of variable length."""
    simple = st.sampled_from([np.dtype(each) for each in _SIMPLE])
    structured = st.sampled_from([np.dtype(each) for each in _STRUCTURED])
    return simple | simple | structured | st.just(str)


def values(dtype: Any, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Give arrays of a dtype: of random elements, of which most repeat, or made by a seed."""
    if dtype is str:
        texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
        return npst.arrays(np.dtype(object), shape, elements=texts)
    return st.integers(0, 2**32 - 1).map(lambda seed: _made(np.dtype(dtype), shape, seed))


def _made(dtype: np.dtype[Any], shape: tuple[int, ...], seed: int) -> Any:
    random = np.random.default_rng(seed)
    if dtype.names:
        out = np.zeros(shape, dtype)
        for name in dtype.names:
            out[name] = _made(dtype[name], shape, seed + 1)
        return out
    numbers: Any = random.integers(0, 2, shape) if seed % 2 else random.integers(-3, 100, shape)
    if dtype.kind in "SU":
        numbers = np.array(["x" * (each % 6) for each in numbers.flat], "U5")
    elif dtype.kind == "V":
        numbers = np.frombuffer(random.bytes(dtype.itemsize * math.prod(shape)), dtype)
    elif dtype.kind in "Mm":
        numbers = numbers.astype("i8").astype(dtype.newbyteorder("="))
    elif dtype.kind in "fc" and seed % 3:
        numbers = numbers + random.normal(size=shape) * (1j if dtype.kind == "c" else 1)
    return numbers.astype(dtype).reshape(shape)


def _compressors(dtype: Any) -> list[_Codec]:
    """Give codecs of bytes: the id in numcodecs, and the configuration."""
    itemsize = 8 if dtype is str else dtype.itemsize
    return [
        ("zlib", {"level": 1}),
        ("gzip", {"level": 5}),
        ("bz2", {"level": 1}),
        ("lzma", {"preset": 1}),
        ("lz4", {"acceleration": 1}),
        ("zstd", {"level": 3}),
        *(
            ("blosc", {"cname": cname, "clevel": 5, "shuffle": shuffle, "blocksize": 0})
            for cname, shuffle in (("lz4", 1), ("zstd", 2), ("blosclz", 0), ("zlib", 1))
        ),
        ("crc32", {}),
        ("crc32c", {}),
        ("adler32", {}),
        ("fletcher32", {}),
        ("jenkins_lookup3", {"initval": 0}),
        ("shuffle", {"elementsize": itemsize}),
    ]


def _filters(dtype: Any) -> list[_Codec]:
    """Give codecs of arrays that a dtype can have; those that lose something come to one result."""
    if dtype is str or dtype.names:
        return []
    text = dtype.str
    found: list[_Codec] = []
    if dtype.kind in "iuf":
        found += [
            ("delta", {"dtype": text}),
            ("fixedscaleoffset", {"offset": 1, "scale": 4, "dtype": text, "astype": "<i4"}),
            ("astype", {"encode_dtype": "<f8", "decode_dtype": text}),
        ]
    if dtype.kind == "f":
        found += [("quantize", {"digits": 2, "dtype": text}), ("bitround", {"keepbits": 5})]
    if dtype.kind == "b":
        found.append(("packbits", {}))
    return found


# Names that differ between numcodecs and Zarr 3 in more than a prefix.
_STANDARD = ("gzip", "zstd", "blosc", "crc32c")
_SHUFFLES = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}


def _in_zarr_3(codec: _Codec, dtype: Any) -> dict[str, Any]:
    codec_id, configuration = codec
    if codec_id in _STANDARD:
        settings = dict(configuration)
        if codec_id == "blosc":
            settings["shuffle"] = _SHUFFLES[settings["shuffle"]]
            settings["typesize"] = 8 if dtype is str else dtype.itemsize
        if codec_id == "zstd":
            settings["checksum"] = True
        return {"name": codec_id, "configuration": settings}
    return {"name": f"numcodecs.{codec_id}", "configuration": configuration}


@st.composite
def _zarr_3(draw: st.DrawFn, dtype: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Draw the codecs, chunks and shards of an array of Zarr 3."""
    settings: dict[str, Any] = {}
    filters: list[dict[str, Any]] = []
    if len(shape) > 1 and draw(st.booleans()):
        order = draw(st.permutations(range(len(shape))))
        filters.append({"name": "transpose", "configuration": {"order": list(order)}})
    # Metadata of Zarr 3 lose the byte order, and zarr-python's filters then read what they did not
    # write.
    choices = [] if dtype is str or dtype != dtype.newbyteorder("<") else _filters(dtype)
    is_filtered = draw(st.booleans())
    if choices and is_filtered:
        filters.append(_in_zarr_3(draw(st.sampled_from(choices)), dtype))
    compressors = st.lists(st.sampled_from(_compressors(dtype)), max_size=2)
    # `shuffle` needs whole items, and two compressors of one format differ in how much they give.
    drawn = sorted(draw(compressors), key=lambda each: each[0] != "shuffle")
    listed = [_in_zarr_3(each, dtype) for each in drawn]
    if dtype is not str:
        endian = draw(st.sampled_from(["little", "big"]))
        settings["serializer"] = {"name": "bytes", "configuration": {"endian": endian}}
    chunks = tuple(draw(st.integers(1, max(1, size))) for size in shape)
    if shape and draw(st.integers(0, 3)) == 0:
        factor = draw(st.integers(1, 3))
        codecs = [*filters, settings.pop("serializer", {"name": "vlen-utf8"}), *listed]
        location = draw(st.sampled_from(["start", "end"]))
        shard = {"chunk_shape": list(chunks), "codecs": codecs, "index_location": location}
        shard["index_codecs"] = draw(
            st.sampled_from(
                [
                    [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    [{"name": "bytes", "configuration": {"endian": "big"}}],
                ]
            )
        )
        settings["serializer"] = {"name": "sharding_indexed", "configuration": shard}
        chunks = tuple(each * factor for each in chunks)
        # Codecs around shards: reads are of whole shards then.
        filters, listed = [], draw(st.sampled_from([[], [], listed[:1]]))
    settings |= {"chunks": chunks, "filters": filters or None, "compressors": listed or None}
    settings["config"] = {"order": draw(st.sampled_from("CF"))}
    return settings


@st.composite
def _zarr_2(draw: st.DrawFn, dtype: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Draw the codecs and chunks of an array of Zarr 2, codecs as configurations."""
    filters: list[_Codec] = []
    order = draw(st.sampled_from("CF"))
    # What numcodecs does not read back: `bitround` turns arrays in Fortran order round, and
    # `quantize` gives an array without axes the byte order of the machine.
    unread = {"bitround"} if order == "F" else set()
    if not shape and dtype is not str and dtype != dtype.newbyteorder("<"):
        unread.add("quantize")
    choices = [each for each in _filters(dtype) if each[0] not in unread]
    is_filtered = draw(st.booleans())
    if choices and is_filtered:
        filters.append(draw(st.sampled_from(choices)))
    if dtype is not str:
        checks = [each for each in _compressors(dtype) if not each[1] or "elementsize" in each[1]]
        filters += draw(st.lists(st.sampled_from(checks), max_size=1))
    compressor = draw(st.none() | st.sampled_from(_compressors(dtype)))
    return {
        "filters": [{"id": name, **settings} for name, settings in filters],
        "compressors": compressor and {"id": compressor[0], **compressor[1]},
        "chunks": tuple(draw(st.integers(1, max(1, size))) for size in shape),
        "order": order,
    }


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Index:
    """Draw a selection: its kind, and the index."""
    kinds = ["basic", "basic", "orthogonal", "mask"]
    if shape and all(shape):
        kinds += ["coordinate", "block", "element"]
    kind = draw(st.sampled_from(kinds)) if shape else "basic"
    if kind == "element":
        return "basic", tuple(draw(st.integers(0, size - 1)) for size in shape)
    if kind == "orthogonal":
        return "orthogonal", draw(orthogonal_indices(shape=shape))[0]
    if kind == "mask":
        return "mask", draw(npst.arrays(np.dtype(bool), shape))
    if kind == "coordinate":
        count = draw(st.integers(1, 4))
        per_axis = [st.lists(st.integers(0, n - 1), min_size=count, max_size=count) for n in shape]
        return "coordinate", tuple(np.array(draw(each)) for each in per_axis)
    if kind == "block":
        sizes = tuple(
            tuple(min(chunk, size - start) for start in range(0, size, chunk))
            for size, chunk in zip(shape, chunks, strict=True)
        )
        return "block", draw(block_indices(chunk_sizes=sizes))[0]
    return "basic", draw(basic_indices(shape=shape))


@st.composite
def arrays(draw: st.DrawFn, stores: tuple[str, ...] = ("memory",)) -> Written:
    """Draw an array with what is written to it and read of it."""
    version = draw(st.sampled_from([2, 3]))
    dtype = draw(dtypes())
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=_EXTENT_MAX))
    settings = draw((_zarr_2 if version == 2 else _zarr_3)(dtype, shape))
    chunks = settings["chunks"]
    settings |= {"shape": shape, "dtype": dtype, "zarr_format": version}
    if dtype is not str and dtype.kind in "iufb" and draw(st.booleans()):
        settings["fill_value"] = draw(values(dtype, ()))[()].item()
    config = dict(settings.get("config", {}))
    config["write_empty_chunks"] = draw(st.booleans())
    settings["config"] = config
    writes: list[tuple[Index, Any]] = []
    if draw(st.booleans()):
        writes.append((("basic", ...), draw(values(dtype, shape))))
    for _ in range(draw(st.integers(0, 2))):
        index = draw(indices(shape, chunks))
        writes.append((index, draw(values(dtype, _selected_shape(shape, chunks, index)))))
    resized = appended = None
    if shape and draw(st.integers(0, 3)) == 0:
        resized = tuple(draw(st.integers(0, _EXTENT_MAX)) for _ in shape)
        appended = draw(st.none() | values(dtype, (2, *resized[1:])))
    final = resized or shape
    if appended is not None:
        final = (final[0] + 2, *final[1:])
    reads: list[Index] = [
        ("basic", ...),
        draw(indices(final, chunks)),
        draw(indices(final, chunks)),
    ]
    make = _made_by_numcodecs(settings) if version == 2 else dict
    shown = str({name: settings.pop(name) for name in ("filters", "compressors") if version == 2})
    return Written(
        settings=settings,
        make=make,
        writes=writes,
        reads=reads,
        resized=resized,
        appended=appended,
        store=draw(st.sampled_from(stores)),
        shown=shown,
    )


def _made_by_numcodecs(settings: Mapping[str, Any]) -> Callable[[], Mapping[str, Any]]:
    filters, compressor = settings["filters"], settings["compressors"]

    def make() -> Mapping[str, Any]:
        made = [numcodecs.get_codec(dict(each)) for each in filters]
        found = compressor and numcodecs.get_codec(dict(compressor))
        # Zarr makes the filter of text itself, unless it is given other filters.
        return {"compressors": found, **({"filters": made} if made else {})}

    return make


def _selected_shape(
    shape: tuple[int, ...], chunks: tuple[int, ...], index: Index
) -> tuple[int, ...]:
    probe = np.empty(shape, "u1")
    kind, where = index
    if kind == "orthogonal":
        kept = [
            np.arange(size)[each]
            for each, size in zip(where, shape, strict=True)
            if not isinstance(each, int)
        ]
        return tuple(len(each) for each in kept)
    if kind == "block":
        where = tuple(
            slice(*_block_bounds(each, chunk, size))
            for each, chunk, size in zip(where, chunks, shape, strict=True)
        )
    return np.shape(probe[where])


def _block_bounds(index: int | slice, chunk: int, size: int) -> tuple[int, int]:
    count = -(-size // chunk)
    if isinstance(index, slice):
        start, stop, _ = index.indices(count)
    else:
        start = index % count
        stop = start + 1
    return start * chunk, max(start * chunk, min(stop * chunk, size))
