"""The one form of tar archive that bundles of cache entries have.

    member       header (512 bytes), content, zeros up to a multiple of 512
    ...
    end          two blocks of zeros, and nothing after them

A header is that of the ustar interchange format (IEEE Std 1003.1-2024, `pax`). Only name, size and
the checksum over both vary: files alone, private to their owner, of user 0 and time 0. So that the
same files give the same archive, and a reader need not know what else tar can say: it writes the
header that it expects and compares.
"""

import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from chonkle.cache.record import Doubt

_BLOCK_BYTES = 512
_NAME_MAX_BYTES = 100
# name, mode, user, group, size, time, checksum, kind, link, magic and version, user, group, device,
# prefix
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_SIZE = re.compile(rb"[0-7]{11}")
_NUMBER = b"0000000"

END = bytes(2 * _BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: its path in the archive.
        offset: where its content begins.
        size: how long that is, in bytes.
    """

    name: str
    offset: int
    size: int


def member_header(name: str, size: int) -> bytes:
    """Write the header of a member.

    Args:
        name: its path, at most 100 characters of Latin 1.
        size: the length of its content in bytes, below 8 GiB.
    """

    def packed(checksum: bytes) -> bytes:
        return _HEADER.pack(
            name.encode("latin-1"),
            b"0000600",
            _NUMBER,
            _NUMBER,
            b"%011o" % size,
            b"0" * 11,
            checksum,
            b"0",
            b"",
            b"ustar\x0000",
            b"",
            b"",
            _NUMBER,
            _NUMBER,
            b"",
        )

    # The checksum is that of the header with blanks in the place of the checksum.
    return packed(b"%06o\0 " % sum(packed(b" " * 8)))


def member_padding(size: int) -> bytes:
    """Give the zeros behind a content."""
    return bytes(-size % _BLOCK_BYTES)


def archive_size(sizes: Iterable[int]) -> int:
    """Say how long an archive is whose members have contents of these lengths."""
    return sum(_BLOCK_BYTES + size + len(member_padding(size)) for size in sizes) + len(END)


def read_members(file: BinaryIO) -> Iterator[Member]:
    """Give the members of an archive, with the file at the content of the one that was given.

    Args:
        file: an archive; its end counts, and nothing else that it says about lengths is believed.

    Raises:
        Doubt: when it is not an archive in this form.
    """
    length = file.seek(0, os.SEEK_END)
    start = 0
    while True:
        file.seek(start)
        header = file.read(_BLOCK_BYTES)
        if header == END[:_BLOCK_BYTES]:
            break
        member = _member(header, offset=start + _BLOCK_BYTES)
        padding = member_padding(member.size)
        start = member.offset + member.size + len(padding)
        if start + len(END) > length:
            raise Doubt("it is truncated")
        yield member
        file.seek(start - len(padding))
        if file.read(len(padding)) != padding:
            raise Doubt(f"there is something behind the member `{member.name}`")
    if file.read(_BLOCK_BYTES + 1) != END[_BLOCK_BYTES:]:
        raise Doubt("it does not end where its members end")


def _member(header: bytes, *, offset: int) -> Member:
    if len(header) < _BLOCK_BYTES:
        raise Doubt("it is truncated")
    name = header[:_NAME_MAX_BYTES].partition(b"\0")[0].decode("latin-1")
    digits = _HEADER.unpack(header)[4][:-1]
    if _SIZE.fullmatch(digits) is None:
        raise Doubt("it is not a plain tar archive")
    size = int(digits, 8)
    if header != member_header(name, size):
        raise Doubt(f"the member `{name}` is not a plain file as chonkle writes them")
    return Member(name, offset, size)
