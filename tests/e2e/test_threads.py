"""Programs whose threads run guests with timeouts: the children that they fork, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixture_types import MakeCodec, PipelineOf

LOOP = "(loop $forever (br $forever)) (i64.const 0)"
TIMEOUT_S = 300

# What programs of these tests begin with.
COMMON = """
import json, os, signal, sys, threading, time, warnings, zlib
from pathlib import Path
import chonkle
from chonkle.errors import LimitExceeded

warnings.simplefilter("ignore", DeprecationWarning)
folder = Path.cwd()
runtime = chonkle.Runtime(cache=folder / "cache")


def prepare(name, timeout_s, preference="core", **paths):
    return chonkle.prepare(
        json.loads((folder / name).read_text()),
        runtime=runtime,
        limits=chonkle.Limits(timeout_s=timeout_s),
        resolver=chonkle.Resolver(preference=[preference], paths=paths),
    )
"""

CROWD = """
THREADS, CALLS, CHILDREN, AT_ONCE = 16, 400, 60, 4
data = [bytes(range(256)) * (1 + 7 * size) for size in range(THREADS)]
encoded = [zlib.compress(each) for each in data]
good = [prepare("zlib.json", 60, backend) for backend in ("core", "component")]
loop = prepare("guest.json", 0.2, guest=folder / "loop.wasm")
calls, problems = [0] * THREADS, []
forks_are_done = threading.Event()


def work(number):
    while calls[number] < CALLS or not forks_are_done.is_set():
        run = good[calls[number] % len(good)]
        if run.run({"bytes": encoded[number]}) != {"bytes": data[number]}:
            problems.append("another answer")
        calls[number] += 1


def end(said):
    try:
        loop.run({"bytes": b"x"})
    except LimitExceeded as failure:
        said.append("longer than the allowed 0.2 s" in str(failure))


def child():
    # A child that hangs is ended by this, and fails the test.
    signal.alarm(60)
    said = []
    threads = [threading.Thread(target=end, args=(said,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    right = [run.run({"bytes": encoded[1]}) == {"bytes": data[1]} for run in good]
    for thread in threads:
        thread.join()
    os._exit(0 if said == [True, True] and all(right) else 1)

threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
for thread in threads:
    thread.start()
codes, children = [], []
for _ in range(CHILDREN):
    if len(children) == AT_ONCE:
        codes.append(os.waitstatus_to_exitcode(os.waitpid(children.pop(0), 0)[1]))
    forked = os.fork()
    if forked == 0:
        child()
    children.append(forked)
codes += [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children]
forks_are_done.set()
for thread in threads:
    thread.join()
print(json.dumps({
    "calls": sum(calls), "problems": problems, "children": len(codes), "codes": sorted(set(codes))
}))
"""

INTERRUPTED = """
loop, good = prepare("guest.json", 600, guest=folder / "loop.wasm"), prepare("zlib.json", 600)
try:
    print("running", flush=True)
    loop.run({"bytes": b"x"})
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert good.run({"bytes": zlib.compress(b"fine")}) == {"bytes": b"fine"}
loop.run({"bytes": b"x"})
"""


@pytest.fixture
def folder(tmp_path: Path, make_codec: MakeCodec, pipeline_of: PipelineOf) -> Path:
    (tmp_path / "loop.wasm").write_bytes(make_codec(transform=LOOP))
    for codec_id in ("guest", "zlib"):
        (tmp_path / f"{codec_id}.json").write_text(json.dumps(pipeline_of(codec_id)))
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_threads_and_forked_children_call_under_timeouts(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMON + CROWD],
        stdout=subprocess.PIPE,
        cwd=folder,
        timeout=TIMEOUT_S,
        check=True,
    )
    told = json.loads(done.stdout)
    record_property("measured", told)
    assert told["calls"] >= 6400
    assert (told["problems"], told["children"], told["codes"]) == ([], 60, [0])


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_ends_a_guest_with_a_timeout_in_a_program(folder: Path) -> None:
    command = [sys.executable, "-c", COMMON + INTERRUPTED]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        # Without the waits, which nothing depends on, a signal would come before the guest runs.
        assert process.stdout.readline() == b"running\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"interrupted\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=TIMEOUT_S) == -signal.SIGINT
