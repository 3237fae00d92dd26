"""Whatever a host writes into a codec's memory, the codec answers or fails with a message."""

import struct
from pathlib import Path

import pytest
from chonkle_toolchain.direct_call import call_raw
from chonkle_toolchain.recipe import find_recipes
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import CodecError
from chonkle.formats import portmap
from chonkle.formats.signature import Direction

ROOT = Path(__file__).parents[2]
RECIPES = find_recipes(ROOT / "codec-src")
CORES = {name: (ROOT / "codec" / RECIPES[name].artifact("core")).read_bytes() for name in RECIPES}
DIRECTIONS: tuple[Direction, ...] = ("decode", "encode")

cores = st.sampled_from(list(CORES.values()))
directions = st.sampled_from(DIRECTIONS)
names = st.sampled_from(
    sorted(
        {port for r in RECIPES.values() for port in {**r.signature.inputs, **r.signature.outputs}}
    )
)
scalars = st.sampled_from(
    [b"", b"1", b"2", b"-1", b"0", b"00", b"1e3", b"null", b'"1"', b"[1]", b"99999999999999999999",
     b"-9223372036854775808", b"4294967296", b" 8 ", b"\xff\xfe"]
)  # fmt: skip


def well_behaved(wasm: bytes, direction: Direction, request: bytes) -> None:
    try:
        result = call_raw(wasm, direction, request)
    except CodecError as failure:
        text = str(failure)
        assert text
        assert "\n" not in text
        assert not text.endswith(".")
    else:
        portmap.decode(result)


# The SDK reads port-maps: one codec for each language shows it.
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["identity-c", "crc32-rs"])
@pytest.mark.parametrize(
    ("request_bytes", "said"),
    [
        (b"", "truncated at byte 0 of 0"),
        (b"\x01\0\0", "truncated at byte 0 of 3"),
        (b"\x01\0\0\0", "truncated at byte 4 of 4"),
        (b"\xff\xff\xff\xff", "truncated at byte 4 of 4"),
        (struct.pack("<II", 1, 0xFFFFFFFF), "truncated at byte 8 of 8"),
        (struct.pack("<II5sI", 1, 5, b"bytes", 1), "truncated at byte 17 of 17"),
        (struct.pack("<II5sI", 1, 5, b"bytes", 0xFFFFFFFF), "truncated at byte 17 of 17"),
        (struct.pack("<Ix", 0), "1 bytes after the last port"),
        (struct.pack("<I" + "I1sI" * 2, 2, 1, b"x", 0, 1, b"x", 0), "port `x` occurs twice"),
        (struct.pack("<II3sI", 1, 3, b"\n\xffx", 0) * 2, "bytes after the last port"),
        (portmap.encode({f"p{i}": b"" for i in range(65)}), "too many ports"),
        (portmap.encode({}), "missing port"),
    ],
)
def test_bad_port_maps(name: str, direction: Direction, request_bytes: bytes, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        call_raw(CORES[name], direction, request_bytes)


@pytest.mark.slow
@given(wasm=cores, direction=directions, request=st.binary(max_size=200))
def test_arbitrary_bytes(wasm: bytes, direction: Direction, request: bytes) -> None:
    well_behaved(wasm, direction, request)


@pytest.mark.slow
@given(
    wasm=cores,
    direction=directions,
    ports=st.dictionaries(names, st.one_of(scalars, st.binary(max_size=64)), max_size=6),
)
def test_arbitrary_ports(wasm: bytes, direction: Direction, ports: dict[str, bytes]) -> None:
    well_behaved(wasm, direction, portmap.encode(ports))


@given(
    wasm=cores,
    direction=directions,
    ports=st.dictionaries(names, scalars, max_size=6),
    at=st.integers(0, 400),
    byte=st.integers(0, 255),
)
def test_a_port_map_with_one_wrong_byte(
    wasm: bytes, direction: Direction, ports: dict[str, bytes], at: int, byte: int
) -> None:
    request = bytearray(portmap.encode(ports))
    request[at % len(request)] = byte
    well_behaved(wasm, direction, bytes(request))
