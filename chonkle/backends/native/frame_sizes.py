"""The sizes that encoded data claims, read before numcodecs allocates the decoded one.

numcodecs allocates what a header claims. It does not tell the Blosc library how long the data is.
The libraries refuse everything else that is wrong with a frame.

Every function raises ValueError for data that cannot be what it claims.
"""

from collections.abc import Callable
from struct import Struct
from struct import error as _struct_error
from typing import NamedTuple

_U32 = Struct("<I")

# LZ4 block format: a length grows by at most 255 with each byte.
_LZ4_RATIO_MAX = 255
_LZ4_HEADER_BYTES = 4
_LZ4_LENGTH_MORE, _LZ4_BYTE_MORE = 15, 255
_LZ4_OFFSET_BYTES, _LZ4_MATCH_MIN = 2, 4

# c-blosc's README_CHUNK_FORMAT: version, versionlz, flags, typesize, nbytes, blocksize, cbytes.
_BLOSC_HEADER = Struct("<BBBBIII")

# RFC 8878, section 3.1.
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_ZSTD_BLOCK_MAX = 1 << 17
_ZSTD_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_ZSTD_RLE, _ZSTD_COMPRESSED = 1, 2

_PACKBITS_PAD_MAX = 7


class FrameSizes(NamedTuple):
    """What encoded data claims.

    Attributes:
        decoded: the size of the decoded data in bytes, or a bound of it.
        encoded: the bytes that belong to the data; others may follow them.
    """

    decoded: int
    encoded: int


def lz4(data: memoryview) -> int:
    """Read the decoded size in the four bytes that numcodecs writes before an LZ4 block."""
    (size,) = _U32.unpack_from(data)
    block = len(data) - _LZ4_HEADER_BYTES
    if size > block * _LZ4_RATIO_MAX:
        raise ValueError(f"{block} bytes claim a decoded size of {size}")
    return int(size)


def lz4_end(data: memoryview) -> int | None:
    """Find the end of an LZ4 block: no header records it, and only literals end a block.

    Args:
        data: the block, after the four bytes with its decoded size.

    Returns:
        The offset in the data; None where no block of this size ends in them.
    """
    size, offset, made = lz4(data), _LZ4_HEADER_BYTES, 0
    try:
        while True:
            token = data[offset]
            literals, offset = _lz4_length(data, offset + 1, token >> 4)
            offset, made = offset + literals, made + literals
            if made >= size:
                return offset if made == size and offset <= len(data) else None
            match, offset = _lz4_length(data, offset + _LZ4_OFFSET_BYTES, token & 15)
            made += match + _LZ4_MATCH_MIN
    except IndexError:
        return None


def _lz4_length(data: memoryview, offset: int, length: int) -> tuple[int, int]:
    """Read the further bytes of a length that begins in a token."""
    is_more = length == _LZ4_LENGTH_MORE
    while is_more:
        length += data[offset]
        is_more = data[offset] == _LZ4_BYTE_MORE
        offset += 1
    return length, offset


def blosc(data: memoryview) -> FrameSizes:
    """Read the header of a Blosc 1 chunk.

    The library trusts `cbytes`, and would read past the end of shorter data.
    """
    *_, nbytes, _, cbytes = _BLOSC_HEADER.unpack_from(data)
    if not _BLOSC_HEADER.size <= cbytes <= len(data):
        raise ValueError(f"the header claims {cbytes} bytes, but there are {len(data)}")
    return FrameSizes(decoded=nbytes, encoded=cbytes)


def packbits(data: memoryview) -> FrameSizes:
    """Read how many bits pad the last byte of packed booleans; numcodecs accepts any number."""
    padding, packed = data[0], len(data) - 1
    if padding > _PACKBITS_PAD_MAX or (padding and not packed):
        raise ValueError(f"the first byte claims {padding} bits of padding in {packed} bytes")
    return FrameSizes(decoded=packed * 8 - padding, encoded=len(data))


def zstd(data: memoryview) -> FrameSizes:
    """Add up what all Zstandard frames claim, or what their blocks can hold at most."""
    size = offset = 0
    try:
        while offset == 0 or _begins_zstd_frame(data[offset : offset + 4]):
            frame_size, offset = _zstd_frame(data, offset)
            size += frame_size
    except (IndexError, _struct_error) as failure:
        raise ValueError(f"truncated: a frame runs past byte {len(data)}") from failure
    if offset > len(data):
        raise ValueError(f"truncated: a frame runs past byte {len(data)}")
    return FrameSizes(decoded=size, encoded=offset)


def _begins_zstd_frame(first: memoryview) -> bool:
    """Tell whether up to four bytes begin a frame, or may do so when more follow."""
    known = (1 << 8 * len(first)) - 1
    found = int.from_bytes(first, "little")
    # Of the magic number of a skippable frame, the last four bits vary.
    return known > 0 and (
        found == _ZSTD_MAGIC & known or (found ^ _ZSTD_SKIPPABLE.start) & known & ~0xF == 0
    )


def _zstd_frame(data: memoryview, start: int) -> tuple[int, int]:
    """Give the size of a frame's content, and where the frame ends."""
    (magic,) = _U32.unpack_from(data, start)
    if magic in _ZSTD_SKIPPABLE:
        return 0, start + 8 + int(_U32.unpack_from(data, start + 4)[0])
    if magic != _ZSTD_MAGIC:
        raise ValueError(f"no Zstandard frame at byte {start}")
    descriptor = data[start + 4]
    is_single_segment = bool(descriptor & 0x20)
    offset = start + 5 + (not is_single_segment) + _ZSTD_DICTIONARY_ID_SIZES[descriptor & 3]
    width = 1 << (descriptor >> 6)
    claimed = None
    if width > 1 or is_single_segment:
        claimed = int.from_bytes(data[offset : offset + width], "little")
        claimed += 256 if width == 2 else 0  # noqa: PLR2004 - as section 3.1.1.1.4 says
        offset += width
    bound, is_last = 0, False
    while not is_last:
        header = data[offset] | data[offset + 1] << 8 | data[offset + 2] << 16
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        bound += _ZSTD_BLOCK_MAX if kind == _ZSTD_COMPRESSED else size
        offset += 3 + (1 if kind == _ZSTD_RLE else size)
    if claimed is not None and claimed > bound:
        raise ValueError(f"blocks of at most {bound} bytes claim to hold {claimed}")
    # A checksum of four bytes may follow.
    return bound if claimed is None else claimed, offset + (descriptor & 0x04)


FRAME_SIZES: dict[str, Callable[[memoryview], FrameSizes]] = {
    "blosc": blosc,
    "packbits": packbits,
    "zstd": zstd,
}
