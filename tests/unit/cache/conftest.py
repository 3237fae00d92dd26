"""Entries without a compiler: what a directory keeps is any bytes."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.record import Artifact, Authenticator, EntryMetadata, Record
from chonkle.digest import Digest

type Write = Callable[..., Record]


@pytest.fixture
def directory(tmp_path: Path) -> CacheDirectory:
    """Give a directory that is made, with nothing in it."""
    made = CacheDirectory(tmp_path / "cache", authenticator=Authenticator())
    made.create()
    return made


@pytest.fixture
def write(directory: CacheDirectory) -> Write:
    """Give a function that writes an entry, with the key that a name stands for."""

    def write_(
        name: str = "one",
        contents: Sequence[bytes] = (b"code",),
        *,
        into: CacheDirectory = directory,
        written_at: float | None = None,
        **metadata: Any,
    ) -> Record:
        key = Digest.blake3(name.encode()).hex
        usual = {
            "kind": "core",
            "codec_id": name,
            "label": f"{name}@1.0.0",
            "wasm": str(Digest.blake3(b"wasm")),
            "wasm_size": 4,
            "engine": "0" * 64,
            "wasmtime": "48.0.0",
            "target": "linux-x86_64",
            "created": 1_800_000_000,
            "compile_seconds": 0.25,
        }
        artifacts = tuple(Artifact.of(key, content) for content in contents)
        record = Record(key, artifacts, EntryMetadata(**{**usual, **metadata}))
        into.write(record, contents)
        if written_at is not None:
            for path in into.root.rglob(f"{key}*"):
                os.utime(path, (written_at, written_at))
        return record

    return write_
