"""Arrays as zarr-python stores them: any data type, shape and chain of codecs.

Left out is what has no plain bytes, or no codec in chonkle: Python objects, strings of any length,
`json2`, `msgpack2`, `zfpy` and shards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st

type Array = np.ndarray[Any, Any]
type Configuration = dict[str, Any]
type ZarrFormat = Literal[2, 3]

# Small, so that many arrays are tried.
_EXTENT_MAX = 12
_CHUNK_ELEMENTS_MAX = 300
_CHUNKS_MAX = 40
_LETTERS = [*map(chr, range(32, 0x250)), "語", "\U0001f600"]
_TIME_UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "10s", "25us"]
_NUMBERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]


@dataclass(frozen=True)
class Stored:
    """An array to store, and how.

    Attributes:
        data: the elements.
        chunks: the shape of a chunk.
        filters: array-to-array codecs; in Zarr 2, any before the last.
        compressors: bytes-to-bytes codecs; in Zarr 2, one at most.
        serializer: the array-to-bytes codec of Zarr 3.
        order: the order of the elements in a chunk of Zarr 2.
        has_fill_value: whether the first element is the fill value.
    """

    data: Array
    chunks: tuple[int, ...]
    filters: list[Configuration] = field(default_factory=list)
    compressors: list[Configuration] = field(default_factory=list)
    serializer: Configuration | None = None
    order: Literal["C", "F"] = "C"
    has_fill_value: bool = False

    @property
    def fill_value(self) -> Any:
        """The first element, or None."""
        return self.data.flat[0] if self.has_fill_value else None


@st.composite
def _plain_dtypes(draw: st.DrawFn) -> np.dtype[Any]:
    kind = draw(st.sampled_from(["number", "number", "number", "bool", "text", "time"]))
    order = draw(st.sampled_from("<>"))
    match kind:
        case "number":
            return np.dtype(order + draw(st.sampled_from(_NUMBERS)))
        case "bool":
            return np.dtype("b1")
        case "text":
            return np.dtype(f"{order}{draw(st.sampled_from('SUV'))}{draw(st.integers(1, 9))}")
    return np.dtype(f"{order}{draw(st.sampled_from('mM'))}8[{draw(st.sampled_from(_TIME_UNITS))}]")


def _structured(types: st.SearchStrategy[np.dtype[Any]]) -> st.SearchStrategy[np.dtype[Any]]:
    return st.lists(types, min_size=1, max_size=4).map(
        lambda found: np.dtype([(f"f{index}", each) for index, each in enumerate(found)])
    )


_dtypes = st.one_of(
    _plain_dtypes(),
    _plain_dtypes(),
    _plain_dtypes(),
    _structured(st.one_of(_plain_dtypes(), _structured(_plain_dtypes()))),
)


def _any_elements(dtype: np.dtype[Any], count: int, random: np.random.Generator) -> Array:
    """Make elements of any value: any bits, but for texts and booleans."""
    if dtype.names:
        found = np.zeros(count, dtype)
        for name in dtype.names:
            found[name] = _any_elements(dtype[name], count, random)
        return found
    if dtype.kind == "b":
        return random.integers(0, 2, count).astype(dtype)
    if dtype.kind == "U":
        letters = random.choice(_LETTERS, (count, dtype.itemsize // 4))
        return np.array(["".join(row) for row in letters], dtype)
    return np.frombuffer(random.bytes(count * dtype.itemsize), dtype)


def _near_elements(dtype: np.dtype[Any], count: int, random: np.random.Generator) -> Array:
    """Make numbers from 0 to 100, with fractions where the type has them: in range of filters."""
    whole = np.cumsum(random.integers(-2, 3, count)) % 100
    fractions = random.integers(0, 8, count) / 8 if dtype.kind in "fc" else 0
    return (whole + fractions).astype(dtype)


def _few_elements(dtype: np.dtype[Any], count: int, random: np.random.Generator) -> Array:
    """Make runs of equal elements, which compress well."""
    return _any_elements(dtype, 3, random)[np.sort(random.integers(0, 3, count))]


_blosc: Mapping[str, st.SearchStrategy[Any]] = {
    "cname": st.sampled_from(["blosclz", "lz4", "lz4hc", "zlib", "zstd"]),
    "clevel": st.integers(0, 9),
    "blocksize": st.sampled_from([0, 0, 0, 64, 256, 1024]),
}
_zstd = st.fixed_dictionaries(
    {"level": st.sampled_from([-5, 0, 1, 3, 12]), "checksum": st.booleans()}
)
_location = st.sampled_from([{}, {"location": "start"}, {"location": "end"}])
# Bytes-to-bytes codecs of numcodecs.
_NUMCODECS: Mapping[str, st.SearchStrategy[Configuration]] = {
    "adler32": _location,
    "base64": st.just({}),
    "blosc": st.fixed_dictionaries({**_blosc, "shuffle": st.integers(-1, 2)}),
    "bz2": st.fixed_dictionaries({"level": st.integers(1, 9)}),
    "crc32": _location,
    "crc32c": _location,
    "fletcher32": st.just({}),
    "jenkins_lookup3": st.sampled_from([{}, {"initval": 7}]),
    "gzip": st.fixed_dictionaries({"level": st.integers(-1, 9)}),
    "lz4": st.fixed_dictionaries({"acceleration": st.sampled_from([-1, 0, 1, 10, 1_000_000])}),
    "lzma": st.one_of(
        st.fixed_dictionaries(
            {"check": st.sampled_from([-1, 0, 1, 4, 10]), "preset": st.sampled_from([None, 0, 3])}
        ),
        st.fixed_dictionaries({"format": st.just(2), "preset": st.integers(0, 3)}),
        st.sampled_from(
            [
                {"format": 3, "filters": [{"id": 33, "preset": 1}]},
                {"format": 3, "filters": [{"id": 3, "dist": 4}, {"id": 33, "preset": 6}]},
                {"format": 3, "filters": [{"id": 4}, {"id": 33, "dict_size": 1 << 16}]},
            ]
        ),
    ),
    "zlib": st.fixed_dictionaries({"level": st.integers(-1, 9)}),
    "zstd": _zstd,
}
# Codecs that run in numcodecs only.
NATIVE = ("base64", "categorize")
_COMPRESSORS = ("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd")
# Bytes-to-bytes codecs of Zarr 3 itself.
_ZARR: Mapping[str, st.SearchStrategy[Configuration]] = {
    "blosc": st.fixed_dictionaries(
        {**_blosc, "shuffle": st.sampled_from(["noshuffle", "shuffle", "bitshuffle"])}
    ),
    "crc32c": st.just({}),
    "gzip": st.fixed_dictionaries({"level": st.integers(0, 9)}),
    "zstd": _zstd,
}
_PCODEC = st.fixed_dictionaries(
    {
        "level": st.integers(0, 9),
        "mode_spec": st.sampled_from(["auto", "classic"]),
        "delta_spec": st.sampled_from(["auto", "none", "try_lookback"]),
        "equal_pages_up_to": st.sampled_from([64, 262144]),
    }
)


def _wider(draw: st.DrawFn, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Draw a type of the same kind that holds every element, in any byte order."""
    sizes = [size for size in (1, 2, 4, 8, 16) if size >= dtype.itemsize]
    names = [f"{dtype.kind}{size}" for size in sizes if f"{dtype.kind}{size}" in _NUMBERS]
    return np.dtype(draw(st.sampled_from("<>")) + draw(st.sampled_from(names)))


