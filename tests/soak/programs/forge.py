"""Forges entries: with write access to a cache, knowing its format, without its key.

forge.py KIND FOLDER

Each forgery is tried twice: without a key, and with the owner's. The last line is
JSON: for each forgery what both came to, and how often wasmtime was asked to load native code.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import wasmtime
from damage import put, read_table
from heard import Heard
from numbered_codecs import COMPILERS, ask, open_cache, wasm_of
from wasmtime import component as wasm_component

from chonkle.cache.record import Artifact, Authenticator
from chonkle.engine import Engine

RIGHT, FORGED = 1234567, 666
OWNER, OTHER = (
    Authenticator(b"owner's key, thirty-two bytes..."),
    Authenticator(b"other key, thirty-two bytes....."),
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
    """Give ways to make an entry give another number.

    Args:
        record: a record that its owner authenticated.
        artifacts: what is to be run instead of its artifacts.
    """
    key, first = record.stem, record.read_bytes().partition(b"\n")[0]

    def plant() -> bytes:
        """Write other native code, and give the body of a record that is true of it."""
        described = [Artifact.of(key, content) for content in artifacts]
        for artifact, content in zip(described, artifacts, strict=True):
            put(record.parent / artifact.name, content)
        table = {**read_table(record), "artifacts": [asdict(each) for each in described]}
        return json.dumps(table).encode()

    def planted(line: Callable[[bytes], bytes]) -> Callable[[], None]:
        def forge() -> None:
            body = plant()
            put(record, line(body) + b"\n" + body)

        return forge

    def swap() -> None:
        """Leave the owner's record as it is."""
        for listed, content in zip(read_table(record)["artifacts"], artifacts, strict=True):
            put(record.parent / listed["name"], content)

    def tag(authenticator: Authenticator, body: bytes, algorithm: str = "") -> bytes:
        own, _, digest = authenticator.tag(body).partition(":")
        return f"{algorithm or own}:{digest}".encode()

    yield "a plain digest", planted(lambda body: tag(Authenticator(), body))
    yield "a tag with another key", planted(lambda body: tag(OTHER, body))
    yield "a tag with a key of zeros", planted(lambda body: tag(Authenticator(bytes(32)), body))
    yield (
        "a plain digest that says it is keyed",
        planted(lambda body: tag(Authenticator(), body, "blake3-keyed")),
    )
    yield "the owner's tag on another record", planted(lambda _: first)
    yield "a tag of one word", planted(lambda _: b"blake3-keyed")
    yield "a tag cut short", planted(lambda _: first[:-20])
    yield "a keyed tag without a digest", planted(lambda _: b"blake3-keyed:")
    yield "no tag", planted(lambda _: b"")
    yield "another artifact under the owner's record", swap


def main() -> None:
    kind, root = sys.argv[1], Path(sys.argv[2]) / "cache"
    engine, heard, loads = Engine(), Heard(), Loads()

    def look(authenticator: Authenticator) -> dict[str, object]:
        cache = open_cache(root, engine, authenticator=authenticator)
        got = ask(cache, kind, RIGHT)
        return {
            "number": got,
            "asked wasmtime": loads.take(),
            "messages": len(heard.take()),
            "loaded": cache.counts.loaded,
        }

    def write_genuine() -> Path:
        shutil.rmtree(root, ignore_errors=True)
        look(OWNER)
        return next(root.rglob("*.record"))

    artifacts = COMPILERS[kind].compile(engine.wasmtime, wasm_of(kind, FORGED))
    write_genuine()
    report: dict[str, object] = {"genuine": look(OWNER)}
    for number, (name, _) in enumerate(forgeries(next(root.rglob("*.record")), artifacts)):
        looked = {}
        for reader, authenticator in (("without a key", Authenticator()), ("with the key", OWNER)):
            # Anew for each, because a refused entry is replaced.
            forge = list(forgeries(write_genuine(), artifacts))[number][1]
            forge()
            looked[reader] = look(authenticator)
        report[name] = looked
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
