"""The command line as a whole: wrong usage, shell completion, and what it imports."""

import subprocess
import sys

import click
import pytest

from chonkle.cli import main
from chonkle.cli.usage import translate

# Each takes longer to import than all that `--help` needs, or brings something that does.
HEAVY = {
    *("blake3", "chonkle_toolchain", "cryptography", "ctypes", "email", "filelock"),
    *("importlib.metadata", "numcodecs", "numpy", "requests", "tomli_w", "tomllib", "wasmtime"),
    *("asyncio", "logging", "multiprocessing", "socket", "ssl", "subprocess", "urllib"),
    *("chonkle.cache", "chonkle.cli.run", "chonkle.dag", "chonkle.formats", "chonkle.pipeline"),
    *("chonkle.settings", "chonkle.storage"),
}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["cache", "--help"]])
def test_the_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from chonkle.cli import main\n"
        "try:\n main()\n"
        "finally: sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    assert done.stdout
    imported = set(done.stderr.split())
    assert "click" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("frobnicate", "no such command `frobnicate`; hint: see `chonkle --help`"),
        ("vaildate x", "no such command `vaildate`; hint: did you mean `validate`?"),
        ("biuld", "no such command `biuld`; hint: did you mean `build`?"),
        ("cache lsit", "no such command `lsit`; hint: did you mean `list`?"),
        ("cache frobnicate", "no such command `frobnicate`; hint: see `chonkle cache --help`"),
        ("--verison", "no such option `--verison`; hint: did you mean `--version`?"),
        ("run", "missing argument PIPELINE; hint: see `chonkle run --help`"),
        ("run x --colour red", "no such option `--colour`; hint: did you mean `--color`?"),
        ("run x --zzz red", "no such option `--zzz`; hint: see `chonkle run --help`"),
        ("run x --prefer core", "no such option `--prefer`; hint: did you mean `--preference`?"),
        (
            "run x --direction Dcode",
            "--direction: `Dcode` is not one of `encode`, `decode`; hint: did you mean `decode`",
        ),
        (
            "run x --preference gpu",
            "--preference: `gpu` is not one of `native`, `core`, `component`; hint: see",
        ),
        (
            "run x --preference core,natve",
            "--preference: `natve` is not one of `native`, `core`, `component`; hint: did you mean",
        ),
        (
            "run x --input bytes",
            "--input: `bytes` is not of the form NAME=FILE; hint: see `chonkle run --help`",
        ),
        ("inspect a b", "got unexpected extra argument (b); hint: see `chonkle inspect --help`"),
        ("run x --timeout soon", "--timeout: `soon` is not a time in seconds such as 0.5 or 60;"),
        ("new x", "missing option --lang, expected `c` or `rust`; hint: see `chonkle new --help`"),
        ("new x --lang rst", "--lang: `rst` is not one of `c`, `rust`; hint: did you mean `rust`?"),
        ("verify --keys x y", "no such option `--keys`; hint: did you mean `--key`?"),
        ("codecs a\x1b[2J b", "got unexpected extra argument (b); hint"),
        ("\x1b[2J", "no such command `\\x1b[2J`; hint"),
    ],
)
def test_wrong_usage_is_one_line_with_a_hint(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["chonkle", *arguments.split(" ")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr.count("\n") == 1
    assert stderr.startswith(f"error: {message}")


def test_other_errors_of_click_are_failures() -> None:
    failure = translate(click.FileError("gone", "it's gone"))
    assert (str(failure), failure.exit_code) == ("could not open file `gone`: it's gone", 1)
    assert (
        str(translate(click.UsageError("WAT is odd"))) == "WAT is odd; hint: see `chonkle --help`"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chonkle ca", ["cache"]),
        ("chonkle re", ["reproduce"]),
        ("chonkle --v", ["--version"]),
        ("chonkle cache e", ["export"]),
        ("chonkle run --dir", ["--direction"]),
        ("chonkle run --direction d", ["decode"]),
    ],
)
def test_a_shell_completes(line: str, expected: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chonkle"],
        env={
            "_CHONKLE_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    assert [item.partition(",")[2] for item in done.stdout.split()] == expected
