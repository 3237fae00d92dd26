"""What is built again: that which depends on what changed, for the reason that the report gives.

Compilers are played here: every codec is the shipped `identity`, with the names of its own.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from chonkle_toolchain import build as build_module
from chonkle_toolchain import compile_c, documents, fingerprint
from chonkle_toolchain.abi import ABIS, Abi
from chonkle_toolchain.cli import build as build_command
from chonkle_toolchain.codecs_lock import LOCK_FILE, read_lock, write_lock
from chonkle_toolchain.make import BuildContext
from chonkle_toolchain.recipe import Recipe
from chonkle_toolchain.rust import Rust
from chonkle_toolchain.tools import ZIG_VERSION, Tool, Tools
from click.testing import CliRunner, Result

from chonkle.cli.progress import Progress
from chonkle.errors import BuildError
from chonkle.formats.signature import embed_signature
from chonkle.formats.wasm_binary import with_custom_section
from chonkle.storage.files import write_temporary

ROOT = Path(__file__).parents[2]
IDENTITY = ROOT / "codec-src" / "identity-c"
C, RUST = ("left-c", "right-c"), ("one-rs", "two-rs")
ALL = (*C, *RUST)
RECIPES = {
    "left-c": 'language = "c"\nsources = ["src/codec.c"]\n',
    "right-c": 'language = "c"\nsources = ["src/codec.c"]\ninclude = ["../shared/bits"]\n',
    "one-rs": 'language = "rust"\nc_in_crates = true\n',
    "two-rs": 'language = "rust"\n',
}


@dataclass(frozen=True)
class PlayedTools(Tools):
    """Tools that are all there, with a Rust compiler of one's choice."""

    rust_label: str = "1.95.0 (played)"

    def zig(self) -> Tool:
        return Tool("zig", "", "", command=("zig",))

    def wasm_tools(self) -> Tool:
        return Tool("wasm-tools", "", "", command=("wasm-tools",))

    def rust(self) -> Rust:
        return Rust(cargo="cargo" if self.rust_label else "", label=self.rust_label)


@dataclass
class World:
    """Four codecs of two languages, the SDK, and tools."""

    folder: Path
    tools: PlayedTools

    @property
    def codecs(self) -> Path:
        return self.folder / "codec-src"

    @property
    def sdk(self) -> Path:
        return self.folder / "sdk"

    @property
    def output(self) -> Path:
        return self.codecs / "codec"

    def play(self, patch: pytest.MonkeyPatch) -> None:
        """Let builds find this SDK and these tools."""
        patch.setattr(build_module, "make_artifacts", make)
        patch.setattr(build_command, "sdk_folder", lambda: self.sdk)
        patch.setattr(build_command, "Tools", lambda: self.tools)

    def append(self, file: str, text: str = "\n") -> None:
        path = self.folder / file
        path.write_text(path.read_text() + text)

    def run(self, *arguments: str) -> Result:
        """Run `chonkle build`."""
        return CliRunner().invoke(
            build_command.build, [str(self.codecs), *arguments], catch_exceptions=False
        )

    def lines(self, *arguments: str) -> dict[str, str]:
        """Give what the report says of each codec, without sizes and times."""
        lines = self.run(*arguments).stdout.splitlines()
        named = ((next(name for name in ALL if name in line), line) for line in lines)
        return {name: line.partition(" (")[0] for name, line in named}

    def built(self, *arguments: str) -> dict[str, list[str]]:
        """Give the reasons for each codec that was built, from the JSON report."""
        outcomes = json.loads(self.run("--json", *arguments).stdout)
        states = {outcome["state"] for outcome in outcomes}
        assert states <= {"rebuilt", "up to date"}
        return {o["name"]: o["reasons"] for o in outcomes if o["state"] == "rebuilt"}


def write_codec(folder: Path, name: str, recipe: str) -> None:
    (folder / "src").mkdir(parents=True)
    (folder / "codec.toml").write_text(recipe)
    (folder / "src" / "codec.c").write_text("")
    (folder / "Cargo.toml").write_text("")
    (folder / "Cargo.lock").write_text("")
    signature = json.loads((IDENTITY / "signature.json").read_text())
    (folder / "signature.json").write_text(json.dumps({**signature, "implementation": name}))


