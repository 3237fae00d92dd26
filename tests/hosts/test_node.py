"""The host in JavaScript, in node."""

import json
import re
from pathlib import Path
from typing import Any

from tests.hosts.javascript import (
    MARKS,
    Command,
    check_attacked,
    check_copies,
    guests,
    hostile_modules,
    run,
    run_lines,
    write_arrays,
    write_modules,
)

pytestmark = MARKS


def test_golden_vectors(
    node_program: Command, vectors_file: Path, vectors: list[Any], codec_store: Path
) -> None:
    rows = run_lines(node_program("conformance.js"), vectors_file, codec_store)
    assert [row for row in rows if not row["ok"] or row["error"] or row["host"] != "node"] == []
    keys = ("codec_id", "case", "direction")
    assert [[row[key] for key in keys] for row in rows] == [
        [line[key] for key in keys] for line in vectors
    ]


def test_wrong_vectors_fail(
    node_program: Command, vectors: list[Any], codec_store: Path, tmp_path: Path
) -> None:
    line = next(each for each in vectors if each["codec_id"] == "zlib" and "then" in each)
    wrong = [
        {**line, "then": {"inputs": {}, "outputs": {"bytes": "AAAA"}}},
        {**line, "then": {"inputs": {}, "outputs": {"other": ""}}},
        {**line, "sha256": "0" * 64},
        {**line, "module": "zlib/none.wasm"},
        line,
    ]
    (tmp_path / "wrong.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in wrong))
    program = node_program("conformance.js")
    rows = run_lines(program, tmp_path / "wrong.jsonl", codec_store, code=1)
    assert [row["ok"] for row in rows] == [False, False, False, False, True]
    assert "bytes, got" in rows[0]["error"]
    assert "expected the ports other, got bytes" in rows[1]["error"]
    assert "wrong digest" in rows[2]["error"]
    (tmp_path / "empty.jsonl").write_text("")
    assert run_lines(program, tmp_path / "empty.jsonl", codec_store, code=1) == []
    assert run(program).returncode == 2


def test_arrays_are_read_and_written(
    node_program: Command, codec_store: Path, tmp_path: Path
) -> None:
    expected = write_arrays(tmp_path / "arrays")
    folders = (tmp_path / "arrays", codec_store, tmp_path / "copies")
    check_copies(run_lines(node_program("dev/copy.js"), *folders), tmp_path / "copies", expected)


def test_hostile_modules(node_program: Command, codec_store: Path, tmp_path: Path) -> None:
    names = write_modules(tmp_path / "modules", hostile_modules())
    good = next((codec_store / "zlib").glob("*.core.wasm"))
    rows = run_lines(node_program("dev/attack.js"), tmp_path / "modules", good)
    check_attacked(rows, names)


def test_the_rest(node_program: Command, codec_store: Path, tmp_path: Path) -> None:
    """What golden vectors and arrays do not show, as tests in JavaScript."""
    write_modules(tmp_path / "guests", guests())
    node, script = node_program("dev/tests.js")
    places = {"CODECS": str(codec_store), "GUESTS": str(tmp_path / "guests")}
    # Without `--test`, there is no process of its own that a timeout would leave behind.
    done = run([node, "--test-reporter=tap", script], environment=places)
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout


def test_the_readme_shows_what_happens(node_program: Command) -> None:
    """Each block of JavaScript prints the text block behind it."""
    node, readme = node_program("README.md")
    text = Path(readme).read_text("utf-8")
    blocks = re.findall(r"^```js\n(.*?)^```\n\n```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for script, printed in blocks:
        done = run([node, "--input-type=module"], input_text=script, folder=Path(readme).parent)
        assert (done.stdout, done.stderr) == (printed, "")
