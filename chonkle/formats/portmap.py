"""The core ABI's port-map: named byte strings, one behind the other.

    u32 count, { u32 name_len, name, u32 data_len, data }*

Integers are little-endian, nothing is padded, names are UTF-8. `write_into` and `read` work in
place, so that the same code serves bytes of this process and a guest's linear memory.
"""

from collections.abc import Mapping
from struct import Struct, error

from chonkle.errors import PortMapError

type Buffer = bytes | bytearray | memoryview

_U32 = Struct("<I")
_SIZE = _U32.size
_ENTRY_MIN = 2 * _SIZE
# No codec has as many, and a guest's word is not worth a longer loop.
PORTS_MAX = 4096


def encoded_size(port_map: Mapping[str, Buffer]) -> int:
    """Give the length of an encoded port-map, in bytes."""
    size = _SIZE
    for name, data in port_map.items():
        size += _ENTRY_MIN + len(name.encode()) + len(data)
    return size


def write_into(target: memoryview, port_map: Mapping[str, Buffer]) -> None:
    """Write a port-map, copying each port's data once.

    Args:
        target: `encoded_size(port_map)` writable bytes.
        port_map: the data of each port, contiguous bytes, in the order to write.
    """
    _U32.pack_into(target, 0, len(port_map))
    at = _SIZE
    for name, data in port_map.items():
        encoded = name.encode()
        size, name_size = len(data), len(encoded)
        _U32.pack_into(target, at, name_size)
        at += _SIZE
        target[at : at + name_size] = encoded
        at += name_size
        _U32.pack_into(target, at, size)
        at += _SIZE
        target[at : at + size] = data
        at += size


def read(source: memoryview) -> dict[str, memoryview]:
    """Find each port's data in an encoded port-map, without copying it.

    Args:
        source: the encoded port-map, and nothing else.

    Returns:
        A view of each port's data, in the order written.

    Raises:
        PortMapError: when lengths do not add up, a name repeats or is not UTF-8.
    """
    size = len(source)
    ports: dict[str, memoryview] = {}
    at = 0
    try:
        (count,) = _U32.unpack_from(source, 0)
        if count > PORTS_MAX:
            raise PortMapError("too many ports", expected=f"at most {PORTS_MAX}", got=str(count))
        at = _SIZE
        for _ in range(count):
            (name_size,) = _U32.unpack_from(source, at)
            at += _SIZE
            # A name that runs past the end is cut here, and the length behind it is missed below.
            name = str(source[at : at + name_size], "utf-8")
            at += name_size
            (data_size,) = _U32.unpack_from(source, at)
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
    encoded = bytearray(encoded_size(port_map))
    write_into(memoryview(encoded), port_map)
    return bytes(encoded)


def decode(data: bytes) -> dict[str, bytes]:
    """Read a port-map, copying each port's data.

    Raises:
        PortMapError: when the bytes are not one.
    """
    return {name: bytes(view) for name, view in read(memoryview(data)).items()}
