"""Decodes a tile with the pipeline of the demonstration, once it is told to begin.

It says `ready`, waits until its standard input ends, and reports as JSON what came of it.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime
from heard import Heard
from wasmtime import component as wasm_component

import chonkle.cache.aot
import chonkle.engine
from chonkle.errors import ChonkleError
from chonkle.pipeline import prepare
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime

PIPELINE = Path(__file__).parents[3] / "docs/examples/demo/tile.json"
# A trampoline is attached at the second call.
CALLS = 2


def count_compiled() -> list[int]:
    """Give the sizes of the binaries that wasmtime is asked to compile from now on."""
    sizes: list[int] = []

    def counting(make: Callable[..., None]) -> Callable[..., None]:
        def count(self: object, engine: wasmtime.Engine, wasm: bytes) -> None:
            sizes.append(len(wasm))
            make(self, engine, wasm)

        return count

    kinds: tuple[Any, ...] = (wasmtime.Module, wasm_component.Component)
    for kind in kinds:
        kind.__init__ = counting(kind.__init__)
    return sizes


def pretend(version: str) -> None:
    """Take another version of wasmtime for the one that is installed."""
    for module in (chonkle.engine, chonkle.cache.aot):
        setattr(module, "wasmtime_version", lambda: version)  # noqa: B010 - mypy forbids the other


def become(user: int, preference: str, tile: bytes) -> None:
    """Go on as another user, with all modules imported that it could not read."""
    with tempfile.TemporaryDirectory() as folder:
        assert "error" not in decode(preference, tile, Runtime(cache=folder))
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def decode(preference: str, tile: bytes, runtime: Runtime) -> dict[str, object]:
    """Decode a tile, and give what came of it."""
    resolver = Resolver(preference=[preference])
    try:
        with prepare(PIPELINE, resolver=resolver, runtime=runtime) as prepared:
            pixels = {prepared.run({"bytes": tile})["bytes"] for _ in range(CALLS)}
            counts = runtime.counts
    except ChonkleError as failure:
        return {"error": str(failure)}
    return {
        "digests": [hashlib.sha256(each).hexdigest() for each in pixels],
        "counts": [counts.loaded, counts.compiled, counts.rejected],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preference")
    parser.add_argument("tile", type=Path)
    parser.add_argument("--wasmtime", help="take the wasmtime that is installed for this version")
    parser.add_argument("--become", type=int, help="the id of a user to go on as")
    told = parser.parse_args()
    heard, tile = Heard(), told.tile.read_bytes()
    if told.become:
        become(told.become, told.preference, tile)
        heard.take()
    if told.wasmtime:
        pretend(told.wasmtime)
    compiled = count_compiled()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    report = decode(told.preference, tile, Runtime())
    json.dump({**report, "compiled": compiled, "messages": heard.take()}, sys.stdout)


if __name__ == "__main__":
    main()
