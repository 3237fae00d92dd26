"""Caches that cannot be written: in an image, mounted read-only, or of another user.

Tests often run as root, whom modes do not bind. So what is to be read-only is mounted so, in a
namespace that ends with the process, and what is to be forbidden is tried as another user.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from chonkle.engine import target
from chonkle.wasmtime_version import wasmtime_version

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="modes and mounts are POSIX"),
]

OTHER_USER = 65534
AS_OTHER_USER = f"--become={OTHER_USER}"
# Magic and version of wasm: the fingerprint of an engine is read from what it makes of this.
EMPTY_MODULE_BYTES = 8
MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes the tile of the demonstration in a process of its own.

    Attributes:
        report_of: runs a program.
        tile: the tile's file, and the pixels in it.
    """

    report_of: Callable[..., Any]
    tile: tuple[Path, bytes]

    def __call__(
        self,
        *more: str,
        environment: Mapping[str, str | Path],
        preference: str = "core",
        **options: Any,
    ) -> Any:
        given = {name: str(value) for name, value in environment.items()}
        report = self.report_of(
            "tile",
            preference,
            self.tile[0],
            *more,
            # The tests' own store is shut to other users.
            env={**os.environ, "CHONKLE_CODEC_STORE": "/nonexistent", **given},
            input="",
            **options,
        )
        if "error" not in report:
            assert report["digests"] == [hashlib.sha256(self.tile[1]).hexdigest()]
        return report


@pytest.fixture
def decode(report_of: Callable[..., Any], tile: tuple[Path, bytes]) -> Decoder:
    """Give what decodes the tile and demands the right pixels, or an error."""
    return Decoder(report_of, tile)