def make(recipe: Recipe, _: object, **__: object) -> dict[Abi, bytes]:
    """Play the compilers."""
    shipped = {abi: ROOT / f"codec/identity/identity-c@1.0.0.{abi}.wasm" for abi in ABIS}
    return {
        abi: embed_signature(path.read_bytes(), recipe.signature) for abi, path in shipped.items()
    }


@pytest.fixture(scope="module")
def built_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of codecs that are built; not to be changed."""
    made = World(tmp_path_factory.mktemp("built"), PlayedTools())
    for name, recipe in RECIPES.items():
        write_codec(made.codecs / name, name, recipe)
    (made.codecs / "shared" / "bits").mkdir(parents=True)
    (made.codecs / "shared" / "bits" / "bits.h").write_text("")
    shutil.copytree(ROOT / "codec-src" / "sdk", made.sdk)
    with pytest.MonkeyPatch.context() as patch:
        made.play(patch)
        assert made.lines() == {name: f"built {name}: not built before" for name in ALL}
    return made.folder


@pytest.fixture
def world(tmp_path: Path, built_folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Give codecs that are built."""
    folder = shutil.copytree(built_folder, tmp_path / "world")
    made = World(Path(folder), PlayedTools())
    made.play(monkeypatch)
    return made


def test_what_is_built_is_up_to_date(world: World) -> None:
    for arguments in (["--check"], []):
        assert world.lines(*arguments) == {name: f"up to date {name}" for name in ALL}


@pytest.mark.parametrize(
    ("file", "text", "names", "reason"),
    [
        ("codec-src/one-rs/src/codec.c", "// more", ("one-rs",), "src/codec.c changed"),
        ("codec-src/left-c/signature.json", "\n", ("left-c",), "signature.json changed"),
        ("codec-src/left-c/codec.toml", 'flags = ["-O2"]', ("left-c",), "flags changed"),
        ("codec-src/two-rs/codec.toml", "stack_size_bytes = 65536", ("two-rs",), "flags changed"),
        ("codec-src/left-c/codec.toml", 'include = ["src"]', ("left-c",), "codec.toml changed"),
        ("codec-src/shared/bits/bits.h", "//", ("right-c",), "../shared/bits/bits.h changed"),
        ("codec-src/two-rs/Cargo.lock", "# more", ("two-rs",), "Cargo.lock changed"),
        ("sdk/c/chonkle_codec.h", "/* more */", C, "the C SDK changed"),
        ("sdk/rust/src/lib.rs", "// more", RUST, "the Rust SDK changed"),
        ("sdk/wit/codec.wit", "// more", ALL, "the WIT changed"),
    ],
)
def test_an_edit_builds_what_depends_on_it_and_says_why(
    world: World, file: str, text: str, names: tuple[str, ...], reason: str
) -> None:
    world.append(file, text)
    stale = {name: f"stale {name}: {reason}" for name in names}
    fresh = {name: f"up to date {name}" for name in ALL if name not in names}
    assert world.lines("--check") == stale | fresh
    rebuilt = {name: f"rebuilt {name}: {reason}" for name in names}
    assert world.lines() == rebuilt | fresh
    assert world.lines("--check") == {name: f"up to date {name}" for name in ALL}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("codec-src/left-c/codec.toml", "# a comment"),
        ("codec-src/left-c/.swap", ""),
        ("codec-src/left-c/README.md", "words"),
        ("codec-src/left-c/encoded.bin", "what its README has it make"),
        ("codec-src/left-c/tests/more.c", ""),
        ("codec-src/one-rs/target/left.o", ""),
        ("sdk/README.md", "words"),
    ],
)
def test_an_edit_of_what_is_not_compiled_builds_nothing(world: World, file: str, text: str) -> None:
    path = world.folder / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    world.append(file, text)
    assert world.built() == {}


