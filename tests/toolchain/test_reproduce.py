"""Reproducing builds: equal bytes are told from others, and where those differ."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from chonkle_toolchain.abi import ABIS
from chonkle_toolchain.cli.reproduce import reproduce as command
from chonkle_toolchain.codecs_lock import LOCK_FILE
from chonkle_toolchain.difference import first_difference
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.reproduce import compare_builds
from chonkle_toolchain.sdk import sdk_folder
from click.testing import CliRunner, Result

from chonkle.formats.wasm_binary import sections, with_custom_section

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "codec"
# Plays the compilers of both builds: read by every Python that finds it in its path. What comes out
# of `nosy-c` depends on where it is built, and each build leaves behind what was around it.
PLAYED = f"""
import json, os
from pathlib import Path

import chonkle_toolchain
from chonkle.errors import BuildError
from chonkle.formats.signature import embed_signature
from chonkle.formats.wasm_binary import with_custom_section
from chonkle_toolchain import build
from chonkle_toolchain.abi import ABIS

def make(recipe, context, **_):
    umask = os.umask(0)
    os.umask(umask)
    around = {{**os.environ, "umask": umask, "toolchain": chonkle_toolchain.__file__}}
    folder = context.build_dir.parent
    (folder / "around.json").write_text(json.dumps(around))
    if recipe.name == "bad-c":
        raise BuildError("nonsense in line 1")
    made = {{
        abi: Path({str(SHIPPED)!r}, f"identity/identity-c@1.0.0.{{abi}}.wasm").read_bytes()
        for abi in ABIS
    }}
    if recipe.name == "nosy-c":
        seen = folder.name.encode()
        made = {{abi: with_custom_section(data, "seen", seen) for abi, data in made.items()}}
    return {{abi: embed_signature(data, recipe.signature) for abi, data in made.items()}}

build.make_artifacts = make
"""

# Tells rustc when it ran.
CLOCK = """
fn main() {
    println!("cargo:rustc-env=CLOCK={:?}", std::time::SystemTime::now());
}
"""


def shipped(abi: str) -> bytes:
    return (SHIPPED / f"identity/identity-c@1.0.0.{abi}.wasm").read_bytes()


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that copies the folder of built files."""
    return lambda name: Path(shutil.copytree(SHIPPED, tmp_path / name))


def test_equal_builds_have_no_difference(copy: Callable[[str], Path]) -> None:
    found = compare_builds("identity-c", copy("one"), copy("other"), SHIPPED)
    assert (found.name, found.differences, found.note) == ("identity-c", (), "")


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("changed", ["other", "there"])
def test_one_byte_is_found(abi: str, changed: str, copy: Callable[[str], Path]) -> None:
    one, other, there = copy("one"), copy("other"), copy("there")
    path = (other if changed == "other" else there) / f"identity/identity-c@1.0.0.{abi}.wasm"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    (difference,) = compare_builds("identity-c", one, other, there).differences
    where = "the two builds" if changed == "other" else str(there)
    assert difference.startswith(f"{where}: {abi} differs from byte {len(data) - 1} on, in section")
    assert difference.endswith("(`chonkle:signature`)")


def test_what_other_tools_built_is_not_compared(copy: Callable[[str], Path]) -> None:
    one, there = copy("one"), copy("there")
    (there / "identity/identity-c@1.0.0.core.wasm").write_bytes(b"")
    lock = there / LOCK_FILE
    lock.write_text(lock.read_text("utf-8").replace('zig = "0.17.0"', 'zig = "0.16.0"'), "utf-8")
    found = compare_builds("identity-c", one, one, there)
    assert found.differences == ()
    assert found.note.endswith("built with other tools: zig 0.16.0 -> 0.17.0")
    lock.unlink()
    found = compare_builds("identity-c", one, one, there)
    assert (found.differences, found.note.endswith("where it was never built")) == ((), True)


def test_what_is_there_of_other_sources_is_a_difference(copy: Callable[[str], Path]) -> None:
    one, there = copy("one"), copy("there")
    lock = there / LOCK_FILE
    before = lock.read_text("utf-8")
    lock.write_text(before.replace('"src/codec.c" = "', '"src/codec.c" = "x'), "utf-8")
    assert compare_builds("identity-c", one, one, there).differences == (
        f"{there}: src/codec.c changed",
    )


