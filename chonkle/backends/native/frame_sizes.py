"""Sizes that encoded data claims, checked before anything is allocated or a C library called.

Every function takes the encoded data and gives the number of bytes that it decodes to, or a bound
of it, and raises ValueError for data that cannot be what it claims. A size of 0 is only given for
data that is whole and holds nothing: numcodecs writes such frames and refuses to read them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from struct import error as _struct_error

_U32 = Struct("<I")

# LZ4 block format: a length grows by at most 255 with each byte.
_LZ4_RATIO_MAX = 255
_LZ4_HEADER = 4
# The greatest input of LZ4_compressBound.
_LZ4_INPUT_MAX = 0x7E000000

# c-blosc's README_CHUNK_FORMAT: version, versionlz, flags, typesize, nbytes, blocksize, cbytes.
_BLOSC_HEADER = Struct("<BBBBIII")
_BLOSC_VERSION = 2
_BLOSC_OVERHEAD = _BLOSC_HEADER.size
_BLOSC_MEMCPYED = 0x02
# A block's offset in the table of blocks, and the length before each of its streams.
_BLOSC_BLOCK_MIN = 4

# RFC 8878, section 3.1.
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_ZSTD_BLOCK_MAX = 1 << 17
_ZSTD_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_ZSTD_RAW, _ZSTD_RLE, _ZSTD_COMPRESSED = range(3)
# The content checksum of a frame that holds nothing: the low half of XXH64 of no bytes.
_ZSTD_CHECKSUM_OF_NOTHING = bytes.fromhex("99e9d851")

_PACKBITS_PAD_MAX = 7


@dataclass(frozen=True, slots=True)
class Claim:
    """How many bytes encoded data decodes to.

    Attributes:
        size: the number of bytes.
        is_exact: whether it is that number, or one that cannot be exceeded.
    """

    size: int
    is_exact: bool = True


def lz4(data: memoryview) -> Claim:
    """Read the four bytes that numcodecs writes before an LZ4 block."""
    if len(data) <= _LZ4_HEADER:
        raise ValueError(f"truncated: {len(data)} bytes are no size and block")
    (size,) = _U32.unpack_from(data)
    block = len(data) - _LZ4_HEADER
    if size == 0 and bytes(data[_LZ4_HEADER:]) != b"\0":
        raise ValueError("a block that holds something claims a decoded size of 0")
    if size > min(block * _LZ4_RATIO_MAX, _LZ4_INPUT_MAX):
        raise ValueError(f"{block} bytes claim a decoded size of {size}")
    return Claim(size)


def blosc(data: memoryview) -> Claim:
    """Read the header of a Blosc 1 chunk.

    The C library is never told how long the data is: it believes `cbytes`. So a chunk whose
    header and length disagree would be read past its end.
    """
    if len(data) < _BLOSC_HEADER.size:
        raise ValueError(f"truncated: {len(data)} bytes of a header of {_BLOSC_HEADER.size}")
    version, _, flags, typesize, nbytes, blocksize, cbytes = _BLOSC_HEADER.unpack_from(data)
    if version != _BLOSC_VERSION:
        raise ValueError(f"not a Blosc 1 chunk: format version {version}")
    if cbytes != len(data):
        raise ValueError(f"the header claims {cbytes} bytes, but there are {len(data)}")
    if nbytes == 0:
        if cbytes != _BLOSC_OVERHEAD:
            raise ValueError("a chunk that holds something claims a decoded size of 0")
        return Claim(0)
    if typesize == 0 or not 0 < blocksize <= nbytes:
        raise ValueError(f"element size {typesize} and block size {blocksize} of {nbytes} bytes")
    if flags & _BLOSC_MEMCPYED:
        if cbytes != nbytes + _BLOSC_OVERHEAD:
            raise ValueError(f"{cbytes - _BLOSC_OVERHEAD} stored bytes claim to be {nbytes}")
    elif -(-nbytes // blocksize) * _BLOSC_BLOCK_MIN > cbytes - _BLOSC_OVERHEAD:
        raise ValueError(f"{cbytes} bytes have no room for the table of blocks")
    return Claim(nbytes)


def packbits(data: memoryview) -> Claim:
    """Read how many bits pad the last byte of packed booleans."""
    if len(data) == 0:
        raise ValueError("truncated: no bytes at all")
    padding, packed = data[0], len(data) - 1
    if padding > _PACKBITS_PAD_MAX or (padding and not packed):
        raise ValueError(f"the first byte claims {padding} bits of padding in {packed} bytes")
    return Claim(packed * 8 - padding)


def zstd(data: memoryview) -> Claim:
    """Add up what all Zstandard frames claim, or what their blocks can hold at most."""
    if len(data) == 0:
        raise ValueError("truncated: no bytes at all")
    size, is_exact, offset = 0, True, 0
    try:
        while offset < len(data):
            claimed, bound, offset = _zstd_frame(data, offset)
            if claimed is None:
                is_exact = False
            elif claimed > bound:
                raise ValueError(f"blocks of at most {bound} bytes claim to hold {claimed}")
            size += bound if claimed is None else claimed
    except (IndexError, _struct_error) as failure:
        raise ValueError(f"truncated: a frame runs past byte {len(data)}") from failure
    return Claim(size, is_exact)


def _zstd_frame(data: memoryview, start: int) -> tuple[int | None, int, int]:
    # Gives the claimed size if there is one, the bound of all blocks, and where the frame ends.
    (magic,) = _U32.unpack_from(data, start)
    if magic in _ZSTD_SKIPPABLE:
        end = start + 8 + _U32.unpack_from(data, start + 4)[0]
        if end > len(data):
            raise IndexError(end)
        return 0, 0, end
    if magic != _ZSTD_MAGIC:
        raise ValueError(f"no Zstandard frame at byte {start}")
    descriptor = data[start + 4]
    is_single_segment = bool(descriptor & 0x20)
    offset = start + 5 + (not is_single_segment) + _ZSTD_DICTIONARY_ID_SIZES[descriptor & 3]
    width = 1 << (descriptor >> 6)
    claimed = None
    if width > 1 or is_single_segment:
        if offset + width > len(data):
            raise IndexError(offset)
        claimed = int.from_bytes(data[offset : offset + width], "little")
        claimed += 256 if width == 2 else 0  # noqa: PLR2004 - as section 3.1.1.1.4 says
        offset += width
    bound, offset = _zstd_blocks(data, offset)
    if descriptor & 0x04:
        checksum = bytes(data[offset : offset + 4])
        offset += 4
        if offset > len(data):
            raise IndexError(offset)
        if bound == 0 and checksum != _ZSTD_CHECKSUM_OF_NOTHING:
            raise ValueError("wrong checksum of a frame that holds nothing")
    if claimed == 0 and bound > 0:
        raise ValueError("a frame that holds something claims a decoded size of 0")
    return claimed, bound, offset


def _zstd_blocks(data: memoryview, offset: int) -> tuple[int, int]:
    bound, is_last = 0, False
    while not is_last:
        header = data[offset] | data[offset + 1] << 8 | data[offset + 2] << 16
        offset += 3
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind > _ZSTD_COMPRESSED or size > _ZSTD_BLOCK_MAX:
            raise ValueError(f"malformed block at byte {offset - 3}")
        bound += _ZSTD_BLOCK_MAX if kind == _ZSTD_COMPRESSED else size
        offset += 1 if kind == _ZSTD_RLE else size
        if offset > len(data):
            raise IndexError(offset)
    return bound, offset


FRAMES: dict[str, Callable[[memoryview], Claim]] = {
    "blosc": blosc,
    "lz4": lz4,
    "packbits": packbits,
    "zstd": zstd,
}
