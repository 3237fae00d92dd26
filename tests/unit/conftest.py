"""Small real codecs: modules written in WebAssembly text, with a signature embedded."""

from collections.abc import Callable
from functools import cache

import pytest
import wasmtime

from chonkle.formats.signature import Signature, embed_signature

type MakeCodec = Callable[..., bytes]

# Gives back what it was given: the port-map itself is the answer.
_ECHO = """(module
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "dealloc") (param i32 i32))
  (func $echo (param $at i32) (param $size i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
            (i64.extend_i32_u (local.get $size))))
  (export "encode" (func $echo)) (export "decode" (func $echo)))"""


@cache
def _compiled(wat: str) -> bytes:
    return bytes(wasmtime.wat2wasm(wat))


@pytest.fixture(scope="session")
def make_codec() -> MakeCodec:
    """Give a function that makes a wasm codec which echoes its `bytes`."""

    def make(
        codec_id: str = "echo",
        implementation: str = "echo-a",
        version: str = "1.0.0",
        *,
        kind: str = "core",
        note: str = "",
    ) -> bytes:
        document = {
            "codec_id": codec_id,
            "implementation": implementation,
            "version": version,
            "inputs": {"bytes": {"type": "bytes"}},
            "outputs": {"bytes": {"type": "bytes"}},
            "description": note,
        }
        wat = _ECHO if kind == "core" else "(component)"
        return embed_signature(_compiled(wat), Signature.from_json(document))

    return make
