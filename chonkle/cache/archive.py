"""Tar archives of plain files in the ustar format (IEEE Std 1003.1-2024, `pax`), read strictly.

    member       header (512 bytes), content, zeros up to a multiple of 512
    ...
    end          two blocks of zeros

`tarfile.TarInfo` reads and writes the headers. `tarfile.TarFile` does not read the archive: it
takes a damaged header for the end, and reads extended headers of any length into memory.
"""

import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from chonkle.cache.record import InvalidEntry

END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive."""

    name: str  # its path in the archive
    offset: int  # where its content begins
    size: int  # the length of the content, in bytes


def member_parts(name: str, content: bytes) -> tuple[bytes, bytes, bytes]:
    """Give the bytes of a member; the same file always gives the same bytes."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = len(content), 0o600
    return header.tobuf(tarfile.USTAR_FORMAT), content, bytes(_padding(len(content)))


def archive_size(sizes: Iterable[int]) -> int:
    """Give the length of an archive from the lengths of its contents."""
    return sum(tarfile.BLOCKSIZE + size + _padding(size) for size in sizes) + len(END)


def read_members(file: BinaryIO) -> Iterator[Member]:
    """Give the members of an archive, with the file at the content of each.

    Args:
        file: the archive, which may be hostile.

    Raises:
        InvalidEntry: when it is not an archive of plain files.
    """
    length = file.seek(0, os.SEEK_END)
    start = 0
    while True:
        file.seek(start)
        header = file.read(tarfile.BLOCKSIZE)
        if header == END[: tarfile.BLOCKSIZE]:
            break
        if len(header) < tarfile.BLOCKSIZE:
            raise InvalidEntry("it is truncated")
        try:
            found = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as failure:
            raise InvalidEntry("it is not a plain tar archive") from failure
        if found.type != tarfile.REGTYPE or found.size < 0:
            raise InvalidEntry(f"the member `{found.name}` is not a plain file")
        member = Member(found.name, start + tarfile.BLOCKSIZE, found.size)
        start = member.offset + member.size + _padding(member.size)
        if start + len(END) > length:
            raise InvalidEntry("it is truncated")
        yield member
    if file.read(tarfile.BLOCKSIZE + 1) != END[tarfile.BLOCKSIZE :]:
        raise InvalidEntry("it does not end where its members end")


def _padding(size: int) -> int:
    return -size % tarfile.BLOCKSIZE
