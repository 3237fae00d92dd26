"""Codecs as objects: what `codec` takes, its parameters, and what it says of wrong ones."""

import enum
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr.codecs.numcodecs
from hypothesis import given
from hypothesis import strategies as st

import chonkle
from chonkle.codecs import ChunkCodec, codec, decode, encode, get_codecs
from chonkle.digest import Digest
from chonkle.errors import (
    CodecError,
    CodecTrap,
    DigestMismatchError,
    FetchError,
    LimitError,
    LimitExceeded,
    PipelineError,
    ResolveError,
)
from chonkle.oci.artifact import codec_artifact
from chonkle.oci.model import MANIFEST_TYPE
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec
from tests.fixture_types import MakeCodec
from tests.loopback import Registry, Serve

ZLIB = next((Path(__file__).parents[2] / "codec/zlib").glob("*.core.wasm"))
DATA = bytes(range(200)) * 20
# What only level 9 gives.
BEST = zlib.compress(DATA, 9)


def error_of(*arguments: Any, kind: type[Exception] = PipelineError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        codec(*arguments, **options)
    return str(caught.value)


def chunks_of(data_type: str, extent: int) -> str:
    """Give what is of matter in the `zarr.json` of an array of one dimension."""
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [2],
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [extent]}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [{"name": "numcodecs.zlib"}],
    }
    return json.dumps(document)


# What it takes


@pytest.mark.parametrize(
    "what",
    [
        "zlib",
        "numcodecs.zlib",
        8,
        32946,
        "8",
        ZLIB,
        str(ZLIB),
        ZLIB.as_uri(),
        f"{ZLIB.as_uri()}#blake3={Digest.blake3(ZLIB.read_bytes()).hex}",
    ],
    ids=lambda what: f"{type(what).__name__} {str(what)[:12]}",
)
def test_a_name_a_number_a_path_or_a_uri_takes_parameters(what: Any) -> None:
    made = codec(what, level=9)
    assert made.codec_ids() == ["zlib"]
    assert made.config == {"name": "zlib", "configuration": {"level": 9}}
    assert made.signature.codec_id == "zlib"
    assert zlib.decompress(made.encode(DATA)) == DATA
    assert len(made.encode(DATA)) <= len(codec(what, level=1).encode(DATA))
    assert made.decode(BEST) == DATA


@pytest.mark.parametrize(
    "what",
    [
        {"id": "zlib", "level": 9},
        {"name": "zlib", "configuration": {"level": 9}},
        {"name": "numcodecs.zlib", "configuration": {"level": 9}},
        # As numcodecs writes it into the metadata of Zarr 3.
        {"name": "numcodecs.zlib", "configuration": {"id": "zlib", "level": 9}},
        {"name": "zlib", "type": "wasm", "configuration": {"level": 9}},
        numcodecs.Zlib(9),
        zarr.codecs.numcodecs.Zlib(level=9),
        codec("zlib", level=9),
    ],
    ids=lambda what: type(what).__name__,
)
def test_configurations_and_objects_of_other_libraries_are_codecs(what: Any) -> None:
    assert codec(what) == codec("zlib", level=9)
    assert codec(what).decode(BEST) == DATA
    assert codec([what]) == codec([{"id": "zlib", "level": 9}])


@pytest.mark.parametrize(
    "what", ["zlib", {"name": "zlib"}, {"name": "zlib", "configuration": None}]
)
def test_a_codec_without_parameters_has_no_configuration(what: Any) -> None:
    assert codec(what).config == {"name": "zlib"}


CHAIN: list[Any] = [
    {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}},
    "zstd",
    numcodecs.CRC32C(),
]