def _number_filter(
    draw: st.DrawFn, dtype: np.dtype[Any]
) -> tuple[str, Configuration, np.dtype[Any]]:
    """Draw a filter for numbers: its name, its configuration, and the type that it gives."""
    by_kind = {
        "b": ["packbits"],
        "c": ["delta"],
        # Of floats in another byte order than the machine's, numcodecs rounds none to bits.
        "f": ["delta", "quantize", "fixedscaleoffset", "astype", *["bitround"] * dtype.isnative],
        "i": ["delta", "fixedscaleoffset", "astype"],
        "u": ["delta", "fixedscaleoffset", "astype"],
    }
    name = draw(st.sampled_from(by_kind[dtype.kind]))
    if name == "packbits":
        return name, {}, np.dtype("u1")
    if name == "bitround":
        return name, {"keepbits": draw(st.integers(0, np.finfo(dtype).nmant))}, dtype
    stored = _wider(draw, dtype)
    if name == "astype":
        return name, {"encode_dtype": stored.str, "decode_dtype": dtype.str}, stored
    settings: Configuration = {}
    if name == "quantize":
        settings = {"digits": draw(st.integers(0, 3))}
    elif name == "fixedscaleoffset":
        stored = np.dtype(draw(st.sampled_from(["<i2", ">i4", ">f8", "<u2"])))
        # Without the numbers that leave the range of an unsigned type.
        offsets = [0] if dtype.kind == "u" else [0, -3, -0.25]
        scales = [1, 4, 10, 0.5]
        settings = {
            "offset": draw(st.sampled_from(offsets)),
            "scale": draw(st.sampled_from(scales)),
        }
    return name, {**settings, "dtype": dtype.str, "astype": stored.str}, stored


