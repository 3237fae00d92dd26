"""Copies of prepared pipelines, and pickles of them: in this process, and in pools of processes."""

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from chonkle import executor
from chonkle.backends.base import Limits
from chonkle.cache.layers import CacheConfig
from chonkle.cache.record import Authenticator
from chonkle.errors import LimitExceeded, PipelineError, ResolveError
from chonkle.oci.access import RegistryAccess
from chonkle.pipeline import PreparedPipeline, prepare
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime, default_runtime
from tests.fixture_types import MakeCodec

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300

ECHO: dict[str, Any] = {
    "codec_id": "p",
    "direction": "decode",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": "s.bytes"},
    "steps": {"s": {"codec_id": "echo", "inputs": {"bytes": "input.bytes"}}},
}


@pytest.fixture
def codec(tmp_path: Path, make_codec: MakeCodec) -> Path:
    path = tmp_path / "echo.wasm"
    path.write_bytes(make_codec())
    return path


@pytest.fixture
def echo(codec: Path) -> Resolver:
    return Resolver(paths={"echo": codec})


def loaded(data: bytes) -> PreparedPipeline:
    found = pickle.loads(data)  # noqa: S301 - what the test pickled
    assert isinstance(found, PreparedPipeline)
    return found


def received(prepared: PreparedPipeline) -> PreparedPipeline:
    return loaded(pickle.dumps(prepared))


# Copies


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, received])
@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_a_copy_runs_and_closes_by_itself(
    echo: Resolver, make: Callable[[PreparedPipeline], PreparedPipeline], direction: Any
) -> None:
    limits = Limits(output_bytes=100)
    prepared = prepare(ECHO, direction, resolver=echo, limits=limits)
    copied = make(prepared)
    assert copied is not prepared
    # They share what is open.
    assert copied.codecs[0] is prepared.codecs[0]
    assert copied.runtime is prepared.runtime
    assert (copied.plan, copied.limits) == (prepared.plan, limits)
    prepared.close()
    with pytest.raises(LimitExceeded):
        copied.run({"bytes": bytes(101)})
    assert copied.run({"bytes": b"abc"}) == {"bytes": b"abc"}
    again = make(copied)
    copied.close()
    assert again.run({"bytes": b"abc"}) == {"bytes": b"abc"}
    with pytest.raises(PipelineError, match="already closed"):
        pickle.dumps(copied)
    with pytest.raises(PipelineError, match="already closed"):
        copy.copy(copied).run({"bytes": b""})


def test_a_pipeline_that_comes_again_is_prepared_once(echo: Resolver) -> None:
    data = pickle.dumps(prepare(ECHO, resolver=echo))
    first = loaded(data)
    second = loaded(data)
    assert first.plan is second.plan
    first.close()
    assert second.run({"bytes": b"a"}) == loaded(data).run({"bytes": b"a"})


# What a pickle says


def test_codecs_with_other_bytes_are_refused(
    codec: Path, echo: Resolver, make_codec: MakeCodec
) -> None:
    prepared = prepare(ECHO, "encode", resolver=echo)
    data = pickle.dumps(prepared)
    old = prepared.resolutions["s"].wasm
    assert old is not None
    codec.write_bytes(make_codec(note="changed"))
    new = prepare(ECHO, resolver=echo).resolutions["s"].wasm
    assert new is not None
    with pytest.raises(ResolveError) as caught:
        loaded(data).run({"bytes": b""})
    assert str(caught.value) == (
        f"a pickled pipeline: codec `echo`: pickled with echo-a@1.0.0 (core) {old.digest}, here "
        f"echo-a@1.0.0 (core) {new.digest}; hint: both processes need the same "
        "codecs: installed files, versions and sources"
    )
    codec.write_bytes(make_codec(implementation="echo-b", version="2.0.0"))
    with pytest.raises(ResolveError, match=r"pickled with echo-a@1.0.0 .*, here echo-b@2.0.0"):
        loaded(data).run({"bytes": b""})
    # It can be closed and thrown away, and says the same whatever is asked of it.
    with loaded(data) as unprepared:
        for use in (
            lambda: unprepared.plan,
            lambda: unprepared.borrow({}).__enter__(),
            lambda: unprepared.run_many([]),
            lambda: pickle.dumps(unprepared),
            lambda: executor.run(copy.copy(unprepared), {}),
        ):
            with pytest.raises(ResolveError, match=r"^a pickled pipeline: codec `echo`: pickled"):
                use()
    codec.unlink()
    with pytest.raises(
        ResolveError, match="a pickled pipeline: step `s`: codec `echo`: cannot read"
    ):
        loaded(data).run({"bytes": b""})