@pytest.mark.parametrize(
    "what",
    [
        CHAIN,
        tuple(CHAIN),
        {"codecs": [*CHAIN[:2], {"name": "crc32c"}]},
        [CHAIN[0], [CHAIN[1], [CHAIN[2]]]],
        [None, *CHAIN, None],
        [codec(CHAIN[:2]), CHAIN[2]],
        codec(CHAIN),
    ],
    ids=lambda what: type(what).__name__,
)
def test_a_list_is_a_chain_in_the_order_of_encoding(what: Any) -> None:
    chain = codec(what)
    assert chain.codec_ids() == ["shuffle", "zstd", "crc32c"]
    encoded = chain.encode(DATA)
    assert numcodecs.CRC32C().decode(encoded).nbytes == len(encoded) - 4
    shuffled = numcodecs.Zstd().decode(encoded[:-4])
    assert shuffled == bytes(numcodecs.Shuffle(4).encode(DATA))
    assert chain.decode(encoded) == DATA
    assert (chain.signature.codec_id, list(chain.signature.inputs)) == ("codec-list", ["bytes"])
    assert [entry.name for entry in chain.entries][1] == "zstd"


def test_a_chain_of_nothing_changes_nothing() -> None:
    for what in ([], [None], ()):
        empty = codec(what)
        assert (empty.codec_ids(), empty.config) == ([], [])
        assert empty.decode(bytearray(b"abc")) == empty.encode(b"abc") == b"abc"
        out = bytearray(3)
        assert empty.decode(b"abc", out) is out
        assert out == b"abc"


def test_two_codecs_of_a_chain_may_be_the_same() -> None:
    twice = codec(["zlib", {"id": "zlib", "level": 9}])
    assert zlib.decompress(zlib.decompress(twice.encode(DATA))) == DATA
    assert twice.decode(zlib.compress(zlib.compress(DATA))) == DATA


def test_a_pipeline_is_a_codec_of_a_chain(tmp_path: Path) -> None:
    wired = {"codec_id": "zlib", "inputs": {"bytes": "input.bytes"}}
    document = {
        "codec_id": "mine",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": "z.bytes"},
        "steps": {"z": wired},
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    made = codec(["adler32", "mine"], resolver=Resolver(paths={"mine": path}))
    assert made.decode(made.encode(DATA)) == DATA
    assert zlib.decompress(made.encode(DATA))[4:] == DATA
    # Nor do its steps run natively.
    with pytest.raises(CodecError, match=r"^step `mine/z`: codec `zlib` \(zlib-rs@1.0.0, core\)"):
        made.decode(b"no")


# Where it comes from


@pytest.mark.usefixtures("names")
def test_a_codec_of_a_server_is_fetched_and_pinned(serve: Serve, make_codec: MakeCodec) -> None:
    wasm = make_codec("mine", "mine-a")
    server = serve(lambda _: wasm, "registry.test")
    uri = f"{server.origin}/mine.wasm"
    pin = Digest.blake3(wasm).hex
    made = codec(uri)
    for each in (made, codec(f"{uri}#blake3={pin}")):
        assert (each.codec_ids(), each.encode(DATA)) == (["mine"], DATA)
    with pytest.raises(DigestMismatchError):
        codec(f"{uri}#blake3={'0' * 64}")
    # What it is stays: the server may give other bytes later.
    server.respond = lambda _: make_codec("mine", "mine-a", note="another")
    assert made.decode(DATA) == DATA


def test_a_codec_of_a_registry_is_pulled(
    serve: Serve, registry: Registry, make_codec: MakeCodec
) -> None:
    artifact = codec_artifact(WasmCodec.from_bytes(make_codec("pulled", "pulled-a"), "it"))
    digest = str(Digest.sha256(artifact.manifest))
    for key in ("1.0.0", digest):
        registry.manifests["codecs/pulled", key] = (MANIFEST_TYPE, artifact.manifest)
    registry.blobs |= {str(Digest.sha256(blob.data)): blob.data for blob in artifact.blobs}
    server = serve(registry)
    for tail in (":1.0.0", f"@{digest}"):
        made = codec(f"oci://{server.host}/codecs/pulled{tail}")
        assert (made.codec_ids(), made.decode(DATA)) == (["pulled"], DATA)
    with pytest.raises(FetchError, match="answered 404"):
        codec(f"oci://{server.host}/codecs/pulled@sha256:{'0' * 64}")


def test_a_codec_of_an_entry_is_fetched(tmp_path: Path, make_codec: MakeCodec) -> None:
    path = tmp_path / "new.wasm"
    path.write_bytes(make_codec("new", "new-a"))
    made = codec({"name": "new", "type": "wasm", "uri": path.as_uri()})
    assert made.encode(DATA) == DATA
    # A file beside a list is found from the list.
    (tmp_path / "list.json").write_text(
        json.dumps({"codecs": [{"name": "new", "type": "wasm", "uri": "file://new.wasm"}]})
    )
    assert get_codecs(tmp_path / "list.json").decode(DATA) == DATA


def test_a_path_is_what_has_a_slash_or_a_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_codec: MakeCodec
) -> None:
    (tmp_path / "mine.wasm").write_bytes(make_codec("mine", "mine-a"))
    monkeypatch.chdir(tmp_path)
    for what in ("mine.wasm", "./mine.wasm", Path("mine.wasm")):
        assert codec(what).codec_ids() == ["mine"]
    assert "no codec has the name" in error_of("mine", kind=ResolveError)


