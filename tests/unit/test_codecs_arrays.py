"""Arrays and buffers that codecs encode, and those that they decode to or fill."""

import array
import ctypes
import io
import mmap
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numcodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chonkle import executor
from chonkle.codecs import ChunkCodec, codec, get_codecs
from chonkle.errors import CodecError, PipelineError

RAW = bytes(range(96))
# What changes the bytes by the size of an element only.
SHUFFLE = [{"name": "numcodecs.shuffle"}]
LITTLE: list[Any] = [{"name": "bytes", "configuration": {"endian": "little"}}, "zlib"]
BIG: list[Any] = [{"name": "bytes", "configuration": {"endian": "big"}}, "zlib"]

type Array = np.ndarray[Any, Any]


def field() -> Array:
    return np.arange(24, dtype="<i4").reshape(4, 6) - 7


DTYPES = [
    "?", "i1", "u1", "<i2", ">i2", "<u4", ">u4", "<i8", ">u8", "<f2", ">f4", "<f8", ">f8", "<c8",
    ">c16", "<M8[ns]", ">M8[D]", "<m8[25us]", "S5", "<U3", ">U3", "V6",
    [("a", "<u2"), ("b", ">f8")], [("a", "u1"), ("b", "<i4", (2, 3))],
    [("n", [("x", "<f4"), ("y", "<f4")]), ("t", "<M8[s]")],
]  # fmt: skip


