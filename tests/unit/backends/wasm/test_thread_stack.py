"""A guest that overflows its stack is an error on every thread, and a crash on none."""

import subprocess
import sys
import threading

import pytest

from chonkle.backends.wasm.thread_stack import thread_stack_bytes

# Recursion without end in `decode`, called on threads with stacks of several sizes.
OVERFLOW = """
import sys, threading, wasmtime
from pathlib import Path
import chonkle
from chonkle.errors import ChonkleError
from chonkle.formats.signature import Signature, embed_signature

TEXT = '''
(module
  (memory (export "memory") 1)
  (func $deeper (param i32) (result i32)
    (i32.add (i32.const 1) (call $deeper (i32.add (i32.const 1) (local.get 0)))))
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "dealloc") (param i32 i32))
  (func (export "encode") (param i32 i32) (result i64) (i64.const 0))
  (func (export "decode") (param i32 i32) (result i64)
    (i64.extend_i32_u (call $deeper (i32.const 0)))))
'''
PORTS = {"bytes": {"type": "bytes"}}
signature = Signature.from_json(
    {"codec_id": "deep", "implementation": "deep-wat", "inputs": PORTS, "outputs": PORTS}
)
guest = Path(sys.argv[1]) / "deep.wasm"
guest.write_bytes(embed_signature(bytes(wasmtime.wat2wasm(TEXT)), signature))
pipeline = {
    "codec_id": "p", "direction": "decode", "inputs": PORTS, "outputs": {"bytes": "deep.bytes"},
    "steps": {"deep": {"codec_id": "deep", "inputs": {"bytes": "input.bytes"}}},
}
with chonkle.prepare(pipeline, resolver=chonkle.Resolver(paths={"deep": guest})) as prepared:
    def work():
        try:
            chonkle.run(prepared, {"bytes": b"x"})
        except ChonkleError as failure:
            print(type(failure).__name__, failure)

    work()
    for size in (64, 256, 512, 768, 1024, 8192):
        threading.stack_size(size * 1024)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows commits stacks in its own way")
def test_an_overflow_is_an_error_on_every_thread(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OVERFLOW, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    for line in lines:
        too_small = "LimitExceeded" in line and "the stack of this thread is too small" in line
        assert too_small or ("CodecTrap" in line and "call stack exhausted" in line)
    # The main thread and the large ones ran; the smallest was refused.
    assert "CodecTrap" in lines[0]
    assert "LimitExceeded" in lines[1]
    assert "CodecTrap" in lines[-1]


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="asks pthreads")
def test_the_size_of_a_threads_stack_is_known() -> None:
    sizes: list[int | None] = []
    before = threading.stack_size(768 * 1024)
    try:
        thread = threading.Thread(target=lambda: sizes.append(thread_stack_bytes()))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    (size,) = sizes
    assert size is not None
    assert 700 * 1024 < size < 900 * 1024
