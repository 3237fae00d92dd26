"""Failures at the start of a guest: which are its own, and which are the system's."""

import subprocess
import sys

import pytest

from chonkle.errors import CodecTrap, LimitExceeded
from tests.unit.backends.conftest import OpenGuest, guest


@pytest.mark.parametrize(
    ("more", "words"),
    [("(table 200000 funcref)", "asked for more than allowed, got table minimum size of 200000")],
)
def test_a_request_of_a_guest_is_its_fault(open_guest: OpenGuest, more: str, words: str) -> None:
    with pytest.raises(LimitExceeded, match=words):
        open_guest(guest(more=more)).call("decode", {"bytes": b"x"})


def test_a_guest_that_begins_with_too_much_memory_is_its_own_fault(open_guest: OpenGuest) -> None:
    with pytest.raises(LimitExceeded, match="asked for more memory than allowed"):
        open_guest(guest(memory="20000")).call("decode", {"bytes": b"x"})


@pytest.mark.parametrize("start", ["$import", "$broken"])
def test_a_guest_that_traps_at_the_start_is_its_fault(open_guest: OpenGuest, start: str) -> None:
    more = f'(import "a" "b" (func $import)) (func $broken unreachable) (start {start})'
    with pytest.raises(CodecTrap, match=r"unreachable|unknown import: `a::b`"):
        open_guest(guest(more=more)).call("decode", {"bytes": b"x"})


# A process to which the system gives less than a guest needs.
POOR = """
import resource, signal, sys
import chonkle

kind, backend = sys.argv[1:]
pipeline = {
    "codec_id": "test",
    "direction": "encode",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": "only.bytes"},
    "steps": {"only": {"codec_id": "zlib", "inputs": {"bytes": "input.bytes"}}},
}
runtime = chonkle.Runtime(cache=None, flatten_components=backend != "whole")
resolver = chonkle.Resolver(preference=["core" if backend == "core" else "component"])
prepared = chonkle.prepare(pipeline, direction="encode", resolver=resolver, runtime=runtime)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
name, most = {
    "files": (resource.RLIMIT_NOFILE, 3),
    "size of a file": (resource.RLIMIT_FSIZE, 0),
    "addresses": (resource.RLIMIT_AS, 2 << 30),
}[kind]
before = resource.getrlimit(name)
resource.setrlimit(name, (most, before[1]))
try:
    prepared.run({"bytes": b"x"})
except chonkle.ChonkleError as failure:
    words = f"{type(failure).__name__}: {failure}"
resource.setrlimit(name, before)
print(words)
prepared.run({"bytes": b"x"})
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits what the process may have")
@pytest.mark.parametrize("backend", ["core", "flattened", "whole"])
@pytest.mark.parametrize("kind", ["files", "size of a file", "addresses"])
def test_what_the_system_does_not_give_is_no_fault_of_a_codec(kind: str, backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", POOR, kind, backend],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = {"files": "memfd", "size of a file": "File too large", "addresses": "mmap failed"}
    assert done.stdout.startswith("LimitExceeded: step `only`: codec `zlib` ")
    assert "encode: the system gave this process no room for a guest, got " in done.stdout
    assert said[kind] in done.stdout
    assert done.stdout.count("\n") == 1