def test_a_difference_is_found_in_the_section_that_it_is_in() -> None:
    core, component = shipped("core"), shipped("component")
    code = next(section for section in sections(core) if section.id == 10)
    changed = bytearray(core)
    changed[code.payload] ^= 1
    said = first_difference(core, bytes(changed))
    assert said.startswith(f"from byte {code.payload} on, in section ")
    assert said.endswith("(`code`)")
    module = next(section for section in sections(component) if section.id == 1)
    changed = bytearray(component)
    changed[module.payload + 9] ^= 1
    said = first_difference(component, bytes(changed))
    assert said.endswith("(`core module`) > section 0 (`type`)")
    longer = with_custom_section(core, "more", b"")
    sizes = f"{len(core)} and {len(longer)} bytes"
    assert first_difference(core, longer) == f"from byte {len(core)} on, in its end; {sizes}"
    assert first_difference(core, b"").startswith("from byte 0 on, in its header")
    assert first_difference(core, core) == ""


@pytest.fixture
def play(tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Give a function that reproduces codecs in `project` with compilers that are played."""
    played = tmp_path / "played"
    played.mkdir()
    (played / "sitecustomize.py").write_text(PLAYED, "utf-8")
    paths = [str(played), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    def run(*names: str) -> Result:
        project = tmp_path / "project"
        for name in names:
            signature = shutil.copytree(sources / "identity-c", project / name) / "signature.json"
            signature.write_text(signature.read_text("utf-8").replace("identity-c", name), "utf-8")
        arguments = [project, "--output", SHIPPED, "--json"]
        return CliRunner().invoke(command, list(map(str, arguments)))

    return run


@pytest.mark.toolchain
def test_codecs_that_look_around_are_recognized(
    play: Callable[..., Result], tmp_path: Path
) -> None:
    done = play("identity-c", "nosy-c")
    assert done.exit_code == 1
    identity, nosy = json.loads(done.stdout)
    assert identity == {"name": "identity-c", "differences": [], "note": ""}
    assert [line.partition(" from ")[0] for line in nosy["differences"]] == [
        "the two builds: core differs",
        "the two builds: component differs",
    ]
    assert all("(`seen`)" in line for line in nosy["differences"])
    # Both are kept, to be looked at.
    kept = tmp_path / "project" / "build" / "reproduce"
    first, second = (
        json.loads(path.read_text("utf-8")) for path in sorted(kept.rglob("around.json"))
    )
    equal = {name for name in second if first.get(name) == second[name]}
    assert not equal & {
        "toolchain", "umask", "TZ", "LC_ALL", "TMPDIR", "CARGO_HOME", "CARGO_BUILD_JOBS",
        "CARGO_TARGET_DIR", "CFLAGS", "CPATH", "RUSTFLAGS", "ZIG_GLOBAL_CACHE_DIR",
    }  # fmt: skip


@pytest.mark.toolchain
def test_a_codec_that_does_not_build_is_told_with_the_words_of_the_build(
    play: Callable[..., Result], tmp_path: Path
) -> None:
    done = play("bad-c")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "first: error: nonsense in line 1" in done.stderr
    assert str(done.exception) == "the first of the two builds failed"
    assert not any((tmp_path / "project" / "build" / "reproduce").iterdir())


@pytest.mark.toolchain
def test_reproduced_codecs_leave_nothing(play: Callable[..., Result], tmp_path: Path) -> None:
    done = play("identity-c")
    assert done.exit_code == 0, done.stderr
    assert not any((tmp_path / "project" / "build" / "reproduce").iterdir())


@pytest.mark.toolchain
def test_compilers_carry_on_what_a_source_asks_them(tmp_path: Path) -> None:
    """Look for it in what real compilers make: the clock, and the folder."""
    asks = {
        "clock-rs": 'env!("CLOCK")',
        "folder-rs": 'env!("CARGO_MANIFEST_DIR")',
        "plain-rs": "file!()",
    }
    for name, asked in asks.items():
        folder = write_project(Project(name, "rust", "try"), into=tmp_path, sdk=sdk_folder())
        source = folder / "src" / "lib.rs"
        text = source.read_text("utf-8")
        assert text.count("    Ok(") == 1
        check = f'    if inputs.has("odd") {{ return Err({asked}.into()); }}\n    Ok('
        source.write_text(text.replace("    Ok(", check), "utf-8")
    (tmp_path / "clock-rs" / "build.rs").write_text(CLOCK, "utf-8")
    done = CliRunner().invoke(command, [str(tmp_path), "--json"])
    assert done.exit_code == 1, done.stderr
    found = {each["name"]: bool(each["differences"]) for each in json.loads(done.stdout)}
    assert found == {"clock-rs": True, "folder-rs": True, "plain-rs": False}
