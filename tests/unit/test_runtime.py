import gc
import json
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chonkle import runtime as runtime_module
from chonkle.backends.base import Limits
from chonkle.cache.layers import CacheConfig
from chonkle.errors import ChonkleError, PipelineError
from chonkle.oci.access import RegistryAccess
from chonkle.pipeline import prepare
from chonkle.policy import Policy
from chonkle.resolver import Resolution, Resolver
from chonkle.runtime import Runtime, default_runtime
from chonkle.storage.store import WasmCodec
from tests.fixture_types import MakeCodec

PIPELINE = {
    "codec_id": "p",
    "direction": "decode",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": "s.bytes"},
    "steps": {"s": {"codec_id": "echo", "inputs": {"bytes": "input.bytes"}}},
}


@pytest.fixture
def echo(tmp_path: Path, make_codec: MakeCodec) -> Resolver:
    path = tmp_path / "echo.wasm"
    path.write_bytes(make_codec())
    return Resolver(paths={"echo": path})


def resolution(make_codec: MakeCodec) -> Resolution:
    codec = WasmCodec.from_bytes(make_codec(), "test")
    return Resolution("core", codec.signature, "test", codec)


def test_pipelines_of_a_process_share_its_runtime(echo: Resolver) -> None:
    with prepare(PIPELINE, resolver=echo) as decoder:
        encoder = prepare(PIPELINE, direction="encode", resolver=echo)
        assert decoder.runtime is encoder.runtime is default_runtime()
        assert decoder.codecs[0] is encoder.codecs[0]
    # It stays open for others.
    assert encoder.run({"bytes": b"abc"}) == {"bytes": b"abc"}
    with prepare(PIPELINE, resolver=echo) as again:
        assert again.codecs[0] is encoder.codecs[0]


def test_an_environment_has_its_runtime(
    echo: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(PIPELINE, resolver=echo)
    monkeypatch.setenv("CHONKLE_CACHE_DIR", str(tmp_path / "other"))
    other = default_runtime()
    assert other is not prepared.runtime
    assert other is default_runtime()
    assert other.settings.cache.root == tmp_path / "other"
    assert prepared.run({"bytes": b"abc"}) == {"bytes": b"abc"}
    monkeypatch.setenv("CHONKLE_AOT", "perhaps")
    with pytest.raises(ChonkleError, match="bad CHONKLE_AOT"):
        default_runtime()


def test_arguments_override_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHONKLE_FORCE_DOWNLOAD", "1")
    monkeypatch.setenv("CHONKLE_POLICY", str(tmp_path / "policy.toml"))
    monkeypatch.setenv("CHONKLE_AOT", "perhaps")
    settings = Runtime(
        cache=tmp_path, codec_store=str(tmp_path), force_download=False, policy=None
    ).settings
    assert settings.cache == CacheConfig(tmp_path)
    assert settings.codec_store == tmp_path
    assert not settings.force_download
    assert settings.policy is None
    assert Runtime(cache=None).settings.cache.root is None


def test_a_resolver_leaves_to_the_runtime_what_it_does_not_say(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('version = 1\ndefault = "allow"\n')
    access = RegistryAccess(offline=True)
    runtime = Runtime(
        cache=None, codec_store=tmp_path, force_download=True, access=access, policy=policy
    )
    open_ = runtime.complete(None)
    assert (open_.codec_store, open_.force_download) == (tmp_path, True)
    assert open_.access is access
    assert open_.policy == Policy.read(policy)
    # What is said can also switch something off.
    said = Resolver(codec_store="here", force_download=False, access=RegistryAccess())
    closed = runtime.complete(said)
    assert (closed.codec_store, closed.force_download) == ("here", False)
    assert closed.access is said.access


def test_a_runtime_that_is_closed_opens_nothing(make_codec: MakeCodec, echo: Resolver) -> None:
    with Runtime(cache=None, compile_limits=None) as runtime:
        prepare(PIPELINE, resolver=echo, runtime=runtime)
    runtime.close()
    for _ in range(2):
        with pytest.raises(PipelineError, match="the runtime is already closed"):
            runtime.open(resolution(make_codec), Limits())


def test_threads_open_a_codec_once(make_codec: MakeCodec) -> None:
    found = resolution(make_codec)
    with Runtime(cache=None, compile_limits=None) as runtime, ThreadPoolExecutor(16) as threads:
        opened = set(threads.map(lambda _: runtime.open(found, Limits()), range(64)))
        assert len(opened) == 1
        assert runtime.counts.compiled == 1
        # Several codecs at once are all counted.
        limits = [Limits(output_bytes=size) for size in range(1, 65)]
        assert len(set(threads.map(lambda each: runtime.open(found, each), limits))) == len(limits)
        assert runtime.counts.compiled == 1 + len(limits)


def test_unused_codecs_do_not_pile_up(
    make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_module, "_OPEN_CODECS_MAX", 2)
    found = resolution(make_codec)
    with Runtime(cache=None, compile_limits=None) as runtime:
        used = runtime.open(found, Limits(output_bytes=1))
        unused = weakref.ref(runtime.open(found, Limits(output_bytes=2)))
        for size in (3, 4):
            runtime.open(found, Limits(output_bytes=size))
        gc.collect()
        assert unused() is None
        with pytest.raises(ChonkleError, match="returned more than allowed"):
            used.call("decode", {"bytes": b"two bytes and more"})


WARM = """
import os, sys
import chonkle
prepared = chonkle.prepare(sys.argv[1], resolver=chonkle.Resolver(paths={"echo": sys.argv[2]}))
assert prepared.run({"bytes": b"a"}) == {"bytes": b"a"}
child = os.fork()
if child == 0:
    again = chonkle.prepare(sys.argv[1], resolver=chonkle.Resolver(paths={"echo": sys.argv[2]}))
    assert again.codecs[0] is prepared.codecs[0]
    assert again.run({"bytes": b"a"}) == {"bytes": b"a"}
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on POSIX only")
def test_the_default_runtime_survives_forks_and_ends(tmp_path: Path, echo: Resolver) -> None:
    pipeline = tmp_path / "p.json"
    pipeline.write_text(json.dumps(PIPELINE))
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", WARM, pipeline, echo.paths["echo"]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