def test_a_backend_or_a_version_of_numcodecs_that_differs_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = copy.deepcopy(ECHO)
    document["steps"]["s"]["codec_id"] = "zlib"
    data = pickle.dumps(prepare(document))
    assert loaded(data).resolutions["s"].backend == "native"
    data = pickle.dumps(prepare(document, limits=Limits(output_bytes=12345)))
    monkeypatch.setattr("chonkle.resolver.native_version", lambda: "0.0.1")
    with pytest.raises(ResolveError, match=r"numcodecs.zlib@[0-9.]+ \(native\), here .*@0.0.1 \("):
        loaded(data).run({"bytes": b""})
    monkeypatch.setattr("chonkle.inventory.is_available", lambda _: False)
    with pytest.raises(ResolveError, match=r"\(native\), here zlib-rs@1.0.0 \(core\) blake3:"):
        loaded(data).run({"bytes": b""})


def test_a_step_that_is_another_pipeline_is_refused(tmp_path: Path, echo: Resolver) -> None:
    inner = tmp_path / "inner.json"
    inner.write_text(json.dumps({**ECHO, "codec_id": "inner"}))
    outer = copy.deepcopy(ECHO)
    outer["steps"]["s"]["codec_id"] = "inner"
    resolver = Resolver(paths={**echo.paths, "inner": inner})
    data = pickle.dumps(prepare(outer, resolver=resolver))
    document = json.loads(inner.read_text())
    document["description"] = "another"
    inner.write_text(json.dumps(document))
    with pytest.raises(ResolveError, match="codec `inner`: pickled with pipeline blake3:"):
        loaded(data).run({"bytes": b""})


def test_the_pipeline_comes_along_and_not_its_file(tmp_path: Path, echo: Resolver) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(ECHO))
    data = pickle.dumps(prepare(path, resolver=echo))
    path.unlink()
    assert loaded(data).run({"bytes": b"abc"}) == {"bytes": b"abc"}


# Runtimes


@pytest.fixture
def other(tmp_path: Path, open_runtime: Callable[..., Runtime]) -> Iterator[Runtime]:
    """Open a runtime with a value for every setting."""
    runtime = open_runtime(
        cache=CacheConfig(tmp_path / "cache", authenticator=Authenticator(bytes(32))),
        codec_store=tmp_path / "store",
        access=RegistryAccess(registry="registry.test", insecure=True, offline=True),
    )
    with runtime:
        yield runtime


def test_the_settings_of_a_runtime_come_along(other: Runtime, echo: Resolver) -> None:
    data = pickle.dumps(prepare(ECHO, resolver=echo, runtime=other))
    first = loaded(data)
    assert first.runtime is not other
    assert first.runtime is not default_runtime()
    assert first.runtime.settings == other.settings
    assert first.run({"bytes": b"abc"}) == {"bytes": b"abc"}
    # One runtime for all pipelines that come with these settings, until it is closed.
    more = received(prepare(ECHO, "encode", resolver=echo, runtime=other))
    assert more.runtime is first.runtime
    first.runtime.close()
    last = loaded(data)
    assert last.runtime is not first.runtime
    assert last.run({"bytes": b"abc"}) == {"bytes": b"abc"}


