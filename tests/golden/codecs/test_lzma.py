"""`lzma` against numcodecs."""

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chonkle.backends.base import Limits
from chonkle.errors import CodecError
from chonkle.formats.signature import Direction
from chonkle.resolver import Resolution, Resolver
from chonkle.runtime import Runtime
from tests.golden.shipped import Shipped, chunks

IMPLEMENTATION = "lzma-rs"

type Options = dict[str, Any]

PRESETS = [*range(10), lzma.PRESET_EXTREME, 9 | lzma.PRESET_EXTREME]
CHECKS = [-1, lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256]
JUMPS = [
    lzma.FILTER_X86,
    lzma.FILTER_POWERPC,
    lzma.FILTER_IA64,
    lzma.FILTER_ARM,
    lzma.FILTER_ARMTHUMB,
    lzma.FILTER_SPARC,
]

before = st.one_of(
    st.fixed_dictionaries(
        {"id": st.just(lzma.FILTER_DELTA)}, optional={"dist": st.integers(1, 256)}
    ),
    st.fixed_dictionaries({"id": st.sampled_from(JUMPS)}, optional={"start_offset": st.just(64)}),
)
numbers: dict[str, st.SearchStrategy[int]] = {
    "preset": st.sampled_from(PRESETS),
    "dict_size": st.sampled_from([4096, 1 << 16, 3 << 20]),
    "lc": st.integers(0, 2),
    "lp": st.integers(0, 2),
    "pb": st.integers(0, 4),
    "mode": st.sampled_from([lzma.MODE_FAST, lzma.MODE_NORMAL]),
    "nice_len": st.integers(4, 273),
    "mf": st.sampled_from([lzma.MF_HC3, lzma.MF_HC4, lzma.MF_BT2, lzma.MF_BT3, lzma.MF_BT4]),
    "depth": st.integers(0, 40),
}


def coders(filter_id: int) -> st.SearchStrategy[dict[str, int]]:
    """Return filters with some of their numbers, as in liblzma."""
    found = st.fixed_dictionaries({"id": st.just(filter_id)}, optional=numbers)
    return found.filter(lambda one: one.get("lc", 3) + one.get("lp", 0) <= 4)


lzma1, lzma2 = coders(lzma.FILTER_LZMA1), coders(lzma.FILTER_LZMA2)
chains = st.tuples(st.lists(before, max_size=3), lzma2).map(lambda chain: [*chain[0], chain[1]])

options = st.one_of(
    st.fixed_dictionaries(
        {"format": st.just(lzma.FORMAT_XZ)},
        optional={"preset": st.sampled_from(PRESETS), "check": st.sampled_from(CHECKS)},
    ),
    st.fixed_dictionaries(
        {"format": st.just(lzma.FORMAT_XZ), "filters": chains},
        optional={"check": st.sampled_from(CHECKS)},
    ),
    st.fixed_dictionaries(
        {"format": st.just(lzma.FORMAT_ALONE)}, optional={"preset": st.sampled_from(PRESETS)}
    ),
    st.fixed_dictionaries(
        {"format": st.just(lzma.FORMAT_ALONE), "filters": lzma1.map(lambda one: [one])}
    ),
    st.fixed_dictionaries({"format": st.just(lzma.FORMAT_RAW), "filters": chains}),
    st.fixed_dictionaries(
        {"format": st.just(lzma.FORMAT_RAW), "filters": lzma1.map(lambda one: [one])}
    ),
)


def call(shipped: Shipped, direction: Direction, data: bytes, options: Options) -> bytes:
    """Run ours."""
    ports = {
        # A chain is JSON in a JSON string.
        name: json.dumps(json.dumps(value) if name == "filters" else value).encode()
        for name, value in options.items()
        if direction == "encode" or name in ("format", "filters")
    }
    return shipped(IMPLEMENTATION).call(direction, {"bytes": data, **ports})["bytes"]


def their_decode(encoded: bytes, options: Options) -> bytes:
    """Decode with numcodecs, which takes filters only when the data do not record them."""
    kept = ("format", "filters") if options["format"] == lzma.FORMAT_RAW else ("format",)
    codec = numcodecs.LZMA(**{name: options[name] for name in kept})
    return bytes(codec.decode(encoded))


@given(plain=chunks, options=options)
@settings(max_examples=60)
def test_ours_decodes_theirs(shipped: Shipped, plain: bytes, options: Options) -> None:
    encoded = numcodecs.LZMA(**options).encode(plain)
    assert call(shipped, "decode", encoded, options) == plain


