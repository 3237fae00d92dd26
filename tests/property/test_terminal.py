"""Whatever text a file, a guest or a registry holds, what chonkle prints is printable."""

import ast
import contextlib
import io
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chonkle.backends.base import Limits
from chonkle.backends.wasm.guest_errors import refusal, trap_error
from chonkle.cli import main
from chonkle.errors import ChonkleError, CodecError, PipelineError, printable
from chonkle.formats.json_text import parse_json
from chonkle.formats.signature import SECTION_NAME
from chonkle.formats.wasm_binary import with_custom_section

ROOT = Path(__file__).parents[2]
EMPTY_MODULE = bytes.fromhex("0061736d01000000")
BYTES = {"type": "bytes"}
# Colours, a line of its own, text turned round, no width, a title for the window, half of a pair.
HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "x\nerror: forged",
    "\u202egnp.exe",
    "a\u200bb\u2066c\ufeff",
    "\x9d0;title\x07\x7f\r",
    "\ud800",
    "x" * 5000 + "\x1b",
    "\x1b" * 5000,
)

texts = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(HOSTILE)


# Each example is many commands.
few = settings(max_examples=6)


def is_clean(text: str) -> bool:
    return text.replace("\n", "").isprintable()


def chonkle(*arguments: str, cwd: Path) -> tuple[str, int]:
    """Run the command line; give what it printed on both streams, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    before, here = sys.argv, Path.cwd()
    sys.argv = ["chonkle", *arguments]
    os.chdir(cwd)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as left,
        ):
            main()
    finally:
        sys.argv = before
        os.chdir(here)
    assert isinstance(left.value.code, int)
    return out.getvalue() + err.getvalue(), left.value.code


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for variable in ("CHONKLE_CACHE_DIR", "CHONKLE_CODEC_STORE", "HOME", "DOCKER_CONFIG"):
            patch.setenv(variable, str(Path(name) / variable))
        yield Path(name)


def pipelines(text: str) -> Iterator[dict[str, Any]]:
    """Give a pipeline with the text in each place that takes some."""
    good: dict[str, Any] = {
        "codec_id": "p",
        "direction": "decode",
        "inputs": {"bytes": BYTES},
        "outputs": {"bytes": "s.bytes"},
        "steps": {"s": {"codec_id": "identity", "inputs": {"bytes": "input.bytes"}}},
    }
    step = good["steps"]["s"]
    yield {**good, "codec_id": text}
    yield {**good, "direction": text}
    yield {**good, "description": text}
    yield {**good, text: text}
    yield {**good, "inputs": {text: {"type": text}}}
    yield {**good, "inputs": {"bytes": {**BYTES, text: 1, "default": text}}}
    yield {**good, "outputs": {text: text}}
    yield {**good, "outputs": {"bytes": "s.bytes", "more": text}}
    yield {**good, "constants": {text: {"type": text, "value": text}}}
    yield {**good, "sources": {text: text}}
    yield {**good, "sources": {"identity": "file://" + text}}
    yield {**good, "steps": {text: step}}
    yield {**good, "steps": {"s": {**step, "codec_id": text}}}
    yield {
        **good,
        "steps": {"s": {**step, "inputs": {text: "input.bytes", "bytes": "input.bytes"}}},
    }
    yield {**good, "steps": {"s": {**step, "inputs": {"bytes": text}}}}
    yield {"codecs": [{"name": text, "type": text, "configuration": {text: text}, text: text}]}


@few
@given(texts)
@example(HOSTILE[0])
@example(HOSTILE[2])
@example(HOSTILE[3])
def test_a_pipelines_text_is_printable(text: str) -> None:
    with folder() as cwd:
        for document in pipelines(text):
            (cwd / "p.json").write_text(json.dumps(document))
            for arguments in (("validate", "p.json"), ("validate", "p.json", "--json")):
                printed, _ = chonkle(*arguments, cwd=cwd)
                assert printed
                assert is_clean(printed), (document, printed)


def signed(document: Mapping[str, object]) -> bytes:
    signature: dict[str, object] = {
        "codec_id": "evil",
        "implementation": "x",
        "inputs": {},
        "outputs": {},
    }
    text = json.dumps({**signature, **document})
    return with_custom_section(EMPTY_MODULE, SECTION_NAME, text.encode())


@few
@given(texts)
@example(HOSTILE[0])
@example(HOSTILE[3])
def test_a_signatures_text_is_printable(text: str) -> None:
    parts: tuple[dict[str, object], ...] = (
        {"description": text, "license": [text], "source": {text: text}},
        {"aliases": {text: [text, {text: text}]}},
        {"aliases": text},
        {"inputs": {text: BYTES}},
        {"inputs": {"level": {"type": "string", "default": text, text: text}}},
        {"codec_id": text},
        {"implementation": text},
        {"version": text},
        {"kind": text},
    )
    with folder() as cwd:
        place = cwd / "store" / "evil"
        place.mkdir(parents=True)
        for document in parts:
            (place / "x.core.wasm").write_bytes(signed(document))
            for command in (
                "inspect store/evil/x.core.wasm",
                "inspect store/evil/x.core.wasm --json",
                "codecs evil --codec-store store",
            ):
                printed, _ = chonkle(*command.split(), cwd=cwd)
                assert printed
                assert is_clean(printed), (document, printed)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@few
@given(texts)
@example("\x1b[31mred")
@example("\udcff\u202e")
def test_the_name_of_a_file_is_printable(text: str) -> None:
    name = "".join(c for c in text if c not in "/\0")[:40] + ".wasm"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        name = "\udcff.wasm"
    with folder() as cwd:
        place = cwd / "store" / "evil"
        place.mkdir(parents=True)
        (place / name).write_bytes(signed({"implementation": "y"}))
        for command in (
            ["inspect", f"./{name}"],
            ["inspect", f"store/evil/{name}"],
            ["inspect", f"store/evil/{name}", name],
            ["validate", f"store/evil/{name}"],
            ["run", name, "--input", name, "--output", "x=y"],
            ["codecs", "--codec-store", f"./{name}"],
            ["codecs", "evil", "--codec-store", "store"],
            ["codecs", f"./{name}"],
            ["embed-signature", f"store/evil/{name}", f"store/evil/{name}"],
            ["cache", "import", f"./{name}"],
            ["cache", "verify", f"./{name}"],
            ["cache", "warm", f"./{name}"],
            [f"./{name}"],
        ):
            printed, _ = chonkle(*command, cwd=cwd)
            assert printed
            assert is_clean(printed), (command, printed)


@given(texts, texts)
@example(HOSTILE[1], HOSTILE[6])
@example(HOSTILE[7], HOSTILE[5])
def test_an_exceptions_text_is_printable(text: str, other: str) -> None:
    failures: list[ChonkleError] = [
        ChonkleError(text, expected=other, got=text, hint=other),
        ChonkleError(text).within(other),
        PipelineError.from_problems(text, [other]),
        PipelineError.from_problems(text, [other, text, other]).within(text),
        refusal(text),
        trap_error(RuntimeError(text), Limits()),
        pickle.loads(pickle.dumps(CodecError(text))),  # noqa: S301 - our own bytes
    ]
    for failure in failures:
        assert is_clean(str(failure))
        problems = failure.problems if isinstance(failure, PipelineError) else ()
        assert all(problem.isprintable() for problem in problems)
        # A list of problems has a line for each, and nothing else has lines.
        assert str(failure).count("\n") == (len(problems) if len(problems) > 1 else 0)


@given(texts)
@example(HOSTILE[6])
@example(HOSTILE[7])
def test_printable_text_is_short_and_stays_as_it_is(text: str) -> None:
    displayed = printable(text)
    assert displayed.isprintable()
    assert len(displayed) <= 2000
    assert printable(displayed) == displayed
    if len(text) <= 2000 and text.isprintable():
        assert displayed == text


def test_text_that_is_cut_says_so() -> None:
    assert printable("a" * 1_000_000).startswith("aaa")
    assert "a[... 998060 characters ...]a" in printable("a" * 1_000_000)


@given(texts)
def test_a_parsers_text_is_printable(text: str) -> None:
    for document in (text, f'{{"{text}": 1, "{text}": 2}}', f'"{text}'):
        try:
            parse_json(document, what=text, error=ChonkleError)
        except ChonkleError as failure:
            assert str(failure).isprintable()  # noqa: PT017 - it may also be JSON


def test_commands_print_through_one_function() -> None:
    # The others write a script for a shell, parts of a JSON list, and what `--version` says.
    allowed = {
        "chonkle/cli/completion.py",
        "chonkle/cli/output.py",
        "toolchain/chonkle_toolchain/cli/options.py",
    }
    found = {
        path.relative_to(ROOT).as_posix()
        for top in ("chonkle/cli", "toolchain/chonkle_toolchain")
        for path in (ROOT / top).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"click.echo", "print"}
    }
    assert found == allowed
