"""Forges entries as somebody would who may write to a cache, knows its format and lacks its key.

forge.py KIND FOLDER

Each forgery is looked at twice: by who has no key, and by who has the owner's. The last line is
JSON: for each forgery what both came to, and how often wasmtime was asked to load native code.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import tomli_w
import wasmtime
from damage import put, read_table
from heard import Heard
from subjects import COMPILERS, ask, open_cache, wasm_of
from wasmtime import component as wasm_component

from chonkle.cache.record import Artifact, Seal
from chonkle.engine import Engine

RIGHT, FORGED = 1234567, 666
OWNER, STRANGER = (
    Seal(b"owner's key, thirty-two bytes..."),
    Seal(b"stranger's key, 32 bytes long..."),
)


class Loads:
    """Counts the files that reach wasmtime as native code, and lets them through."""

    def __init__(self) -> None:
        self._count = 0
        # What was just compiled is loaded from memory, and what is cached from files.
        for cls in (wasmtime.Module, wasm_component.Component):
            setattr(cls, "deserialize_file", self._counting(cls.deserialize_file))  # noqa: B010

    def _counting(self, load: Callable[..., object]) -> Callable[..., object]:
        def count(*arguments: object) -> object:
            self._count += 1
            return load(*arguments)

        return count

    def take(self) -> int:
        taken, self._count = self._count, 0
        return taken


def forgeries(record: Path, artifacts: list[bytes]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give ways to make an entry answer something else.

    Args:
        record: a record that its owner sealed.
        artifacts: what is to be run instead of its artifacts.
    """
    key, first = record.stem, record.read_bytes().partition(b"\n")[0]

    def plant() -> bytes:
        """Write other native code, and give the body of a record that is true of it."""
        described = [Artifact.of(key, content) for content in artifacts]
        for artifact, content in zip(described, artifacts, strict=True):
            put(record.parent / artifact.name, content)
        return tomli_w.dumps(
            {**read_table(record), "artifacts": [asdict(each) for each in described]}
        ).encode()

    def planted(line: Callable[[bytes], bytes]) -> Callable[[], None]:
        def forge() -> None:
            body = plant()
            put(record, line(body) + b"\n" + body)

        return forge

    def swap() -> None:
        """Leave the owner's record as it is."""
        for listed, content in zip(read_table(record)["artifacts"], artifacts, strict=True):
            put(record.parent / listed["name"], content)

    def sealed(seal: Seal, body: bytes, algorithm: str = "") -> bytes:
        own, _, digest = seal.of(body).partition(":")
        return f'seal = "{algorithm or own}:{digest}"'.encode()

    yield "a plain seal", planted(lambda body: sealed(Seal(), body))
    yield "a seal with another key", planted(lambda body: sealed(STRANGER, body))
    yield "a seal with a key of zeros", planted(lambda body: sealed(Seal(bytes(32)), body))
    yield (
        "a plain seal that says it is keyed",
        planted(lambda body: sealed(Seal(), body, "blake3-keyed")),
    )
    yield "the owner's seal on another record", planted(lambda _: first)
    yield "an empty seal", planted(lambda _: b'seal = ""')
    yield "a seal cut short", planted(lambda _: first[:-20] + b'"')
    yield "a keyed seal without a digest", planted(lambda _: b'seal = "blake3-keyed:"')
    yield "no seal", planted(lambda _: b"")
    yield "another artifact under the owner's record", swap


def main() -> None:
    kind, root = sys.argv[1], Path(sys.argv[2]) / "cache"
    engine, heard, loads = Engine(), Heard(), Loads()

    def look(seal: Seal) -> dict[str, object]:
        cache = open_cache(root, engine, seal=seal)
        answer = ask(cache, kind, RIGHT)
        return {
            "answer": answer,
            "asked wasmtime": loads.take(),
            "messages": len(heard.take()),
            "loaded": cache.counts.loaded,
        }

    def write_genuine() -> Path:
        shutil.rmtree(root, ignore_errors=True)
        look(OWNER)
        return next(root.rglob("*.toml"))

    artifacts = COMPILERS[kind].compile(engine.wasmtime, wasm_of(kind, FORGED))
    write_genuine()
    report: dict[str, object] = {"genuine": look(OWNER)}
    for number, (name, _) in enumerate(forgeries(next(root.rglob("*.toml")), artifacts)):
        looked = {}
        for who, seal in (("without a key", Seal()), ("with the key", OWNER)):
            # Anew for each: whoever does not believe an entry writes one.
            forge = list(forgeries(write_genuine(), artifacts))[number][1]
            forge()
            looked[who] = look(seal)
        report[name] = looked
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
