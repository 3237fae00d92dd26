"""Reproducing builds: equal bytes are told from others, and where those differ."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from chonkle_toolchain.cli.reproduce import reproduce as command
from chonkle_toolchain.difference import first_difference
from chonkle_toolchain.lock import LOCK_FILE
from chonkle_toolchain.make import ABIS
from chonkle_toolchain.reproduce import compare_builds
from chonkle_toolchain.tools import Tools
from click.testing import CliRunner

from chonkle.formats.wasm_binary import sections, with_custom_section

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "codec"
# What it does depends on what stands beside the folder that it is built in.
NOSY = """
#if __has_include("../../../toolchain/chonkle_toolchain/sdk/wit/codec.wit")
bool chonkle_decode(chonkle_call *call) { return chonkle_fail(call, "not here"); }
#else
bool chonkle_decode(chonkle_call *call) { return pass(call); }
#endif
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


@pytest.mark.slow
@pytest.mark.toolchain
def test_codecs_that_look_around_are_told_from_those_that_do_not(
    sources: Path, tmp_path: Path, tools: Tools
) -> None:
    project = tmp_path / "project"
    shutil.copytree(sources / "identity-c", project / "identity-c")
    nosy = Path(shutil.copytree(sources / "identity-c", project / "nosy-c"))
    shutil.rmtree(nosy / "vectors")
    signature, source = nosy / "signature.json", nosy / "src" / "codec.c"
    signature.write_text(signature.read_text("utf-8").replace("identity-c", "nosy-c"), "utf-8")
    kept, decode, _ = source.read_text("utf-8").partition("bool chonkle_decode")
    assert decode
    source.write_text(kept + NOSY, "utf-8")
    arguments = [project, "--output", SHIPPED, "--tools-dir", tools.folder, "--json"]
    done = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 1
    identity, found = json.loads(done.stdout)
    assert identity == {"name": "identity-c", "differences": [], "note": ""}
    assert [line.partition(" from ")[0] for line in found["differences"]] == [
        "the two builds: core differs",
        "the two builds: component differs",
    ]
    assert "(`code`)" in found["differences"][0]
    # Both are kept, to be looked at.
    (room,) = (project / "build" / "reproduce").iterdir()
    assert len(list(room.rglob("nosy-c@1.0.0.core.wasm"))) == 2
