import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from chonkle import executor
from chonkle.cache.layers import CacheConfig
from chonkle.dag import graph
from chonkle.dag.codec_list import CodecList
from chonkle.errors import CodecTrap, PipelineError, ResolveError
from chonkle.pipeline import PreparedPipeline, define, load, prepare
from chonkle.resolver import PipelineResolution, Resolution, Resolver
from chonkle.runtime import Runtime
from tests.fixture_types import MakeCodec

BYTES = {"type": "bytes"}


def chain(*codec_ids: str, codec_id: str = "p", **more: object) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    value = "input.bytes"
    for index, each in enumerate(codec_ids):
        steps[f"s{index}"] = {"codec_id": each, "inputs": {"bytes": value}}
        value = f"s{index}.bytes"
    return {
        "codec_id": codec_id,
        "direction": "decode",
        "inputs": {"bytes": BYTES},
        "outputs": {"bytes": value},
        "steps": steps,
        **more,
    }


@pytest.fixture
def runtime(tmp_path: Path, open_runtime: Callable[..., Runtime]) -> Iterator[Runtime]:
    cache = CacheConfig(tmp_path / "cache", mode="off")
    with open_runtime(cache=cache, codec_store=tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def echo(tmp_path: Path, make_codec: MakeCodec) -> Resolver:
    """Give a resolver that has a codec `echo`."""
    path = tmp_path / "echo.wasm"
    path.write_bytes(make_codec())
    return Resolver(paths={"echo": path})


# Loading


def test_a_pipeline_is_a_file_or_a_document(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(chain("echo")), "utf-8")
    assert load(path) == load(str(path)) == load(chain("echo"))
    assert load({"codecs": [{"name": "zlib", "type": "wasm"}]}).direction == "encode"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "malformed JSON at line 1"),
        (b"\0asm\x01\0\0\0", "malformed JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "not a codec list, expected a list `codecs` of at least one codec"),
        (b"1", "not a pipeline, expected a JSON object"),
        (b"{}", "problems"),
        (b'{"codecs": []}', "not a codec list"),
        (b" " * ((16 << 20) + 1), "more than the allowed 16777216 bytes"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(data)
    with pytest.raises(PipelineError, match=words):
        load(path)


@pytest.mark.parametrize("path", ["/nowhere/p.json", "/", "a\0b", ""])
def test_a_file_that_cannot_be_read_is_said(path: str) -> None:
    with pytest.raises(PipelineError, match="cannot read pipeline"):
        load(path)


@pytest.mark.parametrize("document", [None, 1, b"{}"])
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(PipelineError, match="not a pipeline"):
        load(document)


def test_a_document_may_hold_what_numpy_gives() -> None:
    document = chain("echo", codec_id="numpy")
    document["inputs"]["level"] = {"type": "int", "default": np.int8(3), "required": False}
    values: dict[str, tuple[str, object, bytes]] = {
        "width": ("int", np.int64(4), b"4"),
        "scale": ("float", np.array(0.5), b"0.5"),
        "clamp": ("bool", np.True_, b"true"),
        "shape": ("uint[]", (np.int64(2), 3), b"[2,3]"),
        "dtype": ("dtype_desc", np.dtype("<f4"), b'"<f4"'),
        "fields": ("dtype_desc", np.dtype([("a", ">u2", (2,))]), b'[["a",">u2",[2]]]'),
    }
    document["constants"] = {
        name: {"type": kind, "value": value} for name, (kind, value, _) in values.items()
    }
    found = load(document)
    assert isinstance(found, graph.Pipeline)
    assert {name: each.data for name, each in found.constants.items()} == {
        name: data for name, (_, _, data) in values.items()
    }
    assert found.inputs["level"].default == 3
    # Also of a codec list, and in what is no dictionary.
    configuration = {"shape": (np.int64(2), 3), "dtype": np.uint8, "order": np.array([1, 0])}
    codec = {"name": "transpose", "type": "wasm", "configuration": MappingProxyType(configuration)}
    listed = load(MappingProxyType({"codecs": (codec,)}))
    assert isinstance(listed, CodecList)
    assert listed.entries[0].configuration == {"shape": [2, 3], "dtype": "|u1", "order": [1, 0]}
    # Nothing of the caller's is changed.
    assert document["constants"]["dtype"]["value"] == np.dtype("<f4")
    document["constants"]["width"]["value"] = np.float32(4)
    with pytest.raises(PipelineError, match=r"bad value of constant `width`, .*, got `4.0`"):
        load(document)


# Preparing and running


@pytest.mark.parametrize("direction", ["encode", "decode", None])
def test_a_prepared_pipeline_runs_often(direction: Any, echo: Resolver, runtime: Runtime) -> None:
    with prepare(chain("echo", "echo"), direction, resolver=echo, runtime=runtime) as prepared:
        for data in (b"abc", b"", b"x" * 1000):
            assert prepared.run({"bytes": data}) == {"bytes": data}
            assert executor.run(prepared, {"bytes": data}) == {"bytes": data}
        assert prepared.plan.direction == (direction or "decode")
        # Two steps share one opened codec.
        assert prepared.codecs[0] is prepared.codecs[1]
        assert set(prepared.resolutions) == {"s0", "s1"}
        assert set(prepared.signature.inputs) == {"bytes"}
    with pytest.raises(PipelineError, match="pipeline `p` is already closed"):
        prepared.run({"bytes": b""})
    prepared.close()


@pytest.mark.parametrize("direction", ["both", "", 1, [], "Decode"])
def test_another_direction_is_refused(direction: Any) -> None:
    with pytest.raises(PipelineError, match="bad direction, expected `encode` or `decode`, got"):
        prepare(chain("echo"), direction=direction)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("p.json", '`"p.json"`'),
        (Path("p.json"), "p.json"),
        (chain("echo"), '`{"codec_id": '),
        (5, "int"),
        (None, "NoneType"),
        (PreparedPipeline, "type"),
    ],
    ids=repr,
)
def test_what_is_not_prepared_is_said_in_a_line(given: Any, named: str) -> None:
    for use in (
        lambda: executor.run(given, {"bytes": b""}),
        lambda: executor.borrow(given, {"bytes": b""}).__enter__(),
        lambda: executor.run_many(given, []),
    ):
        with pytest.raises(PipelineError) as caught:
            use()
        words = "not a prepared pipeline, expected what `chonkle.prepare` returns, got "
        assert str(caught.value).startswith(words)
        assert named in str(caught.value)
        assert str(caught.value).endswith(
            "`chonkle.run(chonkle.prepare(pipeline, direction), inputs)`"
        )
        assert "\n" not in str(caught.value)


