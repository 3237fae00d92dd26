"""The fingerprint moves with everything that native code depends on, and with nothing else."""

import dataclasses
import os
import platform
import subprocess
import sys
import time
from typing import Any

import pytest
import wasmtime

from chonkle import engine as engine_module
from chonkle.engine import Engine, EngineConfig
from chonkle.wasmtime_version import wasmtime_version

# Another value for each field: a new field fails here until it is given one, and so decides
# that it belongs in the fingerprint.
OTHER: dict[str, Any] = {
    "interruptible": True,
    "max_wasm_stack_bytes": 300_000,
    "memory_may_move": True,
    "parallel_compilation": True,
}


def test_every_setting_is_in_the_fingerprint() -> None:
    usual = Engine().fingerprint
    names = {field.name for field in dataclasses.fields(EngineConfig)}
    assert names == OTHER.keys()
    changed = [
        Engine(dataclasses.replace(EngineConfig(), **{name: value})).fingerprint
        for name, value in OTHER.items()
    ]
    assert len({usual, *changed}) == len(OTHER) + 1


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = "from chonkle.engine import Engine; print(Engine().fingerprint)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(Engine().fingerprint)


def test_the_fingerprint_moves_with_the_wasmtime_version(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Engine().fingerprint
    monkeypatch.setattr(engine_module, "wasmtime_version", lambda: "0.0.0")
    assert Engine().fingerprint != usual


def test_the_fingerprint_moves_with_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Engine().fingerprint
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    assert Engine().fingerprint != usual


def test_what_wasmtime_compares_on_loading_was_found() -> None:
    # Settings that change the compiled code change the ELF section that the fingerprint reads.
    def section(**settings: object) -> bytes | None:
        config = wasmtime.Config()
        for name, value in settings.items():
            setattr(config, name, value)
        module = wasmtime.Module(wasmtime.Engine(config), b"\0asm\x01\0\0\0")
        return engine_module.elf_section(bytes(module.serialize()), b".wasmtime.engine")

    usual = section()
    assert usual
    assert section() == usual
    for settings in ({"consume_fuel": True}, {"epoch_interruption": True}):
        changed = section(**settings)
        assert changed
        assert changed != usual


def test_an_image_that_is_not_elf_has_no_sections() -> None:
    assert engine_module.elf_section(b"", b".text") is None
    assert engine_module.elf_section(b"MZ" + bytes(100), b".text") is None


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version  # noqa: PLC0415 - what is compared with

    assert wasmtime_version() == version("wasmtime")


LOOP = '(module (func (export "run") (loop (br 0))))'


def test_a_deadline_stops_a_guest_and_the_clock_rests_afterwards() -> None:
    engine = Engine(EngineConfig(interruptible=True))
    wasm_store = wasmtime.Store(engine.wasmtime)
    module = wasmtime.Module(engine.wasmtime, LOOP)
    started = time.perf_counter()
    with engine.deadline(wasm_store, 0.1):
        run = wasmtime.Instance(wasm_store, module, []).exports(wasm_store)["run"]
        assert isinstance(run, wasmtime.Func)
        with pytest.raises(wasmtime.Trap) as caught:
            run(wasm_store)
    assert caught.value.trap_code is wasmtime.TrapCode.INTERRUPT
    # Not a matter of speed: it may not stop before its time.
    assert time.perf_counter() - started >= 0.1


# What interrupts a guest, in a process of its own: each prints what happened, a line each.
SCRIPT = """
import os, signal, sys, threading, time, warnings
import wasmtime
from chonkle.engine import Engine, EngineConfig
from chonkle.wasmtime_version import wasmtime_version

warnings.simplefilter("ignore", DeprecationWarning)
engine = Engine(EngineConfig(interruptible=True))
LOOP = wasmtime.Module(engine.wasmtime, '(module (func (export "run") (loop (br 0))))')


def loop(timeout_s):
    wasm_store = wasmtime.Store(engine.wasmtime)
    run = wasmtime.Instance(wasm_store, LOOP, []).exports(wasm_store)["run"]
    try:
        with engine.deadline(wasm_store, timeout_s):
            run(wasm_store)
    except BaseException as failure:
        return type(failure).__name__


def in_threads(count, timeout_s, before=lambda: None, while_they_run=lambda: None):
    said = []

    def run():
        before()
        said.append(loop(timeout_s))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    while_they_run()
    for thread in threads:
        thread.join()
    return said


def interrupt():
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
"""

# More than any test takes, and less than `pytest` waits for the process.
LONG_S = 600


def run_script(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + script], stdout=subprocess.PIPE, timeout=60, check=True
    )
    return done.stdout.decode().splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_ends_the_guest_that_the_main_thread_runs_and_later_ones_run() -> None:
    script = f"""
for _ in range(3):
    threading.Thread(target=interrupt).start()
    print(loop({LONG_S}), signal.set_wakeup_fd(-1))
print(loop(0.1))
"""
    assert run_script(script) == ["KeyboardInterrupt -1"] * 3 + ["Trap"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_ends_the_guests_of_other_threads_with_that_of_the_main_thread() -> None:
    script = f"""
threading.Thread(target=interrupt).start()
print(in_threads(2, {LONG_S}, while_they_run=lambda: print(loop({LONG_S}))))
"""
    assert run_script(script) == ["KeyboardInterrupt", str(["KeyboardInterrupt"] * 2)]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize(
    ("before", "said"),
    [
        # The guest goes on, and the program's own handler is called after it.
        ("signal.signal(signal.SIGINT, lambda *_: print('handled'))", ["handled", "Trap"]),
        # An event loop has what tells of signals, and keeps it.
        ("signal.set_wakeup_fd(os.open(os.devnull, os.O_WRONLY | os.O_NONBLOCK))", None),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)", ["Trap"]),
    ],
)
def test_a_program_keeps_its_handler_of_ctrl_c(before: str, said: list[str] | None) -> None:
    script = f"""
{before}
threading.Thread(target=interrupt).start()
print(loop(0.5))
print(signal.set_wakeup_fd(-1))
"""
    if said is None:
        ended, left = run_script(script)
        assert ended == "KeyboardInterrupt"
        assert int(left) >= 0
    else:
        assert run_script(script) == [*said, "-1"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_threads_of_a_forked_child_are_interrupted_in_their_time() -> None:
    # The parent's clock runs meanwhile, two of its threads wait for it, and it listens for Ctrl-C.
    # In each child the first two threads find what they need at the same time, if they ever do.
    script = f"""
def child():
    # A child that hangs is ended by this, and fails the test.
    signal.alarm(30)
    left = signal.set_wakeup_fd(-1)
    sys.setswitchinterval(1e-6)
    together = threading.Barrier(8)
    said = in_threads(8, 0.05, before=together.wait)
    os._exit(said != ["Trap"] * 8 or left != -1)


def fork():
    time.sleep(0.2)
    codes = set()
    for _ in range(30):
        forked = os.fork()
        if forked == 0:
            child()
        codes.add(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]))
    print(codes, flush=True)
    interrupt()


threading.Thread(target=fork).start()
print(in_threads(2, {LONG_S}, while_they_run=lambda: print(loop({LONG_S}))))
"""
    assert run_script(script) == ["{0}", "KeyboardInterrupt", str(["KeyboardInterrupt"] * 2)]
