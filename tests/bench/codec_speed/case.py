"""A case: a codec, its data and parameters, and the codecs that it is compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chonkle.formats.signature import DIRECTIONS, Direction
from tests.bench.sample import Chunk

KIB, MIB = 1 << 10, 1 << 20
SIZES = (4 * KIB, 64 * KIB, 4 * MIB)


@dataclass(frozen=True, slots=True)
class Rival:
    """A codec of another library, ready for one chunk.

    Attributes:
        name: the library.
        encode: encodes the chunk.
        decode: decodes the form that a codec of its format encoded.
        own_format: whether no other codec has its format.
    """

    name: str
    encode: Callable[[], object]
    decode: Callable[[Any], object]
    own_format: bool = False


type MakeRival = Callable[[Chunk], Rival]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A codec with parameters, on one kind of data.

    Attributes:
        codec_id: the codec.
        family: the group of the report that it is in.
        kind: the data, a kind of `make_chunk`.
        label: tells it apart from other cases of the codec.
        settings: values of ports that do not follow from the chunk.
        rivals: the codecs compared with; ours must be compatible with the first.
        directions: the directions that are measured.
        cut: splits the decoded bytes into ports, for codecs with several.
    """

    codec_id: str
    family: str
    kind: str
    label: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    rivals: Sequence[MakeRival] = ()
    directions: tuple[Direction, ...] = DIRECTIONS
    cut: Callable[[bytes], Mapping[str, bytes]] | None = None

    @property
    def name(self) -> str:
        """The codec and the label, `zlib level 6`."""
        return f"{self.codec_id} {self.label}".strip()


def format_size(size_bytes: int) -> str:
    """Format a size in KiB or MiB."""
    return f"{size_bytes // MIB} MiB" if size_bytes >= MIB else f"{size_bytes // KIB} KiB"