def test_one_codec_has_one_place(tmp_path: Path, make_codec: MakeCodec) -> None:
    paths = [tmp_path / "a.wasm", tmp_path / "b.wasm"]
    for path in paths:
        path.write_bytes(make_codec("mine", path.stem))
    assert codec([paths[0], paths[0]]).codec_ids() == ["mine", "mine"]
    message = error_of(paths, kind=ResolveError)
    assert message == f"codec `mine` from two places: {paths[0]} and {paths[1]}"


def test_the_resolver_picks(make_codec: MakeCodec, tmp_path: Path) -> None:
    path = tmp_path / "mine.wasm"
    path.write_bytes(make_codec("mine", "mine-a"))
    assert codec("mine", resolver=Resolver(paths={"mine": path})).decode(DATA) == DATA
    # The sandbox is the default, whatever the resolver prefers.
    native = Resolver(preference=["native"])
    assert "no implementation" in error_of("zlib", resolver=native, kind=ResolveError)
    assert codec("zlib", backend="native", resolver=native).decode(BEST) == DATA


@pytest.mark.parametrize(
    ("backend", "label"),
    [("native", "(numcodecs.zlib, native)"), ("core", "core)"), ("component", "component)")],
)
def test_a_backend_is_asked_for(backend: Any, label: str) -> None:
    for what in ("zlib", {"id": "zlib"}, numcodecs.Zlib(), ["zlib"], codec("zlib")):
        made = codec(what, backend=backend)
        assert made.decode(BEST) == DATA
        with pytest.raises(CodecError) as caught:
            made.decode(b"no")
        assert label in str(caught.value)


def test_what_no_wasm_codec_does_is_native_when_asked_for() -> None:
    made = codec("json2", backend="native")
    chunk = numcodecs.JSON().encode(np.array(["a", "b"], "<U1"))
    assert made.decode(bytes(chunk), dtype="<U1", shape=2).tolist() == ["a", "b"]
    message = error_of("json2", kind=ResolveError)
    assert "no implementation for backend core, component" in message


def test_limits_bound_a_call() -> None:
    made = codec("zlib", limits=chonkle.Limits(output_bytes=len(DATA) - 1))
    assert made.limits.output_bytes == len(DATA) - 1
    with pytest.raises(LimitExceeded, match=r"^codec `zlib`"):
        made.decode(BEST)
    assert codec(made, limits=chonkle.Limits()).decode(BEST) == DATA


def test_a_runtime_holds_the_open_codecs(open_runtime: Callable[..., Runtime]) -> None:
    with open_runtime(cache=None) as runtime:
        made = codec("zlib", runtime=runtime)
        assert made.decode(BEST) == made.decode(made.encode(DATA)) == DATA
        assert runtime.counts.compiled == 1