def _zarr3_filter(draw: st.DrawFn, dtype: np.dtype[Any]) -> tuple[Configuration, np.dtype[Any]]:
    """Draw a filter for numbers that Zarr 3 itself has, and the type that it gives."""
    if draw(st.booleans()):
        by_kind: dict[str, tuple[list[object], list[object]]] = {
            "i": ([0, -3, "5"], [1, 2, -1]),
            "u": ([0], [1, "2"]),
            "f": ([0, -3, 0.25, "1.5"], [1, 0.5, "10", 0.1]),
        }
        offsets, scales = by_kind[dtype.kind]
        settings = {
            "offset": draw(st.sampled_from(offsets)),
            "scale": draw(st.sampled_from(scales)),
        }
        return {"name": "scale_offset", "configuration": settings}, dtype
    names = ["int8", "uint8", "int16", "int32", "uint64", "float16", "float32", "float64"]
    name = draw(st.sampled_from(names))
    roundings = ["nearest-even", "towards-zero", "towards-positive", "towards-negative"]
    settings = {"data_type": name, "rounding": draw(st.sampled_from([*roundings, "nearest-away"]))}
    if draw(st.booleans()):
        settings["out_of_range"] = "clamp"
    if dtype.kind == "f" and "int" in name and draw(st.booleans()):
        settings["scalar_map"] = {"encode": [["NaN", 0], [1, 7]], "decode": [[7, 1], [3, "NaN"]]}
    return {"name": "cast_value", "configuration": settings}, np.dtype(name)


def _bytes_codec(draw: st.DrawFn, names: Iterable[str], size: int | None = None) -> Configuration:
    """Draw the configuration of a bytes-to-bytes codec, as of numcodecs.

    Args:
        draw: of hypothesis.
        names: the codecs to choose among.
        size: the bytes to encode; None where encoders may differ in it.
    """
    if size is not None and draw(st.integers(0, 5)) == 0:
        # Which wants whole items.
        items = [each for each in (0, 1, 2, 3, 4, 8) if each == 0 or size % each == 0]
        settings: list[Configuration] = [{}] * (size % 4 == 0) + [
            {"elementsize": each} for each in items
        ]
        return {"id": "shuffle", **draw(st.sampled_from(settings))}
    name = draw(st.sampled_from(sorted(names)))
    return {"id": name, **draw(_NUMCODECS[name])}


def _zarr3(configuration: Configuration) -> Configuration:
    """Write a configuration of numcodecs as Zarr 3 metadata."""
    settings = {name: value for name, value in configuration.items() if name != "id"}
    return {"name": f"numcodecs.{configuration['id']}", "configuration": settings}


