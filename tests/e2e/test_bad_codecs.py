"""Codecs that mean harm or are broken: each ends as one line that names the step and the codec.

What each failure must be like is in the fixture `error_of`.
"""

import json
import signal
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from tests.fixture_types import Chonkle, ErrorOf, MakeCodec, PipelineOf

type Run = Callable[..., str]

# The answer of a transform: an address and a size, packed.
ANSWER = "(i64.or (i64.shl (i64.const {0}) (i64.const 32)) (i64.const {1}))"
STORE = "(i32.store (i32.const {0}) (i32.const {1}))"
FOR_EVER = "(loop $again (br $again))"
FOLDER = '(import "wasi_snapshot_preview1" "path_open" (func $open (result i32)))'

GUESTS: dict[str, tuple[dict[str, str], str]] = {
    "traps": ({"transform": "unreachable"}, "unreachable"),
    "divides-by-zero": ({"transform": "(i64.div_u (i64.const 1) (i64.const 0))"}, "divide by zero"),
    "recurses-for-ever": (
        {
            "more": "(func $f (param i64) (result i64) "
            "(i64.add (call $f (local.get 0)) (i64.const 1)))",
            "transform": "(call $f (i64.const 0))",
        },
        "call stack exhausted",
    ),
    "loops": ({"transform": f"{FOR_EVER} unreachable"}, "0.5"),
    "loops-in-its-allocator": ({"alloc": f"{FOR_EVER} unreachable"}, "0.5"),
    "loops-when-it-starts": ({"more": f'(func (export "_initialize") {FOR_EVER})'}, "0.5"),
    "wants-more-memory": (
        {
            # The loop ends when the host says no, and so never.
            "transform": "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 256)) "
            "(i32.const -1)))) unreachable"
        },
        "unreachable",
    ),
    "begins-with-too-large-a-table": ({"more": "(table 200000 funcref)"}, "table"),
    "allocates-out-of-bounds": ({"alloc": "(i32.const -65536)"}, "outside"),
    "allocates-nothing": ({"alloc": "(i32.const 0)"}, "no room"),
    "answers-out-of-bounds": ({"transform": ANSWER.format(0x7FFF0000, 64)}, "outside"),
    "answers-beyond-the-end": ({"transform": ANSWER.format(65532, 64)}, "outside"),
    "answers-all-of-memory": ({"transform": ANSWER.format(0, 0xFFFFFFFF)}, "outside"),
    "says-no-without-a-word": ({"transform": "(i64.const 0)"}, "gave no message"),
    "says-no-from-out-of-bounds": (
        {
            "transform": "(i64.const 0)",
            "more": f'(func (export "last_error") (result i64) {ANSWER.format(0x7FFF0000, 9)})',
        },
        "outside",
    ),
    "counts-ports-that-are-not-there": (
        {"transform": STORE.format(16, 3) + ANSWER.format(16, 4)},
        "malformed port-map",
    ),
    "counts-four-billion-ports": (
        {"transform": STORE.format(16, -1) + ANSWER.format(16, 4)},
        "malformed port-map",
    ),
    "gives-three-bytes": ({"transform": ANSWER.format(16, 3)}, "malformed port-map"),
    "gives-no-ports": ({"transform": ANSWER.format(16, 4)}, "did not return its port `bytes`"),
    "opens-a-file": ({"more": FOLDER, "transform": "(drop (call $open)) unreachable"}, "path_open"),
}


@pytest.fixture
def run_guest(
    tmp_path: Path, error_of: ErrorOf, make_codec: MakeCodec, pipeline_of: PipelineOf
) -> Run:
    def run(*arguments: str, **parts: str) -> str:
        (tmp_path / "guest.wasm").write_bytes(make_codec(**parts))
        (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
        return error_of(
            *("run", "pipeline.json", "--codec-path", "guest=guest.wasm"),
            *("--timeout", "0.5", "--memory-limit", "64MiB"),
            *("--input", "bytes=-", "--output", "bytes=out.bin"),
            *arguments,
            stdin=b"sixteen bytes in",
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", GUESTS)
def test_a_bad_guest(run_guest: Run, name: str) -> None:
    parts, words = GUESTS[name]
    message = run_guest(**parts)
    assert message.startswith("step `only`: codec `guest` (guest-wat@1.0.0")
    assert words in message


def test_a_loop_ends_soon_after_its_time(run_guest: Run) -> None:
    started = time.monotonic()
    run_guest("--timeout", "0.2", transform=f"{FOR_EVER} unreachable")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--compile-timeout=0.01", "took too long, expected at most 0.01 s; hint: --compile-"),
        pytest.param(
            "--compile-memory=1MiB",
            "took too much memory, expected at most 1048576 bytes; hint: --compile-memory or",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="others do not limit it"),
        ),
    ],
)
def test_compiling_ends_at_its_limit(run_guest: Run, option: str, words: str) -> None:
    message = run_guest(option)
    assert message.startswith(f"step `only`: codec guest-wat@1.0.0: compiling it {words}")