def filled(dtype: Any, shape: tuple[int, ...] = (3, 4)) -> Array:
    """Give an array of a dtype, of bytes that are all different."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    if dtype.kind == "U":
        texts = [chr(65 + index % 26) * (1 + index % 3) for index in range(count)]
        return np.array(texts, dtype).reshape(shape)
    values = np.arange(count * dtype.itemsize, dtype="u4") * 7 % 251
    if dtype.kind == "b":
        values %= 2
    found: Array = values.astype("u1").view(dtype).reshape(shape)
    return found


def mapped(data: bytes) -> mmap.mmap:
    found = mmap.mmap(-1, len(data))
    found[:] = data
    return found


def read_only() -> Array:
    out = np.zeros((4, 6), ">i4")
    out.flags.writeable = False
    return out


def same(found: Any, expected: Array) -> bool:
    """Compare with the dtype, and bits, not values: a NaN is one."""
    is_same = found.dtype == expected.dtype and found.shape == expected.shape
    return bool(is_same and found.tobytes() == expected.tobytes())


# What is encoded


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(12,), (3, 4), (1, 2, 6), (), (0,), (3, 0)], ids=str)
def test_arrays_of_every_dtype_come_back(dtype: Any, shape: tuple[int, ...]) -> None:
    given = filled(dtype, shape)
    for made in (codec("zlib"), codec(SHUFFLE), codec(LITTLE), codec(BIG)):
        encoded = made.encode(given)
        decoded = made.decode(encoded, dtype=dtype, shape=shape)
        assert same(decoded, given)
        assert decoded.flags.writeable
        assert decoded.flags.owndata or decoded.base.flags.owndata
        # Into an array of the caller's, which says what it is.
        out = np.zeros_like(given)
        assert made.decode(encoded, out) is out
        assert same(out, given)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_encoded_bytes_are_the_elements_in_c_order(dtype: Any) -> None:
    given = filled(dtype)
    assert zlib.decompress(codec("zlib").encode(given)) == given.tobytes()
    for made, order in ((codec(LITTLE), "<"), (codec(BIG), ">")):
        swapped = given.astype(given.dtype.newbyteorder(order))
        assert zlib.decompress(made.encode(given)) == swapped.tobytes()


@pytest.mark.parametrize("dtype", [">i4", ">f8", "<u2", [("a", ">i2"), ("b", "<f4")]], ids=str)
@pytest.mark.parametrize("made", [LITTLE, BIG, SHUFFLE, ["pcodec"]], ids=str)
def test_described_bytes_are_encoded_as_the_array(made: Any, dtype: Any) -> None:
    given, made = filled(dtype), codec(made)
    if given.dtype.names and made.codec_ids() == ["pcodec"]:
        return  # numbers only
    expected = made.encode(given)
    for data in (given.tobytes(), bytearray(given.tobytes()), given.reshape(-1).view("u1")):
        assert made.encode(data, dtype=dtype, shape=given.shape) == expected


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "?"], ids=str)
@pytest.mark.parametrize("made", [LITTLE, BIG, SHUFFLE], ids=str)
def test_a_bound_codec_encodes_and_decodes_as_a_free_one(made: Any, dtype: Any) -> None:
    given, made = filled(dtype), codec(made)
    bound = made.bind(given.dtype, given.shape)
    encoded = made.encode(given)
    for order in "<>":
        assert bound.encode(given.astype(given.dtype.newbyteorder(order))) == encoded
    copies: dict[int, Any] = {}
    bound.decode_with([encoded] * 3, lambda index, view: copies.setdefault(index, view.copy()))
    assert sorted(copies) == [0, 1, 2]
    for copied in copies.values():
        assert same(copied.astype(given.dtype), given)


def test_a_bound_codec_refuses_elements_of_another_type() -> None:
    with pytest.raises(PipelineError, match="another type of elements, expected `int32`"):
        codec(LITTLE).bind("<i4", 3).encode(np.zeros(3))


@pytest.mark.parametrize("endian", [LITTLE, BIG], ids=["little", "big"])
@pytest.mark.parametrize("stored", ["<i4", ">i4", "<i8"])
@pytest.mark.parametrize("order", "<>")
def test_filters_before_bytes_may_have_any_byte_order(
    endian: list[Any], stored: str, order: str
) -> None:
    """zarr-python stores numbers: the order of the types of a filter makes no difference."""
    settings = {"dtype": "<i4", "astype": stored.replace(">", "<")}
    usual = codec([{"name": "numcodecs.delta", "configuration": settings}, *endian])
    given = field()
    chunk = usual.encode(given)
    settings = {"dtype": f"{order}i4", "astype": stored}
    chain = codec([{"name": "numcodecs.delta", "configuration": settings}, *endian])
    for each in "<>":
        array = given.astype(f"{each}i4")
        assert chain.encode(array) == chunk
        assert same(chain.decode(chunk, dtype=array.dtype, shape=array.shape), array)


@pytest.mark.parametrize(
    "given",
    [
        np.asfortranarray(field()),
        field().T,
        field()[::2],
        field()[:, 1:4],
        field()[::-1],
        np.broadcast_to(np.int32(7), (3, 3)),
        np.lib.stride_tricks.sliding_window_view(np.arange(6, dtype="<i4"), 3),
        np.ma.masked_array(field(), field() > 3),
        field().view(np.recarray),
        memoryview(field()),
        memoryview(RAW).cast("B", (8, 12)),
        array.array("i", range(10)),
        (ctypes.c_int32 * 5)(1, 2, 3),
        np.int32(5),
    ],
    ids=lambda each: type(each).__name__,
)
def test_arrays_of_every_layout_are_encoded_in_c_order(given: Any) -> None:
    expected = np.ascontiguousarray(np.asarray(given))
    assert zlib.decompress(codec("zlib").encode(given)) == expected.tobytes()
    shuffled = numcodecs.Shuffle(expected.itemsize).encode(expected.reshape(-1))
    assert codec(SHUFFLE).encode(given) == bytes(shuffled)


class Wrapped:
    """An array of another library."""

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __array__(self, dtype: Any = None, *, copy: Any = None) -> Array:
        if isinstance(self.inner, Exception):
            raise self.inner
        return np.asarray(self.inner)


def test_arrays_of_other_libraries_are_arrays() -> None:
    assert codec(SHUFFLE).encode(Wrapped(field())) == codec(SHUFFLE).encode(field())
    with pytest.raises(PipelineError) as caught:
        codec("zlib").encode(Wrapped(RuntimeError("on another device")))
    assert str(caught.value) == (
        "an array that NumPy cannot read, got Wrapped (RuntimeError: on another device)"
    )


@pytest.mark.parametrize(
    "make",
    [bytes, bytearray, memoryview, lambda data: array.array("B", data), mapped],
    ids=["bytes", "bytearray", "memoryview", "array", "mmap"],
)
def test_bytes_of_every_kind_are_encoded_and_decoded(make: Callable[[bytes], Any]) -> None:
    made = codec("zlib")
    assert zlib.decompress(made.encode(make(RAW))) == RAW
    assert made.decode(make(zlib.compress(RAW))) == RAW
    assert type(made.decode(make(zlib.compress(RAW)))) is bytes
    # They are no array, and say nothing about its elements.
    with pytest.raises(PipelineError, match="`elementsize` has no value"):
        codec(SHUFFLE).encode(make(RAW))
    assert codec(SHUFFLE).encode(make(RAW), dtype="i4") == codec(SHUFFLE).encode(
        np.frombuffer(RAW, "i4")
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.array([1, "a"], object), "Python objects or addresses"),
        (np.array([1, 2], np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else 1, ""),
        (memoryview(RAW)[::2], "not contiguous in C order"),
        ([1, 2, 3], "not a buffer"),
        ("text", "not a buffer"),
        (1.5, "not a buffer"),
    ],
    ids=["objects", "strings", "gaps", "list", "text", "number"],
)
def test_what_has_no_bytes_is_refused(given: Any, words: str) -> None:
    for call in (codec("zlib").encode, codec("zlib").decode, codec(LITTLE).encode):
        with pytest.raises(PipelineError) as caught:
            call(given)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_released_buffer_is_refused() -> None:
    view = memoryview(RAW)
    view.release()
    with pytest.raises(PipelineError, match="not a buffer"):
        codec("zlib").encode(view)


# What is copied


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Give the data of each run."""
    found: list[Any] = []
    run = executor.run

    def noted(prepared: Any, inputs: Any, **options: Any) -> Any:
        found.append(inputs["bytes"])
        return run(prepared, inputs, **options)

    monkeypatch.setattr(executor, "run", noted)
    yield found
    found.clear()


