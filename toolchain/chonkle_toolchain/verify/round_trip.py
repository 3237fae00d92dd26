"""Finding calls that succeed: from golden vectors, from defaults, and by trying.

Encoding takes data and values. Data can be generated; values, of parameters and other ports that
are not bytes, come from golden vectors or are found by trying those that most codecs accept.
Decoding takes the outputs of encoding. A value that only decoding takes, such as a length, is
guessed until decoding gives back the data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product

from chonkle.formats.signature import Direction, Port, Signature
from chonkle.formats.values import check_scalar, encode_scalar, format_value
from chonkle_toolchain.verify.codec_under_test import CodecUnderTest, Example
from chonkle_toolchain.verify.report import CheckFailed
from chonkle_toolchain.verify.runner import Ports, Refusal, Reply, doing
from chonkle_toolchain.verify.samples import CONTENTS, Content, generated, values

_SIZE = 4096
_SIZE_WHEN_SLOW = 256
_SETTINGS_MAX = 4
_TRIES_MAX = 256
_VECTOR_EXAMPLES_MAX = 4
_VECTOR_BYTES_MAX = 1 << 16
_REFUSALS_MAX = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """Values for all ports that are not data.

    Attributes:
        values: parameters, and outputs that are not bytes.
        units: for each port of data, a size that fits the values: that of a golden vector.
    """

    values: Ports
    units: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Data that were encoded and decoded again.

    Attributes:
        given: the inputs of encoding.
        encoded: its outputs.
        taken: the inputs of decoding; empty when encoding refused.
        decoded: its outputs.
        is_guessed: whether decoding took values that encoding does not give.
    """

    given: Ports
    encoded: Reply
    taken: Ports = field(default_factory=dict)
    decoded: Reply | None = None
    is_guessed: bool = False


def find_examples(tested: CodecUnderTest) -> str:
    """Find calls that succeed, from which the other checks start.

    Returns:
        A description of how many were found.

    Raises:
        CheckFailed: when none is found in a direction that the codec has.
    """
    refusals: dict[Direction, list[str]] = {direction: [] for direction in tested.directions}
    for direction, ports, reply in _first_calls(tested):
        if isinstance(reply, Refusal):
            refusals[direction].append(reply.words or "(no message)")
        else:
            tested.examples.append(Example(direction, ports, reply))
    for direction in tested.directions:
        if not tested.examples_of(direction):
            raise CheckFailed(
                f"{doing(direction, '')} refuses every input that was tried",
                got=_said(refusals[direction]),
                hint="does the signature name every port? A golden vector shows how it is called",
            )
    return ", ".join(
        f"{len(tested.examples_of(direction))} calls of {direction}"
        for direction in tested.directions
    )


def _first_calls(tested: CodecUnderTest) -> Iterator[tuple[Direction, Ports, Reply]]:
    """Call the codec with the inputs of its golden vectors, and with generated data."""
    small = [vector for vector in tested.vectors if _size(vector.outputs) <= _VECTOR_BYTES_MAX]
    for direction in tested.directions:
        for vector in small[:_VECTOR_EXAMPLES_MAX]:
            ports = vector.given(direction, tested.signature)
            what = f"the golden vector `{vector.case}`"
            yield direction, ports, tested.call(direction, ports, what=what)
    if "encode" in tested.directions:
        for setting in settings(tested):
            for content in CONTENTS:
                tried = round_trip(tested, setting, content=content, size=usual_size(tested))
                yield "encode", tried.given, tried.encoded
                if tried.decoded is not None:
                    yield "decode", tried.taken, tried.decoded


def usual_size(tested: CodecUnderTest) -> int:
    """Give a size of data that is worth encoding and does not take long."""
    return _SIZE_WHEN_SLOW if tested.is_slow else _SIZE


def settings(tested: CodecUnderTest) -> list[Setting]:
    """Find values with which the codec encodes: those of golden vectors, or others that work.

    Args:
        tested: the codec.

    Returns:
        A few; one that does not work if none was found.
    """
    signature = tested.signature
    data = data_ports(signature)
    required = {name for name, port in signature.input_ports("encode").items() if port.required}
    found: dict[tuple[tuple[str, bytes], ...], Setting] = {}
    for vector in tested.vectors:
        given = vector.given("encode", signature)
        if required <= given.keys():
            chosen = {name: value for name, value in given.items() if name not in data}
            units = {name: len(given[name]) for name in data if name in given}
            found.setdefault(tuple(chosen.items()), Setting(chosen, units))
    if found:
        return list(found.values())[:_SETTINGS_MAX]
    wanted = [name for name in signature.input_ports("encode") if name in required - data.keys()]
    accepted = (Setting(each) for each in _combinations(tested, wanted) if _works(tested, each))
    return list(islice(accepted, _SETTINGS_MAX)) or [Setting(next(_combinations(tested, wanted)))]


def _works(tested: CodecUnderTest, combination: Ports) -> bool:
    for size in (usual_size(tested), 64, 0):
        ports = {**data_of(tested.signature, "random", size), **combination}
        if not isinstance(tested.call("encode", ports, what="generated data"), Refusal):
            return True
    return False


