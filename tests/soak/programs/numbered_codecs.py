"""Codecs so small that compiling one takes a millisecond; each gives its own number.

A number that belongs to another entry, or was made of damaged code, differs.
"""

from functools import cache
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.component_abi import FlattenedComponent, flattened_codec
from chonkle.backends.wasm.component_compiler import FlatteningCompiler, HostComponentCompiler
from chonkle.backends.wasm.guest_codec import GuestSetup
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.backends.wasm.instance_pool import IdleInstances
from chonkle.backends.wasm.unchecked_calls import open_calls
from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.compilers import Compiler, ModuleCompiler
from chonkle.cache.directory import CacheDirectory
from chonkle.cache.layers import CacheConfig, CacheLayers
from chonkle.cache.record import Authenticator
from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.formats.signature import Signature

COMPILERS: dict[str, Compiler[Any]] = {
    each.kind: each for each in (ModuleCompiler(), FlatteningCompiler(), HostComponentCompiler())
}

_CORE = """(module (func (export "run") (result i32) (i32.const {number})))"""
# Two modules, so that an entry has three artifacts: a plan, and native code twice.
_COMPONENT = """
(component
  (core module $library (func (export "number") (result i32) (i32.const {number})))
  (core module $codec
    (import "library" "number" (func $number (result i32)))
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $start i32)
      (local.set $start (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $start) (local.get 3)))
      (local.get $start))
    ;; At 16 `ok(list)`, at 32 its one row: a name at 64, and four bytes at 72.
    (func (export "run") (param i32 i32) (result i32)
      (i32.store (i32.const 20) (i32.const 32))
      (i32.store (i32.const 24) (i32.const 1))
      (i32.store (i32.const 32) (i32.const 64))
      (i32.store (i32.const 36) (i32.const 5))
      (i32.store (i32.const 40) (i32.const 72))
      (i32.store (i32.const 44) (i32.const 4))
      (i32.store (i32.const 72) (call $number))
      (i32.const 16))
    (data (i32.const 64) "bytes"))
  (core instance $library (instantiate $library))
  (core instance $codec (instantiate $codec (with "library" (instance $library))))
  (alias core export $codec "memory" (core memory $memory))
  (alias core export $codec "realloc" (core func $realloc))
  (alias core export $codec "run" (core func $run))
  (type $port-map (list (tuple string (list u8))))
  (type $transform (func (param "inputs" $port-map) (result (result $port-map (error string)))))
  (func $encode (type $transform)
    (canon lift (core func $run) (memory $memory) (realloc $realloc)))
  (func $decode (type $transform)
    (canon lift (core func $run) (memory $memory) (realloc $realloc)))
  (instance $exported (export "encode" (func $encode)) (export "decode" (func $decode)))
  (export "chonkle:codec/transform@0.1.0" (instance $exported)))
"""
_PORTS = {"bytes": {"type": "bytes"}}
_SIGNATURE = Signature.from_json(
    {"codec_id": "numbered", "implementation": "numbered-wat", "inputs": _PORTS, "outputs": _PORTS}
)


@cache
def wasm_of(kind: str, number: int) -> bytes:
    """Make the binary that gives a number."""
    text = _CORE if kind == "core" else _COMPONENT
    return bytes(wasmtime.wat2wasm(text.format(number=number)))


def open_cache(root: Path | None, engine: Engine, **settings: Any) -> AotCache:
    """Open a cache as a new process would."""
    return AotCache(engine, CacheLayers(CacheConfig(root, **settings)))


def ask(cache_: AotCache, kind: str, number: int) -> int:
    """Run a codec from a cache, compiled or loaded, and give its number."""
    wasm = wasm_of(kind, number)
    binary = Binary(wasm, Digest.blake3(wasm), codec_id="numbered", label=f"numbered-{number}")
    runs = cache_.get_or_compile(binary, COMPILERS[kind])
    return _run(runs, cache_.engine)


def _run(runs: object, engine: Engine) -> int:
    if isinstance(runs, wasmtime.Module):
        wasm_store = wasmtime.Store(engine.wasmtime)
        run = wasmtime.Instance(wasm_store, runs, []).exports(wasm_store)["run"]
        assert isinstance(run, wasmtime.Func)
        number = run(wasm_store)
        assert isinstance(number, int)
        return number
    setup = GuestSetup(
        signature=_SIGNATURE,
        engine=engine,
        limits=Limits(),
        calls=open_calls(),
        idle=IdleInstances(),
    )
    codec: Codec
    if isinstance(runs, FlattenedComponent):
        codec = flattened_codec(runs, setup)
    else:
        assert isinstance(runs, wasm_component.Component)
        codec = HostComponentCodec(runs, setup)
    with codec:
        return int.from_bytes(codec.call("decode", {"bytes": b""})["bytes"], "little")


def leftovers(root: Path) -> set[str]:
    """Give the names of all files of a cache that are no part of a whole entry."""
    owned = {"CACHEDIR.TAG", "trimmed"}
    for entry in CacheDirectory(root, authenticator=Authenticator()).entries():
        if entry.record is not None:
            owned |= {artifact.name for artifact in entry.record.artifacts}
            owned |= {f"{entry.key}{ending}" for ending in (".record", ".lock")}
    return {path.name for path in root.rglob("*") if path.is_file()} - owned