def test_a_session_that_was_handed_in_stays_open(echo: Resolver, runtime: Runtime) -> None:
    for _ in range(2):
        with prepare(chain("echo"), resolver=echo, runtime=runtime) as prepared:
            assert prepared.run({"bytes": b"a"}) == {"bytes": b"a"}


def test_a_failing_step_is_named(tmp_path: Path, make_codec: MakeCodec, runtime: Runtime) -> None:
    # `other` gives nothing under its own name.
    path = tmp_path / "echo.wasm"
    wasm = make_codec().replace(b'"outputs":{"bytes"', b'"outputs":{"other"')
    path.write_bytes(wasm)
    document = chain("echo")
    document["outputs"] = {"bytes": "s0.other"}
    resolver = Resolver(paths={"echo": path})
    with (
        prepare(document, resolver=resolver, runtime=runtime) as prepared,
        pytest.raises(CodecTrap, match=r"step `s0`: .* did not return its port `other`"),
    ):
        prepared.run({"bytes": b"a"})


def test_every_codec_that_is_missing_is_named(runtime: Runtime) -> None:
    with pytest.raises(PipelineError) as caught:
        prepare(chain("nothing", "identity", "nowhere"), runtime=runtime)
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "step `s0`: no implementation of codec `nothing`",
        "step `s2`: no implementation of codec `nowhere`",
    ]
    with pytest.raises(ResolveError, match=r"^step `s0`: no implementation of codec `nothing`"):
        prepare(chain("nothing"), runtime=runtime)


