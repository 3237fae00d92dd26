"""The core ABI's port-map: named byte strings, one behind the other.

    u32 count, { u32 name_len, name, u32 data_len, data }*

Integers are little-endian, nothing is padded, names are UTF-8. Inside the guest's memory the same
bytes are written and read in place by `backends.core`; this file is the format itself.
"""

from collections.abc import Callable, Mapping
from struct import Struct

from chonkle.errors import PortMapError

# The number of entries, which stands first; every length has the same form.
COUNT = Struct("<I")
_NAME_MAX = 1024
_PORTS_MAX = 4096


def entry_prefix(name: str, data_size: int) -> bytes:
    """Write everything of an entry that stands before its data."""
    encoded = name.encode()
    return b"".join((COUNT.pack(len(encoded)), encoded, COUNT.pack(data_size)))


def encode(port_map: Mapping[str, bytes]) -> bytes:
    """Write a port-map.

    Args:
        port_map: the data of each port, in the order to write.

    Returns:
        The encoded port-map.
    """
    parts = [COUNT.pack(len(port_map))]
    for name, data in port_map.items():
        parts.extend((entry_prefix(name, len(data)), data))
    return b"".join(parts)


def read_layout(size: int, read: Callable[[int, int], bytes]) -> dict[str, tuple[int, int]]:
    """Find where each port's data stands in an encoded port-map, without copying it.

    Args:
        size: length of the encoded port-map, in bytes.
        read: gives `(offset, length)` of it; only asked for what lies inside.

    Returns:
        Offset and length of each port's data, from the start of the port-map.

    Raises:
        PortMapError: when lengths do not add up, a name repeats or is not UTF-8.
    """

    def u32(offset: int) -> int:
        if offset + COUNT.size > size:
            raise PortMapError(f"port-map truncated at byte {offset} of {size}")
        value: int = COUNT.unpack(read(offset, COUNT.size))[0]
        return value

    count = u32(0)
    if count > _PORTS_MAX:
        raise PortMapError(
            "port-map too long", expected=f"at most {_PORTS_MAX} ports", got=str(count)
        )
    offset = COUNT.size
    layout: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        name_size = u32(offset)
        offset += COUNT.size
        if name_size > _NAME_MAX or offset + name_size > size:
            raise PortMapError(f"port name at byte {offset} runs past the end of the port-map")
        try:
            name = read(offset, name_size).decode()
        except UnicodeDecodeError as failure:
            raise PortMapError(f"port name at byte {offset} is not UTF-8") from failure
        offset += name_size
        data_size = u32(offset)
        offset += COUNT.size
        if offset + data_size > size:
            raise PortMapError(
                f"data of port `{name}` is truncated",
                expected=f"{data_size} bytes",
                got=str(size - offset),
            )
        if name in layout:
            raise PortMapError(f"port `{name}` occurs twice in one port-map")
        layout[name] = (offset, data_size)
        offset += data_size
    if offset != size:
        raise PortMapError(f"{size - offset} bytes after the last port of a port-map")
    return layout


def decode(data: bytes) -> dict[str, bytes]:
    """Read a port-map.

    Raises:
        PortMapError: when the bytes are not one.
    """
    layout = read_layout(len(data), lambda offset, size: data[offset : offset + size])
    return {name: data[start : start + size] for name, (start, size) in layout.items()}
