"""A wheel, installed elsewhere: what a user of `pip install` has."""

import json
import re
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.e2e.tiles import Tile

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CODECS = ROOT / "codec"
LICENSES = CODECS / "THIRD-PARTY-LICENSES.txt"
# What the build reads.
SOURCES = ("chonkle", "codec", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")


type Call = Callable[..., bytes]


@pytest.fixture(scope="module")
def source(copy_sources: Callable[..., Path]) -> Path:
    return copy_sources(*SOURCES)


@pytest.fixture(scope="module")
def wheel(source: Path, call: Call) -> Path:
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist", cwd=source)
    (found,) = (source / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, install_elsewhere: Callable[..., Path]) -> Path:
    """Give the command that the wheel brings."""
    return install_elsewhere(wheel)


def test_the_wheel_carries_the_codecs_and_nothing_foreign(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {f"chonkle/codec/{file.relative_to(CODECS).as_posix()}" for file in wasm_files()}
    assert len(shipped) == len(list((ROOT / "codec-src").glob("*/codec.toml"))) * 2
    assert shipped <= names
    assert "chonkle/py.typed" in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"chonkle"}


def test_links_on_the_page_of_a_package_index_lead_to_the_repository(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert {link for link in links if not link.startswith(("https://", "#"))} == set()


def test_the_wheel_carries_the_licences_and_names_them(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        fields = archive.read(metadata).decode().partition("\n\n")[0].splitlines()
    folder = metadata.removesuffix("METADATA") + "licenses/"
    assert {f"{folder}LICENSE", f"{folder}codec/{LICENSES.name}"} <= names
    # Beside the codecs too: a copy of that folder has it.
    assert f"chonkle/codec/{LICENSES.name}" in names
    assert {"License-File: LICENSE", f"License-File: codec/{LICENSES.name}"} <= {*fields}
    assert "Description-Content-Type: text/markdown" in fields
    (expression,) = (line for line in fields if line.startswith("License-Expression: "))
    parts = {part for signature in signatures() for part in signature["license"].split(" AND ")}
    assert parts <= set(expression.removeprefix("License-Expression: ").split(" AND "))


def test_every_licence_of_a_codec_is_among_the_texts() -> None:
    # A long expression is broken over two lines.
    text = " ".join(LICENSES.read_text("utf-8").split())
    for signature in signatures():
        assert signature["implementation"] in text
        assert signature["license"] in text


def signatures() -> list[dict[str, Any]]:
    files = sorted((ROOT / "codec-src").glob("*/signature.json"))
    return [json.loads(file.read_text("utf-8")) for file in files]


def test_a_source_distribution_makes_the_same_wheel(
    source: Path, wheel: Path, tmp_path: Path, call: Call
) -> None:
    call(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=source)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    folder = tmp_path / archive.name.removesuffix(".tar.gz")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist", cwd=folder)
    (again,) = (folder / "dist").glob("*.whl")
    with ZipFile(wheel) as first, ZipFile(again) as second:
        assert {each.filename: each.CRC for each in first.infolist()} == {
            each.filename: each.CRC for each in second.infolist()
        }


def test_the_build_side_wants_the_chonkle_beside_it() -> None:
    import chonkle  # noqa: PLC0415

    runtime, build = (
        tomllib.loads((ROOT / name).read_text("utf-8"))["project"]
        for name in ("pyproject.toml", "toolchain/pyproject.toml")
    )
    assert build["version"] == chonkle.__version__
    assert f"chonkle=={chonkle.__version__}" in build["dependencies"]
    shared = {each for each in build["dependencies"] if ">" in each}
    assert shared <= set(runtime["dependencies"])


def test_one_address_is_that_of_the_repository() -> None:
    files = (ROOT / "pyproject.toml", ROOT / "toolchain/pyproject.toml")
    address = tomllib.loads(files[0].read_text("utf-8"))["project"]["urls"]["Source"]
    for file in files:
        found = re.findall(r"https://[^\s\"'\\]+", file.read_text("utf-8"))
        assert len(found) >= 4
        assert {each for each in found if not f"{each}/".startswith(f"{address}/")} == set()


def wasm_files() -> list[Path]:
    return sorted(CODECS.rglob("*.wasm"))


def test_the_installed_command_lists_codecs(installed: Path, tmp_path: Path, call: Call) -> None:
    listed = json.loads(call(installed, "codecs", "--json", cwd=tmp_path))
    shipped = [Path(each["path"]) for each in listed if each["origin"] == "shipped"]
    assert {path.name for path in shipped} == {path.name for path in wasm_files()}
    assert all(path.is_relative_to(installed.parents[1]) for path in shipped)


def test_the_demo_pipeline_runs(installed: Path, tmp_path: Path, tile: Tile, call: Call) -> None:
    (tmp_path / "tile.json").write_text(json.dumps(tile.pipeline))
    command = (installed, "run", "tile.json", "--preference", "core")
    ports = ("--input", "bytes=-", "--output", "bytes=-")
    assert call(*command, *ports, cwd=tmp_path, stdin=tile.encoded) == tile.pixels
    encoded = call(*command, *ports, "--direction", "encode", cwd=tmp_path, stdin=tile.pixels)
    assert tile.undo(encoded) == tile.pixels


def test_the_command_knows_its_version(installed: Path, tmp_path: Path, call: Call) -> None:
    import chonkle  # noqa: PLC0415

    displayed = call(installed, "--version", cwd=tmp_path).decode()
    assert displayed.strip() == f"chonkle, version {chonkle.__version__}"