def shares(seen: Any, given: Any) -> bool:
    return np.shares_memory(np.frombuffer(seen, "u1"), np.asarray(given).reshape(-1).view("u1"))


@pytest.mark.parametrize(
    ("made", "given", "is_copied"),
    [
        ("zlib", bytearray(RAW), False),
        ("zlib", field(), False),
        ("zlib", field().astype(">i4"), False),
        ("zlib", filled("<M8[ns]"), False),
        ("zlib", filled([("a", "<u2"), ("b", ">f8")]), False),
        (LITTLE, field(), False),
        (BIG, field(), False),
        (LITTLE, field().astype(">i4"), True),
        ("zlib", np.asfortranarray(field()), True),
        ("zlib", field()[::2], True),
        ("zlib", field()[1:3], False),
    ],
    ids=lambda each: getattr(getattr(each, "dtype", None), "str", type(each).__name__),
)
def test_only_what_must_be_is_copied(
    seen: list[Any],
    made: Any,
    given: Any,
    is_copied: bool,  # noqa: FBT001 - a column of the table
) -> None:
    codec(made).encode(given)
    assert shares(seen[0], given) is not is_copied


# Arrays that parameters are taken from


def test_parameters_are_taken_from_the_array() -> None:
    wide = np.arange(20, dtype="<u8").reshape(4, 5)
    for each in (wide, wide.astype("<u2"), wide.astype("<c16")):
        shuffled = codec("shuffle").encode(each)
        assert shuffled == bytes(numcodecs.Shuffle(each.itemsize).encode(each.reshape(-1)))
    # By the type that is before a codec in its chain.
    chain = codec(
        [
            {"name": "numcodecs.delta", "configuration": {"dtype": "<u8", "astype": "<u2"}},
            {"name": "numcodecs.shuffle"},
        ]
    )
    assert chain.encode(wide) == bytes(
        numcodecs.Shuffle(2).encode(numcodecs.Delta("<u8", "<u2").encode(wide.reshape(-1)))
    )
    out = np.zeros_like(wide)
    assert (chain.decode(chain.encode(wide), out) == wide).all()
    # By shape.
    predictor = codec("tiff-predictor-2")
    tile = wide.astype("<u2")
    differences = np.diff(tile, axis=1, prepend=np.zeros((4, 1), "<u2"))
    assert predictor.encode(tile) == differences.astype("<u2").tobytes()
    assert (predictor.decode(differences.astype("<u2"), np.zeros_like(tile)) == tile).all()