# Pipelines in pipelines


def write(path: Path, document: dict[str, Any]) -> str:
    path.write_text(json.dumps(document), "utf-8")
    return path.as_uri()


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_a_pipeline_is_a_step_of_another(
    direction: Any, tmp_path: Path, make_codec: MakeCodec, runtime: Runtime
) -> None:
    echo = tmp_path / "echo.wasm"
    echo.write_bytes(make_codec())
    inner = write(
        tmp_path / "inner.json",
        chain("echo", "echo", codec_id="inner", sources={"echo": echo.as_uri()}),
    )
    outer = chain("inner", "inner", sources={"inner": inner})
    with prepare(outer, direction=direction, runtime=runtime) as prepared:
        assert prepared.run({"bytes": b"abc"}) == {"bytes": b"abc"}
        assert set(prepared.resolutions) == {"s0/s0", "s0/s1", "s1/s0", "s1/s1"}
        assert prepared.resolved.codec_ids() == {"inner", "echo"}


@pytest.mark.parametrize("width", [1, 5])
def test_a_recursive_pipeline_is_refused(tmp_path: Path, runtime: Runtime, width: int) -> None:
    path = tmp_path / "loop.json"
    uri = path.as_uri()
    write(path, chain(*["loop"] * width, codec_id="loop", sources={"loop": uri}))
    with pytest.raises(PipelineError, match="a pipeline contains itself: `loop` -> `loop`"):
        prepare(path, runtime=runtime)


def test_pipelines_that_contain_each_other_are_refused(tmp_path: Path, runtime: Runtime) -> None:
    sources = {name: (tmp_path / f"{name}.json").as_uri() for name in "ab"}
    write(tmp_path / "a.json", chain("b", "b", codec_id="a", sources=sources))
    write(tmp_path / "b.json", chain("a", "a", codec_id="b", sources=sources))
    with pytest.raises(PipelineError, match="a pipeline contains itself: `a` -> `b` -> `a`"):
        prepare(tmp_path / "a.json", runtime=runtime)


def test_defining_opens_nothing(echo: Resolver, runtime: Runtime) -> None:
    resolved, resolutions = define(load(chain("echo")), echo, runtime)
    assert set(resolved.signature.input_ports("decode")) == {"bytes"}
    assert resolutions["s0"].label == "echo-a@1.0.0 (core)"
    assert not (runtime.settings.cache.root or Path()).exists()


def test_small_files_do_not_multiply_without_end(tmp_path: Path) -> None:
    ports = {"bytes": {"type": "bytes"}}

    def write(level: int, steps: dict[str, object], output: str) -> None:
        document = {
            "codec_id": f"level{level}",
            "direction": "decode",
            "inputs": ports,
            "outputs": {"bytes": output},
            "steps": steps,
        }
        (tmp_path / f"{level}.json").write_text(json.dumps(document))

    for level in range(1, 8):
        wiring = {"codec_id": f"level{level + 1}", "inputs": {"bytes": "input.bytes"}}
        write(level, {f"s{index}": wiring for index in range(10)}, "s0.bytes")
    # The innermost has no step at all.
    write(8, {}, "input.bytes")
    paths = {f"level{level}": tmp_path / f"{level}.json" for level in range(1, 9)}
    with pytest.raises(PipelineError, match=r"too large.* at most 100000 steps, .* and 16 levels"):
        prepare(tmp_path / "1.json", resolver=Resolver(paths=paths))


