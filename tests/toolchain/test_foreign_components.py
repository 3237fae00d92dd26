"""Components that other toolchains made: run flattened, and as wasmtime runs components.

Both are opened from caches that were filled once, so that every test is also one of a warm load.
"""

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from chonkle_toolchain.tools import Tools

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.guest_codec import GuestCodec
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.cache.layers import CacheConfig
from chonkle.errors import CodecError, CodecTrap
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import Direction, Signature, embed_signature
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec
from tests.toolchain.build_foreign import build_c_component, build_python_component, find_adapter

pytestmark = [pytest.mark.toolchain, pytest.mark.slow]

PORTS = {"bytes": {"type": "bytes"}}
SIGNATURE = Signature.from_json(
    {"codec_id": "foreign", "implementation": "foreign-any", "inputs": PORTS, "outputs": PORTS}
)
# What CHONKLE_COMPONENT says, and what a codec is then.
KINDS: Mapping[str, type[Codec]] = {"flatten": GuestCodec, "fallback": HostComponentCodec}
# wasmtime's own support takes a second for each megabyte.
INPUTS: Mapping[str, Mapping[str, bytes]] = {
    "no ports": {},
    "no bytes": {"bytes": b""},
    "one port": {"bytes": b"abc" * 1000},
    "every byte": {"bytes": bytes(range(256)) * 7, "größe": b"\0"},
    "many ports": {f"port{index}": bytes([index]) * index for index in range(40)},
    "past a page": {"bytes": b"\xa5" * 70_000, "": b"a port without a name"},
}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign component and where its native code is.

    Attributes:
        name: what it was made of.
        codec: the component with a signature.
        caches: what CHONKLE_COMPONENT says -> a cache that has what is needed then, and no more.
    """

    name: str
    codec: WasmCodec
    caches: Mapping[str, Path]

    def runtime(self, setting: str) -> Runtime:
        """Open a runtime that may not compile."""
        return Runtime(
            cache=CacheConfig(self.caches[setting], mode="only"),
            flatten_components=setting == "flatten",
        )

    def open(self, runtime: Runtime) -> Codec:
        return runtime.open(Resolution("component", SIGNATURE, "test", self.codec), Limits())


def build(name: str, tools: Tools, make_folder: Callable[[str], Path]) -> bytes:
    if name == "python":
        program = Path(sysconfig.get_path("scripts")) / "componentize-py"
        return build_python_component(make_folder("python"), componentize_py=str(program))
    commands = tools.need({"zig", "rust", "wasm-tools"})
    adapter = find_adapter(make_folder("adapter"), cargo=commands.rust.cargo)
    return build_c_component(
        make_folder("c"), zig=commands.zig, wasm_tools=commands.wasm_tools, adapter=adapter
    )


@pytest.fixture(scope="module", params=["c", "python"])
def foreign(
    request: pytest.FixtureRequest, tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Foreign:
    wasm = embed_signature(build(request.param, tools, tmp_path_factory.mktemp), SIGNATURE)
    caches = {setting: tmp_path_factory.mktemp(setting) for setting in KINDS}
    made = Foreign(request.param, WasmCodec.from_bytes(wasm, "foreign.wasm"), caches)
    for setting, cache in caches.items():
        with Runtime(cache=cache, flatten_components=setting == "flatten") as runtime:
            made.open(runtime)
            assert runtime.counts.compiled == 1
    return made


@pytest.fixture(params=KINDS)
def setting(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def codec(foreign: Foreign, setting: str) -> Iterator[Codec]:
    with foreign.runtime(setting) as runtime:
        opened = foreign.open(runtime)
        assert type(opened) is KINDS[setting]
        yield opened


def test_it_wants_wasi_of_the_host(foreign: Foreign) -> None:
    # Otherwise nothing here would be more foreign than our own.
    imports = {item.name.partition("@")[0] for item in read_interface(foreign.codec.wasm).imports}
    assert {"wasi:cli/environment", "wasi:clocks/wall-clock"} <= imports


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_both_ways_of_running_it_give_the_same(foreign: Foreign, direction: Direction) -> None:
    with foreign.runtime("flatten") as flattening, foreign.runtime("fallback") as falling_back:
        codecs = [foreign.open(flattening), foreign.open(falling_back)]
        assert [type(each) for each in codecs] == list(KINDS.values())
        for what, ports in INPUTS.items():
            rows = list(ports.items())
            expected = rows if direction == "encode" else rows[::-1]
            for each in codecs:
                assert list(each.call(direction, ports).items()) == expected, what


def test_a_refusal_is_the_codecs_own_and_the_next_call_works(codec: Codec) -> None:
    for reason in ("not today", "größe", ""):
        with pytest.raises(CodecError) as caught:
            codec.call("decode", {"bytes": b"x", "refuse": reason.encode()})
        assert str(caught.value) == (
            f"codec `foreign` (foreign-any, component), decode: refused: {reason}".rstrip()
        )
        assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_the_time_is_denied_by_name_and_the_next_call_works(codec: Codec) -> None:
    for _ in range(2):
        with pytest.raises(CodecTrap, match=r"wasi:clocks/wall-clock@0\.2\.\d+.*now"):
            codec.call("encode", {"clock": b""})
        assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_a_warm_load_compiles_nothing(
    foreign: Foreign, setting: str, record_property: Callable[[str, object], None]
) -> None:
    with foreign.runtime(setting) as runtime:
        started = time.perf_counter()
        opened = foreign.open(runtime)
        loaded = time.perf_counter()
        opened.call("decode", {"bytes": b"x"})
        called = time.perf_counter()
        assert (runtime.counts.loaded, runtime.counts.compiled) == (1, 0)
    # A figure to look at; a bound would fail on a busy machine.
    record_property(
        "measured",
        f"{foreign.name}, {setting}: loaded in {(loaded - started) * 1e3:.1f} ms, "
        f"first call in {(called - loaded) * 1e3:.1f} ms",
    )


def test_the_environment_decides_how_it_runs(
    foreign: Foreign, setting: str, tmp_path: Path
) -> None:
    (tmp_path / "foreign.wasm").write_bytes(foreign.codec.wasm)
    (tmp_path / "input").write_bytes(INPUTS["every byte"]["bytes"])
    wiring = {
        "codec_id": "one-step", "direction": "decode", "inputs": PORTS,
        "outputs": {"bytes": "only.bytes"},
        "steps": {"only": {"codec_id": "foreign", "inputs": {"bytes": "input.bytes"}}},
    }  # fmt: skip
    (tmp_path / "pipeline.json").write_text(json.dumps(wiring), encoding="utf-8")
    command = (
        "run", "pipeline.json", "--codec-path", "foreign=foreign.wasm",
        "--input", "bytes=input", "--output", "bytes=-",
    )  # fmt: skip
    # Each cache has what one setting needs and nothing may be compiled: it can only be in force.
    for cache in KINDS:
        done = subprocess.run(
            [sys.executable, "-m", "chonkle", *command],
            cwd=tmp_path,
            env={
                **os.environ,
                "CHONKLE_COMPONENT": setting,
                "CHONKLE_AOT": "only",
                "CHONKLE_CACHE_DIR": str(foreign.caches[cache]),
            },
            capture_output=True,
            check=False,
        )
        if cache == setting:
            assert done.returncode == 0, done.stderr.decode()
            assert done.stdout == INPUTS["every byte"]["bytes"]
        else:
            assert done.returncode == 1
            assert "CHONKLE_AOT=only" in done.stderr.decode()
