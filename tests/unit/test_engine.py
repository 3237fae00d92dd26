"""The fingerprint moves with everything that native code depends on, and with nothing else."""

import dataclasses
import platform
import subprocess
import sys
import time
from typing import Any

import pytest
import wasmtime

from chonkle import engine as engine_module
from chonkle.engine import Engine, EngineConfig

# Another value for each field: a new field fails here until somebody gives it one, and so decides
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

    assert engine_module.wasmtime_version() == version("wasmtime")


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
