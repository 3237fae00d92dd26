"""The functions of a linked module, by name."""

from chonkle.formats.wasm_binary import Reader, custom_sections, read_core_interface, sections

_CODE = 10
_FUNCTION_NAMES = 1


def named_functions(module: bytes) -> list[tuple[str, bytes]]:
    """Give the name and the body of each function that a core module defines.

    Args:
        module: a core module.

    Returns:
        The functions, in order; the name is empty where the section `name` has none.
    """
    names = dict(_names(module))
    first = sum(1 for item in read_core_interface(module).imports if item.kind == "func")
    for section in sections(module):
        if section.id == _CODE:
            reader = Reader(module, section.payload, section.end)
            bodies = [reader.take(reader.u32()) for _ in range(reader.count())]
            return [(names.get(first + index, ""), body) for index, body in enumerate(bodies)]
    return []


def _names(module: bytes) -> list[tuple[int, str]]:
    for payload in custom_sections(module, "name"):
        reader = Reader(payload, 0, len(payload))
        while reader.offset < reader.end:
            subsection, size = reader.byte(), reader.u32()
            inner = Reader(payload, reader.offset, reader.offset + size)
            reader.take(size)
            if subsection == _FUNCTION_NAMES:
                return [(inner.u32(), inner.name()) for _ in range(inner.count())]
    return []
