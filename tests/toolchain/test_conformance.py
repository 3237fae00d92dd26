"""Golden vectors as JSON lines: what is written, and what is refused."""

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from chonkle_toolchain.codecs_lock import Lock, read_lock, write_lock
from chonkle_toolchain.conformance import conformance_lines
from chonkle_toolchain.recipe import find_recipes

from chonkle.errors import BuildError

ROOT = Path(__file__).parents[2]
STORE = ROOT / "codec"
SOURCES = ROOT / "codec-src"

type RunCli = Callable[..., subprocess.CompletedProcess[str]]


def exported(*names: str) -> tuple[list[Any], list[str]]:
    """Give the parsed lines of codecs, and what was left out."""
    left_out: list[str] = []
    recipes = find_recipes(SOURCES, names=names)
    lines = conformance_lines(STORE, recipes, left_out=left_out.append)
    return [json.loads(line) for line in lines], left_out


def only(lines: Iterable[Any], case: str, direction: str) -> Any:
    (found,) = (line for line in lines if (line["case"], line["direction"]) == (case, direction))
    return found


def test_a_line_has_the_bytes_of_the_golden_vector() -> None:
    lines, left_out = exported("shuffle-c")
    vector = json.loads((SOURCES / "shuffle-c/vectors/elements-of-4.json").read_text())
    module = "shuffle/shuffle-c@1.0.0.core.wasm"
    line = only(lines, "elements-of-4", "encode")
    elementsize = line["inputs"].pop("elementsize")
    assert b64decode(elementsize) == b"4"
    assert line == {
        "codec_id": "shuffle",
        "case": "elements-of-4",
        "made_by": vector["made_by"],
        "module": module,
        "sha256": sha256((STORE / module).read_bytes()).hexdigest(),
        "direction": "encode",
        "inputs": {"bytes": vector["outputs"]["bytes"]["base64"]},
        "outputs": {"bytes": vector["inputs"]["bytes"]["base64"]},
    }
    assert left_out == []


def test_what_may_be_encoded_otherwise_is_decoded_again() -> None:
    lines, _ = exported("lz4-rs", "zlib-rs")
    vector = json.loads((SOURCES / "zlib-rs/vectors/fixed-codes.json").read_text())
    plain = {"bytes": vector["outputs"]["bytes"]["base64"]}
    line = only(lines, "fixed-codes", "encode")
    assert line["inputs"] == plain
    assert line["then"] == {"inputs": {}, "outputs": plain}
    assert "outputs" not in line
    assert only(lines, "fixed-codes", "decode")["outputs"] == plain


def test_lossy_data_are_encoded_again() -> None:
    lines, left_out = exported("bitround-c")
    vector = json.loads((SOURCES / "bitround-c/vectors/float32-12.json").read_text())
    rounded = {"bytes": vector["inputs"]["bytes"]["base64"]}
    line = only(lines, "float32-12", "decode")
    assert line["inputs"]["bytes"] == rounded["bytes"]
    assert line["then"]["outputs"] == rounded
    assert {name: b64decode(text) for name, text in line["then"]["inputs"].items()} == {
        "keepbits": b"12",
        "dtype": b'"<f4"',
    }
    assert left_out == []


def test_what_goes_one_way_only_is_left_out_and_named() -> None:
    lines, left_out = exported("lzma-rs")
    assert [line["direction"] for line in lines if line["case"] == "auto-xz"] == ["decode"]
    assert (
        "lzma-rs, auto-xz, encode: port `format`: expected an int from 1 to 3, got `0`" in left_out
    )
    _, left_out = exported("astype-c")
    assert left_out == ["astype-c, u8-to-big-f4, decode: encode does not restore the data"]


def copied(folder: Path) -> None:
    """Lay out one codec that is shipped as the folder of its author."""
    shutil.copytree(SOURCES / "identity-c", folder / "identity-c")
    shutil.copytree(STORE / "identity", folder / "codec/identity")
    lock = read_lock(STORE)
    write_lock(folder / "codec", Lock({"identity-c": lock.codecs["identity-c"]}))


def test_the_command_writes_a_sorted_file_and_the_same_again(
    run_cli: RunCli, tmp_path: Path
) -> None:
    copied(tmp_path)
    for name in ("first", "second"):
        done = run_cli("vectors", "export", tmp_path, "--output", tmp_path / "new" / name)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert done.stderr == "4 lines of 1 codec\n"
    text = (tmp_path / "new/first").read_text("ascii")
    assert text == (tmp_path / "new/second").read_text("ascii")
    assert text.endswith("}\n")
    lines = list(map(json.loads, text.splitlines()))
    keys = [(line["codec_id"], line["case"], line["direction"]) for line in lines]
    assert keys == sorted(keys)
    assert {key[2] for key in keys} == {"decode", "encode"}


def test_what_was_not_built_from_these_sources_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    copied(tmp_path)
    output, store = tmp_path / "vectors.jsonl", tmp_path / "codec"

    def refused(*arguments: object) -> str:
        done = run_cli("vectors", "export", *arguments, "--output", output)
        assert (done.returncode, done.stdout) == (1, "")
        assert not output.exists()
        (line,) = done.stderr.splitlines()
        return line

    said = refused(store)
    assert said.startswith(f"error: no sources of codecs in `{store}`; hint: --codec-src names")
    assert f"no folder `{tmp_path / 'nowhere'}`" in refused(tmp_path / "nowhere")
    (module,) = store.glob("identity/*.core.wasm")
    wasm = module.read_bytes()
    module.write_bytes(wasm[:-1] + b"?")
    said = refused(store, "--codec-src", tmp_path)
    assert said.startswith(f"error: {module}: other bytes than codecs.lock says; hint: `chonkle b")
    module.unlink()
    assert f"no file `{module}`" in refused(tmp_path)
    module.write_bytes(wasm)
    vector = next((tmp_path / "identity-c/vectors").glob("*.json"))
    vector.write_text(vector.read_text().replace('"made_by": "', '"made_by": "not '))
    assert "the golden vectors of `identity-c` are not those that its files gave" in refused(
        tmp_path
    )


def test_a_codec_that_was_not_built_is_named(tmp_path: Path) -> None:
    recipes = find_recipes(SOURCES, names=["identity-c"])
    with pytest.raises(BuildError, match=r"codecs\.lock: no codec `identity-c`; hint: `chonkle b"):
        list(conformance_lines(tmp_path, recipes))
