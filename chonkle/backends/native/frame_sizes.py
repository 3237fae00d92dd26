"""The decoded size that encoded data claims, read before numcodecs allocates it.

numcodecs allocates what a header claims. It does not tell the Blosc library how long the data is.
The libraries refuse everything else that is wrong with a frame.

Every function takes the encoded data and gives its decoded size in bytes, or a bound of it. It
raises ValueError for data that cannot be what it claims.
"""

from collections.abc import Callable
from struct import Struct
from struct import error as _struct_error

_U32 = Struct("<I")

# LZ4 block format: a length grows by at most 255 with each byte.
_LZ4_RATIO_MAX = 255
_LZ4_HEADER_BYTES = 4

# c-blosc's README_CHUNK_FORMAT: version, versionlz, flags, typesize, nbytes, blocksize, cbytes.
_BLOSC_HEADER = Struct("<BBBBIII")

# RFC 8878, section 3.1.
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_ZSTD_BLOCK_MAX = 1 << 17
_ZSTD_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_ZSTD_RLE, _ZSTD_COMPRESSED = 1, 2

_PACKBITS_PAD_MAX = 7


def lz4(data: memoryview) -> int:
    """Read the four bytes that numcodecs writes before an LZ4 block."""
    (size,) = _U32.unpack_from(data)
    block = len(data) - _LZ4_HEADER_BYTES
    if size > block * _LZ4_RATIO_MAX:
        raise ValueError(f"{block} bytes claim a decoded size of {size}")
    return int(size)


def blosc(data: memoryview) -> int:
    """Read the header of a Blosc 1 chunk.

    The library trusts `cbytes`, and would read past the end of shorter data.
    """
    *_, nbytes, _, cbytes = _BLOSC_HEADER.unpack_from(data)
    if cbytes != len(data):
        raise ValueError(f"the header claims {cbytes} bytes, but there are {len(data)}")
    return int(nbytes)


def packbits(data: memoryview) -> int:
    """Read how many bits pad the last byte of packed booleans; numcodecs accepts any number."""
    padding, packed = data[0], len(data) - 1
    if padding > _PACKBITS_PAD_MAX or (padding and not packed):
        raise ValueError(f"the first byte claims {padding} bits of padding in {packed} bytes")
    return packed * 8 - padding


def zstd(data: memoryview) -> int:
    """Add up what all Zstandard frames claim, or what their blocks can hold at most."""
    size = offset = 0
    try:
        while offset < len(data):
            frame_size, offset = _zstd_frame(data, offset)
            size += frame_size
    except (IndexError, _struct_error) as failure:
        raise ValueError(f"truncated: a frame runs past byte {len(data)}") from failure
    return size


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


FRAME_SIZES: dict[str, Callable[[memoryview], int]] = {
    "blosc": blosc,
    "lz4": lz4,
    "packbits": packbits,
    "zstd": zstd,
}
