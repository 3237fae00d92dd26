"""The codec `mask`, written in WebAssembly text, and the lies and faults that are made of it."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from chonkle_toolchain.vectors import Vector

from chonkle.formats.signature import Signature, embed_signature

TEXT = (Path(__file__).parent / "mask.wat").read_text("utf-8")
COMPONENT = """
(component
  (core module $code {code})
  (core instance $main (instantiate $code))
  (type $port-map (list (tuple string (list u8))))
  (type $answer (result $port-map (error string)))
  (func $encode (param "inputs" $port-map) (result $answer)
    (canon lift (core func $main "rows-encode") (memory (core memory $main "memory"))
      (realloc (core func $main "realloc")) (post-return (core func $main "rows-end"))))
  (func $decode (param "inputs" $port-map) (result $answer)
    (canon lift (core func $main "rows-decode") (memory (core memory $main "memory"))
      (realloc (core func $main "realloc")) (post-return (core func $main "rows-end"))))
  (instance $transform (export "encode" (func $encode)) (export "decode" (func $decode)))
  (export "chonkle:codec/transform@0.1.0" (instance $transform)))
"""
PARTS = {
    "more": "",
    "memory": "1",
    "anew": "(global.set $next (i32.const 4096))",
    "last_error": '(export "last_error")',
    "words": "(global.get $words)",
    "no_number": "(return (i32.const -1))",
    "whole": "(i32.eq (local.get $at) (local.get $end))",
    "begin": "",
    "no_mask": "(return (call $fail (i32.const 1250) (i32.const 21)))",
    "decoded": "",
    "note": "(local.get $note)",
    "mask": "(i32.add (local.get $key) (i32.mul (local.get $i) (local.get $step)))",
    "frees": "(i32.const 1)",
}
SIGNATURE: Mapping[str, Any] = {
    "codec_id": "mask",
    "implementation": "mask-wat",
    "version": "1.0.0",
    "inputs": {
        "bytes": {"type": "bytes"},
        "key": {"type": "int"},
        "step": {"type": "int", "required": False, "default": 1},
        "note": {"type": "int", "required": False, "default": 0, "encode_only": True},
    },
    "outputs": {"bytes": {"type": "bytes"}},
}


def with_signature(wasm: bytes, changes: Mapping[str, Any]) -> bytes:
    document = deepcopy(dict(SIGNATURE))
    for place, value in changes.items():
        *path, last = place.split(".")
        inner = document
        for name in path:
            inner = inner[name]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    return embed_signature(wasm, Signature.from_json(document))


@pytest.fixture(scope="session")
def make_text() -> Callable[..., str]:
    """Write a module of `mask`, with parts of its text replaced, and without a signature."""

    def make(**parts: str) -> str:
        return f"(module {TEXT.format(**{**PARTS, **parts})})"

    return make


@pytest.fixture(scope="session")
def make_core() -> Callable[..., bytes]:
    """Make a core module of `mask`, with parts of its text replaced, and of its signature."""

    def make(signature: Mapping[str, Any] | None = None, **parts: str) -> bytes:
        text = TEXT.format(**{**PARTS, **parts})
        return with_signature(bytes(wasmtime.wat2wasm(f"(module {text})")), signature or {})

    return make


@pytest.fixture(scope="session")
def make_component() -> Callable[..., bytes]:
    """Make a component of `mask`, as `make_core` does; `written` says what to write instead."""

    def make(
        signature: Mapping[str, Any] | None = None,
        *,
        written: Mapping[str, str] | None = None,
        **parts: str,
    ) -> bytes:
        text = COMPONENT.format(code=TEXT.format(**{**PARTS, **parts}))
        for before, after in (written or {}).items():
            assert before in text
            text = text.replace(before, after)
        return with_signature(bytes(wasmtime.wat2wasm(text)), signature or {})

    return make


def masked(data: bytes, *, key: int, step: int = 1, note: int = 0) -> bytes:
    """Encode as `mask` does."""
    hidden = bytes(byte ^ (key + index * step) & 0xFF for index, byte in enumerate(data))
    return b"M" + bytes([note]) + hidden


@pytest.fixture(scope="session")
def vector() -> Vector:
    """Give a golden vector of `mask`."""
    data = b"fourteen bytes"
    return Vector(
        case="fourteen",
        made_by="Python",
        directions=("decode", "encode"),
        inputs={"bytes": masked(data, key=7, step=3), "key": b"7", "step": b"3"},
        outputs={"bytes": data},
    )


@pytest.fixture(scope="session")
def make_unflattened(make_component: Callable[..., bytes]) -> Callable[..., bytes]:
    """Make a component of `mask` that only wasmtime itself can run."""
    plain = '(realloc (core func $main "realloc"))'
    return lambda: make_component(written={plain: f"string-encoding=latin1+utf16 {plain}"})


@pytest.fixture
def write_vector(vector: Vector) -> Callable[[Path], None]:
    """Write the golden vector into a folder, as its file."""

    def port(name: str, data: bytes) -> dict[str, object]:
        if name == "bytes":
            return {"base64": b64encode(data).decode()}
        return {"json": json.loads(data)}

    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        document = {
            "made_by": vector.made_by,
            "directions": vector.directions,
            "inputs": {name: port(name, data) for name, data in vector.inputs.items()},
            "outputs": {name: port(name, data) for name, data in vector.outputs.items()},
        }
        (folder / f"{vector.case}.json").write_text(json.dumps(document))

    return write
