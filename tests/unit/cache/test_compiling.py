"""Compiling untrusted codecs: in a child process, within limits, with the same result as here."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from chonkle.cache import compiling
from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.child import MalformedMessageError, read_message, write_message
from chonkle.cache.compilers import Compiler, ModuleCompiler
from chonkle.cache.layers import CacheConfig, CacheLayers, Mode
from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.errors import CacheError, LimitExceeded, WasmFormatError
from chonkle.limits import CompileLimits
from chonkle.storage.store import CodecStore
from tests.unit.cache.bombs import BOMBS

type RecordProperty = Callable[[str, object], None]

ROOT = Path(__file__).parents[3]
MIB = 1 << 20
# What the process has besides what it allocates: files that it maps, Python and wasmtime.
MAPPED_BYTES = 128 * MIB
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def wasm_that_gives(number: int) -> bytes:
    text = f'(module (func (export "run") (result i32) i32.const {number}))'
    return bytes(wasmtime.wat2wasm(text))


GOOD = wasm_that_gives(7)


def binary(wasm: bytes) -> Binary:
    return Binary(wasm, Digest.blake3(wasm), codec_id="x", label="test")


def open_cache(
    root: Path | None = None, limits: CompileLimits | None = None, *, mode: Mode = "auto"
) -> AotCache:
    """Open a cache that compiles in a process of its own."""
    layers = CacheLayers(CacheConfig(root, mode=mode))
    return AotCache(Engine(), layers, compile_limits=limits or CompileLimits())


def run(cache: AotCache, wasm: bytes = GOOD) -> object:
    """Get a module from a cache and run it."""
    module = cache.get_or_compile(binary(wasm), ModuleCompiler())
    wasm_store = wasmtime.Store(cache.engine.wasmtime)
    exported = wasmtime.Instance(wasm_store, module, []).exports(wasm_store)["run"]
    assert isinstance(exported, wasmtime.Func)
    return exported(wasm_store)


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process be started."""
    monkeypatch.setattr(sys, "executable", "")