def test_a_codec_of_a_codec_keeps_what_is_not_given(tmp_path: Path, make_codec: MakeCodec) -> None:
    path = tmp_path / "mine.wasm"
    path.write_bytes(make_codec("mine", "mine-a"))
    made = codec("mine", resolver=Resolver(paths={"mine": path}))
    assert codec(made) is made
    limited = codec(made, limits=chonkle.Limits(output_bytes=2))
    assert limited != made
    with pytest.raises(LimitExceeded):
        limited.decode(b"abc")
    assert codec(limited, backend="core").limits == limited.limits
    described = get_codecs(json.loads(chunks_of("int16", 2)))
    assert codec(described, backend="native").decode(zlib.compress(b"\1\0\2\0")).tolist() == [1, 2]


# Parameters


def test_parameters_are_read_as_other_libraries_write_them() -> None:
    assert codec("blosc", shuffle="bitshuffle").config == codec("blosc", shuffle=2).config
    filters: list[Any] = [{"id": 3, "dist": 4}, {"id": 33, "preset": 1}]
    as_list, as_text = (
        codec("lzma", format=3, filters=each) for each in (filters, json.dumps(filters))
    )
    assert as_list.decode(as_text.encode(DATA)) == DATA
    assert codec("delta", dtype="int16").config == codec("delta", dtype="<i2").config


@pytest.mark.parametrize(
    ("what", "parameters", "message"),
    [
        ("zlib", {"lvl": 1}, "codec `zlib`: unknown parameter `lvl`, there is `level`"),
        ("zlib", {"bytes": b""}, "codec `zlib`: unknown parameter `bytes`"),
        ("zlib", {"level": "6"}, 'parameter `level`: wrong type, expected `int`, got `"6"`'),
        ("zlib", {"level": [1]}, "parameter `level`: wrong type, expected `int`, got `[1]`"),
        ("zlib", {"level": 1.5}, "parameter `level`: wrong type, expected `int`, got `1.5`"),
        ("zlib", {"level": 10}, "parameter `level`: out of range, expected -1 to 9, got `10`"),
        ("delta", {"dtype": "nonsense"}, "parameter `dtype`: bad dtype, expected a type such as"),
        ("delta", {"dtype": object}, "parameter `dtype`: bad dtype"),
        ("transpose", {"order": [0, -1]}, "parameter `order`: wrong type, expected `uint[]`"),
        ("blosc", {"shuffle": "sideways"}, "parameter `shuffle`: wrong type, expected `int`, or"),
        ("tiff-predictor-2", {"byte_order": "bigg"}, "hint: did you mean `big`?"),
    ],
)
def test_a_wrong_parameter_is_named(what: str, parameters: dict[str, Any], message: str) -> None:
    found = error_of(what, **parameters)
    assert message in found
    assert found.startswith(f"codec `{what}`: ")
    assert "\n" not in found
    # In a configuration, and in a chain, whose codecs are counted.
    assert message in error_of({"name": what, "configuration": parameters})
    assert message in error_of([what, {"name": what, "configuration": parameters}])


def test_all_wrong_parameters_are_named_together() -> None:
    assert error_of("zlib", level="x", more=1) == (
        "codec `zlib` has 2 problems:\n"
        '  - parameter `level`: wrong type, expected `int`, got `"x"`\n'
        "  - unknown parameter `more`, there is `level`, `trailing`"
    )
    chain = [{"id": "zlib", "lvl": 1}, "nosuch", {"id": "shuffle", "size": 1}]
    assert error_of(chain) == (
        "codec list has 3 problems:\n"
        "  - codec 0 (`zlib`): unknown parameter `lvl`, there is `level`, `trailing`\n"
        '  - codec 1 (`nosuch`): no codec has the name `"nosuch"`; hint: `chonkle codecs` lists '
        "the available codecs\n"
        "  - codec 2 (`shuffle`): unknown parameter `size`, there is `elementsize`"
    )


def test_parameters_beside_a_configuration_are_refused() -> None:
    for what in ({"id": "zlib"}, numcodecs.Zlib(), ["zlib"], codec("zlib")):
        assert error_of(what, level=1) == (
            "parameter `level` beside a configuration; hint: only a codec by name, number, path or "
            "URI takes parameters"
        )