@pytest.fixture
def read_only(request: pytest.FixtureRequest) -> Callable[[Path], Sequence[str]]:
    """Make a directory read-only, for a command that begins with what is given back."""

    def make(directory: Path) -> Sequence[str]:
        if os.geteuid():
            for path in [directory, *directory.rglob("*")]:
                mode = path.stat().st_mode
                request.addfinalizer(partial(path.chmod, mode))
                path.chmod(mode & ~0o222)
            return ()
        command = ("unshare", "--mount", "sh", "-c", MOUNT, str(directory))
        try:
            subprocess.run([*command, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as failure:
            pytest.skip(f"NOT TESTED on a read-only directory: nothing can be mounted: {failure}")
        return command

    return make


@pytest.fixture
def shared() -> Iterator[Path]:
    """Give a directory that another user than root may enter, to be tried as that user."""
    if os.geteuid():
        pytest.skip("NOT TESTED as another user: only root can become one")
    for path in (Path(__file__), Path(wasmtime.__file__)):
        if not all(each.stat().st_mode & stat.S_IROTH for each in (path, *path.parents)):
            pytest.skip(f"NOT TESTED as another user: others may not read {path}")
    home = Path(tempfile.mkdtemp(prefix="chonkle-soak-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


def open_to_all(folder: Path) -> None:
    """Let everybody read a directory, as `chmod -R a+rX` does."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def everything_under(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("preference", ["core", "component"])
def test_an_image_with_native_code_needs_no_compiler(
    decode: Decoder, read_only: Callable[[Path], Sequence[str]], tmp_path: Path, preference: str
) -> None:
    image, own = tmp_path / "image", tmp_path / "own"
    baked = decode(environment={"CHONKLE_CACHE_DIR": image}, preference=preference)
    # What is counted below is counted here too.
    assert len(baked["compiled"]) > 2
    assert baked["counts"] == [0, 2, 0]
    before = everything_under(image)
    ran = decode(
        environment={
            "CHONKLE_CACHE_SYSTEM": image,
            "CHONKLE_CACHE_DIR": own,
            "CHONKLE_AOT": "only",
        },
        preference=preference,
        within=read_only(image),
    )
    assert ran["compiled"] == [EMPTY_MODULE_BYTES]
    assert (ran["counts"], ran["messages"]) == ([2, 0, 0], [])
    assert everything_under(image) == before
    assert not own.exists()


def test_what_an_image_lacks_goes_to_the_users_own(
    decode: Decoder, read_only: Callable[[Path], Sequence[str]], tmp_path: Path
) -> None:
    image, own = tmp_path / "image", tmp_path / "own"
    decode(environment={"CHONKLE_CACHE_DIR": image}, preference="core")
    within, both = read_only(image), {"CHONKLE_CACHE_SYSTEM": image, "CHONKLE_CACHE_DIR": own}
    first, second = (
        decode(environment=both, preference="component", within=within) for _ in range(2)
    )
    assert (first["counts"], first["messages"]) == ([0, 2, 0], [])
    assert (second["counts"], second["messages"]) == ([2, 0, 0], [])


def test_an_image_for_another_wasmtime_says_what_to_do(
    decode: Decoder, read_only: Callable[[Path], Sequence[str]], tmp_path: Path
) -> None:
    image = tmp_path / "image"
    decode(environment={"CHONKLE_CACHE_DIR": image})
    ran = decode(
        "--wasmtime=999.0.0",
        environment={
            "CHONKLE_CACHE_SYSTEM": image,
            "CHONKLE_CACHE_DIR": tmp_path / "own",
            "CHONKLE_AOT": "only",
        },
        within=read_only(image),
    )
    assert ran["compiled"] == [EMPTY_MODULE_BYTES]
    error = ran["error"]
    assert "no native code for codec zlib-rs@1.0.0" in error
    assert f"expected an entry for wasmtime 999.0.0 on {target()} in {image}" in error
    assert f"got code for wasmtime {wasmtime_version()} on {target()}" in error
    assert "hint: `CHONKLE_AOT=auto chonkle cache warm zlib-rs@1.0.0` makes it" in error


def test_a_cache_that_is_read_only_is_read(
    decode: Decoder, read_only: Callable[[Path], Sequence[str]], tmp_path: Path
) -> None:
    own = {"CHONKLE_CACHE_DIR": tmp_path / "own"}
    decode(environment=own)
    within = read_only(tmp_path / "own")
    warm = decode(environment=own, within=within)
    assert (warm["counts"], warm["messages"]) == ([2, 0, 0], [])
    before = everything_under(tmp_path / "own")
    cold = decode(environment=own, within=within, preference="component")
    assert cold["counts"] == [0, 2, 0]
    assert len(cold["messages"]) == 1
    assert "codecs are compiled in memory and not kept: " in cold["messages"][0]
    assert everything_under(tmp_path / "own") == before


def test_a_directory_that_nothing_can_be_made_in_is_told_once(
    decode: Decoder, read_only: Callable[[Path], Sequence[str]], tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    ran = decode(
        environment={"CHONKLE_CACHE_DIR": tmp_path / "home" / "cache" / "own"},
        within=read_only(tmp_path / "home"),
    )
    assert ran["counts"] == [0, 2, 0]
    assert len(ran["messages"]) == 1
    assert "AOT cache not used, codecs are compiled in memory: " in ran["messages"][0]


@pytest.mark.parametrize(
    ("mode", "is_own", "words"),
    [
        (0o755, False, "belongs to user 0"),
        (0o700, False, "Permission denied"),
        (0o500, True, "Permission denied"),
        (0o000, True, "Permission denied"),
    ],
)
def test_a_directory_that_is_forbidden_is_told_once(
    decode: Decoder, shared: Path, *, mode: int, is_own: bool, words: str
) -> None:
    root = shared / "cache"
    root.mkdir()
    if is_own:
        os.chown(root, OTHER_USER, OTHER_USER)
    root.chmod(mode)
    ran = decode(AS_OTHER_USER, environment={"CHONKLE_CACHE_DIR": root})
    assert ran["counts"] == [0, 2, 0]
    assert len(ran["messages"]) == 1
    assert words in ran["messages"][0]
    assert list(root.iterdir()) == []


def test_an_image_of_roots_is_everybodys(decode: Decoder, shared: Path) -> None:
    image = shared / "image"
    decode(environment={"CHONKLE_CACHE_DIR": image})
    layers = {
        "CHONKLE_CACHE_SYSTEM": str(image),
        "CHONKLE_CACHE_DIR": str(shared / "own"),
        "CHONKLE_AOT": "only",
    }
    shut = decode(AS_OTHER_USER, environment=layers)
    # As chonkle made it, only root can enter it.
    assert "no native code" in shut["error"]
    assert len(shut["messages"]) == 1
    assert "AOT cache of the system not used: " in shut["messages"][0]
    assert "Permission denied" in shut["messages"][0]
    open_to_all(image)
    ran = decode(AS_OTHER_USER, environment=layers)
    assert (ran["counts"], ran["messages"]) == ([2, 0, 0], [])
    assert ran["compiled"] == [EMPTY_MODULE_BYTES]


def test_parts_of_an_image_that_are_shut_are_reported(decode: Decoder, shared: Path) -> None:
    image = shared / "image"
    decode(environment={"CHONKLE_CACHE_DIR": image})
    open_to_all(image)
    for shard in (image / "aot-v3").iterdir():
        if shard.is_dir():
            shard.chmod(0o700)
    layers = {
        "CHONKLE_CACHE_SYSTEM": str(image),
        "CHONKLE_CACHE_DIR": str(shared / "own"),
        "CHONKLE_AOT": "only",
    }
    ran = decode(AS_OTHER_USER, environment=layers)
    assert "no native code for codec zlib-rs@1.0.0" in ran["error"]
    assert len(ran["messages"]) == 1
    assert "Permission denied" in ran["messages"][0]
