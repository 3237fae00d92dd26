"""What is measured: a codec, the data and parameters it gets, and whom it is compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chonkle.formats.signature import DIRECTIONS, Direction
from tests.bench.sample import Chunk

KIB, MIB = 1 << 10, 1 << 20
SIZES = (4 * KIB, 64 * KIB, 4 * MIB)


@dataclass(frozen=True, slots=True)
class Rival:
    """Somebody else's codec, ready for one chunk.

    Attributes:
        name: the package that it comes from.
        encode: encodes the chunk.
        decode: decodes what a codec of its format encoded.
        own_format: whether its encoded form is nobody else's, so that it decodes only its own.
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
        family: the group that it is shown in.
        kind: the data, a kind of `make_chunk`.
        label: what sets it apart from other cases of the codec.
        settings: values of ports, beside those that the chunk itself says.
        rivals: whom it is compared with, the one to be compatible with first.
        directions: the directions in which it does something.
        cut: splits the decoded bytes into ports, for codecs that have several.
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
        """The codec and what sets the case apart, `zlib level 6`."""
        return f"{self.codec_id} {self.label}".strip()


def shown_size(size_bytes: int) -> str:
    """Write a size as people say it."""
    return f"{size_bytes // MIB} MiB" if size_bytes >= MIB else f"{size_bytes // KIB} KiB"
