"""Chunks that are read and written as files, beside what zarr-python does with them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.dtype import parse_dtype
from zarr.storage import LocalStore, MemoryStore, StorePath

from chonkle.errors import LimitExceeded
from chonkle.zarr.chunk_files import ChunkFile

SPEC = ArraySpec(
    shape=(1,),
    dtype=parse_dtype(np.dtype("u1"), zarr_format=3),
    fill_value=0,
    config=ArrayConfig.from_dict({}),
    prototype=default_buffer_prototype(),
)
SIZES = (0, 1, 4095, 4096, 4097, 9000, 1_000_000)


@pytest.fixture(params=["local", "subclass", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StorePath:
    class Subclass(LocalStore):
        """A store that may do something else with its files."""

    made: dict[str, Any] = {
        "local": lambda: LocalStore(tmp_path / "a"),
        "subclass": lambda: Subclass(tmp_path / "a"),
        "memory": MemoryStore,
    }
    return StorePath(made[request.param](), "c/0/1")


def stored(place: StorePath) -> bytes | None:
    found = place.get_sync(prototype=SPEC.prototype)
    return None if found is None else found.to_bytes()


@pytest.mark.parametrize("sizes", [SIZES, SIZES[::-1]], ids=["growing", "shrinking"])
def test_what_is_written_is_read(place: StorePath, sizes: tuple[int, ...]) -> None:
    file = ChunkFile()
    assert file.read(place, SPEC) is None
    for size in sizes:
        data = os.urandom(size)
        file.write(place, SPEC, memoryview(data))
        assert stored(place) == data
        assert bytes(file.read(place, SPEC)) == data


def test_no_other_files_stay(tmp_path: Path) -> None:
    place = StorePath(LocalStore(tmp_path), "c/0/1")
    for _ in range(2):
        ChunkFile().write(place, SPEC, b"x")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [tmp_path / "c/0/1"]


def test_a_folder_and_a_file_in_the_way_are_no_chunks(tmp_path: Path) -> None:
    (tmp_path / "c/0").mkdir(parents=True)
    (tmp_path / "f").write_bytes(b"x")
    for key in ("c/0", "f/0", "c/1"):
        place = StorePath(LocalStore(tmp_path), key)
        assert ChunkFile().read(place, SPEC) is None
        assert stored(place) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
def test_a_pipe_does_not_make_a_reader_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c")
    assert bytes(ChunkFile().read(StorePath(LocalStore(tmp_path), "c"), SPEC)) == b""


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_without_end_is_no_chunk(tmp_path: Path) -> None:
    (tmp_path / "c").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="Not a file"):
        ChunkFile().read(StorePath(LocalStore(tmp_path), "c"), SPEC)


@pytest.mark.skipif(not hasattr(os, "readv"), reason="goes through the store")
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "c").touch()
    os.truncate(tmp_path / "c", 1 << 40)  # takes no room on the disk
    place = StorePath(LocalStore(tmp_path), "c")
    with pytest.raises(LimitExceeded, match="1099511627776"):
        ChunkFile().read(place, SPEC)
    os.truncate(tmp_path / "c", 9_000)
    with pytest.raises(LimitExceeded, match="5000"):
        ChunkFile(5_000).read(place, SPEC)
    whole = replace(SPEC, shape=(9_000,))
    assert len(ChunkFile(5_000).read(place, whole)) == 9_000


def test_a_chunk_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "c/0/1").mkdir(parents=True)
    place = StorePath(LocalStore(tmp_path), "c/0/1")
    with pytest.raises(OSError, match="directory"):
        ChunkFile().write(place, SPEC, b"x")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_a_store_that_is_read_only_is_not_written_to(tmp_path: Path) -> None:
    place = StorePath(LocalStore(tmp_path, read_only=True), "c/0")
    with pytest.raises(ValueError, match="read-only"):
        ChunkFile().write(place, SPEC, b"x")
    assert list(tmp_path.iterdir()) == []


def test_the_mode_of_a_file_is_that_of_zarr_python(tmp_path: Path) -> None:
    first, second = (StorePath(LocalStore(tmp_path), key) for key in ("c/0", "c/1"))
    ChunkFile().write(first, SPEC, b"x")
    second.set_sync(SPEC.prototype.buffer.from_bytes(b"x"))
    assert (tmp_path / "c/0").stat().st_mode == (tmp_path / "c/1").stat().st_mode