def test_line_ends_of_another_system_build_nothing(world: World) -> None:
    header = world.sdk / "c" / "chonkle_codec.h"
    header.write_bytes(header.read_bytes().replace(b"\n", b"\r\n"))
    assert world.built() == {}


def test_files_that_come_and_go_are_named(world: World) -> None:
    source = world.codecs / "left-c" / "src" / "codec.c"
    (source.parent / "table.h").write_text("")
    assert world.built() == {"left-c": ["src/table.h is new"]}
    (source.parent / "table.h").rename(source.parent / "rows.h")
    assert world.built() == {"left-c": ["src/rows.h is new", "src/table.h is gone"]}


def test_many_reasons_are_all_in_the_json_and_few_in_the_line(world: World) -> None:
    for number in range(9):
        (world.codecs / "left-c" / "src" / f"{number}.h").write_text("")
    displayed = ", ".join(f"src/{number}.h is new" for number in range(4))
    assert world.lines("--check")["left-c"] == f"stale left-c: {displayed}, 5 more"
    assert len(world.built()["left-c"]) == 9


@pytest.mark.parametrize(
    ("constant", "tool"),
    [
        ("ZIG_VERSION", "zig"),
        ("WASM_TOOLS_VERSION", "wasm-tools"),
        ("TOOLCHAIN_VERSION", "toolchain"),
    ],
)
def test_a_new_version_of_a_tool_builds_what_it_makes(
    world: World, constant: str, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = f"{tool} {getattr(fingerprint, constant)} -> next"
    monkeypatch.setattr(fingerprint, constant, "next")
    names = ("left-c", "right-c", "one-rs") if tool == "zig" else ALL
    assert world.lines("--check") == {
        name: f"stale {name}: {reason}" if name in names else f"up to date {name}" for name in ALL
    }
    assert world.built() == {name: [reason] for name in names}
    assert world.built() == {}


def test_a_flag_rebuilds_all_of_its_language(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_c, "C_FLAGS", (*compile_c.C_FLAGS, "-O2"))
    assert world.built() == {name: ["flags changed"] for name in C}


def test_a_tool_that_a_codec_begins_to_need_is_a_reason(world: World) -> None:
    world.append("codec-src/two-rs/codec.toml", "c_in_crates = true")
    reasons = ["flags changed", "codec.toml changed", f"zig none -> {ZIG_VERSION}"]
    assert world.built() == {"two-rs": reasons}


def test_another_rust_compiler_builds_and_is_told_by_a_check(world: World) -> None:
    world.tools = replace(world.tools, rust_label="1.97.0 (played)")
    checked = world.run("--check")
    assert checked.exit_code == 0
    note = "built with rust 1.95.0 (played), here is 1.97.0 (played)"
    assert checked.stdout.count(note) == len(RUST)
    assert [note] == [
        outcome["note"]
        for outcome in json.loads(world.run("--check", "--json").stdout)
        if outcome["name"] == "one-rs"
    ]
    reason = "rust 1.95.0 (played) -> 1.97.0 (played)"
    assert world.built() == {name: [reason] for name in RUST}


def test_without_a_rust_compiler_what_is_built_is_up_to_date(world: World) -> None:
    world.tools = replace(world.tools, rust_label="")
    assert world.built() == {}
    checked = world.run("--check")
    assert (checked.exit_code, "here is" in checked.stdout) == (0, False)
    world.append("sdk/rust/src/lib.rs", "// more")
    assert world.lines("--check")["one-rs"] == "stale one-rs: the Rust SDK changed"


def test_golden_vectors_are_verified_again_and_nothing_is_built(world: World) -> None:
    before = sorted(path.read_bytes() for path in world.output.rglob("*.wasm"))
    shutil.copytree(IDENTITY / "vectors", world.codecs / "left-c" / "vectors")
    assert world.lines("--check")["left-c"] == "stale left-c: golden vectors changed"
    assert world.lines()["left-c"] == "verified left-c: golden vectors changed"
    assert world.lines() == {name: f"up to date {name}" for name in ALL}
    for vector in (world.codecs / "left-c" / "vectors").iterdir():
        vector.unlink()
    assert world.lines("--check")["left-c"] == "stale left-c: golden vectors are gone"
    assert world.lines()["left-c"] == "up to date left-c: golden vectors are gone"
    assert world.lines("--check") == {name: f"up to date {name}" for name in ALL}
    assert sorted(path.read_bytes() for path in world.output.rglob("*.wasm")) == before


def test_missing_golden_vectors_fail_always(world: World, run_quietly: Callable[..., str]) -> None:
    vectors = Path(shutil.copytree(IDENTITY / "vectors", world.codecs / "left-c" / "vectors"))
    wrong = json.loads((vectors / "some.json").read_text())
    wrong["outputs"]["bytes"] = {"base64": "eA=="}
    (vectors / "some.json").write_text(json.dumps(wrong))
    for arguments in (["--check"], [], []):
        said = run_quietly(world, *arguments)
        assert said.startswith("`left-c` fails its golden vector `some`, to ")


@pytest.fixture
def run_quietly() -> Callable[..., str]:
    """Give a function that runs a build that fails, and gives its words."""

    def run(world: World, *arguments: str) -> str:
        with pytest.raises(BuildError) as caught:
            world.run(*arguments)
        return str(caught.value)

    return run


def test_a_file_that_is_damaged_or_missing_is_built_again(world: World) -> None:
    path = world.output / "identity" / "left-c@1.0.0.core.wasm"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    reason = f"its core file has other bytes than in {LOCK_FILE}"
    assert world.lines("--check")["left-c"] == f"stale left-c: {reason}"
    assert world.built() == {"left-c": [reason]}
    assert path.read_bytes() == whole
    path.unlink()
    assert world.built() == {"left-c": ["its core file is missing"]}


def test_an_edited_lock_is_no_proof(world: World) -> None:
    lock = read_lock(world.output)
    built = replace(lock.codecs["left-c"], build="blake3:00")
    write_lock(world.output, replace(lock, codecs={**lock.codecs, "left-c": built}))
    assert world.built() == {"left-c": [f"{LOCK_FILE} was edited"]}
    (world.output / LOCK_FILE).unlink()
    assert world.lines() == {name: f"built {name}: not built before" for name in ALL}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'zig = "{ZIG_VERSION}"', 'zig = "0.0.1"'),
        ("left-c@1.0.0.component.wasm", "left-c@1.0.0.core.wasm"),
        ("left-c@1.0.0.core.wasm", "left-c@1.0.0.component.wasm"),
        ("identity/left-c@1.0.0.core.wasm", "/etc/passwd"),
        ("identity/left-c@1.0.0.core.wasm", "identity/right-c@1.0.0.core.wasm"),
        ('codec_id = "identity"', 'codec_id = "other"'),
        ('version = "1.0.0"', 'version = "1.0.1"'),
        ('"src/codec.c" = ', '"src/other.c" = '),
    ],
)
def test_a_lock_that_is_refused_is_stale_and_mended(old: str, new: str, world: World) -> None:
    lock = world.output / LOCK_FILE
    whole = lock.read_text()
    files = {path: path.read_bytes() for path in world.output.rglob("*.wasm")}
    start, end = whole.index("[codecs.left-c]"), whole.index("[codecs.one-rs]")
    lock.write_text(whole[:start] + whole[start:end].replace(old, new, 1) + whole[end:])
    assert lock.read_text() != whole
    assert world.lines("--check")["left-c"] == f"stale left-c: {LOCK_FILE} was edited"
    assert world.built() == {"left-c": [f"{LOCK_FILE} was edited"]}
    assert lock.read_text() == whole
    assert {path: path.read_bytes() for path in world.output.rglob("*.wasm")} == files


