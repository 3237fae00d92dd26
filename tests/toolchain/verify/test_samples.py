"""What codecs are tried with: of the right types, of the right sizes, and the same every time."""

import json
from typing import get_args

import pytest
from chonkle_toolchain.verify.samples import (
    CONTENTS,
    Content,
    damaged,
    extremes,
    generated,
    neighbours,
    no_values,
    values,
)

from chonkle.errors import PipelineError
from chonkle.formats.values import PortType, check_scalar, is_value

SCALARS = [name for name in get_args(PortType) if name != "bytes"]


@pytest.mark.parametrize("port_type", SCALARS)
def test_values_are_of_their_type_and_wrong_ones_are_not(port_type: PortType) -> None:
    assert all(is_value(json.loads(text), port_type) for text in values(port_type))
    for text in no_values(port_type):
        with pytest.raises(PipelineError):
            check_scalar(text, port_type, what="port")
    assert extremes(port_type)


@pytest.mark.parametrize(
    ("port_type", "edges"),
    [("uint[]", {b"[]", b"[0]"}), ("string", {b'""'}), ("int", {b"0", b"-1"}), ("uint", {b"0"})],
)
def test_what_breaks_first_is_among_the_extremes(port_type: PortType, edges: set[bytes]) -> None:
    assert edges <= {*extremes(port_type)}


def test_bytes_may_be_anything() -> None:
    assert b"" in values("bytes")
    assert no_values("bytes") == extremes("bytes") == ()


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", [0, 1, 255, 4097, 1 << 20])
def test_generated_data_have_their_size_and_are_the_same_again(content: Content, size: int) -> None:
    data = generated(content, size, seed="a")
    assert len(data) == size
    generated.cache_clear()
    assert generated(content, size, seed="a") == data
    if content == "random" and size > 1:
        assert generated(content, size, seed="b") != data


@pytest.mark.parametrize("size", [0, 1, 30, 5000])
def test_damaged_data_are_not_what_they_were(size: int) -> None:
    data = generated("text", size)
    wrong = list(damaged(data))
    assert len({what for what, _ in wrong}) == len(wrong)
    assert all(bad != data for _, bad in wrong)
    assert list(damaged(data)) == wrong
    kinds = {"after its end", "random", "0xff", "0x00"} | ({"cut", "flipped"} if size else set())
    for kind in kinds:
        assert any(kind in what for what, _ in wrong)


def test_neighbours_are_near_to_choices_and_not_among_them() -> None:
    texts = neighbours(["lz4", "LZ4"], "string")
    assert {"lz", "lz4x", "lz4\0", " lz4", "", "chonkle-verify-unknown"} <= {*texts}
    assert not {"lz4", "LZ4"} & {*texts}
    numbers = neighbours([1, 2, 4], "uint")
    assert {0, 3, 5, 2**32 + 1} <= {*numbers}
    assert not {1, 2, 4, -1, 1.5, "chonkle-verify-unknown"} & {*numbers}
    assert 1.5 in neighbours([1.0], "float")
    assert neighbours([], "int") == []


def test_short_runs_are_of_one_and_two_bytes() -> None:
    assert generated("short runs", 7) == bytes([0, 1, 1, 2, 3, 3, 4])
    assert len(generated("short runs", 1000)) == 1000
