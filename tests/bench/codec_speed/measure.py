"""Measuring a case: all results are checked first, then the calls are timed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median

import chonkle
from chonkle.formats.signature import Direction, Signature
from tests.bench.codec_speed.case import Case, Rival, format_size
from tests.bench.codec_speed.ours import RUN, Ours, Ports
from tests.bench.codec_speed.rivals import as_bytes
from tests.bench.codec_speed.timing import Effort, ratio_of, seconds_in_turn
from tests.bench.sample import make_chunk


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one direction of a case, for one size.

    Attributes:
        name: the case.
        codec_id: its codec.
        implementation: its implementation.
        family: its group.
        kind: the data.
        size_bytes: the decoded size.
        direction: the direction.
        mb_s: decoded megabytes per second, of each call.
        ratio: the speed of a run as a multiple of each rival's.
        encoded_bytes: the encoded size, of each codec.
    """

    name: str
    codec_id: str
    implementation: str
    family: str
    kind: str
    size_bytes: int
    direction: Direction
    mb_s: Mapping[str, float]
    ratio: Mapping[str, float]
    encoded_bytes: Mapping[str, int]

    @property
    def size(self) -> str:
        """The size in KiB or MiB."""
        return format_size(self.size_bytes)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON, with rounded numbers."""
        return {
            **asdict(self),
            "mb_s": {name: float(f"{speed:.3g}") for name, speed in self.mb_s.items()},
            "ratio": {name: round(ratio, 3) for name, ratio in self.ratio.items()},
        }


def measure(
    case: Case, signature: Signature, size_bytes: int, *, runtime: chonkle.Runtime, effort: Effort
) -> Iterator[Row]:
    """Measure one case on one size.

    Args:
        case: the codec, its data and its rivals.
        signature: of the implementation.
        size_bytes: the decoded size.
        runtime: opens our codecs.
        effort: how long to measure.

    Raises:
        AssertionError: when a result is wrong.
        ModuleNotFoundError: when a rival is not installed.
    """
    chunk = make_chunk(case.kind, size_bytes)
    plain = chunk.array.tobytes()
    parts = case.cut(plain) if case.cut else {"bytes": plain}
    ours = Ours(signature, case, chunk, runtime)
    rivals = [make(chunk) for make in case.rivals]
    encoded_by = {rival.name: rival.encode() for rival in rivals}
    encoded = ours.run("encode", parts)
    sizes = {name: len(as_bytes(data)) for name, data in encoded_by.items()}
    sizes[RUN] = sum(map(len, encoded.values()))
    check(ours, encoded, parts, rivals)
    # All decode the same bytes, except those with a format of their own.
    given = {"bytes": as_bytes(encoded_by[rivals[0].name])} if rivals else encoded
    for direction in case.directions:
        if direction == "encode":
            calls = ours.calls(direction, parts)
            calls.update((rival.name, rival.encode) for rival in rivals)
        else:
            calls = ours.calls(direction, given)
            for rival in rivals:
                data = encoded_by[rival.name] if rival.own_format else given["bytes"]
                calls[rival.name] = partial(rival.decode, data)
        times = seconds_in_turn(calls, effort)
        yield Row(
            name=case.name,
            codec_id=case.codec_id,
            implementation=signature.label,
            family=case.family,
            kind=case.kind,
            size_bytes=size_bytes,
            direction=direction,
            mb_s={name: size_bytes / 1e6 / median(each) for name, each in times.items()},
            ratio={rival.name: ratio_of(times[rival.name], times[RUN]) for rival in rivals},
            encoded_bytes=sizes,
        )


def check(ours: Ours, encoded: Ports, parts: Ports, rivals: Sequence[Rival]) -> None:
    """Check that our codec and its rivals decode each other's encoded forms.

    Args:
        ours: our codec.
        encoded: its encoded form.
        parts: the decoded form.
        rivals: the codecs compared with; ours must be compatible with the first.
    """
    if not rivals:
        same(ours.run("decode", encoded), parts, "decoding gives something else")
        return
    first = rivals[0]
    theirs = as_bytes(first.encode())
    # Not the bytes that were encoded, when encoding is lossy.
    wanted = {"bytes": as_bytes(first.decode(theirs))}
    same(ours.run("decode", {"bytes": theirs}), wanted, f"decodes otherwise than {first.name}")
    for rival in rivals:
        if not rival.own_format:
            found = {"bytes": as_bytes(rival.decode(encoded["bytes"]))}
            same(found, wanted, f"{rival.name} decodes what it encodes to something else")


def same(found: Ports, wanted: Ports, words: str) -> None:
    """Check that two results are the same bytes."""
    if found != wanted:
        raise AssertionError(words)
