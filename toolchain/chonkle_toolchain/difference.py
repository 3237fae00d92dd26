"""The place where two WebAssembly binaries begin to differ."""

from collections.abc import Iterator

from chonkle.formats.wasm_binary import binary_kind, sections

# By section id: Core Specification 3.0, section 5.5.2; Component Model, design/mvp/Binary.md.
_NAMES = {
    "core": (
        "custom", "type", "import", "function", "table", "memory", "global", "export", "start",
        "element", "code", "data", "data count", "tag",
    ),
    "component": (
        "custom", "core module", "core instance", "core type", "component", "instance", "alias",
        "type", "canonical", "start", "import", "export", "value",
    ),
}  # fmt: skip
# Sections of a component that are binaries themselves.
_BINARIES = frozenset({"core module", "component"})


def first_difference(one: bytes, other: bytes) -> str:
    """Describe where two binaries begin to differ.

    Args:
        one: a core module or component.
        other: the one to compare with.

    Returns:
        The offset in the file, and the section with the sections around it; empty for equal bytes.
    """
    if one == other:
        return ""
    size = min(len(one), len(other))
    offset = next((index for index in range(size) if one[index] != other[index]), size)
    place = " > ".join(_path(one, offset)) or ("its end" if offset else "its header")
    sizes = f"; {len(one)} and {len(other)} bytes" if len(one) != len(other) else ""
    return f"from byte {offset} on, in {place}{sizes}"


def _path(binary: bytes, offset: int) -> Iterator[str]:
    kind = binary_kind(binary)
    for number, section in enumerate(sections(binary)):
        if section.start <= offset < section.end:
            name = _NAMES[kind][section.id]
            yield f"section {number} (`{section.name or name}`)"
            if name in _BINARIES and offset >= section.payload:
                yield from _path(binary[section.payload : section.end], offset - section.payload)
