"""Chunks that are corrupt, codecs that mean harm, metadata that are wrong: one clear error each."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
import zarr
from zarr.core.buffer import default_buffer_prototype

import chonkle.zarr
from chonkle.errors import (
    ChonkleError,
    CodecError,
    CodecTrap,
    LimitExceeded,
    PipelineError,
    ResolveError,
)
from chonkle.formats.signature import Signature, embed_signature

pytestmark = pytest.mark.filterwarnings(
    "ignore:Numcodecs codecs are not in:UserWarning",
    "ignore:Duplicate name:UserWarning",  # a zip file that is written twice
)

_DATA = np.arange(64, dtype="<i4").reshape(8, 8)
# A codec that changes nothing when it encodes: the port-map that it gets is the one that it gives.
_GUEST = """(module (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (func (export "alloc") (param $size i32) (result i32) (local $start i32)
    (local.set $start (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (local.get $start))
  (func (export "dealloc") (param i32 i32) (global.set $free (i32.const 1024)))
  (func (export "encode") (param $at i32) (param $size i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
      (i64.extend_i32_u (local.get $size))))
  (func (export "decode") (param $at i32) (param $size i32) (result i64) {decode}))"""
_LOOP = "(loop $again (br $again)) unreachable"
_GROW = (
    "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 256)) (i32.const -1)))) unreachable"
)


@pytest.fixture(params=["memory", "local", "zip", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "local":
        return zarr.storage.LocalStore(tmp_path)
    if request.param == "zip":
        return zarr.storage.ZipStore(tmp_path / "array.zip", mode="w")
    if request.param == "fsspec":
        return zarr.storage.FsspecStore.from_url(f"memory://{tmp_path}")
    return zarr.storage.MemoryStore()


def _put(store: Any, key: str, data: bytes) -> None:
    buffer = default_buffer_prototype().buffer.from_bytes(data)
    zarr.core.sync.sync(store.set(key, buffer))


def _get(store: Any, key: str) -> bytes:
    found: bytes = zarr.core.sync.sync(store.get(key, default_buffer_prototype())).to_bytes()
    return found


@pytest.mark.parametrize(
    ("settings", "key", "codec"),
    [
        ({}, "array/c/1/1", "zstd"),
        (
            {
                "filters": {"name": "numcodecs.delta", "configuration": {"dtype": "<i4"}},
                "compressors": {"name": "numcodecs.zlib", "configuration": {"level": 1}},
            },
            "array/c/1/1",
            "codec 2: codec `zlib`",
        ),
        ({"zarr_format": 2, "compressors": {"id": "blosc"}}, "array/1.1", "blosc"),
        ({"shards": (4, 4), "chunks": (2, 2)}, "array/c/1/1", "crc32c"),
        ({"dtype": str}, "array/c/1/1", "zstd"),
    ],
)
def test_a_corrupt_chunk(store: Any, settings: dict[str, Any], key: str, codec: str) -> None:
    data = _DATA.astype(str).astype(object) if settings.get("dtype") is str else _DATA
    with chonkle.zarr.using():
        array = zarr.create_array(
            store,
            name="array",
            **{"shape": data.shape, "chunks": (4, 4), "dtype": "<i4", **settings},
        )
        array[...] = data
        _put(store, key, b"\x12garbage" * 16)
        for call in (
            lambda: array[...],
            lambda: array[7, 7],
            lambda: array.get_coordinate_selection(([0, 7], [0, 7])),
            lambda: array.set_basic_selection((slice(6, 8), 7), data[6:, 7]),
        ):
            with pytest.raises(CodecError) as caught:
                call()
            assert f"{key}`" in str(caught.value)
            assert codec in str(caught.value)
        np.testing.assert_array_equal(np.asarray(array[:4]), data[:4])
        np.testing.assert_array_equal(np.asarray(array[:, :4]), data[:, :4])
        array[4:, 4:] = data[4:, 4:]  # whole chunks need not be read
        np.testing.assert_array_equal(np.asarray(array[...]), data)


_NO_CHUNK = (1 << 64) - 1


@pytest.mark.parametrize("codecs", [None, {"name": "zstd", "configuration": {"level": 1}}])
@pytest.mark.parametrize(
    "entry",
    [(10_000, 16), (0, 1 << 40), (1 << 63, 16), (_NO_CHUNK - 7, 16), (0, _NO_CHUNK)],
)
def test_an_index_that_leads_out_of_its_shard(
    store: Any, codecs: Any, entry: tuple[int, int]
) -> None:
    """zarr-python takes such inner chunks for missing ones, and loses them in the next write."""
    index = [{"name": "bytes", "configuration": {"endian": "little"}}]
    inner = [*index, *([codecs] if codecs else [])]
    shard: Any = {"chunk_shape": [2], "codecs": inner, "index_codecs": index}
    with chonkle.zarr.using():
        array = zarr.create_array(
            store,
            name="a",
            shape=8,
            chunks=4,
            dtype="<i4",
            serializer={"name": "sharding_indexed", "configuration": shard},
            compressors=None,
        )
        array[:] = range(8)
        stored = bytearray(_get(store, "a/c/1"))
        stored[-32:-16] = b"".join(each.to_bytes(8, "little") for each in entry)
        _put(store, "a/c/1", bytes(stored))
        for call in (
            lambda: array[:],
            lambda: array[4],
            lambda: array.set_basic_selection(5, 0),
            lambda: array.set_basic_selection(6, 0),
        ):
            # A zip file has an end of its own, which zarr-python reports in a group.
            with pytest.raises((ChonkleError, ExceptionGroup)) as caught:
                call()
            notes = getattr(caught.value, "__notes__", ())
            assert "a/c/1`" in " ".join([str(caught.value), *notes])
        np.testing.assert_array_equal(array[:4], range(4))
        assert _get(store, "a/c/1") == stored


@pytest.mark.parametrize("size", [0, 1, 20, 67])
def test_a_shard_that_is_cut_off(store: Any, size: int) -> None:
    with chonkle.zarr.using():
        array = zarr.create_array(store, name="a", shape=16, chunks=2, shards=8, dtype="<i4")
        array[:] = range(16)
        _put(store, "a/c/1", _get(store, "a/c/1")[:size])
        for call in (
            lambda: array[:],
            lambda: array[8],
            lambda: array.set_basic_selection(9, 0),
        ):
            # A zip file has an end of its own, which zarr-python reports in a group.
            with pytest.raises((CodecError, ExceptionGroup)) as caught:
                call()
            text = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
            assert "a/c/1`" in text
            if isinstance(caught.value, CodecError):
                assert "index of the shard: the shard is too short for it" in text
                assert f"expected 68 bytes, got {size} bytes" in text
        np.testing.assert_array_equal(array[:8], range(8))


def test_a_bad_index_is_no_bad_chunk(store: Any) -> None:
    with chonkle.zarr.using():
        array = zarr.create_array(store, name="a", shape=16, chunks=2, shards=8, dtype="<i4")
        array[:] = range(16)
        stored = _get(store, "a/c/1")
        _put(store, "a/c/1", stored[:-1] + bytes([stored[-1] ^ 1]))
        for selection in (slice(None), 8):
            with pytest.raises(CodecError, match=r"c/1`: index of the shard: .*`crc32c`.*checksum"):
                array[selection]


def test_a_chunk_of_another_size_is_no_array(store: Any) -> None:
    with chonkle.zarr.using():
        array = zarr.create_array(store, shape=8, chunks=4, dtype="<i4", compressors=None)
        array[:] = range(8)
        for data in (b"", b"123", bytes(12), bytes(20)):
            _put(store, "c/1", data)
            with pytest.raises(CodecError, match=r"c/1`: after decoding with `bytes`: .*size"):
                array[:]
        np.testing.assert_array_equal(array[:4], range(4))


def test_numbers_of_another_type_are_no_array(store: Any) -> None:
    with chonkle.zarr.using():
        zarr.create_array(
            store, shape=8, chunks=4, dtype="<f4", serializer={"name": "numcodecs.pcodec"}
        )[:] = np.arange(8)
        metadata = json.loads(_get(store, "zarr.json"))
        changed = {**metadata, "data_type": "int32", "fill_value": 0}
        _put(store, "zarr.json", json.dumps(changed).encode())
        with pytest.raises(CodecError, match=r"c/[01]`: .*`pcodec`.*`expected_dtype`, got f32"):
            zarr.open_array(store)[:]


def test_a_failure_of_zarr_pythons_own_codec_names_the_chunk(store: Any) -> None:
    with chonkle.zarr.using():
        array = zarr.create_array(store, shape=2, chunks=1, dtype=str, compressors=None)
        array[:] = ["a", "b"]
        _put(store, "c/1", b"\x01\0\0\0\xff\0\0\0a")
        with pytest.raises(Exception, match=r"corrupt") as caught:
            array[:]
        assert any("c/1`" in note for note in caught.value.__notes__)


@pytest.fixture
def guest(tmp_path: Path) -> Any:
    """Register a codec `test.guest` that does something when it decodes."""

    def register(decode: str) -> None:
        document = {
            "codec_id": "test.guest",
            "implementation": "guest-wat",
            "kind": "bytes-to-bytes",
            "inputs": {"bytes": {"type": "bytes"}},
            "outputs": {"bytes": {"type": "bytes"}},
        }
        wasm = bytes(wasmtime.wat2wasm(_GUEST.format(decode=decode)))
        path = tmp_path / "guest.wasm"
        path.write_bytes(embed_signature(wasm, Signature.from_json(document)))
        chonkle.zarr.register(path)

    return register


@pytest.mark.parametrize(
    ("decode", "options", "error", "text"),
    [
        (_LOOP, {"timeout_s": 0.3}, LimitExceeded, r"0\.3 s; hint: option `timeout_s`$"),
        (_GROW, {"memory_bytes": 1 << 22}, CodecTrap, "unreachable"),
        ("(i64.const 0)", {}, CodecError, "gave no message"),
        ("(i64.const -1)", {}, CodecTrap, "outside"),
    ],
)
def test_a_codec_that_means_harm(  # noqa: PLR0917 - fixtures and parameters
    store: Any,
    guest: Any,
    decode: str,
    options: dict[str, Any],
    error: type[ChonkleError],
    text: str,
) -> None:
    with chonkle.zarr.using(**options):
        guest(decode)
        bad = zarr.create_array(
            store,
            name="bad",
            shape=(8,),
            chunks=(1,),
            dtype="u1",
            compressors={"name": "chonkle.test.guest"},
        )
        bad[:] = 1
        begun = time.monotonic()
        with pytest.raises(error, match=text) as caught:
            bad[:]
        assert time.monotonic() - begun < 30
        assert "bad/c/" in str(caught.value)
        assert "test.guest" in str(caught.value)
        good = zarr.create_array(store, name="good", shape=(8,), chunks=(1,), dtype="u1")
        good[:] = 2
        np.testing.assert_array_equal(good[:], [2] * 8)


def test_memory_is_limited() -> None:
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(store, shape=1 << 24, chunks=1 << 24, dtype="u1", fill_value=1)
    array[:] = 0
    limited = chonkle.zarr.using(memory_bytes=1 << 22)
    with limited, pytest.raises(LimitExceeded, match=r"c/0`.*zstd.*option `memory_bytes`"):
        zarr.open_array(store)[:]
    with chonkle.zarr.using():
        assert not np.any(zarr.open_array(store)[:])


@pytest.mark.parametrize(
    ("codec", "error", "text"),
    [
        ({"name": "nowhere"}, zarr.errors.UnknownCodecError, "nowhere"),
        ({"name": "chonkle.nowhere"}, zarr.errors.UnknownCodecError, "nowhere"),
        ({"name": "gzip", "configuration": {"levle": 1}}, PipelineError, "`levle`.*`level`"),
        ({"name": "gzip", "configuration": {"level": 11}}, PipelineError, "level.*9"),
        ({"name": "gzip", "configuration": {"level": "1"}}, PipelineError, "level.*`int`"),
        ({"name": "blosc", "configuration": {"cname": "x"}}, PipelineError, "cname"),
        ({"name": "blosc", "configuration": {"shuffle": "x"}}, PipelineError, "noshuffle"),
    ],
)
def test_wrong_metadata(codec: dict[str, Any], error: type[Exception], text: str) -> None:
    store = zarr.storage.MemoryStore()
    zarr.create_array(store, shape=8, chunks=4, dtype="<i4")
    document = json.loads(store._store_dict["zarr.json"].to_bytes())  # noqa: SLF001
    document["codecs"][1] = codec
    _put(store, "zarr.json", json.dumps(document).encode())
    with chonkle.zarr.using(), pytest.raises(error, match=text):
        zarr.open_array(store)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"filters": {"name": "transpose", "configuration": {"order": [0, 1, 2]}}},
            r"order.*\(0, 1, 2\)",
        ),
        (
            {"filters": {"name": "transpose", "configuration": {"order": [1, 1]}}},
            r"order.*\(1, 1\)",
        ),
        # Zarr 3 has no byte order that a reader may assume.
        ({"serializer": {"name": "bytes"}}, "endian"),
        (
            {
                "dtype": "M8[s]",
                "filters": {"name": "scale_offset", "configuration": {"offset": 1, "scale": 1}},
            },
            "scale_offset.*integer",
        ),
    ],
)
def test_a_codec_that_does_not_fit_the_array(
    settings: dict[str, Any], text: str, *, strict: bool
) -> None:
    store = zarr.storage.MemoryStore()
    with chonkle.zarr.using(strict=strict), pytest.raises(ValueError, match=text):
        zarr.create_array(store, **{"shape": (8, 8), "chunks": (4, 4), "dtype": "<i4", **settings})
    assert store._store_dict == {}  # noqa: SLF001


def test_an_unknown_codec_of_zarr_2() -> None:
    store = zarr.storage.MemoryStore()
    zarr.create_array(store, shape=8, chunks=4, dtype="<i4", zarr_format=2)
    document = json.loads(store._store_dict[".zarray"].to_bytes())  # noqa: SLF001
    document["compressor"] = {"id": "nowhere"}
    _put(store, ".zarray", json.dumps(document).encode())
    with chonkle.zarr.using(), pytest.raises(ValueError, match="nowhere"):
        zarr.open_array(store)


def test_a_chonkle_name_that_is_in_no_signature() -> None:
    with chonkle.zarr.using(), pytest.raises(ResolveError, match="nowhere"):
        chonkle.zarr.codec("nowhere")


def test_a_failure_leaves_no_thread_waiting() -> None:
    store = zarr.storage.MemoryStore()
    with chonkle.zarr.using(threads=4):
        array = zarr.create_array(store, shape=(64, 1024), chunks=(1, 1024), dtype="<i4")
        array[...] = np.arange(64 * 1024).reshape(64, 1024)
        for row in (0, 31, 63):
            _put(store, f"c/{row}/0", b"bad")

        async def read_twice() -> list[Any]:
            opened = await zarr.api.asynchronous.open_array(store=store)
            reads = [opened.getitem(slice(None)), opened.getitem(slice(1, 31))]
            return await asyncio.gather(*reads, return_exceptions=True)

        failed, read = asyncio.run(read_twice())
        assert isinstance(failed, CodecError)
        assert read.shape == (30, 1024)
