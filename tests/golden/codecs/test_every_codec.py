"""Every shipped codec ends every call with a result or an error message.

The tests damage golden vectors, so they cover each codec in `codec/`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from chonkle_toolchain.recipe import find_recipes
from chonkle_toolchain.vectors import Vector, read_vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from chonkle.backends.base import Codec, Limits
from chonkle.errors import CodecError, LimitExceeded
from chonkle.formats.signature import DIRECTIONS, Direction, Signature
from chonkle.resolver import Resolution, Resolver
from chonkle.runtime import Runtime
from tests.golden.shipped import Shipped

ROOT = Path(__file__).parents[3]
CODECS = ROOT / "codec"
VECTORS = {
    name: read_vectors(recipe)
    for name, recipe in find_recipes(ROOT / "codec-src").items()
    if (CODECS / recipe.artifact("core")).exists()
}
SIGNATURES = {
    name: recipe.signature
    for name, recipe in find_recipes(ROOT / "codec-src").items()
    if name in VECTORS
}

TREE_MAX_BYTES = 8_000_000
# Far less memory than the sizes in damaged headers, and far more time than any call needs: a codec
# that allocates those sizes or loops fails on any machine.
LIMITS = Limits(memory_bytes=24 << 20, timeout_s=60)
# From less than the initial memory of any codec to what most codecs need.
MEMORY_BYTES = [size << 16 for size in (1, 8, *range(16, 48, 2), *range(48, 112, 8), 160, 240, 400)]
CLAIMS = [b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\x00" * 4, b"\x00\x00\x00\x40"]
# The part of a format that contains sizes and offsets.
HEADER_BYTES = 48
LARGE_BYTES = 400_000

scalars = st.sampled_from(
    [b"0", b"1", b"-1", b"3", b"8", b"255", b"65536", b"2147483647", b"-2147483648", b"4294967295",
     b"9223372036854775807", b"18446744073709551615", b"1e300", b"-0.0", b"null", b"true", b"[]",
     b"[0,0]", b"[4294967295,4294967295]", b'""', b'"<u2"', b'">f8"', b'"|V65535"', b'"end"', b"{"]
)  # fmt: skip

FORMS = ("core", "component")

type Outcome = dict[str, bytes] | str


@dataclass(frozen=True, slots=True)
class CodecUnderTest:
    """A shipped codec, opened in both forms with little memory."""

    signature: Signature
    vectors: list[Vector]
    core: Codec
    component: Codec

    def outcome(self, direction: Direction, ports: dict[str, bytes]) -> Outcome:
        """Run both forms, and check that the results are the same."""
        found = outcome_of(self.core, direction, ports)
        assert outcome_of(self.component, direction, ports) == found
        return found

    def is_unharmed(self, vector: Vector) -> None:
        """Check that the instances still return the right results."""
        for direction in vector.directions:
            given_ports = vector.given(direction, self.signature)
            wanted = vector.expected(direction, self.signature)
            assert self.outcome(direction, given_ports) == wanted


def outcome_of(codec: Codec, direction: Direction, ports: dict[str, bytes]) -> Outcome:
    """Return the result of a codec, or its error message; a trap is raised."""
    try:
        return codec.call(direction, ports)
    except (CodecError, LimitExceeded) as failure:
        # After the name of the codec, which contains the form.
        words = str(failure).partition(f", {direction}: ")[2]
        assert words
        assert "\n" not in words
        assert not words.endswith(".")
        assert not words.startswith("ran longer")
        return words


@pytest.fixture(scope="module")
def codec_of(open_runtime: Callable[..., Runtime]) -> Iterator[Callable[[str], CodecUnderTest]]:
    """Return a function that opens a codec, once."""
    opened: dict[str, CodecUnderTest] = {}
    with open_runtime(cache=None) as runtime:

        def open_(name: str) -> CodecUnderTest:
            if name not in opened:
                forms = [open_form(runtime, SIGNATURES[name], form) for form in FORMS]
                opened[name] = CodecUnderTest(SIGNATURES[name], VECTORS[name], *forms)
            return opened[name]

        yield open_


def open_form(runtime: Runtime, signature: Signature, form: str) -> Codec:
    resolver = Resolver(
        codec_store=CODECS, preference=[form], overrides={signature.codec_id: signature.label}
    )
    found = resolver.resolve(signature.codec_id)
    assert isinstance(found, Resolution)
    return runtime.open(found, LIMITS)


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """Return data that are cut, extended, with flipped bits, overwritten, or replaced."""
    size = len(data)
    places = st.integers(0, max(size - 1, 0))
    flips = st.lists(st.tuples(places, st.integers(0, 7)), min_size=1, max_size=4)
    return st.one_of(
        st.integers(0, size).map(lambda end: data[:end]),
        st.integers(0, size).map(lambda start: data[start:]),
        st.binary(min_size=1, max_size=40).map(lambda more: data + more),
        flips.map(lambda bits: flipped(data, bits)),
        st.tuples(places, st.one_of(st.sampled_from(CLAIMS), st.binary(max_size=8))).map(
            lambda patch: patched(data, *patch)
        ),
        st.just(data + data),
        st.just(b""),
        st.binary(max_size=400),
    )


def flipped(data: bytes, bits: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, bit in bits if data else ():
        changed[place] ^= 1 << bit
    return bytes(changed)


def patched(data: bytes, place: int, patch: bytes) -> bytes:
    return data[:place] + patch + data[place + len(patch) :]


@st.composite
def hostile_calls(
    draw: st.DrawFn, codec: CodecUnderTest
) -> tuple[Direction, dict[str, bytes], Vector]:
    """Return a call of a golden vector with damaged ports."""
    vector = draw(st.sampled_from(codec.vectors))
    direction = draw(st.sampled_from(DIRECTIONS))
    ports = vector.given(direction, codec.signature)
    input_ports = codec.signature.input_ports(direction)
    for name in draw(st.lists(st.sampled_from(sorted(input_ports)), min_size=1, max_size=2)):
        if input_ports[name].type == "bytes":
            ports[name] = draw(damaged(ports.get(name, b"")))
        else:
            ports[name] = draw(scalars)
    return direction, ports, vector


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS)
def test_hostile_calls(name: str, codec_of: Callable[[str], CodecUnderTest]) -> None:
    look_for_harm(codec_of(name), examples=80)


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS)
def test_many_hostile_calls(name: str, codec_of: Callable[[str], CodecUnderTest]) -> None:
    look_for_harm(codec_of(name), examples=500)


def look_for_harm(codec: CodecUnderTest, *, examples: int) -> None:
    @settings(max_examples=examples)
    @given(call=hostile_calls(codec))
    def stands(call: tuple[Direction, dict[str, bytes], Vector]) -> None:
        direction, ports, vector = call
        codec.outcome(direction, ports)
        codec.is_unharmed(vector)

    stands()


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS)
def test_claims_in_headers(name: str, codec_of: Callable[[str], CodecUnderTest]) -> None:
    codec = codec_of(name)
    for vector in codec.vectors:
        ports = vector.given("decode", codec.signature)
        for port, data in vector.inputs.items():
            if codec.signature.inputs[port].type == "bytes":
                for place in range(min(len(data), HEADER_BYTES)):
                    for claim in CLAIMS:
                        codec.outcome("decode", {**ports, port: patched(data, place, claim)})
        codec.is_unharmed(vector)


@pytest.mark.parametrize("name", VECTORS)
def test_every_cut(name: str, codec_of: Callable[[str], CodecUnderTest]) -> None:
    codec = codec_of(name)
    vector = min(codec.vectors, key=lambda each: (not any(each.outputs.values()), sizes(each)))
    ports = vector.given("decode", codec.signature)
    for port, data in vector.inputs.items():
        if codec.signature.inputs[port].type == "bytes":
            for end in range(len(data)):
                codec.outcome("decode", {**ports, port: data[:end]})
    codec.is_unharmed(vector)


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS)
def test_damaged_data_of_many_blocks(name: str, codec_of: Callable[[str], CodecUnderTest]) -> None:
    codec = codec_of(name)
    random = Random(name)  # noqa: S311 - the same damage each time
    for vector in codec.vectors:
        ports = vector.given("encode", codec.signature)
        data = {port: value for port, value in vector.outputs.items() if len(value) > 1}
        ports |= {port: value * (LARGE_BYTES // len(value)) for port, value in data.items()}
        encoded = codec.outcome("encode", ports)
        # Some codecs take the shape of the data, which has changed.
        if data and not isinstance(encoded, str):
            given_ports = {**vector.given("decode", codec.signature), **encoded}
            for _ in range(40):
                damaged_ports = {port: spoiled(value, random) for port, value in encoded.items()}
                codec.outcome("decode", {**given_ports, **damaged_ports})
            codec.is_unharmed(vector)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VECTORS)
def test_want_of_memory(name: str, form: str, shipped: Shipped) -> None:
    """With any limit, a codec returns the right result, or the error that memory is out."""
    codecs = [shipped(name, form=form, memory_bytes=size) for size in MEMORY_BYTES]
    seen: set[type] = set()
    for direction, ports, answer in large_calls(shipped(name, form=form), name):
        for codec in codecs:
            try:
                assert codec.call(direction, ports) == answer
                seen.add(dict)
            except LimitExceeded:
                seen.add(LimitExceeded)
    assert seen == {dict, LimitExceeded}


def large_calls(
    codec: Codec, name: str
) -> Iterator[tuple[Direction, dict[str, bytes], dict[str, bytes]]]:
    """Return calls with large data and their results, or those of golden vectors."""
    signature = SIGNATURES[name]
    for vector in VECTORS[name]:
        ports = vector.given("encode", signature)
        data = {port: value for port, value in vector.outputs.items() if len(value) > 1}
        larger = {port: value * (LARGE_BYTES // len(value)) for port, value in data.items()}
        for given_ports in (ports | larger, ports):
            try:
                encoded = codec.call("encode", given_ports)
            except CodecError:
                # Not of the shape that the codec takes.
                continue
            yield "encode", given_ports, encoded
            back = {**vector.given("decode", signature), **encoded}
            yield "decode", back, codec.call("decode", back)
            break


def spoiled(data: bytes, random: Random) -> bytes:
    """Change some bytes, and sometimes cut."""
    for _ in range(random.randint(0, 3)):
        patch = random.choice([*CLAIMS, random.randbytes(random.randint(1, 300))])
        data = patched(data, random.randrange(len(data)), patch)
    return data[: random.randrange(len(data))] if random.random() < 1 / 3 else data


def sizes(vector: Vector) -> int:
    return sum(map(len, vector.inputs.values()))


def test_the_codecs_are_small() -> None:
    """The repository and every wheel contain them."""
    assert sum(path.stat().st_size for path in CODECS.rglob("*.wasm")) < TREE_MAX_BYTES
