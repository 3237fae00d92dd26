"""`bytes` against NumPy."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.base import Codec
from chonkle.errors import CodecError
from chonkle.formats.signature import DIRECTIONS, Direction

type Shipped = Callable[[str], Codec]


def ports(data: bytes, **parameters: object) -> dict[str, bytes]:
    """Write the ports of a call."""
    return {"bytes": data, **{name: json.dumps(v).encode() for name, v in parameters.items()}}


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@given(
    count=st.integers(0, 70),
    seed=st.integers(0, 1 << 32),
    endian=st.sampled_from(["little", "big", None]),
)
def test_bytes(shipped: Shipped, size: int, count: int, seed: int, endian: str | None) -> None:
    plain = np.random.default_rng(seed).bytes(count * size)
    ordered = np.frombuffer(plain, f"<u{size}").astype(f"{'>' if endian == 'big' else '<'}u{size}")
    parameters = {"elementsize": size} | ({} if endian is None else {"endian": endian})
    codec = shipped("bytes-c")
    assert codec.call("encode", ports(plain, **parameters)) == {"bytes": ordered.tobytes()}
    assert codec.call("decode", ports(ordered.tobytes(), **parameters)) == {"bytes": plain}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endian": "native"}, 'port `endian`: expected `"little"` or `"big"`'),
        ({"elementsize": 0}, "port `elementsize`: expected a uint from 1 to 8, got `0`"),
        ({"elementsize": 3}, "port `elementsize`: expected 1, 2, 4 or 8, got 3"),
        ({"elementsize": 16}, "port `elementsize`: expected a uint from 1 to 8, got `16`"),
        ({"elementsize": 8}, "port `bytes`: "),
    ],
)
def test_bytes_refuses_in_words(
    shipped: Shipped, direction: Direction, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(CodecError, match=said):
        shipped("bytes-c").call(direction, ports(bytes(12), **{"elementsize": 4, **changes}))