@pytest.mark.parametrize("full_at", ["left-c@1.1.0.core", "left-c@1.1.0.component", LOCK_FILE])
def test_a_disk_that_fills_leaves_what_was_there_and_no_more(
    full_at: str, world: World, monkeypatch: pytest.MonkeyPatch, run_quietly: Callable[..., str]
) -> None:
    def write(path: Path, parts: Iterable[bytes], *, mode: int) -> Path:
        if path.name.startswith(full_at):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_temporary(path, parts, mode=mode)

    before = {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}
    signature = world.codecs / "left-c" / "signature.json"
    whole = signature.read_text()
    signature.write_text(whole.replace('"1.0.0"', '"1.1.0"'))
    with monkeypatch.context() as full:
        full.setattr(documents, "write_temporary", write)
        said = run_quietly(world)
    assert full_at in said
    assert said.endswith(": cannot be written: No space left on device")
    assert before == {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}
    signature.write_text(whole)
    assert world.built() == {}


def test_a_form_that_fails_removes_the_other(world: World, run_quietly: Callable[..., str]) -> None:
    signature = world.codecs / "left-c" / "signature.json"
    signature.write_text(signature.read_text().replace('"1.0.0"', '"1.1.0"'))
    (world.output / "identity" / "left-c@1.1.0.component.wasm" / "mine").mkdir(parents=True)
    before = {path for path in world.output.rglob("*") if path.name != ".lock"}
    assert "left-c@1.1.0.component.wasm: cannot be written: " in run_quietly(world)
    assert before == {path for path in world.output.rglob("*") if path.name != ".lock"}