def test_data_may_not_be_larger_than_the_memory_limit(
    tmp_path: Path, error_of: ErrorOf, make_codec: MakeCodec, pipeline_of: PipelineOf
) -> None:
    (tmp_path / "guest.wasm").write_bytes(make_codec())
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
    message = error_of(
        *("run", "pipeline.json", "--codec-path", "guest=guest.wasm", "--memory-limit", "128KiB"),
        *("--input", "bytes=-", "--output", "bytes=out.bin"),
        stdin=bytes(200_000),
    )
    assert "more than the allowed 131072 bytes" in message


@pytest.mark.parametrize("backend", ["core", "component", "native"])
def test_a_bomb_is_stopped_at_the_limit(
    tmp_path: Path, error_of: ErrorOf, pipeline_of: PipelineOf, backend: str
) -> None:
    (tmp_path / "bomb.json").write_text(json.dumps(pipeline_of("zlib")))
    (tmp_path / "bomb.bin").write_bytes(zlib.compress(bytes(64 << 20), 9))
    message = error_of(
        *("run", "bomb.json", "--preference", backend, "--memory-limit", "16MiB"),
        *("--input", "bytes=bomb.bin", "--output", "bytes=out.bin"),
    )
    assert message.startswith("step `only`: ")


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["run", "warm"])
def test_a_compiler_that_is_kept_busy_can_be_ended(
    *,
    tmp_path: Path,
    chonkle_process: Callable[..., Popen[bytes]],
    chonkle: Chonkle,
    make_codec: MakeCodec,
    pipeline_of: PipelineOf,
    command: str,
    number: signal.Signals,
) -> None:
    # Loops in loops that each change some of many locals take the compiler more than a minute.
    depth, count = 3000, 1000
    begin = [
        f"loop (local.set {i * 7 % count} (i32.add (local.get {i % count}) (i32.const 1)))"
        for i in range(depth)
    ]
    end = [f"(br_if 0 (local.get {i % count})) end" for i in range(depth)]
    busy = f"(func (local {'i32 ' * count}) {' '.join(begin + end)})"
    (tmp_path / "guest.wasm").write_bytes(make_codec(more=busy))
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
    words = {
        "run": ("run", "pipeline.json", "--codec-path", "guest=guest.wasm", "--explain"),
        "warm": ("cache", "warm", "./guest.wasm"),
    }
    cache = {"CHONKLE_CACHE_DIR": str(tmp_path / "cache")}
    with chonkle_process(*words[command], cwd=tmp_path, environment=cache) as process:
        try:
            # The next holder of the lock compiles.
            while process.poll() is None and not any((tmp_path / "cache").rglob("*.lock")):
                pass
            process.send_signal(number)
            assert process.wait(timeout=20) == -number
        finally:
            process.kill()
    assert not any((tmp_path / "cache").rglob("*.record"))
    assert chonkle("cache", "verify", environment=cache).stdout == b""


def test_a_healthy_guest_is_run(
    tmp_path: Path, chonkle: Chonkle, make_codec: MakeCodec, pipeline_of: PipelineOf
) -> None:
    """Without this, every test above might fail for a reason of its own."""
    (tmp_path / "guest.wasm").write_bytes(make_codec())
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
    done = chonkle(
        *("run", "pipeline.json", "--codec-path", "guest=guest.wasm"),
        *("--timeout", "5", "--memory-limit", "64MiB"),
        *("--input", "bytes=-", "--output", "bytes=-"),
        stdin=b"sixteen bytes in",
    )
    assert done.stdout == b"sixteen bytes in"
