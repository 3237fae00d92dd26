"""What one thread holds while another forks is free in the child."""

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chonkle.cache.aot import CacheCounts
from chonkle.locking import ForkableLock
from tests.fixture_types import MakeCodec

# A thread compiles for ever and holds the lock of a runtime or its trampoline; another one forks.
FORK = """
import os, signal, sys, threading
from pathlib import Path
from chonkle.backends.base import Limits
from chonkle.backends.wasm.trampoline_texts import CORE_TRAMPOLINE
from chonkle.cache.compilers import ModuleCompiler
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.formats.wasm_binary import without_custom_sections
from chonkle.storage.store import WasmCodec

codec = WasmCodec.from_file(Path(sys.argv[1]))
resolution = Resolution("core", codec.signature, "test", codec)
stuck = {"runtime": codec.wasm, "trampoline": CORE_TRAMPOLINE.wasm()}[sys.argv[2]]
stuck = without_custom_sections(stuck)
compile, parent, is_stuck = ModuleCompiler.compile, os.getpid(), threading.Event()


def compile_or_wait(self, engine, wasm):
    if wasm == stuck and os.getpid() == parent:
        is_stuck.set()
        threading.Event().wait()
    return compile(self, engine, wasm)


ModuleCompiler.compile = compile_or_wait
# It compiles in this process, where this program can hold it up.
runtime = Runtime(cache=None, compile_limits=None)
threading.Thread(target=runtime.warm, args=([resolution], Limits()), daemon=True).start()
is_stuck.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    runtime.warm([resolution], Limits())
    opened = runtime.open(resolution, Limits())
    os._exit(opened.call("encode", {"bytes": b"x"}) != {"bytes": b"x"})
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("held", ["runtime", "trampoline"])
def test_a_child_opens_codecs_despite_threads(
    tmp_path: Path, make_codec: MakeCodec, held: str
) -> None:
    path = tmp_path / "echo@1.0.0.core.wasm"
    path.write_bytes(make_codec())
    code = [sys.executable, "-W", "ignore", "-c", FORK, str(path), held]
    done = subprocess.run(code, stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout == b"0\n"


def test_one_thread_at_a_time_holds_it() -> None:
    lock, inside, seen = ForkableLock(), 0, []

    def work() -> None:
        nonlocal inside
        for _ in range(200):
            with lock:
                inside += 1
                seen.append(inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 800


def test_it_is_free_after_a_failure() -> None:
    lock = ForkableLock()
    for _ in range(2):
        with pytest.raises(KeyError), lock:
            raise KeyError


def test_it_is_free_in_another_process() -> None:
    counts, lock = CacheCounts(), ForkableLock()
    counts.add("compiled")
    found = pickle.loads(pickle.dumps(counts))  # noqa: S301 - made here
    found.add("compiled")
    assert (counts.compiled, found.compiled) == (1, 2)
    with lock, pickle.loads(pickle.dumps(lock)):  # noqa: S301 - made here
        pass
