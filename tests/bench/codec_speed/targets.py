"""The targets of our codecs: the least speed, as a multiple of another codec's."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from chonkle.formats.signature import Direction
from tests.bench.codec_speed.case import SIZES
from tests.bench.codec_speed.measure import Row

SMALL, MIDDLE, LARGE = SIZES


@dataclass(frozen=True, slots=True)
class Target:
    """The least ratio of a case.

    Attributes:
        name: the case, or the codec for all of its cases.
        direction: the direction.
        rival: the codec compared with.
        wanted: the least ratio, for each size that has one.
    """

    name: str
    direction: Direction
    rival: str
    wanted: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a target.

    Attributes:
        name: the case, or the codecs of a pipeline.
        direction: `encode` or `decode`.
        size: size of the chunk, in words.
        rival: the codec of another project.
        found: the ratio.
        wanted: the least ratio.
    """

    name: str
    direction: Direction
    size: str
    rival: str
    found: float
    wanted: float

    @property
    def held(self) -> bool:
        """Whether the target was reached."""
        return self.found >= self.wanted

    def to_json(self) -> dict[str, object]:
        """Return it as JSON."""
        return {**asdict(self), "found": round(self.found, 3), "held": self.held}

    def __str__(self) -> str:
        """Return it as text."""
        word = "held" if self.held else "MISSED"
        words = f"{self.name}, {self.direction}, {self.size}, as fast as {self.rival}"
        return f"{word:<7}{words:<76}{self.found:6.2f}, wanted {self.wanted:.2f}"


def from_middle(ratio: float) -> dict[int, float]:
    """Return one ratio for all sizes but the smallest, where the call itself takes most time."""
    return {MIDDLE: ratio, LARGE: ratio}


NUMCODECS = "numcodecs"
IMAGECODECS = "imagecodecs"
TARGETS = [
    Target("zlib", "decode", NUMCODECS, {SMALL: 1.1, MIDDLE: 1.6, LARGE: 1.6}),
    Target("zlib level 1", "encode", NUMCODECS, from_middle(1.5)),
    Target("zlib level 6", "encode", NUMCODECS, from_middle(1.25)),
    # libdeflate may take a third less time.
    Target("zlib", "decode", IMAGECODECS, from_middle(1 / 1.35)),
    Target("zlib", "encode", IMAGECODECS, from_middle(1 / 1.35)),
    Target("zstd", "decode", NUMCODECS, {SMALL: 1.5, MIDDLE: 0.75, LARGE: 0.62}),
    Target("zstd", "encode", NUMCODECS, from_middle(0.6)),
    Target("lz4", "decode", NUMCODECS, from_middle(0.55)),
    Target("lz4", "encode", NUMCODECS, from_middle(0.7)),
    Target("blosc zstd, shuffle", "decode", NUMCODECS, {MIDDLE: 1.2, LARGE: 0.85}),
    Target("shuffle", "decode", NUMCODECS, from_middle(2)),
    Target("shuffle", "encode", NUMCODECS, from_middle(2)),
    Target("bitround", "encode", NUMCODECS, from_middle(1.3)),
    Target("tiff-predictor-2 uint16", "decode", IMAGECODECS, from_middle(1.1)),
    Target("tiff-predictor-2 uint8", "decode", IMAGECODECS, from_middle(2)),
    Target("tiff-predictor-3", "decode", IMAGECODECS, from_middle(5)),
]


def outcomes(rows: Iterable[Row]) -> Iterator[Outcome]:
    """Compare the results with the targets."""
    for row in rows:
        for target in TARGETS:
            if (
                target.name in {row.name, row.codec_id}
                and target.direction == row.direction
                and target.rival in row.ratio
                and row.size_bytes in target.wanted
            ):
                rival = target.rival
                found, wanted = row.ratio[rival], target.wanted[row.size_bytes]
                yield Outcome(row.name, row.direction, row.size, rival, found, wanted)