def test_the_default_runtime_is_that_of_the_reader(
    echo: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(ECHO, resolver=echo)
    data = pickle.dumps(prepared)
    monkeypatch.setenv("CHONKLE_CODEC_STORE", str(tmp_path / "there"))
    assert loaded(data).runtime.settings.codec_store == tmp_path / "there"
    # The environment has changed since it was prepared, so its settings are no default any more.
    assert received(prepared).runtime.settings == prepared.runtime.settings


def test_what_cannot_be_pickled_is_said(
    echo: Resolver, other: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: Mapping[str, str | Path] = MappingProxyType(dict(echo.paths))
    prepared = prepare(ECHO, resolver=Resolver(paths=paths))
    with pytest.raises(PipelineError) as caught:
        pickle.dumps(prepared)
    assert str(caught.value).startswith("pipeline `p`: its resolver cannot be pickled, got TypeErr")
    assert str(caught.value).endswith("; hint: make it in the process that runs it")
    prepared = prepare(ECHO, resolver=echo, runtime=other)
    monkeypatch.setattr(other, "settings", lambda: None)
    with pytest.raises(PipelineError, match="its runtime's settings cannot be pickled, got"):
        pickle.dumps(prepared)


# Pools

PROGRAM = """
import functools, json, multiprocessing, sys, zlib
from concurrent.futures import ProcessPoolExecutor
import chonkle

def length(prepared, data):
    return len(prepared.run({"bytes": data})["bytes"])

def main(way, codec):
    resolver = chonkle.Resolver(preference=["core"], paths={"echo": codec})
    document = json.loads(sys.stdin.read())
    chunks = [zlib.compress(bytes([each]) * 1000 * each) for each in range(40)]
    context = multiprocessing.get_context(way)
    with chonkle.Runtime(cache="other-cache", compile_limits=None) as runtime:
        for chosen in (None, runtime):
            decoder = chonkle.prepare(
                document, "decode", resolver=resolver, runtime=chosen,
                limits=chonkle.Limits(output_bytes=39_000),
            )
            assert length(decoder, chunks[1]) == 1000
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                found = list(pool.map(functools.partial(length, decoder), chunks))
                assert found == [1000 * each for each in range(40)], found
                # Methods are pickled with their object.
                items = [{"bytes": chunk} for chunk in chunks]
                assert [len(each["bytes"]) for each in pool.map(decoder.run, items)] == found
                try:
                    pool.submit(decoder.run, {"bytes": zlib.compress(bytes(39_001))}).result()
                except chonkle.ChonkleError as failure:
                    assert "returned more than allowed" in str(failure), failure
                else:
                    raise AssertionError("the limits were lost")
            with context.Pool(2) as pool:
                assert pool.map(decoder.run, items) == list(map(decoder.run, items))
    # One that was prepared elsewhere, and whose codec has changed since.
    prepared = chonkle.prepare(
        json.loads(json.dumps(document).replace("zlib", "echo")), resolver=resolver
    )
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(prepared.run, {"bytes": b"a"}).result() == {"bytes": b"a"}
    with open(codec, "ab") as file:
        file.write(bytes([0, 2, 1, 120]))
    with ProcessPoolExecutor(1, mp_context=context) as pool, context.Pool(1) as other_pool:
        for run in (pool.map, other_pool.map):
            try:
                list(run(prepared.run, [{"bytes": b"a"}]))
            except chonkle.ChonkleError as failure:
                print(failure)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.parametrize("way", ["spawn", "fork", "forkserver"])
def test_pools_of_processes_run_what_was_prepared(way: str, codec: Path, tmp_path: Path) -> None:
    if way != "spawn" and not hasattr(os, "fork"):
        pytest.skip("forks")
    document = copy.deepcopy(ECHO)
    document["steps"]["s"]["codec_id"] = "zlib"
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", way, str(codec)],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failures = done.stdout.splitlines()
    assert len(failures) == 2
    words = "a pickled pipeline: codec `echo`: pickled with echo-a@1.0.0 (core) blake3:"
    assert all(each.startswith(words) for each in failures)
