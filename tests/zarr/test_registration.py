"""`use`, `unuse` and `using`: what they put in place, and what they give back."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import GzipCodec
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.registry import (
    fully_qualified_name,
    get_codec_class,
    get_pipeline_class,
    register_codec,
    register_pipeline,
)

import chonkle.zarr
from chonkle.errors import LimitError, PipelineError, ResolveError
from chonkle.formats.signature import Signature, embed_signature
from chonkle.settings import ZARR_OPTIONS, ZARR_PIPELINE_VALUE
from chonkle.storage.store import WasmCodec

_IDENTITY = next((Path(__file__).parents[2] / "codec/identity").glob("*.core.wasm"))
_DATA = np.arange(64, dtype="<i4").reshape(8, 8)


class OtherPipeline(BatchedCodecPipeline):
    """A pipeline of another package."""


class OtherGzip(GzipCodec):
    """A codec of another package, which counts its calls."""

    calls = 0

    def _decode_sync(self, *arguments: Any) -> Any:
        type(self).calls += 1
        return super()._decode_sync(*arguments)


def _state() -> tuple[Any, ...]:
    config = zarr.config
    return (
        config.get("codec_pipeline.path"),
        config.get("codec_pipeline.max_workers"),
        dict(config.get("codecs")),
        config.get("chonkle", None),
        dict(numcodecs.registry.codec_registry),
    )


def _array(**settings: Any) -> Any:
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(
        store, shape=_DATA.shape, chunks=(4, 4), dtype=_DATA.dtype, **settings
    )
    array[...] = _DATA
    return array


def _is_ours(array: Any) -> bool:
    return isinstance(array._async_array.codec_pipeline, chonkle.zarr.CodecPipeline)  # noqa: SLF001


def test_unuse_gives_back_what_was_there() -> None:
    before = _state()
    chonkle.zarr.use(threads=3)
    assert get_pipeline_class() is chonkle.zarr.CodecPipeline
    assert zarr.config.get("codec_pipeline.max_workers") == 3
    chonkle.zarr.unuse()
    chonkle.zarr.unuse()
    assert _state() == before


def test_a_second_use_replaces_the_options() -> None:
    before = _state()
    chonkle.zarr.use(timeout_s=1)
    chonkle.zarr.use(strict=True)
    assert zarr.config.get("chonkle")["strict"]
    assert "timeout_s" not in zarr.config.get("chonkle")
    chonkle.zarr.unuse()
    assert _state() == before


def test_use_overrides_only_the_options_that_it_names() -> None:
    zarr.config.set({"chonkle": {"strict": True, "timeout_s": 10}})
    before = _state()

    def in_force() -> tuple[bool, float | None, int]:
        options = chonkle.zarr.Options.current()
        return options.strict, options.timeout_s, options.memory_bytes

    chonkle.zarr.use()
    assert in_force() == (True, 10, 1 << 30)
    chonkle.zarr.use(timeout_s=3)
    assert in_force() == (True, 3, 1 << 30)
    with chonkle.zarr.using(memory_bytes=1 << 28):
        assert in_force() == (True, 10, 1 << 28)
        chonkle.zarr.unuse()
        chonkle.zarr.use(strict=False)
        assert in_force() == (False, 10, 1 << 30)
    assert in_force() == (True, 3, 1 << 30)
    chonkle.zarr.unuse()
    with chonkle.zarr.using(timeout_s=4):
        chonkle.zarr.use()
        assert in_force() == (True, 10, 1 << 30)
        with chonkle.zarr.using(strict=False):
            assert in_force() == (False, 10, 1 << 30)
    assert _state() == before


@pytest.mark.parametrize("put_in_place", [chonkle.zarr.use, chonkle.zarr.using])
def test_options_are_keywords(put_in_place: Any) -> None:
    before = _state()
    with pytest.raises(TypeError, match=r"keywords only: backend, .*strict"), ExitStack() as opened:
        opened.enter_context(put_in_place(True))  # noqa: FBT003
    assert _state() == before


@pytest.mark.parametrize(
    ("written", "memory_bytes", "strict"),
    [
        ({"memory_bytes": "256MiB"}, 1 << 28, False),
        ({"memory_bytes": 1e9, "strict": "true"}, 10**9, True),
        ({"memory_bytes": "65536", "strict": "False"}, 1 << 16, False),
        ({"strict": 1}, 1 << 30, True),
    ],
)
def test_options_as_they_come_from_the_environment(
    written: dict[str, Any], memory_bytes: int, *, strict: bool
) -> None:
    options = chonkle.zarr.Options.of(written)
    assert (options.memory_bytes, options.strict) == (memory_bytes, strict)


def test_using_nests_and_ends_whatever_happens_within() -> None:
    before = _state()
    with chonkle.zarr.using():
        outer = _state()
        with pytest.raises(ZeroDivisionError), chonkle.zarr.using(strict=True):
            raise ZeroDivisionError
        assert _state() == outer
    assert _state() == before
    chonkle.zarr.use()
    used = _state()
    with chonkle.zarr.using(strict=True):
        chonkle.zarr.unuse()
        assert not _is_ours(_array())
    assert _state() == used
    chonkle.zarr.unuse()
    with chonkle.zarr.using():
        chonkle.zarr.use(strict=True)
    assert _state() == before


def test_unuse_leaves_what_others_put_in_place_since() -> None:
    chonkle.zarr.use()
    numcodecs.register_codec(numcodecs.Zlib, "of_another_package")
    register_pipeline(OtherPipeline)
    path = fully_qualified_name(OtherPipeline)
    codecs = {**zarr.config.get("codecs"), "of_another_package": "package.Codec"}
    zarr.config.set({"codec_pipeline.path": path, "codecs": codecs})
    chonkle.zarr.unuse()
    assert zarr.config.get("codec_pipeline.path") == path
    assert zarr.config.get("codecs")["of_another_package"] == "package.Codec"
    assert zarr.config.get("codecs")["gzip"] == "zarr.codecs.gzip.GzipCodec"
    assert "of_another_package" in numcodecs.registry.codec_registry
    assert numcodecs.registry.codec_registry["zlib"] is numcodecs.Zlib


def test_another_pipeline_that_was_in_place_comes_back() -> None:
    register_pipeline(OtherPipeline)
    with zarr.config.set({"codec_pipeline.path": fully_qualified_name(OtherPipeline)}):
        chonkle.zarr.use()
        assert _is_ours(_array())
        chonkle.zarr.unuse()
        assert get_pipeline_class() is OtherPipeline


def test_another_pipeline_runs_our_codecs() -> None:
    register_pipeline(OtherPipeline)
    chonkle.zarr.use()
    with zarr.config.set({"codec_pipeline.path": fully_qualified_name(OtherPipeline)}):
        array = zarr.open_array(_array(compressors={"name": "gzip"}).store)
        assert type(array.compressors[0]) is get_codec_class("gzip")
        assert not _is_ours(array)
        np.testing.assert_array_equal(array[...], _DATA)


def test_open_arrays_keep_what_they_were_opened_with() -> None:
    stock = _array()
    with chonkle.zarr.using():
        ours = _array()
        assert not _is_ours(stock)
        np.testing.assert_array_equal(stock[...], _DATA)
    assert _is_ours(ours)
    np.testing.assert_array_equal(ours[...], _DATA)


def test_a_class_of_somebody_else_is_not_replaced() -> None:
    register_codec("gzip", OtherGzip)
    chonkle.zarr.use()
    codecs = {**zarr.config.get("codecs"), "gzip": fully_qualified_name(OtherGzip)}
    with zarr.config.set({"codecs": codecs}):
        array = _array(compressors={"name": "gzip", "configuration": {"level": 1}})
        np.testing.assert_array_equal(array[...], _DATA)
    assert OtherGzip.calls == 4


def test_metadata_get_an_absolute_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.wasm"
    shipped = Path(__file__).parents[2] / "codec/zlib"
    path.write_bytes(next(shipped.glob("*.core.wasm")).read_bytes())
    monkeypatch.chdir(tmp_path)
    metadata = chonkle.zarr.codec("file://mine.wasm").to_dict()
    assert metadata["configuration"]["codec"].startswith(f"{path.as_uri()}#blake3=")


def test_a_codec_that_appears_later_is_found_without_a_warning() -> None:
    chonkle.zarr.use()
    with pytest.raises(zarr.errors.UnknownCodecError, match=r"appears\.later"):
        _array(compressors={"name": "appears.later"})
    register_codec("appears.later", OtherGzip)
    assert get_codec_class("appears.later") is OtherGzip


def test_a_repeated_use_reads_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    from_file = WasmCodec.from_file

    def read(path: Path) -> WasmCodec:
        reads.append(path)
        return from_file(path)

    monkeypatch.setattr(WasmCodec, "from_file", read)
    monkeypatch.setenv("CHONKLE_CODEC_STORE", str(tmp_path))

    def names_of(codec_id: str) -> set[str]:
        document = {
            "codec_id": codec_id,
            "implementation": "mine-c",
            "inputs": {"bytes": {"type": "bytes"}},
            "outputs": {"bytes": {"type": "bytes"}},
        }
        wasm = embed_signature(_IDENTITY.read_bytes(), Signature.from_json(document))
        (tmp_path / "mine.wasm").write_bytes(wasm)
        with chonkle.zarr.using():
            return {each for each in zarr.config.get("codecs") if each.startswith("chonkle.")}

    with chonkle.zarr.using():
        reads.clear()
    chonkle.zarr.use()
    assert reads == []
    assert "chonkle.mine-1" in names_of("mine-1")
    assert reads
    found = names_of("mine-2")
    assert "chonkle.mine-2" in found
    assert "chonkle.mine-1" not in found


def test_a_repeated_use_asks_the_policy_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.toml"
    monkeypatch.setenv("CHONKLE_POLICY", str(policy))
    found = []
    for trusted in ("['shipped']", "[]"):
        policy.write_text(f"version = 1\ndefault = 'deny'\ntrusted = {trusted}\n")
        with chonkle.zarr.using():
            found.append("chonkle.zlib" in zarr.config.get("codecs"))
    assert found == [True, False]


def test_a_codec_that_was_unknown_before_is_looked_for() -> None:
    reference = "https://codecs.example/a.wasm"
    metadata: Any = {"name": "unheard-of", "configuration": {"codec": reference}}
    with pytest.raises(zarr.errors.UnknownCodecError):
        get_codec_class("unheard-of")
    with chonkle.zarr.using(), pytest.raises(ResolveError, match="no digest"):
        get_codec_class("unheard-of").from_dict(metadata)


def test_unknown_codecs_are_zarr_pythons_business_again() -> None:
    with chonkle.zarr.using(), pytest.raises(zarr.errors.UnknownCodecError):
        _array(compressors={"name": "nowhere"})
    with pytest.raises(zarr.errors.UnknownCodecError, match="is not available"):
        _array(compressors={"name": "nowhere"})


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"timout_s": 1}, PipelineError, "`timout_s`.*did you mean `timeout_s`"),
        ({"timeout_s": "1"}, PipelineError, "timeout_s"),
        ({"timeout_s": 0}, LimitError, "timeout"),
        ({"memory_bytes": -1}, LimitError, "memory"),
        ({"memory_bytes": "1 GiB"}, PipelineError, "memory_bytes.*256MiB"),
        ({"memory_bytes": 0.5}, PipelineError, "memory_bytes"),
        ({"threads": 0}, PipelineError, "threads"),
        ({"threads": "two"}, PipelineError, "threads"),
        ({"strict": "maybe"}, PipelineError, "strict"),
        ({"backend": "gpu"}, PipelineError, "gpu"),
        ({"sources": "oci://here/"}, PipelineError, "sources"),
        ({"sources": [1]}, PipelineError, "sources"),
        ({"locations": ["a"]}, PipelineError, "locations"),
        ({"locations": {"a": {}}}, PipelineError, "locations"),
        ({"locations": {"zstd": "nowhere.wasm"}}, PipelineError, r"`zstd`.*nowhere\.wasm"),
        ({"strict": True, "backend": "native"}, PipelineError, "`core` or `component`, got `nat"),
    ],
)
def test_a_wrong_option_is_an_error_and_changes_nothing(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    before = _state()
    doors: list[Any] = [chonkle.zarr.use, chonkle.zarr.using]
    for put_in_place in doors:
        with pytest.raises(error, match=text), ExitStack() as opened:
            opened.enter_context(put_in_place(**options))
    assert _state() == before


@pytest.mark.parametrize("store", ["memory", "fsspec"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_strict_refuses_to_run_what_chonkle_does_not_have(
    tmp_path: Path, store: str, zarr_format: Literal[2, 3]
) -> None:
    place: Any = zarr.storage.MemoryStore()
    if store == "fsspec":
        place = zarr.storage.FsspecStore.from_url(f"memory://{tmp_path}")
    group = zarr.create_group(place, zarr_format=zarr_format)
    group.create_array("names", shape=3, dtype=str)[:] = ["a", "b", "c"]
    group.create_array("values", data=_DATA)
    with chonkle.zarr.using(strict=True):
        opened: Any = zarr.open_group(place)
        assert set(opened.array_keys()) == {"names", "values"}
        np.testing.assert_array_equal(opened["values"][...], _DATA)
        names = opened["names"]
        text = r"names/.*: `strict` refuses codec `vlen-utf8`.*; hint: .*strict=False"
        with pytest.raises(ResolveError, match=text):
            names[:]
        with pytest.raises(ResolveError, match=text):
            names[:] = ["d", "e", "f"]
    assert zarr.open_array(place, path="names")[:].tolist() == ["a", "b", "c"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("zarr_format", "key"), [(2, ".zarray"), (3, "zarr.json")])
def test_strict_refuses_a_configuration_that_only_others_take(
    zarr_format: Literal[2, 3], key: str
) -> None:
    zlib: Any = numcodecs.Zlib(1)
    if zarr_format == 3:
        zlib = {"name": "numcodecs.zlib", "configuration": {"level": 1}}
    group = zarr.create_group({}, zarr_format=zarr_format)
    group.create_array("odd", data=_DATA, compressors=zlib)
    store: Any = group.store
    metadata = store._store_dict[f"odd/{key}"]  # noqa: SLF001
    # A compression level that no codec has; only theirs do not look when they read.
    written = re.sub(rb'"level": 1\b', b'"level": 10', metadata.to_bytes())
    assert written != metadata.to_bytes()
    store._store_dict[f"odd/{key}"] = type(metadata).from_bytes(written)  # noqa: SLF001
    with chonkle.zarr.using():
        opened: Any = zarr.open_group(store)
        np.testing.assert_array_equal(opened["odd"][...], _DATA)
    with chonkle.zarr.using(strict=True):
        opened = zarr.open_group(store)
        assert list(opened.array_keys()) == ["odd"]
        with pytest.raises(ResolveError, match=r"odd/.*: `strict` refuses codec `.*zlib`"):
            opened["odd"][...]
        # Without an array of Zarr.
        codec = numcodecs.get_codec({"id": "zlib", "level": 10})
        assert codec.get_config() == {"id": "zlib", "level": 10}
        for run in (codec.encode, codec.decode):
            with pytest.raises(ResolveError, match="`strict` refuses codec `zlib`"):
                run(b"")


def test_strict_looks_into_shards() -> None:
    inner: Any = [{"name": "vlen-utf8"}, {"name": "zstd"}]
    index: Any = [{"name": "bytes", "configuration": {"endian": "little"}}]
    sharding = {"chunk_shape": [2], "codecs": inner, "index_codecs": index}
    serializer: Any = {"name": "sharding_indexed", "configuration": sharding}
    with chonkle.zarr.using(strict=True):
        np.testing.assert_array_equal(_array(shards=(8, 8))[...], _DATA)
        array = zarr.create_array(
            {}, shape=4, chunks=4, dtype=str, serializer=serializer, compressors=None
        )
        with pytest.raises(ResolveError, match=r"c/0`: `strict` refuses codec `vlen-utf8`"):
            array[:] = ["a", "b", "c", "d"]


def _explained(array: Any) -> list[tuple[str, str, bool, str]]:
    return [
        (each.name, each.implementation.partition("@")[0], each.is_sandboxed, each.part)
        for each in chonkle.zarr.explain(array)
    ]


def test_what_runs_the_codecs_is_explained(tmp_path: Path) -> None:
    zstd: Any = {"name": "zstd", "configuration": {"level": 0}}
    stock = [
        ("bytes", "zarr.codecs.bytes.BytesCodec", False, "chunk"),
        ("zstd", "zarr.codecs.zstd.ZstdCodec", False, "chunk"),
    ]
    ours = [("bytes", "bytes-c", True, "chunk"), ("zstd", "zstd-rs", True, "chunk")]
    index = [("bytes", "bytes-c", True, "index"), ("crc32c", "crc32c-rs", True, "index")]
    assert _explained(_array(compressors=zstd)) == stock
    with chonkle.zarr.using():
        array = _array(compressors=zstd)
        assert _explained(array) == ours
        assert _explained(array.async_array) == ours
        assert _explained(_array(compressors=zstd, shards=(8, 8))) == [*ours, *index]
        old = _array(zarr_format=2, filters=[numcodecs.Delta("<i4")], compressors=None)
        assert _explained(old) == [("delta", "delta-c", True, "chunk")]
        names = zarr.create_array({}, shape=3, dtype=str, compressors=zstd)
        vlen = ("vlen-utf8", "zarr.codecs.vlen_utf8.VLenUTF8Codec", False, "chunk")
        assert _explained(names) == [vlen, ours[1]]
        line = str(chonkle.zarr.explain(names)[1])
        assert re.fullmatch(r"zstd: zstd-rs@[\d.]+ \(core\), in the sandbox", line)
        # Codecs that a user made, in a store that needs an event loop.
        place = zarr.storage.FsspecStore.from_url(f"memory://{tmp_path}")
        made = zarr.create_array(place, data=_DATA, compressors=zarr.codecs.ZstdCodec(level=1))
        assert _explained(made) == ours
        np.testing.assert_array_equal(made[...], _DATA)
    with chonkle.zarr.using(backend="component"):
        assert "(component)" in chonkle.zarr.explain(_array())[0].implementation


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"zarr_format": 2},
        {"shards": (8, 8)},
        {"dtype": str, "fill_value": ""},
        {"dtype": str, "fill_value": "", "shards": (8, 8)},
    ],
)
@pytest.mark.parametrize("store", ["memory", "fsspec"])
def test_strict_reads_what_is_explained_as_in_the_sandbox(
    tmp_path: Path, store: str, settings: dict[str, Any]
) -> None:
    place: Any = zarr.storage.MemoryStore()
    if store == "fsspec":
        place = zarr.storage.FsspecStore.from_url(f"memory://{tmp_path}")
    made: Any = {"shape": (8, 8), "chunks": (4, 4), "dtype": "i4", **settings}
    zarr.create_array(place, **made)[...] = _DATA.astype(made["dtype"])
    with chonkle.zarr.using():
        is_sandboxed = all(
            each.is_sandboxed for each in chonkle.zarr.explain(zarr.open_array(place))
        )
    assert is_sandboxed == (made["dtype"] is not str)
    with ExitStack() as stack:
        stack.enter_context(chonkle.zarr.using(strict=True))
        if not is_sandboxed:
            stack.enter_context(pytest.raises(ResolveError, match=r"hint: .*drop_variables"))
        found: Any = zarr.open_array(place)[...]
        assert found.astype("i4").tolist() == _DATA.tolist()


class DataArray:
    """As one of xarray: what it holds is not open."""


@pytest.mark.parametrize("what", [DataArray(), zarr.create_group({}), _DATA])
def test_only_arrays_are_explained(what: object) -> None:
    name = f"{type(what).__module__}.{type(what).__qualname__}"
    with pytest.raises(TypeError) as caught:
        chonkle.zarr.explain(what)
    assert f"expected an array of zarr-python, got {name}; hint: " in str(caught.value)
    assert "`zarr.open_group(...)[name]`" in str(caught.value)


@pytest.mark.parametrize("settings", [{"zarr_format": 2}, {}, {"shards": (8, 8)}])
def test_the_native_backend_leaves_to_webassembly_what_numcodecs_lacks(
    settings: dict[str, Any],
) -> None:
    transpose = {"filters": {"name": "transpose", "configuration": {"order": [1, 0]}}}
    stored = _array(**{**({} if "zarr_format" in settings else transpose), **settings})
    with chonkle.zarr.using(backend="native"):
        array: Any = zarr.open_array(stored.store)
        np.testing.assert_array_equal(array[...], _DATA)
        array[:2] = 0
        explained = {each.name: each.is_sandboxed for each in chonkle.zarr.explain(array)}
    assert not explained["zstd"]
    if "zarr_format" not in settings:
        assert explained["bytes"]
        assert explained["transpose"]
    np.testing.assert_array_equal(stored[2:], _DATA[2:])
    assert not stored[:2].any()


def test_codecs_are_shown_as_those_of_zarr_python() -> None:
    with chonkle.zarr.using():
        array = _array(compressors={"name": "zstd", "configuration": {"level": 3}})
        (zstd,) = array.compressors
        assert repr(zstd) == "ZstdCodec(level=3, checksum=False)"
        assert repr(chonkle.zarr.codec("tiff-predictor-2", bytes_per_sample=2, width=3)).startswith(
            "TiffPredictor2Codec(bytes_per_sample=2"
        )


@pytest.mark.parametrize("path", ["chonkle.zarr.CodecPipeline"])
def test_the_environment_puts_the_pipeline_in_place(path: str) -> None:
    program = (
        "import zarr, sys\n"
        "assert 'chonkle' not in sys.modules\n"
        "array = zarr.create_array({}, shape=8, chunks=4, dtype='i4')\n"
        "array[:] = range(8)\n"
        "assert array[:].tolist() == list(range(8))\n"
        "pipeline = array._async_array.codec_pipeline\n"
        "print(type(pipeline).__module__, pipeline.sync_transform.whole.codec_ids())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "ZARR_CODEC_PIPELINE__PATH": path, "ZARR_CHONKLE__STRICT": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "chonkle.zarr ['bytes', 'zstd']\n", done.stderr


def test_doctor_knows_every_option_and_the_pipeline() -> None:
    options = {each.name for each in fields(chonkle.zarr.Options) if each.init}
    assert set(ZARR_OPTIONS) == {f"ZARR_CHONKLE__{name.upper()}" for name in options}
    pipeline = chonkle.zarr.CodecPipeline
    assert f"{pipeline.__module__}.{pipeline.__qualname__}" == ZARR_PIPELINE_VALUE


def test_use_keeps_the_options_of_the_environment() -> None:
    program = (
        "import chonkle\n"
        "chonkle.zarr.use(timeout_s=3)\n"
        "options = chonkle.zarr.Options.current()\n"
        "print(options.strict, options.timeout_s, options.memory_bytes)\n"
    )
    environment = {
        "ZARR_CHONKLE__STRICT": "true",
        "ZARR_CHONKLE__TIMEOUT_S": "10",
        "ZARR_CHONKLE__MEMORY_BYTES": "256MiB",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"True 3 {256 << 20}\n", done.stderr
