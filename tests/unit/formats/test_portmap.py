import mmap
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chonkle.errors import LimitExceeded, PortMapError
from chonkle.formats import portmap

EMPTY = struct.pack("<I", 0)


def entry(name: bytes, data: bytes) -> bytes:
    return struct.pack("<I", len(name)) + name + struct.pack("<I", len(data)) + data


@given(st.dictionaries(st.text(max_size=64), st.binary(), max_size=6))
@example({})
@example({"": b""})
@example({"é" * 50: b"\0" * 1000})
def test_a_port_map_comes_back_in_its_order(ports: dict[str, bytes]) -> None:
    encoded = portmap.encode(ports)
    segments, size = portmap.segments(ports)
    assert encoded == b"".join(segments)
    assert len(encoded) == size
    decoded = portmap.decode(encoded)
    assert decoded == ports
    assert list(decoded) == list(ports)


def test_the_layout_is_little_endian_and_unpadded() -> None:
    encoded = portmap.encode({"bytes": b"abc", "é": b""})
    assert encoded == (b"\x02\0\0\0\x05\0\0\0bytes\x03\0\0\0abc\x02\0\0\0\xc3\xa9\0\0\0\0")


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_is_written(make: type[bytes | bytearray | memoryview]) -> None:
    assert portmap.decode(portmap.encode({"x": make(b"abc")})) == {"x": b"abc"}


def test_segments_are_the_callers_own_data() -> None:
    data = bytearray(b"abc")
    segments, _ = portmap.segments({"x": data})
    assert any(segment is data for segment in segments)


@pytest.fixture(scope="module")
def four_gib() -> memoryview:
    """Give zeros of which none takes memory before it is read."""
    return memoryview(mmap.mmap(-1, 1 << 32))


def test_what_has_no_length_of_32_bits_is_refused_before_it_is_copied(four_gib: memoryview) -> None:
    most = portmap.SIZE_MAX - len(portmap.encode({"a": b"", "b": b""}))
    half = most // 2
    ports = {"a": four_gib[:half], "b": four_gib[: most - half]}
    assert portmap.segments(ports)[1] == portmap.SIZE_MAX
    for larger in (
        {"a": four_gib},
        {"a": four_gib, "b": four_gib},
        {"a": four_gib[:half], "b": four_gib[: most - half + 1]},
    ):
        with pytest.raises(LimitExceeded, match=r"too large for any .* at most 4294967295 bytes"):
            portmap.segments(larger)


@given(st.text(max_size=64), st.binary())
def test_a_header_is_all_that_precedes_the_data_of_a_port(name: str, data: bytes) -> None:
    assert portmap.port_header(1, name, len(data)) + data == portmap.encode({name: data})
    two = portmap.encode({name: data, name + "x": b"more"})
    assert two == (
        portmap.port_header(2, name, len(data))
        + data
        + portmap.port_header(0, name + "x", 4)
        + b"more"
    )


@given(st.text(max_size=64), st.binary())
def test_the_header_of_an_only_port_holds_its_length(name: str, data: bytes) -> None:
    layout, known = portmap.only_port_header(name)
    encoded = portmap.encode({name: data})
    assert layout.unpack_from(encoded) == (known, len(data))
    assert encoded[layout.size :] == data


def test_reading_copies_nothing() -> None:
    data = bytearray(portmap.encode({"x": b"abc"}))
    view = portmap.read(memoryview(data))["x"]
    data[-1:] = b"!"
    assert bytes(view) == b"ab!"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"", "truncated", id="nothing"),
        pytest.param(b"\0\0\0", "truncated", id="part-of-the-count"),
        pytest.param(EMPTY + b"\0", "1 bytes after the last port", id="bytes-behind"),
        pytest.param(b"\x01\0\0\0", "in a port-map of 4 bytes|truncated", id="port-missing"),
        pytest.param(b"\xff\xff\xff\xff" + b"\0" * 8, "4294967295", id="count-too-large"),
        pytest.param(b"\x01\0\0\0" + entry(b"a", b"bc")[:-1], "truncated", id="data-cut"),
        pytest.param(b"\x01\0\0\0" + b"\x09\0\0\0" + b"a" * 8, "truncated", id="name-cut"),
        pytest.param(
            b"\x01\0\0\0" + entry(b"a" * 257, b""),
            "name of a port is too long, expected at most 256 bytes, got 257",
            id="name-too-long",
        ),
        pytest.param(
            b"\x01\x01\0\0" + entry(b"a", b"") * 257, "at most 256, got 257", id="many-ports"
        ),
        pytest.param(
            b"\x01\0\0\0" + entry(b"a", b"")[:-4] + b"\xff\xff\xff\xff",
            "data of port `a` is truncated, expected 4294967295 bytes, got 0",
            id="data-too-long",
        ),
        pytest.param(
            b"\x02\0\0\0" + entry(b"a", b"1") + entry(b"a", b"2"), "`a` occurs twice", id="twice"
        ),
        pytest.param(b"\x01\0\0\0" + entry(b"\xff", b""), "not UTF-8", id="name-not-utf-8"),
        pytest.param(
            b"\x01\0\0\0" + entry(b"\xed\xa0\x80", b""), "not UTF-8", id="name-a-surrogate"
        ),
        pytest.param(
            b"\x03\0\0\0" + entry(b"a", b"") + entry(b"b", b"x" * 7),
            "truncated",
            id="fewer-than-counted",
        ),
    ],
)
def test_what_is_no_port_map_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(PortMapError, match=problem):
        portmap.decode(data)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_port_map_or_the_error(data: bytes) -> None:
    try:
        ports = portmap.decode(data)
    except PortMapError:
        return
    assert portmap.encode(ports) == data


@given(st.dictionaries(st.text(max_size=3), st.binary(max_size=8), max_size=3), st.data())
def test_a_damaged_port_map_is_valid_or_an_error(
    ports: dict[str, bytes], data: st.DataObject
) -> None:
    damaged = bytearray(portmap.encode(ports))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(at + 1, len(damaged))) :]
    try:
        found = portmap.decode(bytes(damaged))
    except PortMapError:
        return
    assert portmap.encode(found) == damaged
