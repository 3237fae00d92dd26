import sys

import pytest

from chonkle.cli.output import (
    format_age,
    format_entries,
    format_size,
    format_time,
    print_failure,
    print_lines,
    table,
)
from chonkle.cli.style import Styled


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (7680, "7.5 KiB"),
        (3 << 20, "3.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (5 << 40, "5120.0 GiB"),
    ],
)
def test_sizes_have_a_unit(size_bytes: int, expected: str) -> None:
    assert format_size(size_bytes) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5.0, "0 ms"),
        (0.0, "0 ms"),
        (0.0123, "12 ms"),
        (1.0, "1.0 s"),
        (119.9, "119.9 s"),
        (120.0, "2 min"),
        (7199.0, "120 min"),
        (7200.0, "2 h"),
        (36 * 3600.0, "36 h"),
        (48 * 3600.0, "2 d"),
        (1e9, "11574 d"),
    ],
)
def test_times_have_the_largest_unit_of_which_there_are_two(seconds: float, expected: str) -> None:
    assert format_time(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-5.0, "0 s"), (0.4, "0 s"), (119.2, "119 s"), (120.0, "2 min")]
)
def test_ages_are_whole(seconds: float, expected: str) -> None:
    assert format_age(seconds) == expected


def test_one_entry_is_one_entry() -> None:
    assert [format_entries(count) for count in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]


def test_a_table_is_aligned_and_safe() -> None:
    rows = [("a", "long\x1b[2J", ""), ("longer", "b", "c")]
    assert table(rows, header=("x", "y", "z")) == [
        "x       y            z",
        "a       long\\x1b[2J",
        "longer  b            c",
    ]
    assert table([]) == []


def test_a_cell_with_a_style_is_as_wide_as_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", Styled("bad", "error"), ""), ("longer", "good", "x")]
    lines = table(rows, header=("x", "y", "z"))
    print_lines(*lines, color=False)
    assert capsys.readouterr().out == "x       y     z\na       bad\nlonger  good  x\n"
    print_lines(*lines, color=True)
    assert "a       \x1b[31m\x1b[1mbad\x1b[0m\nlonger" in capsys.readouterr().out


def test_codes_in_a_text_with_a_style_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines(Styled("a\x1b[2J", "good"), ("b", Styled("\n", "good")), color=True)
    out = capsys.readouterr().out
    assert out == "\x1b[32ma\\x1b[2J\x1b[0m\nb\x1b[32m\\n\x1b[0m\n"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("error: short; hint: do", ["error: short; hint: do"]),
        (
            f"error: {'word ' * 9}; hint: `chonkle codecs` lists the available ones, and more",
            [
                "error: word word word word word word",
                "  word word word",
                "hint: `chonkle codecs` lists the",
                "  available ones, and more",
            ],
        ),
        (f"error: {'x' * 60}", ["error:", f"  {'x' * 60}"]),
    ],
)
def test_a_terminal_gets_an_error_in_whole_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    message: str,
    expected: list[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_failure(message)
    assert capsys.readouterr().err == f"{message}\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    print_failure(message, color=False)
    assert capsys.readouterr().err.splitlines() == expected
