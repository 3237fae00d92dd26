"""`zstd` against numcodecs."""

import numcodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.shipped import Shipped, chunks

IMPLEMENTATION = "zstd-rs"
LEVELS = st.one_of(
    st.integers(-12, 22), st.sampled_from([-(2**31), -131073, -131072, 23, 100, 2**31 - 1])
)


@given(plain=chunks.filter(bool), level=LEVELS, checksum=st.booleans())
def test_ours_and_theirs(shipped: Shipped, *, plain: bytes, level: int, checksum: bool) -> None:
    """A level beyond the highest or the lowest counts as that."""
    call = {
        "bytes": plain,
        "level": str(level).encode(),
        "checksum": str(checksum).lower().encode(),
    }
    codec, theirs = shipped(IMPLEMENTATION), numcodecs.Zstd(level, checksum)
    encoded = bytes(codec.call("encode", call)["bytes"])
    assert bytes(theirs.decode(encoded)) == plain
    assert codec.call("decode", {"bytes": bytes(theirs.encode(plain))}) == {"bytes": plain}


@pytest.mark.parametrize(
    ("level", "same"),
    [(23, 22), (2**31, 22), (2**63 - 1, 22), (-131073, -131072), (-(2**63), -131072), (0, 3)],
)
def test_levels_beyond_the_bounds(shipped: Shipped, level: int, same: int) -> None:
    plain = b"some words, " * 300 + bytes(range(256)) * 9
    found = [
        shipped(IMPLEMENTATION).call("encode", {"bytes": plain, "level": str(each).encode()})
        for each in (level, same)
    ]
    assert found[0] == found[1]