@st.composite
def stored_arrays(draw: st.DrawFn, zarr_format: ZarrFormat) -> Stored:
    """Draw an array to store."""
    rank = draw(st.sampled_from([0, 1, 2, 2, 3]))
    chunks = [draw(st.integers(1, _EXTENT_MAX)) for _ in range(rank)]
    while np.prod(chunks) > _CHUNK_ELEMENTS_MAX:
        chunks = [(extent + 1) // 2 for extent in chunks]
    counts = [draw(st.integers(2, 8)) for _ in range(rank)]
    while np.prod(counts) > _CHUNKS_MAX:
        counts[counts.index(max(counts))] -= 1
    # The last chunk of an axis may be partly outside.
    shape = [
        extent * count - draw(st.integers(0, extent - 1))
        for extent, count in zip(chunks, counts, strict=True)
    ]
    dtype = draw(_dtypes)
    # numcodecs loses the byte order of a single number.
    is_filtered = rank > 0 and dtype.kind in "biufc" and draw(st.sampled_from([True, True, False]))
    makers = [_any_elements, _few_elements]
    if is_filtered and dtype.kind != "b":
        makers = [_near_elements]
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    data = draw(st.sampled_from(makers))(dtype, int(np.prod(shape)), random).reshape(shape)
    has_fill_value = draw(st.booleans())
    codecs = _zarr2_codecs if zarr_format == 2 else _zarr3_codecs
    return Stored(
        data, tuple(chunks), **codecs(draw, data, int(np.prod(chunks)), is_filtered=is_filtered),
        has_fill_value=has_fill_value,
    )  # fmt: skip


def _zarr2_codecs(draw: st.DrawFn, data: Array, count: int, *, is_filtered: bool) -> dict[str, Any]:
    """Draw the codecs of an array whose chunks have a number of elements."""
    dtype, filters = data.dtype, list[Configuration]()
    if dtype.kind == "U" and draw(st.booleans()):
        labels = np.unique(data)[:5].tolist()
        filters.append({"id": "categorize", "labels": labels, "dtype": dtype.str, "astype": "|u1"})
        dtype = np.dtype("u1")
    while is_filtered and len(filters) < 2:
        name, settings, dtype = _number_filter(draw, dtype)
        filters.append({"id": name, **settings})
        if name == "packbits":
            count = _packed(count)
        is_filtered = name != "packbits" and draw(st.booleans())
    size: int | None = count * dtype.itemsize
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        filters.append(_bytes_codec(draw, _NUMCODECS, size))
        size = None
    compressors = [_bytes_codec(draw, _COMPRESSORS)] if draw(st.booleans()) else []
    # numcodecs gives the result of `bitround` in C order, so that zarr-python cannot read its own.
    is_unordered = any(each["id"] == "bitround" for each in filters)
    order = "C" if is_unordered else draw(st.sampled_from("CF"))
    return {"filters": filters, "compressors": compressors, "order": order}


def _packed(count: int) -> int:
    """Give the bytes of booleans after `packbits`."""
    return 1 + -(-count // 8)


def _zarr3_filters(
    draw: st.DrawFn, data: Array, *, is_filtered: bool
) -> tuple[list[Configuration], np.dtype[Any]]:
    """Draw array-to-array codecs, and give the type that they give."""
    dtype, rank, filters = data.dtype, data.ndim, list[Configuration]()
    for _ in range(draw(st.sampled_from([0, 1, 2, 2]))):
        if rank and draw(st.sampled_from([True, False, False])):
            order = draw(st.permutations(range(rank)))
            filters.append({"name": "transpose", "configuration": {"order": order}})
        elif is_filtered and dtype.kind in "iuf" and draw(st.booleans()):
            configuration, dtype = _zarr3_filter(draw, dtype)
            filters.append(configuration)
        elif is_filtered:
            name, settings, stored = _number_filter(draw, dtype)
            if name == "quantize":  # whose types zarr-python does not take into account
                if not dtype.isnative:
                    continue
                settings["astype"], stored = dtype.str, dtype
            filters.append(_zarr3({"id": name, **settings}))
            dtype = stored
            if name == "packbits":
                break
    return filters, dtype


def _zarr3_codecs(draw: st.DrawFn, data: Array, count: int, *, is_filtered: bool) -> dict[str, Any]:
    """Draw the codecs of an array whose chunks have a number of elements."""
    filters, dtype = _zarr3_filters(draw, data, is_filtered=is_filtered)
    if dtype != data.dtype and data.dtype.kind == "b":
        count = _packed(count)
    endian = draw(st.sampled_from(["little", "big"]))
    serializer: Configuration = {"name": "bytes", "configuration": {"endian": endian}}
    size: int | None = count * dtype.itemsize
    is_number = dtype.kind in "iuf" and dtype.itemsize > 1 and dtype.isnative
    if is_number and draw(st.sampled_from([False, False, True])):
        serializer, size = _zarr3({"id": "pcodec", **draw(_PCODEC)}), None
    names = {*_NUMCODECS} - {*NATIVE}
    if any(each["name"] == "cast_value" for each in filters):
        # cast-value-rs panics at elements that are not aligned, as they are behind a checksum.
        names -= {"adler32", "crc32", "crc32c", "jenkins_lookup3"}
    compressors = []
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        if draw(st.booleans()):
            name = draw(st.sampled_from(tuple(_ZARR)))
            compressors.append({"name": name, "configuration": draw(_ZARR[name])})
        else:
            compressors.append(_zarr3(_bytes_codec(draw, names, size)))
        size = None
    return {"filters": filters, "serializer": serializer, "compressors": compressors}