def test_a_new_version_takes_the_place_of_the_old(world: World) -> None:
    signature = world.codecs / "left-c" / "signature.json"
    signature.write_text(signature.read_text().replace('"1.0.0"', '"1.1.0"'))
    assert world.built() == {"left-c": ["signature.json changed"]}
    names = {path.name for path in (world.output / "identity").glob("left-c*")}
    assert names == {"left-c@1.1.0.core.wasm", "left-c@1.1.0.component.wasm"}


def test_a_codec_without_a_recipe_is_removed(world: World) -> None:
    shutil.rmtree(world.codecs / "left-c")
    assert "left-c" not in world.lines("right-c")
    assert world.lines("--check")["left-c"] == "stale left-c: it has no recipe any more"
    assert world.lines()["left-c"] == "removed left-c: it has no recipe any more"
    assert not list(world.output.rglob("left-c*"))
    assert "left-c" not in read_lock(world.output).codecs


def test_a_codec_built_from_its_own_folder_removes_no_others(world: World) -> None:
    before = set(world.output.rglob("*.wasm"))
    folder = str(world.codecs / "left-c")
    arguments = [folder, "--output", str(world.output), "--build-dir", str(world.codecs / "build")]
    done = CliRunner().invoke(build_command.build, arguments, catch_exceptions=False)
    assert "removed" not in done.stdout
    assert before == set(world.output.rglob("*.wasm"))
    assert read_lock(world.output).codecs.keys() == {*ALL}


def test_a_renamed_codec_leaves_nothing_in_its_own_folder(world: World) -> None:
    """Unlike an output that codecs share: all that is built into this one is of this codec."""

    def lines(*arguments: str) -> list[str]:
        done = CliRunner().invoke(build_command.build, [str(folder), *arguments])
        return [line.partition(" (")[0] for line in done.stdout.splitlines()]

    folder = world.codecs / "left-c"
    assert lines() == ["built left-c: not built before"]
    signature = folder / "signature.json"
    signature.write_text(signature.read_text().replace('"left-c"', '"right-c"'))
    gone = "left-c: it has no recipe any more"
    assert lines("--check") == ["stale right-c: not built before", f"stale {gone}"]
    assert lines() == ["built right-c: not built before", f"removed {gone}"]
    assert lines("--check") == ["up to date right-c"]
    assert not list((folder / "codec").rglob("left-c*"))
    assert read_lock(folder / "codec").codecs.keys() == {"right-c"}


@pytest.mark.parametrize("name", ["build", "codec"])
def test_a_folder_that_cannot_be_written_to_is_named(name: str, world: World) -> None:
    shutil.rmtree(world.codecs / name)
    (world.codecs / name).write_text("")
    words = rf"/{name}: cannot be written to: .*; hint: .* with --output and --build-dir, and"
    with pytest.raises(BuildError, match=words):
        world.run()


