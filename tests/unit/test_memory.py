"""A prepared pipeline runs any number of times in the memory that its first runs took."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

import chonkle
from chonkle.errors import CodecTrap
from chonkle.formats.signature import Signature, embed_signature

RUNS = 10_000
WARM_UP = 1_000
# Less than a byte for each run: a leak of one Python object a run would be fifty.
GROWTH_MAX_BYTES = 512 * 1024

# Gives its input back, unless the first byte of its data is 255: then it traps.
MOODY = """
(module
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 4096))
  (func (export "alloc") (param $size i32) (result i32) (i32.const 4096))
  (func (export "dealloc") (param i32 i32))
  (func $echo (export "encode") (param $pointer i32) (param $size i32) (result i64)
    (if (i32.eq (i32.load8_u offset=17 (local.get $pointer)) (i32.const 255))
      (then unreachable))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32))
            (i64.extend_i32_u (local.get $size))))
  (export "decode" (func $echo)))
"""
PORTS = {"bytes": {"type": "bytes"}}
PIPELINE = {
    "codec_id": "moody-identity",
    "direction": "decode",
    "inputs": PORTS,
    "outputs": {"bytes": "moody.bytes"},
    "steps": {
        "identity": {"codec_id": "identity", "inputs": {"bytes": "input.bytes"}},
        "moody": {"codec_id": "moody", "inputs": {"bytes": "identity.bytes"}},
    },
}


def resident_bytes() -> int:
    """Read the resident set size of this process (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("backend", ["core", "component"])
@pytest.mark.parametrize("trap_every", [0, 100])
def test_ten_thousand_runs_leave_memory_flat(
    tmp_path: Path, record_property: Callable[[str, object], None], backend: str, trap_every: int
) -> None:
    signature = Signature.from_json(
        {"codec_id": "moody", "implementation": "moody-wat", "inputs": PORTS, "outputs": PORTS}
    )
    guest = tmp_path / "moody.wasm"
    guest.write_bytes(embed_signature(bytes(wasmtime.wat2wasm(MOODY)), signature))
    # The guest is a core module whatever the other codec is.
    preference = list(dict.fromkeys([backend, "core"]))
    resolver = chonkle.Resolver(preference=preference, paths={"moody": guest})
    good, bad = b"x" * 1024, b"\xff" * 1024

    with chonkle.prepare(PIPELINE, direction="decode", resolver=resolver) as prepared:

        def run(count: int) -> None:
            for index in range(1, count + 1):
                if trap_every and index % trap_every == 0:
                    with pytest.raises(CodecTrap, match="step `moody`"):
                        chonkle.run(prepared, {"bytes": bad})
                assert chonkle.run(prepared, {"bytes": good}) == {"bytes": good}

        run(WARM_UP)
        before = resident_bytes()
        run(RUNS)
        grown = resident_bytes() - before
    traps = RUNS // trap_every if trap_every else 0
    record_property(
        "measured",
        f"{backend}: {RUNS} runs and {traps} traps grew memory by {grown / 1024:.0f} KiB",
    )
    assert grown < GROWTH_MAX_BYTES