@given(level=st.integers())
def test_a_level_works_or_is_out_of_range(level: int) -> None:
    if -1 <= level <= 9:
        assert zlib.decompress(codec("zlib", level=level).encode(b"abc")) == b"abc"
    else:
        assert "out of range, expected -1 to 9" in error_of("zlib", level=level)


class Compression(enum.IntEnum):
    DEFLATE = 8


@pytest.mark.parametrize("number", [8, "8", np.uint16(8), Compression.DEFLATE])
def test_a_number_of_tiff_is_any_whole_number(number: Any) -> None:
    for what in (number, [number], {"name": number}, [{"name": number}]):
        assert zlib.decompress(codec(what).encode(DATA)) == DATA
    assert codec(number, level=9).encode(DATA) == BEST


# What it does not take


@pytest.mark.parametrize(
    "what", [None, 1.5, True, np.True_, np.arange(2), b"zlib", object(), {1, 2}, {"zlib"}, int]
)
def test_what_is_no_codec_is_refused(what: object) -> None:
    for each in (what, ["zlib", what]):
        if what is None and each is not None:
            continue
        message = error_of(each)
        assert message.startswith("not a codec, expected a name, a number, a path, a URI, ")
        assert "\n" not in message


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({}, "the codec: bad `name`, expected the name of a codec, got `null`"),
        ({"id": 5}, "the codec: bad `id`"),
        ({"name": "zlib", "level": 1}, "codec `zlib`: unknown field `level`"),
        ({"name": "zlib", "configuration": [1]}, "codec `zlib`: bad `configuration`"),
        ({"codecs": []}, "not a codec list, expected a list `codecs` of at least one codec"),
        ({"codecs": [{}, {}]}, "codec list has 2 problems:\n  - codec 0: bad `name`"),
        ("page-split", "codec `page-split`: not a codec of one value, which a list is made of"),
    ],
)
def test_a_malformed_configuration_is_refused(what: object, message: str) -> None:
    assert error_of(what).startswith(message)


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("zlibb", ResolveError, 'no codec has the name `"zlibb"`; hint: did you mean `zlib`?'),
        ("", ResolveError, 'no codec has the name `""`'),
        ("nö such\n", ResolveError, "no codec has the name `"),
        (77, ResolveError, "no codec for TIFF compression 77; hint: `chonkle codecs` lists"),
        (7, ResolveError, "no codec for TIFF compression 7 (JPEG); hint: `chonkle codecs` lists"),
        ("7", ResolveError, "no codec for TIFF compression 7 (JPEG)"),
        ([{"name": 7}], ResolveError, "no codec for TIFF compression 7 (JPEG)"),
        (-1, ResolveError, 'no codec has the name `"-1"`'),
        ("pickle", ResolveError, "codec `pickle`"),
        ("./none.wasm", ResolveError, "cannot read none.wasm: No such file or directory"),
        (Path("docs"), ResolveError, "cannot read docs: not a regular file; hint: name a .wasm"),
        ("file:///none.wasm", FetchError, "source `file:///none.wasm`: cannot read the file"),
        ("http://h.example/x.wasm", FetchError, "http:// is refused"),
        ("ftp://h.example/x.wasm", FetchError, "not a scheme that chonkle fetches from"),
        ("https://h.example/x#blake3=1", FetchError, "malformed digest"),
    ],
)
def test_a_codec_that_is_not_found_is_named(what: Any, kind: Any, message: str) -> None:
    found = error_of(what, kind=kind)
    assert message in found
    assert "\n" not in found
    assert "``" not in found