def test_a_codec_that_is_not_ready_stops_none_but_itself(world: World) -> None:
    (world.codecs / "one-rs" / "Cargo.lock").unlink()
    (world.codecs / "left-c" / "codec.toml").write_text("language = ")
    world.append("codec-src/right-c/src/codec.c", "/* more */")
    assert world.built("right-c", "two-rs") == {"right-c": ["src/codec.c changed"]}
    assert {"one-rs", "left-c"} <= read_lock(world.output).codecs.keys()
    with pytest.raises(BuildError, match=r"one-rs: no file `Cargo\.lock`; hint: `cargo gen"):
        world.run("two-rs", "one-rs")
    with pytest.raises(BuildError, match=r"left-c/codec\.toml: malformed TOML"):
        world.run()
    with pytest.raises(BuildError, match=r"no codec `none`, expected one of left-c, one-rs, "):
        world.run("none")


@pytest.mark.parametrize(
    ("version", "note"),
    [
        ("0.9.0", "chonkle ships identity-c@1.0.0 of `identity` and picks that: give yours"),
        ("1.0.0", "chonkle ships another identity-c@1.0.0 of `identity` and runs neither: give"),
        ("1.0.1", ""),
    ],
)
def test_a_codec_with_a_shipped_name_is_told_the_outcome(
    version: str, note: str, world: World
) -> None:
    write_codec(world.codecs / "identity-c", "identity-c", RECIPES["left-c"])
    signature = world.codecs / "identity-c" / "signature.json"
    document = {**json.loads(signature.read_text()), "version": version, "description": "mine"}
    signature.write_text(json.dumps({**document, "implementation": "identity-c"}))
    for arguments in ([], ["--check"]):
        found = json.loads(world.run("--json", *arguments).stdout)
        notes = {outcome["name"]: outcome["note"] for outcome in found}
        own = notes.pop("identity-c")
        assert own.startswith(note)
        assert bool(own) == bool(note)
        assert set(notes.values()) == {""}


def test_a_misspelt_field_is_told_every_time(world: World) -> None:
    signature = world.codecs / "left-c" / "signature.json"
    signature.write_text(json.dumps({**json.loads(signature.read_text()), "lossles": False}))
    for arguments in ([], ["--check"]):
        assert (
            "unknown field `lossles` in the signature: did you mean `lossless`?"
            in world.run(*arguments).stdout
        )


def test_a_copy_of_a_shipped_codec_is_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(IDENTITY, world.codecs / "identity-c")

    def make_others(recipe: Recipe, context: object, **_: object) -> dict[Abi, bytes]:
        made = make(recipe, context)
        return {abi: with_custom_section(data, "more", b"") for abi, data in made.items()}

    monkeypatch.setattr(build_module, "make_artifacts", make_others)
    found = json.loads(world.run("--json").stdout)
    assert {outcome["note"] for outcome in found} == {""}


def test_an_edit_of_the_copy_of_the_sdk_is_undone_and_said(world: World) -> None:
    header = world.codecs / "build" / "sdk" / "c" / "chonkle_codec.h"
    header.write_text("/* edited */")
    done = world.run()
    assert "sdk: restored c/chonkle_codec.h, which was edited; builds do not" in done.stderr
    assert header.read_bytes() == (world.sdk / "c" / "chonkle_codec.h").read_bytes()
    assert "restored" not in world.run().stderr


def test_steps_are_told_as_they_begin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_in_steps(recipe: Recipe, context: BuildContext, **_: object) -> dict[Abi, bytes]:
        context.step(f"compiling `{recipe.name}`")
        return make(recipe, context)

    monkeypatch.setattr(build_module, "make_artifacts", make_in_steps)
    steps: list[str] = []
    monkeypatch.setattr(Progress, "step", lambda _, what: steps.append(what))
    world.append("codec-src/left-c/src/codec.c", "/* more */")
    world.run("--check")
    assert steps == []
    world.run()
    assert steps == ["compiling `left-c`"]
