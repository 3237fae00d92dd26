"""Decodes a tile with the pipeline of the demonstration, once it is told to begin.

tile.py PREFERENCE TILE [WASMTIME]

It says `ready`, waits until its standard input ends, and reports as JSON what came of it. Where a
version of wasmtime is named, it takes the one that is installed for that.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime
from subjects import Heard
from wasmtime import component as wasm_component

import chonkle.cache.aot
import chonkle.engine
from chonkle.errors import ChonkleError
from chonkle.pipeline import prepare
from chonkle.resolver import Resolver

PIPELINE = Path(__file__).parents[3] / "docs/examples/demo/tile.json"
# The second call is the first that a desk is set up for.
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


def decode(preference: str, tile: bytes) -> dict[str, object]:
    """Decode a tile, and give what came of it."""
    try:
        with prepare(PIPELINE, resolver=Resolver(preference=[preference])) as prepared:
            pixels = {prepared.run({"bytes": tile})["bytes"] for _ in range(CALLS)}
            counts = prepared.session.counts
    except ChonkleError as failure:
        return {"error": str(failure)}
    return {
        "digests": [hashlib.sha256(each).hexdigest() for each in pixels],
        "counts": [counts.loaded, counts.compiled, counts.rejected],
    }


def main() -> None:
    preference, path, *version = sys.argv[1:]
    compiled, heard, tile = count_compiled(), Heard(), Path(path).read_bytes()
    for each in version:
        pretend(each)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    report = decode(preference, tile)
    json.dump({**report, "compiled": compiled, "messages": heard.take()}, sys.stdout)


if __name__ == "__main__":
    main()
