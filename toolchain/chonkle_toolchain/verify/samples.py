"""Inputs for codecs under test: generated data, values by type, and invalid ones.

They are the same in every run.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from random import Random
from typing import Literal, get_args

from chonkle.formats.values import PortType, encode_scalar, is_value

type Content = Literal["constant", "ramp", "random", "text", "short runs"]
# Short runs are only for sizes: they are the worst for run-length encodings.
CONTENTS: tuple[Content, ...] = get_args(Content.__value__)[:-1]

_WORDS = b"the codec gives back what it was given or says in words why it cannot".split()
_SMALL_INTEGERS = (1, 2, 4, 8, 0, 16)

# By type, values for parameters; first those that most codecs accept.
_VALUES: Mapping[PortType, tuple[object, ...]] = {
    "int": (*_SMALL_INTEGERS, -1),
    "uint": _SMALL_INTEGERS,
    "float": (1, 0.5, 2, 0, -1),
    "bool": (False, True),
    "string": ("", "a", "<u2"),
    "uint[]": ([], [1], [4096], [64, 64]),
    "dtype_desc": ("|u1", "<u2", "<f4", "<f8", "|b1", "|S4"),
}
# By type, what no codec may accept.
_NO_VALUES: Mapping[PortType, tuple[object, ...]] = {
    "int": ("1", 1.5, [1]),
    "uint": ("1", 1.5, -1),
    "float": ("1", [1], True),
    "bool": (1, "true"),
    "string": (1, ["a"]),
    "uint[]": (1, ["a"], [-1]),
    "dtype_desc": (1, True),
}
_NO_JSON = (b"", b"nothing", b"\xff")
# By type, values and texts at the limits of the type, and beyond.
_INTEGER_TEXTS = tuple(
    str(value).encode()
    for value in (0, -1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63), 2**64 - 1, 10**30)
)
_EXTREMES: Mapping[PortType, tuple[bytes, ...]] = {
    "int": (*_INTEGER_TEXTS, b"-0", b"1e400"),
    "uint": (*_INTEGER_TEXTS, b"-0", b"1e400"),
    "float": (*_INTEGER_TEXTS, b"1e308", b"-1e308", b"5e-324", b"-0.0", b"1e400"),
    "bool": (b"true", b"false", b"truefalse"),
    "string": (b'""', b'"\\u0000"', b'"\\ud800"', b'"' + b"a" * 100_000 + b'"', b'"a'),
    "uint[]": (
        b"[]", b"[0]", b"[0,0]", b"[" + b",".join([b"1"] * 10_000) + b"]",
        b"[18446744073709551615]", b"[18446744073709551615,2]", b"[1", b"[1,]",
    ),
    "dtype_desc": (b'"|V4294967295"', b'"<f99"', b'""', b"[]", b"[[]]", b'"' + b"<" * 5000 + b'"'),
}  # fmt: skip


@lru_cache(maxsize=64)
def generated(content: Content, size: int, *, seed: str = "") -> bytes:
    """Generate data.

    Args:
        content: the kind of data.
        size: in bytes.
        seed: random data of different seeds differ.
    """
    if content == "constant":
        return b"\xa5" * size
    if content == "ramp":
        return (bytes(range(256)) * (size // 256 + 1))[:size]
    if content == "short runs":
        runs = ((each & 0xFF,) * (1 + each % 2) for each in range(size))
        return bytes(chain.from_iterable(runs))[:size]
    random = Random(f"{seed} {size}")  # noqa: S311 - data to compress, and nothing secret
    if content == "random":
        return random.randbytes(size)
    return b" ".join(random.choices(_WORDS, k=size // 3 + 1))[:size]


def values(port_type: PortType) -> tuple[bytes, ...]:
    """Give values that a parameter may want, as they round_trip."""
    if port_type == "bytes":
        return b"", b"chonkle"
    return tuple(map(encode_scalar, _VALUES[port_type]))


def no_values(port_type: PortType) -> tuple[bytes, ...]:
    """Give invalid values of a type; none for bytes, which may be anything."""
    if port_type == "bytes":
        return ()
    return (*map(encode_scalar, _NO_VALUES[port_type]), *_NO_JSON)


def extremes(port_type: PortType) -> tuple[bytes, ...]:
    """Give values at the limits of a type, and some invalid ones; none for bytes."""
    return _EXTREMES.get(port_type, ())


def neighbours(choices: Sequence[object], port_type: PortType) -> list[object]:
    """Give values of a type that are near to some, and not among them; none without choices."""
    found: list[object] = []
    for choice in choices:
        if isinstance(choice, str):
            found += [choice[:-1], f"{choice}x", choice.swapcase(), f"{choice}\0", f" {choice}"]
        elif isinstance(choice, (int, float)) and not isinstance(choice, bool):
            found += [choice + 1, choice - 1, choice + 2**32, choice + 0.5]
    if choices:
        found += ["chonkle-verify-unknown", *_VALUES.get(port_type, ())]
    distinct = {encode_scalar(each): each for each in found if is_value(each, port_type)}
    return [each for each in distinct.values() if each not in choices]


def damaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Damage an encoded form in many ways.

    Args:
        data: the encoded form.

    Yields:
        What was done, as words after the port's name, and the data.
    """
    size = len(data)
    random = Random(size)  # noqa: S311 - as above
    for kept in sorted(
        {*range(min(size, 24)), *(size * part // 16 for part in range(16))} - {size}
    ):
        yield f"cut to {kept} of {size} bytes", data[:kept]
    for what, more in (("0x00", b"\0"), ("0xff", b"\xff"), ("random", random.randbytes(300))):
        yield f"with {len(more)} bytes {what} after its end", data + more
    if data:
        yield "with itself after its end", data + data
    for at in sorted({*range(min(size, 24)), *random.sample(range(size), min(size, 40))}):
        bit = random.randrange(8)
        flipped = bytes([data[at] ^ 1 << bit])
        yield f"with bit {bit} of byte {at} flipped", data[:at] + flipped + data[at + 1 :]
    for length in (1, 2, 3, 5, 8, 13, 64, 1000):
        yield f"replaced by {length} random bytes", random.randbytes(length)
        yield f"replaced by {length} bytes 0xff", b"\xff" * length
        yield f"replaced by {length} bytes 0x00", bytes(length)