def strip_of(image: np.ndarray[Any, Any], predictor: int, **options: Any) -> bytes:
    """Give the only strip of a TIFF that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, image, predictor=predictor, compression="zlib", **options)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        tiff.filehandle.seek(page.dataoffsets[0])
        return bytes(tiff.filehandle.read(page.databytecounts[0]))


@pytest.mark.parametrize(
    ("predictor", "dtype"),
    [(2, "|u1"), (2, "<u2"), (2, ">u2"), (3, "<f4"), (3, ">f4")],
)
def test_predictors_take_pixels_and_byte_order_from_the_array(predictor: int, dtype: str) -> None:
    image = np.random.default_rng(1).integers(0, 99, (6, 8, 3)).astype(dtype)
    order = "big" if dtype[0] == ">" else "little"
    options = {"byteorder": ">" if order == "big" else "<"}
    name = f"tiff-predictor-{predictor}"
    gray, rgb = image[:, :, 0].copy(), codec([codec(name, samples_per_pixel=3), 8])
    stored = strip_of(image, predictor, photometric="rgb", **options)
    assert (rgb.decode(stored, dtype=dtype, shape=image.shape) == image).all()
    assert zlib.decompress(rgb.encode(image)) == zlib.decompress(stored)
    stored = strip_of(gray, predictor, **options)
    for chain in (
        codec([name, 8]),
        codec([{"id": name}, 8]),
        codec([codec(name, byte_order=order), 8]),
    ):
        assert (chain.decode(stored, np.zeros_like(gray)) == gray).all()
        assert zlib.decompress(chain.encode(gray)) == zlib.decompress(stored)
    for each in (codec(name), codec(name, width=8)):
        with pytest.raises(PipelineError, match=r"hint: give .*`samples_per_pixel`$"):
            codec([each, 8]).encode(image)
    if dtype[0] != "|":
        other = "little" if order == "big" else "big"
        with pytest.raises(PipelineError, match="not the byte order of the array"):
            codec([codec(name, byte_order=other), 8]).decode(stored, dtype=dtype, shape=gray.shape)


def test_what_is_given_comes_before_the_array() -> None:
    given = np.arange(8, dtype="<u4")
    for made in (codec("shuffle", elementsize=2), codec({"id": "shuffle", "elementsize": 2})):
        assert made.encode(given) == bytes(numcodecs.Shuffle(2).encode(given))
    # numcodecs has a default instead of the array.
    assert codec({"id": "shuffle"}).encode(given.astype("<u8")) == bytes(
        numcodecs.Shuffle().encode(given.astype("<u8"))
    )
    # What the caller says comes before what the data are.
    assert codec("shuffle").encode(given, dtype="u2") == bytes(numcodecs.Shuffle(2).encode(given))


def test_one_codec_serves_arrays_of_many_types_and_shapes() -> None:
    made = codec("transpose", order=[1, 0])
    for rows in range(1, 40):
        for dtype in ("<u2", ">f8"):
            given = filled(dtype, (rows, 3))
            assert made.encode(given) == np.ascontiguousarray(given.T).tobytes()
            assert same(made.decode(made.encode(given), dtype=dtype, shape=given.shape), given)


# What is decoded to


def test_without_a_dtype_bytes_are_given() -> None:
    assert codec("zlib").decode(zlib.compress(RAW)) == RAW
    assert codec(BIG).decode(codec(BIG).encode(field()), np.empty_like(field())).dtype == "<i4"


@pytest.mark.parametrize("dtype", ["<u2", "uint16", np.uint16, np.dtype(">u2"), "float32", "M8[s]"])
def test_a_dtype_makes_an_array_of_one_axis(dtype: Any) -> None:
    found = codec("zlib").decode(zlib.compress(RAW), dtype=dtype)
    assert same(found, np.frombuffer(RAW, dtype))
    found[0] = 0  # it is the caller's


@pytest.mark.parametrize("shape", [(2, 12), [2, 12], np.array([2, 12]), (np.int8(2), 12)])
def test_shapes_are_numbers_of_every_kind(shape: Any) -> None:
    found = codec("zlib").decode(zlib.compress(RAW), dtype="<u4", shape=shape)
    assert found.shape == (2, 12)
    assert codec("zlib").decode(zlib.compress(RAW), dtype="<u4", shape=24).shape == (24,)


def test_the_array_of_a_list_is_what_it_decodes_to() -> None:
    entry = {
        "name": "bytes",
        "configuration": {"endian": "big", "data_type": ">i4", "shape": [4, 6]},
    }
    made = get_codecs({"codecs": [entry, {"name": "zlib", "type": "numcodecs"}]})
    assert made.encode(field()) == zlib.compress(field().astype(">i4").tobytes(), 1)
    found = made.decode(zlib.compress(field().astype(">i4").tobytes()))
    assert same(found, field().astype(">i4"))
    # What is given comes first.
    assert made.decode(made.encode(field()), shape=(24,)).shape == (24,)
    assert same(made.decode(made.encode(field()), dtype="<i4", shape=(4, 6)), field())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "nonsense"}, "bad dtype, expected a type such as `<u2` or `float32`"),
        ({"dtype": object}, "bad dtype"),
        ({"dtype": "<u2", "shape": (-1,)}, "bad `shape`, expected a list of whole numbers"),
        ({"dtype": "<u2", "shape": "3"}, "bad `shape`"),
        ({"dtype": "<u2", "shape": (1.5,)}, "bad `shape`"),
        ({"dtype": "<u2", "shape": (2**40, 2**40)}, "bad `shape`"),
        ({"shape": (3,)}, "`shape` without `dtype`"),
        (
            {"dtype": "<u2", "shape": (3, 3)},
            'expected 18 bytes, for "<u2" of shape (3, 3), got 96 bytes',
        ),
        ({"dtype": "S5"}, "expected a multiple of 5 bytes, got 96 bytes"),
        ({"dtype": "u1", "shape": ()}, "expected 1 bytes"),
    ],
)
def test_an_array_that_does_not_fit_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        codec("zlib").decode(zlib.compress(RAW), **options)
    assert words in str(caught.value)
    assert "out:" not in str(caught.value)
    assert "\n" not in str(caught.value)


# What is filled


@pytest.mark.parametrize(
    "make",
    [
        bytearray,
        lambda size: memoryview(bytearray(size)),
        lambda size: array.array("d", bytes(size)),
        lambda size: np.zeros(size, "u1"),
        lambda size: np.zeros(size // 8, ">f8"),
        lambda size: np.zeros((4, size // 32), "<M8[ns]"),
        lambda size: np.zeros(1, [("a", "u1", size)]),
        lambda size: mmap.mmap(-1, size),
        lambda size: (ctypes.c_char * size)(),
        lambda size: np.zeros(3 * size, "u1")[size : 2 * size],
    ],
    ids=["bytearray", "memoryview", "array", "u1", "f8", "M8", "V", "mmap", "ctypes", "slice"],
)
def test_buffers_of_every_kind_are_filled(make: Callable[[int], Any]) -> None:
    out = make(len(RAW))
    for made in (codec("zlib"), codec(["adler32", "zlib"])):
        data = made.encode(RAW)
        assert made.decode(data, out) is out
        assert bytes(
            memoryview(out).cast("B") if not hasattr(out, "tobytes") else out.tobytes()
        ) == (RAW)


@pytest.mark.parametrize("made", [LITTLE, BIG, "zlib"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: bytearray(95), "another size than the result, so nothing was written"),
        (lambda: np.zeros(25, ">i4"), "another size than the result, so nothing was written"),
        (lambda: np.zeros((0, 6), ">i4"), "another size than the result, so nothing was written"),
        (lambda: bytes(96), "read-only, expected a writable buffer"),
        (read_only, "read-only, expected a writable buffer"),
        (lambda: np.zeros((6, 4), ">i4").T, "not contiguous in C order"),
        (lambda: np.zeros(48, ">i4")[::2], "not contiguous in C order"),
        (lambda: [0] * 24, "not a buffer"),
        (lambda: "text", "not a buffer"),
        (lambda: np.zeros(24, object), "Python objects or addresses"),
    ],
    ids=["95", "100", "0", "bytes", "read-only", "F", "gaps", "list", "text", "objects"],
)
def test_a_buffer_that_cannot_be_filled_is_refused_and_untouched(
    made: Any, make: Callable[[], Any], words: str
) -> None:
    chain = codec(made)
    encoded = chain.encode(field().astype(">i4"))
    out = make()
    before = bytes(out) if isinstance(out, (bytes, bytearray)) else repr(out)
    with pytest.raises(PipelineError) as caught:
        chain.decode(encoded, out)
    if made is BIG and isinstance(out, bytearray):
        # Bytes do not say what an element is.
        words = "`dtype` has no value"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (bytes(out) if isinstance(out, (bytes, bytearray)) else repr(out)) == before
    if isinstance(out, bytearray):
        out.extend(b"no view is left")


def test_nothing_is_written_when_a_codec_fails() -> None:
    for made in (codec("zlib"), codec(LITTLE)):
        out = np.full((4, 6), 3, ">i4")
        with pytest.raises(CodecError):
            made.decode(b"no", out)
        assert (out == 3).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("made", [LITTLE, BIG])
def test_a_buffer_gets_its_own_byte_order(made: Any, order: str) -> None:
    encoded = codec(made).encode(field())
    out = np.zeros((4, 6), f"{order}i4")
    assert codec(made).decode(encoded, out) is out
    assert (out == field()).all()
    # Bytes get what they are asked for.
    raw = bytearray(96)
    assert codec(made).decode(encoded, raw, dtype=f"{order}i4", shape=(4, 6)) is raw
    assert raw == field().astype(f"{order}i4").tobytes()


def test_data_may_be_overwritten_by_what_they_decode_to() -> None:
    data = bytearray(codec("delta", dtype="<u2").encode(np.arange(9, dtype="<u2")))
    made = codec("delta", dtype="<u2")
    assert made.decode(data, data) is data
    assert data == np.arange(9, dtype="<u2").tobytes()
    swapped = np.arange(9, dtype=">u2")
    codec(LITTLE[:1]).decode(swapped, swapped)
    assert swapped.tolist() == [256 * each for each in range(9)]


# Many


def chunks_of(count: int) -> list[Array]:
    row = np.arange(7, dtype=">f4")
    return [np.full((5, 7), row + index, ">f4") for index in range(count)]


@pytest.mark.parametrize("threads", [None, 1, 2, np.int64(3), 16])
def test_many_are_in_the_order_of_the_chunks(threads: Any) -> None:
    made = codec([*SHUFFLE, *BIG])
    given = chunks_of(50)
    encoded = made.encode_many(given, threads=threads)
    assert encoded == [made.encode(each) for each in given]
    decoded = made.decode_many(iter(encoded), threads=threads, dtype=">f4", shape=(5, 7))
    assert all(map(same, decoded, given))
    outs = [np.zeros((5, 7), ">f4") for _ in given]
    filled = made.decode_many(encoded, outs, threads=threads)
    assert all(each is out for each, out in zip(filled, outs, strict=True))
    assert all(map(same, outs, given))
    assert (
        made.decode_many([], threads=threads) == made.encode_many(iter(()), threads=threads) == []
    )
    plain = codec("zlib").decode_many([zlib.compress(RAW)] * 3, threads=threads)
    assert plain == [RAW] * 3


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_first_chunk_that_failed_is_named(threads: int) -> None:
    made = codec("zlib")
    encoded = made.encode_many([RAW] * 40)
    encoded[7] = encoded[23] = b"no"
    with pytest.raises(CodecError) as caught:
        made.decode_many(encoded, threads=threads)
    assert str(caught.value).startswith("chunk 7: codec `zlib` (zlib-rs@1.0.0, core), decode: ")
    with pytest.raises(PipelineError, match=r"^chunk 1: codec `zlib`: input `bytes`: not a buffer"):
        made.encode_many([RAW, None, RAW], threads=threads)
    outs = [bytearray(len(RAW)), bytearray(1)]
    with pytest.raises(PipelineError, match=r"^chunk 1: codec `zlib`: out: buffer of output"):
        made.decode_many([zlib.compress(RAW)] * 2, outs, threads=threads)
    assert outs[0] == RAW if threads == 1 else outs[1] == b"\0"
    # They work again.
    assert made.decode_many([zlib.compress(RAW)], threads=threads) == [RAW]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, 1025])
def test_a_number_of_threads_is_checked(threads: Any) -> None:
    for call in (codec("zlib").encode_many, codec("zlib").decode_many):
        with pytest.raises(PipelineError, match=r"^bad `threads`, expected 1 to 1024, got "):
            call([], threads=threads)


def test_chunks_and_outs_are_counted() -> None:
    made = codec("zlib")
    for call in (made.encode_many, made.decode_many):
        with pytest.raises(PipelineError, match=r"^the chunks cannot be iterated over"):
            call(5)  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match=r"^the outs cannot be iterated over"):
        made.decode_many([], 5)  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match=r"^not one `out` for each chunk, expected 2, got 1$"):
        made.decode_many([RAW, RAW], [None])


# Any array


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    scalars = (
        hnp.integer_dtypes()
        | hnp.floating_dtypes(sizes=(16, 32, 64))
        | hnp.complex_number_dtypes(sizes=(64, 128))
        | hnp.datetime64_dtypes()
        | hnp.boolean_dtypes()
        | hnp.unicode_string_dtypes(max_len=4)
        | hnp.byte_string_dtypes(max_len=4)
    )
    structured = hnp.array_dtypes(subtype_strategy=scalars, allow_subarrays=True)
    # No C program reads a NUL in the name of a field.
    dtype = draw(scalars | structured.filter(lambda dtype: "\\x00" not in repr(dtype)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    given: Array = draw(hnp.arrays(dtype, shape))
    return given.T if draw(st.booleans()) else given


@given(arrays())
def test_any_array_comes_back(given: Array) -> None:
    for made in MADE:
        encoded = made.encode(given)
        decoded = made.decode(encoded, dtype=given.dtype, shape=given.shape)
        # Titles of fields are not kept.
        assert decoded.shape == given.shape
        assert decoded.tobytes() == given.tobytes()


MADE: list[ChunkCodec] = [codec([*LITTLE[:1], "lz4"]), codec([*SHUFFLE, *BIG[:1]])]


def test_the_order_of_this_machine_is_usual() -> None:
    # Tests above write `<` for what is not copied.
    assert sys.byteorder == "little"


def test_bytes_are_of_the_type_that_they_are_said_to_be() -> None:
    big = field().astype(">i4")
    for made in (codec(LITTLE), codec(BIG)):
        encoded = made.encode(big)
        assert made.encode(big.tobytes(), dtype=">i4") == encoded
        assert made.encode(bytearray(field().tobytes()), dtype="<i4") == encoded
        assert made.decode(encoded, dtype=">i4", shape=(4, 6)).tobytes() == big.tobytes()
    with pytest.raises(PipelineError, match="expected a multiple of 4 bytes, got 3 bytes"):
        codec(BIG).encode(b"abc", dtype=">i4")
    with pytest.raises(PipelineError, match=r"^data: not a buffer"):
        codec(BIG).encode([1], dtype=">i4")


@pytest.mark.parametrize("data_type", ["<i4", ">i4"])
def test_the_array_of_a_list_is_what_it_encodes(data_type: str) -> None:
    described = {"endian": "big", "data_type": data_type, "shape": [4, 6]}
    made = get_codecs({"codecs": [{"name": "bytes", "configuration": described}, "zlib"]})
    encoded = made.encode(field())
    assert encoded == made.encode(field().astype(">i4"))
    # Raw elements are in the byte order of the list.
    assert encoded == made.encode(field().astype(data_type).tobytes())
    assert zlib.decompress(encoded) == field().astype(">i4").tobytes()
    for wrong in (field().astype("<u4"), field().astype("<i8"), field().T, field()[:2]):
        with pytest.raises(
            PipelineError, match=r"^not the array that the codecs are for, expected"
        ):
            made.encode(wrong)
    with pytest.raises(PipelineError) as caught:
        made.encode(bytes(95))
    assert str(caught.value) == (
        "the data does not have the size of the array, expected 96 bytes, for "
        f'"{data_type}" of shape (4, 6), got 95 bytes'
    )
    # Unless another array is named.
    assert zlib.decompress(made.encode(field()[:2], dtype="<i4", shape=(2, 6))) == (
        field()[:2].astype(">i4").tobytes()
    )
