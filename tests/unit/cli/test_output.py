import pytest

from chonkle.cli.output import format_age, format_entries, format_size, format_time, table


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
