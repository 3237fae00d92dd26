"""The way of an author, from an empty folder to a pipeline, with nothing but what is installed."""

import itertools
import json
import re
import shlex
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import yaml

from tests.e2e import registries
from tests.loopback import sha256

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/guides/write-a-codec.md"
CI = ROOT / "docs/guides/ci.md"
PUBLISHING = ROOT / "docs/guides/publish-a-codec.md"
WORKFLOW = ROOT / "docs/examples/ci/codecs.yml"
RUNTIME = ("chonkle", "codec", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
BUILD_SIDE = ("toolchain", "codec-src/sdk")
SDK = ROOT / "codec-src/sdk"

type Call = Callable[..., bytes]
type CopySources = Callable[..., Path]


@pytest.fixture(scope="module")
def runtime_wheel(copy_sources: CopySources, call: Call) -> Path:
    source = copy_sources(*RUNTIME)
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist", cwd=source)
    (found,) = (source / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def build_side(copy_sources: CopySources, call: Call) -> Path:
    """Give a folder with the wheel and the source distribution of the build side."""
    source = copy_sources(*BUILD_SIDE)
    call(sys.executable, "-m", "hatchling", "build", "-d", source, cwd=source / "toolchain")
    return source


@pytest.fixture(scope="module")
def build_side_wheel(build_side: Path) -> Path:
    (found,) = build_side.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(
    runtime_wheel: Path, build_side_wheel: Path, install_elsewhere: Callable[..., Path]
) -> Path:
    return install_elsewhere(runtime_wheel, build_side_wheel)


def contents(wheel: Path) -> dict[str, int]:
    """Give the checksum of each file, except of the list of files, whose order is no matter."""
    with ZipFile(wheel) as archive:
        found = {each.filename: each.CRC for each in archive.infolist()}
    return {name: checksum for name, checksum in found.items() if not name.endswith("/RECORD")}


def sdk_files() -> set[str]:
    return {
        path.relative_to(SDK).as_posix()
        for part in ("c", "rust", "wit")
        for path in (SDK / part).rglob("*")
        if path.is_file() and "target" not in path.parts
    }


def test_the_wheel_carries_the_sdk_and_the_templates(build_side_wheel: Path) -> None:
    names = contents(build_side_wheel).keys()
    inside = "chonkle_toolchain/sdk/"
    assert {name.removeprefix(inside) for name in names if name.startswith(inside)} == sdk_files()
    templates = ROOT / "toolchain/chonkle_toolchain/templates"
    wanted = {path.relative_to(templates) for path in templates.rglob("*") if path.is_file()}
    assert {f"chonkle_toolchain/templates/{path.as_posix()}" for path in wanted} <= names


def test_a_source_distribution_makes_the_same_wheel(
    build_side: Path, build_side_wheel: Path, tmp_path: Path, call: Call
) -> None:
    (archive,) = build_side.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    folder = tmp_path / archive.name.removesuffix(".tar.gz")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist", cwd=folder)
    (again,) = (folder / "dist").glob("*.whl")
    assert contents(again) == contents(build_side_wheel)


def commands_of_the_guide(language: str) -> list[list[str]]:
    """Read the commands from `chonkle new` to `chonkle run` that the guide shows."""
    page = GUIDE.read_text("utf-8").replace("\\\n", " ")
    (begin,) = re.findall(r"^\$ (chonkle new .*)$", page, re.MULTILINE)
    (then,) = re.findall(r"```sh\n(chonkle build [^`]*)```", page)
    displayed = f"{begin}\n{then}"
    if language == "rust":
        displayed = displayed.replace("--lang c", "--lang rust").replace("stride-c", "stride-rs")
    return [shlex.split(line) for line in displayed.splitlines()]


@pytest.mark.toolchain
@pytest.mark.parametrize("language", ["c", "rust"])
def test_five_commands_lead_from_an_empty_folder_to_a_pipeline(
    language: str, installed: Path, tmp_path: Path, call: Call
) -> None:
    commands = commands_of_the_guide(language)
    assert [command[1] for command in commands] == ["new", "build", "test", "verify", "run"]
    for program, *arguments in commands:
        assert program == "chonkle"
        call(installed, *arguments, cwd=tmp_path)
    (project,) = (path for path in tmp_path.iterdir() if path.is_dir())
    decoded = np.frombuffer((project / "README.md").read_bytes(), "u1")
    encoded = decoded.copy()
    encoded[2:] -= decoded[:-2]
    assert (tmp_path / "encoded.bin").read_bytes() == encoded.tobytes()
    if language == "c":
        *_, (back,), (python,) = shell_blocks(GUIDE)
        call(installed, *back[1:], cwd=tmp_path)
        assert (tmp_path / "again.md").read_bytes() == decoded.tobytes()
        here = installed.with_name(Path(sys.executable).name)
        printed = call(here, *python[1:], cwd=tmp_path)
        assert printed.split() == [rb"b'a\x01\x01'"]


def shell_blocks(page: Path) -> list[list[list[str]]]:
    """Read the commands of each block that is not run on its own."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8").replace("\\\n", " "), re.DOTALL)
    return [[shlex.split(line, comments=True) for line in block.splitlines()] for block in blocks]


def checks_of_the_workflow() -> list[list[str]]:
    """Read the commands that the workflow of the guide to CI runs on every push."""
    steps = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["check"]["steps"]
    runs = [step["run"] for step in steps if step.get("run", "").startswith("chonkle ")]
    return [shlex.split(run.partition(">")[0]) for run in runs]


@pytest.mark.network
@pytest.mark.toolchain
def test_five_commands_lead_from_an_empty_folder_to_a_published_codec(
    installed: Path, tmp_path: Path, call: Call, registry_program: str
) -> None:
    environment = {
        "CHONKLE_KEY_PASSWORD": "of a test",
        "CHONKLE_CODEC_STORE": str(tmp_path / "store"),
    }
    keygen, commands, *others = shell_blocks(PUBLISHING)
    names = [command[1] for command in commands]
    assert names == ["new", "build", "publish", "sign", "verify"]
    said = {}
    (tmp_path / "registry").mkdir()
    with registries.started(tmp_path / "registry", registry_program) as registry:

        def pinned(tag: re.Match[str]) -> str:
            return tag[1] + sha256(registry.read(f"codecs/stride-c/manifests/{tag[2]}"))

        def run(command: list[str], cwd: Path = tmp_path) -> str:
            variables = dict(word.split("=", 1) for word in command if word.startswith("CHONKLE_"))
            program, *arguments = command[len(variables) :]
            assert program == "chonkle"
            real = [
                re.sub(r"(:([^:@]+)@)sha256:\.\.\.", pinned, word).replace(
                    "registry.example", registry.address
                )
                for word in arguments
            ]
            return call(installed, *real, cwd=cwd, environment=environment | variables).decode()

        for command in (*keygen, *commands):
            said[command[1]] = run(command)
        assert registry.tags("codecs/stride-c")[:2] == ["0.1.0", "0.1.0-core"]
        manifest = sha256(registry.read("codecs/stride-c/manifests/0.1.0"))
        assert manifest in said["publish"]
        assert manifest in said["sign"]
        assert [[command[1] for command in block] for block in others] == [
            ["sign", "sign"],
            ["pull"],
            ["publish", "pull"],
        ]
        for command in itertools.chain(*others):
            run(command)
        # What the guide to CI shows in the folder of that codec, and the workflow runs there.
        once, anywhere, *_ = shell_blocks(CI)
        for command in (*once, *checks_of_the_workflow()):
            run(command, tmp_path / "stride-c")
        shutil.rmtree(tmp_path / "store")
        (tmp_path / "stride-c/in.bin").write_bytes(b"abc")
        for command in anywhere:
            run(command, tmp_path / "stride-c")
        assert (tmp_path / "stride-c/out.bin").read_bytes() == bytes([97, 98, 196])


def test_the_readme_shows_what_the_guide_does() -> None:
    _, *_, (_, *commands) = shell_blocks(ROOT / "README.md")
    played = shell_blocks(PUBLISHING)[1] + shell_blocks(GUIDE)[1]
    assert [command for command in commands if command not in played] == []
    assert [command[1] for command in commands] == ["new", "build", "verify", "publish"]


def test_the_guide_shows_what_is_written(installed: Path, tmp_path: Path, call: Call) -> None:
    page = GUIDE.read_text("utf-8")
    for language in ("c", "rust"):
        (name,) = (word for word in commands_of_the_guide(language)[0] if "stride" in word)
        call(installed, "new", name, "--lang", language, cwd=tmp_path)
        source = {"c": "src/codec.c", "rust": "src/lib.rs"}[language]
        assert (tmp_path / name / source).read_text("utf-8") in page
    for block in re.findall(r"```json (\S+)\n(.*?)```", page, re.DOTALL):
        assert json.loads((tmp_path / block[0]).read_text("utf-8")) == json.loads(block[1])