@given(plain=chunks, options=options)
@settings(max_examples=60)
def test_theirs_decodes_ours(shipped: Shipped, plain: bytes, options: Options) -> None:
    encoded = call(shipped, "encode", plain, options)
    assert their_decode(encoded, options) == plain
    assert call(shipped, "decode", encoded, options) == plain
    # Ours makes the same choices, but has tables of another size.
    assert abs(len(encoded) - len(numcodecs.LZMA(**options).encode(plain))) <= 16


@given(plains=st.lists(chunks, min_size=1, max_size=3), zeros=st.integers(0, 3))
def test_streams_and_zeros_between(shipped: Shipped, *, plains: list[bytes], zeros: int) -> None:
    encoded = b"".join(lzma.compress(plain, preset=0) + bytes(4 * zeros) for plain in plains)
    assert call(shipped, "decode", encoded, {}) == b"".join(plains)


def test_a_small_stream_of_much(shipped: Shipped) -> None:
    plain = bytes(40_000_000)
    for file_format in (lzma.FORMAT_XZ, lzma.FORMAT_ALONE):
        encoded = lzma.compress(plain, format=file_format, preset=0)
        assert len(encoded) < 7000
        assert call(shipped, "decode", encoded, {"format": file_format}) == plain


def test_memory_is_that_of_the_data(open_runtime: Callable[..., Runtime]) -> None:
    """Preset 9 has a dictionary of 64 MiB, and search tables of ten times that size."""
    plain = b"some words " * 400
    resolver = Resolver(
        codec_store=Path(__file__).parents[3] / "codec",
        preference=["core"],
        overrides={"lzma": IMPLEMENTATION},
    )
    found = resolver.resolve("lzma")
    assert isinstance(found, Resolution)
    with open_runtime(cache=None) as runtime:
        codec = runtime.open(found, Limits(memory_bytes=4 << 20))
        encoded = call(lambda _: codec, "encode", plain, {"preset": 9})
        assert lzma.decompress(encoded) == plain
        for file_format in (lzma.FORMAT_XZ, lzma.FORMAT_ALONE):
            encoded = lzma.compress(plain, format=file_format, preset=9)
            assert call(lambda _: codec, "decode", encoded, {"format": file_format}) == plain


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda whole: whole[:-1],
        lambda whole: whole[:30] + bytes([whole[30] ^ 1]) + whole[31:],
        lambda whole: whole[:-2] + bytes(2),
        lambda whole: whole + whole[:-1],
    ],
)
def test_damage(shipped: Shipped, damage: Callable[[bytes], bytes]) -> None:
    damaged = damage(lzma.compress(b"some words, and some words more"))
    with pytest.raises(CodecError, match="port `bytes`: "):
        call(shipped, "decode", damaged, {})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": 0}, "port `format`: expected an int from 1 to 3"),
        ({"format": 4}, "port `format`: expected an int from 1 to 3"),
        ({"check": 2}, "port `check`: not one that liblzma has"),
        ({"check": 16}, "port `check`: expected an int from -1 to 15"),
        ({"format": 2, "check": 4}, "port `check`: only xz"),
        ({"preset": 10}, "port `preset`: expected 0 to 9"),
        ({"preset": 1, "filters": [{"id": 33}]}, "port `preset`: a preset and filters exclude"),
        ({"format": 3}, "port `filters`: missing"),
        ({"format": 2, "filters": [{"id": 33}]}, "port `filters`: filters, or values"),
        ({"filters": []}, "port `filters`: filters, or values"),
        ({"filters": [{"id": 3}]}, "port `filters`: filters, or values"),
        ({"filters": [{"id": 3}] * 4 + [{"id": 33}]}, "port `filters`: filters, or values"),
        ({"filters": [{"id": 11}, {"id": 33}]}, "port `filters`: 10, ARM64, is encoded only in"),
        ({"format": 3, "filters": [{"id": 10}, {"id": 33}]}, "port `filters`: 10, ARM64, is enc"),
        ({"filters": [{"id": 33, "lc": 5}]}, "port `filters`: filters, or values"),
        ({"filters": [{"id": 33, "lc": -1}]}, "port `filters`: expected a list"),
        ({"filters": [{"lc": 1}]}, "port `filters`: expected a list"),
        ({"filters": [{"id": 33, "level": 1}]}, "port `filters`: expected a list"),
        ({"filters": {"id": 33}}, "port `filters`: expected a list"),
        ({"filters": [{"id": 33}] * 10}, "port `filters`: expected a list"),
    ],
)
def test_options_that_there_are_not(shipped: Shipped, options: Options, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        call(shipped, "encode", b"some", options)
