"""WebAssembly binaries, written by hand."""

from chonkle.formats.wasm_binary import write_u32

CORE = b"\0asm\x01\0\0\0"
COMPONENT = b"\0asm\x0d\0\x01\0"


def section(identity: int, payload: bytes) -> bytes:
    return bytes([identity]) + write_u32(len(payload)) + payload


def custom(name: str, payload: bytes) -> bytes:
    return section(0, text(name) + payload)


def vector(*items: bytes) -> bytes:
    return write_u32(len(items)) + b"".join(items)


def text(name: str) -> bytes:
    return write_u32(len(name.encode())) + name.encode()