def files_of(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*.cwasm")}


def test_native_code_is_the_same_wherever_it_was_compiled(tmp_path: Path) -> None:
    there, here = open_cache(tmp_path / "there"), open_cache(tmp_path / "here")
    here.compile_limits = None
    assert run(there) == run(here) == 7
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here") != {}
    assert (there.counts.compiled, there.counts.kept) == (1, 1)


def test_a_warm_cache_needs_no_process(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run(open_cache(tmp_path))
    request.getfixturevalue("no_process")
    cache = open_cache(tmp_path)
    assert run(cache) == 7
    assert (cache.counts.loaded, cache.counts.compiled) == (1, 0)


@pytest.mark.usefixtures("no_process")
def test_the_mode_only_starts_no_process(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="CHONKLE_AOT=only forbids to compile it"):
        run(open_cache(tmp_path, mode="only"))


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_without_a_cache_the_native_code_comes_through_the_pipe(mode: Mode, tmp_path: Path) -> None:
    root = None if mode == "auto" else tmp_path
    cache = open_cache(root, mode=mode)
    assert run(cache) == 7
    assert (cache.counts.compiled, cache.counts.kept) == (1, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_codec_is_known_by_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CodecStore(tmp_path)
    (tmp_path / "seven").mkdir()
    (tmp_path / "seven/any@1.core.wasm").write_bytes(GOOD)
    monkeypatch.setattr(compiling, "bundled_store", lambda: store)
    monkeypatch.setattr(sys, "executable", "")
    assert run(open_cache(), GOOD) == 7
    # As long as what is shipped.
    with pytest.raises(CacheError, match="the process that compiles it cannot be started"):
        run(open_cache(), wasm_that_gives(8))


def test_what_is_not_valid_is_told_as_ever() -> None:
    messages = []
    for limits in (None, CompileLimits()):
        cache = open_cache()
        cache.compile_limits = limits
        with pytest.raises(WasmFormatError) as caught:
            run(cache, GOOD[:-1])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith("codec test: not a valid core binary: ")


PROGRAM = """
import json, resource, sys, time
from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.layers import CacheConfig, CacheLayers, Mode
from chonkle.cache.compilers import ModuleCompiler
from chonkle.digest import Digest
from chonkle.engine import Engine, EngineConfig
from chonkle.errors import LimitExceeded
from chonkle.limits import CompileLimits
from tests.unit.cache.bombs import BOMBS

names, seconds, size = sys.argv[1].split(","), float(sys.argv[2]), int(sys.argv[3])
layers = CacheLayers(CacheConfig(None))
told = {}


def compile(wasm, limits):
    cache = AotCache(
        Engine(EngineConfig(interruptible=True)), layers, compile_limits=limits
    )
    return cache.get_or_compile(Binary(wasm, Digest.blake3(wasm), "x", "bomb"), ModuleCompiler())


for name in names:
    wasm = BOMBS[name]()
    started = time.perf_counter()
    try:
        compile(wasm, CompileLimits(timeout_s=seconds, memory_bytes=size))
        words = "compiled"
    except LimitExceeded as failure:
        words = str(failure)
    took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    told[name] = (words, len(wasm), took, peak, own)
compile(bytes.fromhex(sys.argv[4]), CompileLimits())
print(json.dumps(told))
"""


def go_off(
    names: Sequence[str], limits: CompileLimits, record_property: RecordProperty
) -> dict[str, str]:
    """Compile bombs in one process, then a good module; give what was said of each bomb."""
    arguments = [",".join(names), str(limits.timeout_s), str(limits.memory_bytes), GOOD.hex()]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    for name, (words, size, seconds, peak, own) in told.items():
        record_property(
            "measured",
            f"{name}, {size} bytes: {seconds:.1f} s, peak of the children so far "
            f"{peak >> 20} MiB, of the process {own >> 20} MiB, {words.partition(';')[0]}",
        )
        assert peak <= limits.memory_bytes + MAPPED_BYTES
    return {name: words for name, (words, *_) in told.items()}


@linux
def test_a_bomb_is_limited_and_the_process_goes_on(record_property: RecordProperty) -> None:
    limits = CompileLimits(timeout_s=1)
    said = go_off(["nested_loops"], limits, record_property)
    assert said["nested_loops"] == (
        "codec bomb: compiling it took too long, expected at most 1 s; hint: --compile-timeout or "
        "CHONKLE_COMPILE_TIMEOUT raises that, if you trust the codec"
    )
    limits = CompileLimits(memory_bytes=128 * MIB)
    said = go_off(["many_calls"], limits, record_property)
    assert said["many_calls"] == (
        "codec bomb: compiling it took too much memory, expected at most 134217728 bytes; hint: "
        "--compile-memory or CHONKLE_COMPILE_MEMORY raises that, if you trust the codec"
    )


@linux
@pytest.mark.slow
def test_every_bomb_ends_within_tight_limits(record_property: RecordProperty) -> None:
    limits = CompileLimits(timeout_s=2, memory_bytes=512 * MIB)
    for words in go_off(list(BOMBS), limits, record_property).values():
        assert words.startswith("codec bomb: compiling it took too ")


@linux
@pytest.mark.slow
def test_a_bomb_ends_within_the_limits_that_are_usual(record_property: RecordProperty) -> None:
    said = go_off(["phi_chains"], CompileLimits(), record_property)
    assert said["phi_chains"].startswith("codec bomb: compiling it took too ")


STRANGE = """
import ctypes, json, os, resource, sys
from chonkle.cache.compilers import ModuleCompiler


class Telling(ModuleCompiler):
    # Tells what it finds itself in.
    def compile(self, engine, wasm):
        found = {
            "environment": sorted(os.environ),
            "files": sorted(os.listdir("/proc/self/fd"), key=int),
            "links": [os.readlink(f"/proc/self/fd/{number}")[:5] for number in (0, 1, 2)],
            "session": os.getsid(0) == os.getpid(),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "cpu": resource.getrlimit(resource.RLIMIT_CPU),
            "data": resource.getrlimit(resource.RLIMIT_DATA),
            "modules": sorted(sys.modules),
        }
        return [json.dumps(found).encode()]

    def load(self, engine, artifacts):
        return json.loads(artifacts[0])


class Garbage(ModuleCompiler):
    def compile(self, engine, wasm):
        return [b"native code, honestly"]


class Nothing(ModuleCompiler):
    def compile(self, engine, wasm):
        return []


class Raw(ModuleCompiler):
    # Writes something else than a reply.
    reply = b""

    def compile(self, engine, wasm):
        os.write(1, self.reply)
        os._exit(0)


class Chatter(Raw):
    reply = b"one\\ntwo \\x1b[31mred\\n"


class Endless(Raw):
    reply = b"chonkle\\1" + b"\\xff\\xff\\xff\\xff"


class Huge(Raw):
    reply = b"chonkle\\1" + b"\\1\\0\\0\\0" + b"\\0\\0\\0\\0\\0\\1\\0\\0"


class Short(Raw):
    reply = b"chonkle\\1" + b"\\2\\0\\0\\0" + b"\\x08\\0\\0\\0\\0\\0\\0\\0compiled" + b"\\x09\\0"


class Unknown(Raw):
    reply = b"chonkle\\1" + b"\\1\\0\\0\\0" + b"\\x04\\0\\0\\0\\0\\0\\0\\0what"


class Broken(ModuleCompiler):
    def compile(self, engine, wasm):
        ctypes.string_at(0)


class Failing(ModuleCompiler):
    def compile(self, engine, wasm):
        raise RuntimeError("no idea")


class Greedy(ModuleCompiler):
    def compile(self, engine, wasm):
        return [bytes(1 << 40)]


class Spinning(ModuleCompiler):
    def compile(self, engine, wasm):
        while True:
            pass

"""


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Give a function that makes a compiler which does something else."""
    (tmp_path / "strange.py").write_text(STRANGE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import strange  # type: ignore[import-not-found]  # noqa: PLC0415 - just written

    yield lambda name: getattr(strange, name)()
    del sys.modules["strange"]


def ask[T](
    compiler: Compiler[T], root: Path | None = None, limits: CompileLimits | None = None
) -> T:
    return open_cache(root, limits).get_or_compile(binary(GOOD), compiler)


@linux
def test_the_process_inherits_only_what_it_needs(
    strange: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHONKLE_CACHE_KEY", "0" * 64)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    limits = CompileLimits(timeout_s=99.5, memory_bytes=300 * MIB)
    with (tmp_path / "open").open("wb") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - its only parameter
        told = ask(strange("Telling"), limits=limits)
    # Python sets LC_CTYPE itself, where nothing says which language there is.
    assert set(told["environment"]) - {"LC_CTYPE"} == {"LD_LIBRARY_PATH"}
    # Those of the pipes, and of the folder that is being listed.
    assert len(told["files"]) == 4
    assert told["files"][:3] == ["0", "1", "2"]
    assert told["links"] == ["pipe:", "pipe:", "pipe:"]
    assert told["session"] is True
    assert told["core"] == [0, 0]
    assert told["cpu"] == [101, 102]
    assert told["data"] == [300 * MIB, 300 * MIB]
    never = {"click", "oras", "numpy", "subprocess", "chonkle.runtime", "chonkle.cache.aot"}
    assert never & set(told["modules"]) == set()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Garbage", "codec test: what compiling it gave is no native code"),
        ("Nothing", "codec test: what compiling it gave is no native code"),
        ("Chatter", r"codec test: the process that compiles it broke, got .*: two \\x1b\[31mred$"),
        ("Endless", "codec test: the process that compiles it broke"),
        ("Huge", "codec test: the process that compiles it broke"),
        ("Short", "codec test: the process that compiles it broke"),
        ("Unknown", "codec test: the process that compiles it broke"),
        ("Failing", "codec test: the process that compiles it broke, got exit code 1: Runtime"),
        pytest.param("Broken", "it broke, got SIGSEGV", marks=linux),
    ],
)
def test_a_process_that_breaks_or_lies_is_refused(
    name: str, words: str, strange: Callable[[str], Any], tmp_path: Path
) -> None:
    root = tmp_path / "cache"
    with pytest.raises(CacheError, match=words) as caught:
        ask(strange(name), root)
    assert "\n" not in str(caught.value)
    assert files_of(root) == {}
    # The lock is free, and the next one works.
    assert run(open_cache(root)) == 7


@linux
def test_memory_that_python_lacks_counts_too(strange: Callable[[str], Any]) -> None:
    with pytest.raises(LimitExceeded, match="took too much memory"):
        ask(strange("Greedy"))


def test_a_process_that_holds_the_interpreter_ends_in_time(strange: Callable[[str], Any]) -> None:
    with pytest.raises(LimitExceeded, match=r"took too long, expected at most 0\.5 s"):
        ask(strange("Spinning"), limits=CompileLimits(timeout_s=0.5))


@pytest.mark.parametrize("executable", ["", "/nowhere/python"])
def test_a_process_that_cannot_start_is_told(
    executable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(CacheError, match="process that compiles it cannot be started: ") as caught:
        run(open_cache())
    assert "`Runtime(compile_limits=None)`" in str(caught.value)


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_message_is_read_as_it_was_written(parts: list[bytes]) -> None:
    stream = io.BytesIO()
    write_message(stream, parts)
    stream.seek(0)
    assert read_message(stream, size_max=sum(map(len, parts))) == parts
    written = stream.getvalue()
    for size in range(len(written)):
        with pytest.raises(MalformedMessageError):
            read_message(io.BytesIO(written[:size]), size_max=1 << 20)
    if any(parts):
        with pytest.raises(MalformedMessageError):
            read_message(io.BytesIO(written), size_max=sum(map(len, parts)) - 1)


WAITING = """
import sys
from pathlib import Path
from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.layers import CacheConfig, CacheLayers, Mode
from chonkle.cache.compilers import ModuleCompiler
from chonkle.digest import Digest
from chonkle.engine import Engine, EngineConfig
from chonkle.limits import CompileLimits
from tests.unit.cache.bombs import BOMBS

wasm = BOMBS["nested_loops_with_locals"]()
layers = CacheLayers(CacheConfig(Path(sys.argv[1])))
cache = AotCache(Engine(EngineConfig()), layers, compile_limits=CompileLimits(timeout_s=3600))
try:
    cache.get_or_compile(Binary(wasm, Digest.blake3(wasm), "x", "bomb"), ModuleCompiler())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def status_of(process: int) -> list[str]:
    """Read what /proc/PID/stat says from the state on; nothing of a process that has gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def state_of(process: int) -> str:
    return "".join(status_of(process)[:1])


def children_of(process: int) -> list[int]:
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if status_of(number)[1:2] == [str(process)]]


def wait_for[T](look: Callable[[], T]) -> T:
    """Look until there is something; what never comes would be a failure after minutes."""
    end = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def computed_s(process: int) -> float:
    """Say how many seconds a process has computed."""
    return int(status_of(process)[11]) / os.sysconf("SC_CLK_TCK")


@linux
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_compiling_process_too(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as parent:
        (child,) = wait_for(lambda: children_of(parent.pid))
        # Until it compiles, and not only starts.
        wait_for(lambda: computed_s(child) > 1)
        parent.send_signal(number)
        said, _ = parent.communicate()
    assert said == (b"interrupted\n" if number == signal.SIGINT else b"")
    assert parent.returncode == (0 if number == signal.SIGINT else -number)
    wait_for(lambda: state_of(child) in {"", "Z"})
    assert {path.suffix for path in tmp_path.rglob("*")} & {".record", ".tmp", ".cwasm"} == set()
    assert run(open_cache(tmp_path)) == 7


CROWD = """
import sys, threading
from pathlib import Path
from chonkle.backends.base import Limits
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec

codec = WasmCodec.from_file(Path(sys.argv[1]))
resolution = Resolution("core", codec.signature, "test", codec)
with Runtime(cache=Path(sys.argv[2])) as runtime:
    sys.stdin.read()
    def call():
        opened = runtime.open(resolution, Limits())
        assert opened.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}
    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(runtime.counts.compiled, runtime.counts.loaded)
"""


@pytest.mark.slow
def test_threads_of_many_processes_compile_once(
    tmp_path: Path, make_codec: Callable[..., bytes]
) -> None:
    wasm = tmp_path / "echo.wasm"
    wasm.write_bytes(make_codec())
    command = [sys.executable, "-c", CROWD, str(wasm), str(tmp_path / "cache")]
    crowd = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    # They begin together, when their input ends.
    for process in crowd:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = [process.communicate()[0].split() for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 8
    assert sorted(said) == [["0", "1"]] * 7 + [["1", "0"]]