@pytest.mark.parametrize("count", [17, 18])
def test_pipelines_nest_to_a_depth(
    tmp_path: Path, runtime: Runtime, echo: Resolver, count: int
) -> None:
    paths = {f"level{level}": tmp_path / f"{level}.json" for level in range(count)}
    for level in range(count):
        # The innermost is used by each of the others, and read first.
        inner = ["level0", f"level{level - 1}"] if level else ["echo"]
        write(paths[f"level{level}"], chain(*inner, codec_id=f"level{level}"))
    top = load(paths[f"level{count - 1}"])
    resolver = Resolver(paths={**paths, **echo.paths})
    if count == 17:
        _, resolutions = define(top, resolver, runtime)
        assert len(resolutions) == count
        return
    with pytest.raises(PipelineError, match="levels of pipelines within pipelines"):
        define(top, resolver, runtime)


def test_a_large_pipeline_that_is_used_often_is_refused_before_it_is_planned(
    tmp_path: Path, runtime: Runtime, echo: Resolver
) -> None:
    inner = tmp_path / "inner.json"
    paths = {"inner": inner, **echo.paths}
    write(inner, chain(*["echo"] * 20_000, codec_id="inner"))
    with pytest.raises(PipelineError, match=r"at most 100000 steps, .* got 19980999 steps"):
        define(load(chain(*["inner"] * 999)), Resolver(paths=paths), runtime)


def test_ports_and_constants_count_too(tmp_path: Path, runtime: Runtime, echo: Resolver) -> None:
    inner = tmp_path / "inner.json"
    paths = {"inner": inner, **echo.paths}
    constants = {f"c{index}": {"type": "int", "value": 1} for index in range(20_000)}
    write(inner, chain("echo", codec_id="inner") | {"constants": constants})
    with pytest.raises(PipelineError, match=r"2000000 ports, constants .* got 200 steps"):
        define(load(chain(*["inner"] * 100)), Resolver(paths=paths), runtime)


def test_each_codec_is_resolved_once_also_where_there_is_none(
    tmp_path: Path, runtime: Runtime, echo: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    resolve = Resolver.resolve

    def counted(
        resolver: Resolver, codec_id: str, *, backends: Sequence[str] = (), source: str = ""
    ) -> Resolution | PipelineResolution:
        asked.append(codec_id)
        return resolve(resolver, codec_id, backends=backends, source=source)

    monkeypatch.setattr(Resolver, "resolve", counted)
    inner = tmp_path / "inner.json"
    paths = {"inner": inner, **echo.paths}
    write(inner, chain(*["echo"] * 3, *["none"] * 3, codec_id="inner"))
    with pytest.raises(PipelineError) as caught:
        define(load(chain("inner", "echo", "none", "inner")), Resolver(paths=paths), runtime)
    assert sorted(asked) == ["echo", "inner", "none"]
    starts = [problem.partition(": no implementation")[0] for problem in caught.value.problems]
    # What is wrong with a pipeline is said at its first use.
    assert starts == [
        *(f"step `s0`: step `s{index}`" for index in (3, 4, 5)),
        "step `s2`",
        "step `s3`: the problems of step `s0`",
    ]


def test_the_search_for_codecs_ends_when_many_are_missing(runtime: Runtime) -> None:
    names = [f"missing{index}" for index in range(1500)]
    with pytest.raises(PipelineError) as caught:
        define(load(chain(*names)), runtime=runtime)
    assert len(caught.value.problems) == 1001
    assert caught.value.problems[-1] == "the steps after these were not looked at"
    assert str(caught.value).endswith("  and 951 more")


@pytest.mark.parametrize("source", ["gone.bytes", "input.x"])
def test_the_names_are_sorted_once(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    sorted_names = []

    def list_choices(names: Collection[str]) -> str:
        sorted_names.append(names)
        return "there is another"

    monkeypatch.setattr(graph, "list_choices", list_choices)
    document = chain(*["echo"] * 100)
    for step in document["steps"].values():
        step["inputs"] = {"bytes": source}
    with pytest.raises(PipelineError) as caught:
        load(document)
    assert len(caught.value.problems) == 100
    assert len(sorted_names) == 1