def round_trip(
    tested: CodecUnderTest, setting: Setting, *, content: Content, size: int
) -> RoundTrip:
    """Encode generated data, and decode it again.

    When the codec refuses the size, one that fits the setting is tried as well: the codec may need
    whole rows.

    Args:
        tested: the codec.
        setting: its parameters.
        content: the kind of data.
        size: how much of it.
    """
    signature, units = tested.signature, [unit for unit in setting.units.values() if unit]
    sizes = [size, *(max(1, size // unit) * unit for unit in units)]
    tried = RoundTrip({}, Refusal("nothing was tried"))
    for data in (
        *(data_of(signature, content, each) for each in sizes),
        # All ports of one length.
        data_of(signature, content, size, alike=True),
    ):
        given = {**data, **setting.values}
        encoded = tested.call("encode", given, what=f"{size} bytes of {content} data")
        if not isinstance(encoded, Refusal):
            return decode_again(tested, given, encoded)
        tried = RoundTrip(given, encoded)
    return tried


def decode_again(
    tested: CodecUnderTest, given: Ports, encoded: Ports, *, known: Ports | None = None
) -> RoundTrip:
    """Decode the outputs of encoding.

    Args:
        tested: the codec.
        given: the inputs of encoding.
        encoded: its outputs.
        known: values that only decoding takes, if they are known.
    """
    if "decode" not in tested.directions:
        return RoundTrip(given, encoded)
    input_ports = tested.signature.input_ports("decode")
    shared = {
        name: given[name] for name, port in input_ports.items() if port.parameter and name in given
    }
    taken = {**shared, **(known or {}), **encoded}
    missing = [name for name, port in input_ports.items() if port.required and name not in taken]
    what = "what encoding gave"
    if not missing:
        return RoundTrip(given, encoded, taken, tested.call("decode", taken, what=what))
    best: RoundTrip | None = None
    data = data_ports(tested.signature).keys() & given.keys()
    lengths = [encode_scalar(len(given[name])) for name in given if name in data]
    for combination in _combinations(tested, missing, first=lengths):
        ports = {**taken, **combination}
        tried = RoundTrip(
            given, encoded, ports, tested.call("decode", ports, what=what), is_guessed=True
        )
        if loss(tested, tried) == "":
            return tried
        if best is None or isinstance(best.decoded, Refusal):
            best = tried
    return best or RoundTrip(given, encoded)


def loss(tested: CodecUnderTest, tried: RoundTrip) -> str:
    """Describe how decoded data differ from the original; empty when they do not."""
    if tried.decoded is None or isinstance(tried.decoded, Refusal):
        return "" if tried.decoded is None else f"it is refused: {tried.decoded.words}"
    for name, port in tested.signature.output_ports("decode").items():
        before, after = tried.given.get(name), tried.decoded.get(name)
        if before is None or before == after:
            continue
        if after is None:
            return f"`{name}` does not come back"
        if port.type == "bytes":
            return f"`{name}`, {len(before)} bytes, comes back as {_difference(before, after)}"
        # One value can have several texts.
        values_ = [check_scalar(text, port.type, what=f"`{name}`") for text in (before, after)]
        if values_[0] != values_[1]:
            return f"`{name}`, {format_value(values_[0])}, comes back as {format_value(values_[1])}"
    return ""


def data_ports(signature: Signature) -> dict[str, Port]:
    """Give the ports of bytes that encoding takes, parameters excluded."""
    return {
        name: port
        for name, port in signature.input_ports("encode").items()
        if port.type == "bytes" and not port.parameter
    }


def data_of(
    signature: Signature, content: Content, size: int, *, alike: bool = False
) -> dict[str, bytes]:
    """Generate the decoded form.

    Args:
        signature: the codec's.
        content: the kind of data.
        size: of the first port.
        alike: whether the others have that size too, and not smaller ones.
    """
    return {
        name: generated(content, size if alike else size // (index + 1), seed=name)
        for index, name in enumerate(data_ports(signature))
    }


def choices(tested: CodecUnderTest, name: str, port: Port) -> list[bytes]:
    """Give values to try for a port: from golden vectors, its default, and some of its type."""
    sides = [(vector.inputs, vector.outputs) for vector in tested.vectors]
    known = [side[name] for both in sides for side in both if name in side]
    default = [] if port.default is None else [encode_scalar(port.default)]
    return list(dict.fromkeys((*known[:_SETTINGS_MAX], *default, *values(port.type))))


def _combinations(
    tested: CodecUnderTest, names: list[str], *, first: list[bytes] | None = None
) -> Iterator[dict[str, bytes]]:
    """Give values for several ports, `first` before all others.

    The first value of each port comes first, then the second of each, and so on: few combinations
    that differ in every port.
    """
    ports = {**tested.signature.outputs, **tested.signature.inputs}
    tried = [
        list(dict.fromkeys((*(first or []), *choices(tested, name, ports[name])))) for name in names
    ]
    rows = dict.fromkeys((*zip(*tried, strict=False), *islice(product(*tried), _TRIES_MAX)))
    for row in rows:
        yield dict(zip(names, row, strict=True))


def _difference(before: bytes, after: bytes) -> str:
    if len(before) != len(after):
        return f"{len(after)} bytes"
    at = next(index for index, byte in enumerate(before) if byte != after[index])
    return f"others, from byte {at} on"


def _said(words: list[str]) -> str:
    return "; ".join(list(dict.fromkeys(words))[:_REFUSALS_MAX])


def _size(ports: Ports) -> int:
    return sum(map(len, ports.values()))
