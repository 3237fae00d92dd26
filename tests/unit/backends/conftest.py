"""Guests written in WebAssembly text, opened as codecs."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
import wasmtime

from chonkle.backends.base import Codec, Limits
from chonkle.formats.signature import Signature, embed_signature
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec

SIGNATURE = Signature.from_json(
    {
        "codec_id": "guest",
        "implementation": "guest-wat",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": {"type": "bytes"}},
    }
)

# Fills in what a guest's text leaves out: a memory, an allocator that only ever moves on, and
# functions that do nothing. `{encode}` and `{decode}` are the bodies of the transforms.
SKELETON = """
(module
  {more}
  (memory (export "memory") {memory})
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (export "alloc") (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $next))
    (global.set $next (i32.add (local.get $start) (local.get $size)))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.const 64)))))
    (local.get $start))
  (func (export "dealloc") (param i32 i32) (global.set $next (i32.const 4096)))
  (func (export "encode") (param $pointer i32) (param $size i32) (result i64) {encode})
  (func (export "decode") (param $pointer i32) (param $size i32) (result i64) {decode}))
"""
ECHO = """
  (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32))
          (i64.extend_i32_u (local.get $size)))
"""


def guest(*, encode: str = ECHO, decode: str = ECHO, memory: str = "1", more: str = "") -> str:
    """Write a core codec whose transforms echo their input, unless told otherwise."""
    return SKELETON.format(encode=encode, decode=decode, memory=memory, more=more)


class OpenGuest(Protocol):
    """Opens a codec from WebAssembly text or from a component's bytes."""

    def __call__(self, source: str | bytes, limits: Limits | None = None) -> Codec: ...


@pytest.fixture
def runtime(tmp_path: Path, open_runtime: Callable[..., Runtime]) -> Iterator[Runtime]:
    with open_runtime(cache=tmp_path / "cache") as opened:
        yield opened


def open_in(runtime: Runtime, source: str | bytes, limits: Limits | None = None) -> Codec:
    """Open a guest in a runtime."""
    wasm = bytes(wasmtime.wat2wasm(source)) if isinstance(source, str) else source
    codec = WasmCodec.from_bytes(embed_signature(wasm, SIGNATURE), "guest.wasm")
    return runtime.open(Resolution(codec.kind, SIGNATURE, "test", codec), limits or Limits())


@pytest.fixture
def open_guest(runtime: Runtime) -> OpenGuest:
    return partial(open_in, runtime)
