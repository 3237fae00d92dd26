"""Dropping exports from a linked module."""

from collections.abc import Set as AbstractSet

from chonkle.formats.wasm_binary import Reader, sections, write_u32

_HEADER_SIZE = 8
_EXPORTS = 7


def without_exports(module: bytes, names: AbstractSet[str]) -> bytes:
    """Give a core module without some of its exports; what they named stays in it.

    Args:
        module: a core module.
        names: the exports to drop, as far as it has them.
    """
    out = [module[:_HEADER_SIZE]]
    for section in sections(module):
        if section.id != _EXPORTS:
            out.append(module[section.start : section.end])
            continue
        reader = Reader(module, section.payload, section.end)
        kept = []
        for _ in range(reader.u32()):
            start = reader.offset
            name = reader.name()
            reader.byte()
            reader.u32()
            if name not in names:
                kept.append(module[start : reader.offset])
        body = write_u32(len(kept)) + b"".join(kept)
        out.append(bytes([_EXPORTS]) + write_u32(len(body)) + body)
    return b"".join(out)
