"""The core ABI's port-map: named byte strings, one behind the other.

    u32 count, { u32 name_len, name, u32 data_len, data }*

Integers are little-endian, nothing is padded, names are UTF-8. `segments` and `read` copy no data,
so that the same code serves bytes of this process and a guest's linear memory.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct, error

from chonkle.errors import LimitExceeded, PortMapError

type Buffer = bytes | bytearray | memoryview

_U32 = Struct("<I")
_SIZE = _U32.size
# Lengths are 32 bits, as are the addresses of a guest.
SIZE_MAX = (1 << 32) - 1
# No codec has as many, nor names as long. What a guest returns is read by the host, so that both
# bound the work and the memory that this takes.
PORTS_MAX = 256
NAME_MAX_BYTES = 256
_NOTHING = _U32.pack(0)


# A buffer's format (PEP 3118) without the names and shapes of fields, where the elements are
# numbers, text or padding. All else is a Python object or an address: `O & X P z`, a lone `Z`.
_LABELS = re.compile(r":[^:]*:|\([0-9,]*\)")
_DATA_FORMAT = re.compile(r"(?:Z[fdg]|[?bBhHiIlLqQnNefdgcspuwxt]|T\{|[}@=<>!^0-9\s])*")


def is_data(view: memoryview) -> bool:
    """Tell whether a buffer's elements are data, at any depth, and no objects or addresses."""
    return _describes_data(view.format)


# As slow as the rest of a small call, and the arrays of a program have a few formats.
@lru_cache(maxsize=256)
def _describes_data(buffer_format: str) -> bool:
    return _DATA_FORMAT.fullmatch(_LABELS.sub(" ", buffer_format)) is not None


# The chunks of an array mostly have one size, and its codecs a few ports.
@lru_cache(maxsize=4096)
def port_header(count: int, name: str, size: int) -> bytes:
    """Give the header of a port in an encoded port-map: what precedes its data.

    Args:
        count: how many ports there are, for the first of them; 0 for the others.
        name: the port's name.
        size: how long its data are.

    Raises:
        LimitExceeded: when no length says that.
    """
    if size > SIZE_MAX:
        raise _too_large(size)
    encoded = name.encode()
    start = _U32.pack(count) if count else b""
    return start + _U32.pack(len(encoded)) + encoded + _U32.pack(size)


def only_port_header(name: str) -> tuple[Struct, bytes]:
    """Describe the header of the port in an encoded port-map of one port.

    Returns:
        Its layout, which unpacks to bytes that are known and to the length of the data; and the
        bytes that are known.
    """
    known = port_header(1, name, 0)[:-_SIZE]
    return Struct(f"<{len(known)}sI"), known


def segments(port_map: Mapping[str, Buffer]) -> tuple[list[Buffer], int]:
    """Give the segments of an encoded port-map and their size in bytes, without copying data.

    Args:
        port_map: the data of each port, contiguous bytes, in the order to write.

    Raises:
        LimitExceeded: when they are more than the address of a guest can count.
    """
    parts: list[Buffer] = []
    total = 0
    count = len(port_map)
    for name, data in port_map.items():
        size = len(data)
        before = port_header(count, name, size)
        parts.append(before)
        parts.append(data)
        total += len(before) + size
        count = 0
    if total > SIZE_MAX:
        raise _too_large(total)
    return (parts, total) if parts else ([_NOTHING], _SIZE)


def _too_large(size: int) -> LimitExceeded:
    return LimitExceeded(
        "the input is too large for any WebAssembly codec",
        expected=f"at most {SIZE_MAX} bytes",
        got=str(size),
        hint="a codec has addresses of 32 bits for input, output and all else, and many allocators"
        " give no more than 2 GiB in one piece: use smaller chunks",
    )


def read[B: (bytes, memoryview)](source: B) -> dict[str, B]:
    """Find each port's data in an encoded port-map.

    Args:
        source: the encoded port-map, and nothing else.

    Returns:
        Each port's data, in the order written: slices, which of a memoryview copy nothing.

    Raises:
        PortMapError: when lengths do not add up, a name repeats or is not UTF-8.
    """
    size = len(source)
    unpack = _U32.unpack_from
    ports: dict[str, B] = {}
    at = 0
    try:
        (count,) = unpack(source, 0)
        if count > PORTS_MAX:
            raise PortMapError("too many ports", expected=f"at most {PORTS_MAX}", got=str(count))
        at = _SIZE
        for _ in range(count):
            (name_size,) = unpack(source, at)
            at += _SIZE
            if name_size > NAME_MAX_BYTES:
                raise PortMapError(
                    "the name of a port is too long",
                    expected=f"at most {NAME_MAX_BYTES} bytes",
                    got=str(name_size),
                )
            # A name that runs past the end is cut here, and the length behind it is missed below.
            name = str(source[at : at + name_size], "utf-8")
            at += name_size
            (data_size,) = unpack(source, at)
            at += _SIZE
            if at + data_size > size:
                raise PortMapError(
                    f"data of port `{name}` is truncated",
                    expected=f"{data_size} bytes",
                    got=str(size - at),
                )
            if name in ports:
                raise PortMapError(f"port `{name}` occurs twice in one port-map")
            ports[name] = source[at : at + data_size]
            at += data_size
    except error:
        raise PortMapError(f"port-map truncated at byte {min(at, size)} of {size}") from None
    except UnicodeDecodeError as failure:
        raise PortMapError(f"port name at byte {at} is not UTF-8") from failure
    if at != size:
        raise PortMapError(f"{size - at} bytes after the last port of a port-map")
    return ports


def encode(port_map: Mapping[str, Buffer]) -> bytes:
    """Write a port-map into bytes of its own.

    Args:
        port_map: the data of each port, in the order to write.
    """
    return b"".join(segments(port_map)[0])


def decode(data: bytes) -> dict[str, bytes]:
    """Read a port-map, copying each port's data.

    Raises:
        PortMapError: when the bytes are not one.
    """
    return read(data)