def test_files_that_are_no_codec_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"\0asm\1\0\0\0", b'{"codecs": []}', b"[]", b"text"):
        path = tmp_path / "x.wasm"
        path.write_bytes(content)
        with pytest.raises(chonkle.ChonkleError) as caught:
            codec(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "``" not in str(caught.value)


def test_a_pipeline_is_prepared_and_no_codec(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(
        '{"codec_id": "p", "direction": "decode", "inputs": {"bytes": {"type": "bytes"}},'
        ' "outputs": {"bytes": "z.bytes"},'
        ' "steps": {"z": {"codec_id": "zlib", "inputs": {"bytes": "input.bytes"}}}}'
    )
    assert error_of(path) == f"{path}: a pipeline; hint: `chonkle.prepare` runs pipelines"


def test_backends_that_do_not_exist_are_refused() -> None:
    for backend in ("wasm", "numcodecs", "", 1):
        assert error_of("zlib", backend=backend).startswith("unknown backend, expected `native`,")


# Codec lists


def test_the_older_functions_take_a_list_or_its_codecs() -> None:
    document = {"codecs": [{"name": "zlib", "type": "numcodecs", "configuration": {"level": 9}}]}
    codecs = get_codecs(document)
    assert isinstance(codecs, ChunkCodec)
    for each in (codecs, document, "zlib", numcodecs.Zlib(9)):
        assert decode(encode(DATA, each), each) == DATA
    with pytest.raises(CodecError, match=r"^codec `zlib` \(numcodecs.zlib, native\), decode: "):
        decode(b"no", codecs)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read codec list {path}: No such file or directory"),
        ("[", "{path}: malformed JSON at line 1, column 2"),
        ("[]", "{path}"),
        ('{"codecs": []}', "{path}: not a codec list, expected a list `codecs` of at least one"),
        ('{"codecs": [{}]}', "{path}: the codec: bad `name`"),
        ('{"codecs": [{"name": "zlib"}, {}]}', "{path}: codec 1: the codec: bad `name`"),
        (chunks_of("none", 2), "{path}: bad dtype, expected a type such as"),
        (
            chunks_of("int8", -2),
            "{path}: Zarr metadata: bad `chunk_shape`, expected a list of whole numbers",
        ),
    ],
)
def test_a_file_that_is_no_codec_list_is_named(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "list.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PipelineError) as caught:
        get_codecs(path)
    assert str(caught.value).startswith(message.format(path=path))


def test_a_graph_is_no_codec_list() -> None:
    graph = {
        "codec_id": "p",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": "z.bytes"},
        "steps": {"z": {"codec_id": "zlib", "inputs": {"bytes": "input.bytes"}}},
    }
    with pytest.raises(PipelineError) as caught:
        get_codecs(graph)
    assert str(caught.value) == (
        "the document: not a codec list, expected a list `codecs`; hint: `chonkle.prepare` takes a "
        "pipeline"
    )


def test_limits_that_are_none_are_refused_when_the_codec_is_made() -> None:
    made: Any = codec
    for what in ("zlib", codec("zlib"), ["zlib"]):
        with pytest.raises(LimitError, match="bad `limits`, expected"):
            made(what, limits={"memory": 1})
    with pytest.raises(LimitError, match="bad `limits`, expected"):
        made("zlib", limits={})
    listed: Any = get_codecs
    with pytest.raises(LimitError, match="bad `limits`, expected"):
        listed({"codecs": ["zlib"]}, limits={"memory": 1})


# Failures of calls


def test_a_failure_names_the_codec_and_its_place_in_a_chain() -> None:
    with pytest.raises(CodecError) as caught:
        codec("zlib").decode(b"no")
    assert str(caught.value).startswith("codec `zlib` (zlib-rs@1.0.0, core), decode: ")
    with pytest.raises(CodecError) as caught:
        codec(["adler32", "zlib"]).decode(b"no")
    assert str(caught.value).startswith("codec 1: codec `zlib` (zlib-rs@1.0.0, core), decode: ")
    # One that changes nothing, and is left out, counts.
    with pytest.raises(CodecError) as caught:
        codec([{"name": "bytes", "configuration": {"endian": "little"}}, "zlib"]).decode(b"no")
    assert str(caught.value).startswith("codec 1: codec `zlib` (zlib-rs@1.0.0, core), decode: ")


@pytest.mark.parametrize("data", [None, 5, "text", [1, 2], 1.5, object()])
def test_data_that_are_no_buffer_are_refused(data: Any) -> None:
    made, chain = codec("zlib"), codec(["adler32", "zlib"])
    for call in (made.encode, made.decode):
        with pytest.raises(PipelineError) as caught:
            call(data)
        assert str(caught.value).startswith("codec `zlib`: input `bytes`: not a buffer, expected")
        assert "\n" not in str(caught.value)
    with pytest.raises(PipelineError, match=r"^codec list: input `bytes`: not a buffer, expected"):
        chain.decode(data)


def test_a_parameter_that_nothing_gives_is_named() -> None:
    for call in (codec("shuffle").decode, codec("shuffle").encode):
        with pytest.raises(PipelineError) as caught:
            call(DATA)
        assert str(caught.value) == (
            "codec `shuffle`: parameter `elementsize` has no value, and there is no array to take "
            "it from; hint: give the parameter, or `dtype`"
        )
    with pytest.raises(PipelineError, match=r"or `dtype` and `shape`$"):
        codec(["tiff-predictor-2"]).decode(DATA, dtype="u2")
    with pytest.raises(PipelineError) as caught:
        codec(["zlib", "bitround"]).encode(DATA, dtype="f4")
    assert str(caught.value) == (
        "codec list: codec 1: codec `bitround`: required port `keepbits` gets no value when "
        "encoding"
    )
    # Decoding does without it.
    assert codec("bitround").decode(DATA, dtype="f4").nbytes == len(DATA)


def test_a_codec_that_breaks_works_again() -> None:
    made = codec("lz4")
    with pytest.raises((CodecError, CodecTrap, LimitExceeded), match=r"^codec `lz4` "):
        made.decode(b"\xff" * 20)
    assert made.decode(made.encode(DATA)) == DATA


# The size that it encodes to


def test_an_encoded_size_is_exact_or_a_bound() -> None:
    fixed = codec(["numcodecs.shuffle", "crc32c", "fletcher32"])
    assert fixed.encoded_size(1000) == fixed.encoded_size_bound(1000) == 1008
    assert codec([]).encoded_size(1000) == 1000
    bounded = codec(["zlib", "crc32c"])
    assert bounded.encoded_size(1000) is None
    assert bounded.encoded_size_bound(1000) == 1000 + 1 + 64 + 4
    assert codec("json2", backend="native").encoded_size_bound(1000) is None


def test_an_encoded_size_follows_the_dtype_through_a_chain() -> None:
    halved = codec([{"name": "delta", "configuration": {"dtype": "<f8", "astype": "<f4"}}])
    assert halved.encoded_size(800) == 400
    # The dtype of the array, if the configuration has none; a codec without one has no size.
    same = codec("delta")
    assert same.encoded_size(800, dtype="<f8") == 800
    assert codec("delta", astype="<f4").encoded_size(800, dtype="<i2") == 1600
    assert codec("delta", astype="<f4").encoded_size(800) is None
    # The packed bits are an array of bytes, of one axis.
    packed = codec(["packbits", {"name": "bytes", "configuration": {"endian": "big"}}, "pcodec"])
    assert codec("packbits").encoded_size(80, dtype="?", shape=(8, 10)) == 11
    assert packed.encoded_size_bound(80, dtype="?", shape=(8, 10)) is not None
    described = codec([{"name": "bytes", "configuration": {"data_type": "<u2"}}, "adler32"])
    assert described.encoded_size(10) == 14


@pytest.mark.parametrize("size", [-1, 1.5, "1", None, True, 2**64])
def test_what_is_no_size_is_refused(size: Any) -> None:
    for ask in (codec("zlib").encoded_size, codec("zlib").encoded_size_bound):
        with pytest.raises(PipelineError, match="bad size, expected a whole number of bytes, got"):
            ask(size)
    with pytest.raises(PipelineError, match="bad dtype"):
        codec("zlib").encoded_size(1, dtype="what")
