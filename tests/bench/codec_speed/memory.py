"""Memory use over many chunks: it must not grow with their number."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import chonkle
from chonkle.formats.signature import Signature
from tests.bench.codec_speed.case import KIB, Case
from tests.bench.codec_speed.ours import RUN, Ours
from tests.bench.sample import make_chunk

WARM_UP = 100
CHUNK_BYTES = 64 * KIB
# The tolerance for what an allocator keeps, far below one more copy of every chunk.
GROWTH_MAX_BYTES = 1 << 20
RESIDENT = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Growth:
    """How much the process grew over many chunks.

    Attributes:
        name: the case.
        chunks: the number of chunks.
        growth_bytes: the growth.
    """

    name: str
    chunks: int
    growth_bytes: int

    @property
    def held(self) -> bool:
        """Whether the growth is within the tolerance."""
        return self.growth_bytes <= GROWTH_MAX_BYTES

    def to_json(self) -> dict[str, object]:
        """Return it as JSON."""
        return {**asdict(self), "held": self.held}

    def __str__(self) -> str:
        """Return it as text."""
        word = "held" if self.held else "MISSED"
        words = f"{self.name}, memory after {self.chunks} chunks of 64 KiB, there and back"
        limit = GROWTH_MAX_BYTES // KIB
        return f"{word:<7}{words:<76}{self.growth_bytes // KIB:+6} KiB, wanted at most {limit}"


def measure_growth(
    case: Case, signature: Signature, *, chunks: int, runtime: chonkle.Runtime
) -> Growth:
    """Encode and decode many chunks.

    Args:
        case: the codec and its data.
        signature: of the implementation.
        chunks: the number of chunks.
        runtime: opens the codec.
    """
    chunk = make_chunk(case.kind, CHUNK_BYTES)
    plain = chunk.array.tobytes()
    ours = Ours(signature, case, chunk, runtime)
    parts = case.cut(plain) if case.cut else {"bytes": plain}
    encode = ours.calls("encode", parts)[RUN]
    decode = ours.calls("decode", ours.run("encode", parts))[RUN]
    before = 0
    for number in range(WARM_UP + chunks):
        if number == WARM_UP:
            before = resident_bytes()
        encode()
        decode()
    return Growth(case.name, chunks, resident_bytes() - before)


def resident_bytes() -> int:
    """Return the memory of this process; 0 where the system does not tell."""
    if not RESIDENT.exists():
        return 0
    return int(RESIDENT.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
