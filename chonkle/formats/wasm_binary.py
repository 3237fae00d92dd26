"""Reads the header, sections, custom sections, imports and exports of a WebAssembly binary.

    magic    version  layer    section*
    00 61 73 6d  01 00    00 00    { id: u8, size: u32 (LEB128), payload }      core module
    00 61 73 6d  0d 00    01 00    { id: u8, size: u32 (LEB128), payload }      component

Sources: WebAssembly Core Specification 3.0, section 5.5 (binary format, modules); Component Model,
`design/mvp/Binary.md`. Nothing here executes or validates code. Malformed input raises
`WasmFormatError`.

wasmtime reads the same bytes, and the two readers must never disagree about a function's type. So a
type, flag or byte that is unknown here is refused, even if wasmtime accepts it.
"""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, Protocol, overload

from chonkle.errors import WasmFormatError

Kind = Literal["core", "component"]

# A whole language runtime is a tenth of this.
SIZE_MAX_BYTES = 256 << 20

_MAGIC = b"\0asm"
_VERSIONS: dict[bytes, Kind] = {b"\x01\0\0\0": "core", b"\x0d\0\x01\0": "component"}
_HEADER_SIZE = 8
_CUSTOM = 0
_U32_MAX = 0xFFFF_FFFF

# A component has hundreds at most.
_SECTIONS_MAX = 100_000
# A list of types, imports, exports or memories. A whole language runtime needs 20 KiB.
LIST_MAX_BYTES = 1 << 20
# As in wasmtime.
_NAME_MAX_BYTES = 100_000
# Components within components; wasmtime has the same limit.
_NESTED_MAX = 100
# wasmtime takes a million functions.
_FUNCTIONS_MAX_BYTES = 5 << 20

# Sections of a component that hold a whole binary.
_COMPONENT_MODULE, _COMPONENT_COMPONENT = 1, 4
# Core section ids and type codes.
_CORE_TYPES, _CORE_IMPORTS, _CORE_FUNCTIONS, _CORE_MEMORIES, _CORE_EXPORTS = 1, 2, 3, 5, 7
# The order that the specification requires: types, imports, functions, tables, memories, tags,
# globals, exports, start, elements, data count, code, data.
_CORE_ORDER = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)
_FUNC_TYPE = 0x60
# The reference types of one byte; the others are refused.
_REFERENCE_TYPES = (0x70, 0x6F)
_CONSTANT, _VARIABLE = 0, 1
_VALUE_TYPES = {
    0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref",
    0x6F: "externref",
}  # fmt: skip
_EXTERNAL_KINDS = {0: "func", 1: "table", 2: "memory", 3: "global", 4: "tag"}
_FUNC, _TABLE, _MEMORY, _GLOBAL, _TAG = range(5)


@dataclass(frozen=True, slots=True)
class Section:
    """One top-level section."""

    id: int  # the section id; 0 is custom
    start: int  # offset of the section's id byte
    payload: int  # offset of the payload; in a custom section, after its name
    end: int  # offset after the section
    name: str = ""  # the name of a custom section, otherwise empty


@dataclass(frozen=True, slots=True)
class External:
    """An import or export."""

    name: str  # `module.name` for a core import, otherwise the plain name
    kind: str  # `func`, `memory`, `instance` and so on
    type: str = ""  # a core function's type, such as `(i32, i32) -> i64`; otherwise empty
    module: str = ""  # the first part of a core import's name; otherwise empty

    @property
    def field(self) -> str:
        """The second part of a core import's name."""
        return self.name.removeprefix(f"{self.module}.")


class BinaryData(Protocol):
    """What is read: bytes, or a file of which only parts are read."""

    def __len__(self) -> int:
        """Give the number of bytes."""

    @overload
    def __getitem__(self, at: int, /) -> int: ...

    @overload
    def __getitem__(self, at: slice, /) -> bytes: ...


class Reader:
    """A cursor over bytes that does not read past an end."""

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: BinaryData, offset: int, end: int) -> None:
        """Begin at `offset` of `data`, with `end` as the limit."""
        self.data = data
        self.offset = offset
        self.end = end

    def byte(self) -> int:
        """Read one byte."""
        if self.offset >= self.end:
            raise WasmFormatError(f"truncated at byte {self.offset}")
        value = self.data[self.offset]
        self.offset += 1
        return value

    def u32(self) -> int:
        """Read an unsigned LEB128 of at most 32 bits."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the continuation bit
                break
            shift += 7
            if shift > 28:  # noqa: PLR2004 - five groups of seven bits
                raise WasmFormatError(f"LEB128 integer too long at byte {self.offset}")
        if value > _U32_MAX:
            raise WasmFormatError(f"LEB128 integer over 32 bits at byte {self.offset}")
        return value

    def count(self) -> int:
        """Read the number of items in a list."""
        count = self.u32()
        # Each item takes at least a byte; a larger count would only cost time.
        if count > self.end - self.offset:
            raise WasmFormatError(
                f"a list at byte {self.offset} is truncated",
                expected=f"{count} items",
                got=f"{self.end - self.offset} bytes",
            )
        return count

    def take(self, size: int) -> bytes:
        """Read `size` bytes."""
        if size > self.end - self.offset:
            raise WasmFormatError(
                f"truncated at byte {self.offset}",
                expected=f"{size} more bytes",
                got=str(self.end - self.offset),
            )
        value = self.data[self.offset : self.offset + size]
        self.offset += size
        return value

    def name(self) -> str:
        """Read a length-prefixed UTF-8 name."""
        start = self.offset
        size = self.u32()
        if size > _NAME_MAX_BYTES:
            raise WasmFormatError(
                f"a name at byte {start} is too long",
                expected=f"at most {_NAME_MAX_BYTES} bytes",
                got=str(size),
            )
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as failure:
            raise WasmFormatError(f"a name at byte {start} is not UTF-8") from failure


def binary_kind(data: BinaryData) -> Kind:
    """Tell a core module from a component by the header.

    Raises:
        WasmFormatError: when it is neither.
    """
    if len(data) < _HEADER_SIZE or data[:4] != _MAGIC:
        raise WasmFormatError(
            "not a WebAssembly binary",
            expected="a file that begins with `\\0asm`",
            got=f"{len(data)} bytes beginning with {data[:4]!r}" if data else "no bytes at all",
        )
    kind = _VERSIONS.get(data[4:8])
    if kind is None:
        raise WasmFormatError(
            "unknown WebAssembly version",
            expected="a core module (01 00 00 00) or a component (0d 00 01 00)",
            got=data[4:8].hex(" "),
        )
    return kind


def sections(data: BinaryData) -> Iterator[Section]:
    """Read the top-level sections of a binary, in file order.

    Raises:
        WasmFormatError: for a wrong header, or at the first malformed section.
    """
    binary_kind(data)
    reader = Reader(data, _HEADER_SIZE, len(data))
    count = 0
    while reader.offset < reader.end:
        count += 1
        if count > _SECTIONS_MAX:
            raise WasmFormatError("too many sections", expected=f"at most {_SECTIONS_MAX}")
        start = reader.offset
        section_id = reader.byte()
        size = reader.u32()
        if size > len(data) - reader.offset:
            raise WasmFormatError(
                f"section {section_id} at byte {start} is truncated",
                expected=f"{size} bytes",
                got=str(len(data) - reader.offset),
            )
        payload, end = reader.offset, reader.offset + size
        name = ""
        if section_id == _CUSTOM:
            inner = Reader(data, payload, end)
            name = inner.name()
            payload = inner.offset
        yield Section(section_id, start, payload, end, name)
        reader.offset = end


def custom_sections(data: BinaryData, name: str) -> list[bytes]:
    """Return the payloads of all top-level custom sections with a name."""
    return [
        data[section.payload : section.end]
        for section in sections(data)
        if section.id == _CUSTOM and section.name == name
    ]


def with_custom_section(data: bytes, name: str, payload: bytes) -> bytes:
    """Return the binary with one custom section of that name, at its end, and no other."""
    kept = [data[:_HEADER_SIZE]]
    kept.extend(
        data[section.start : section.end]
        for section in sections(data)
        if section.id != _CUSTOM or section.name != name
    )
    encoded_name = name.encode()
    body = write_u32(len(encoded_name)) + encoded_name + payload
    return b"".join([*kept, bytes([_CUSTOM]), write_u32(len(body)), body])


def without_custom_sections(data: bytes, *, depth: int = 0) -> bytes:
    """Return a binary without its custom sections and those of nested binaries.

    They hold names of functions, which wasmtime demangles and prints for each trap: a name of some
    hundred bytes can become gigabytes of text.

    Raises:
        WasmFormatError: at the first malformed section, or for components nested too deep.
    """
    if depth > _NESTED_MAX:
        raise WasmFormatError("components nested too deep", expected=f"at most {_NESTED_MAX}")
    inside = (_COMPONENT_MODULE, _COMPONENT_COMPONENT) if binary_kind(data) == "component" else ()
    kept = [data[:_HEADER_SIZE]]
    for section in sections(data):
        if section.id in inside:
            part = without_custom_sections(data[section.payload : section.end], depth=depth + 1)
            kept.append(bytes([section.id]) + write_u32(len(part)) + part)
        elif section.id != _CUSTOM:
            kept.append(data[section.start : section.end])
    return b"".join(kept)


def write_u32(value: int) -> bytes:
    """Write an unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - the continuation bit
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Interface:
    """The interface of a binary."""

    imports: tuple[External, ...]  # all imports, in file order
    exports: tuple[External, ...]  # all exports, in file order
    memories: int = 0  # the number of memories that a core module defines
    exported_memories: tuple[str, ...] = ()  # a name for each of these that it exports


def read_core_interface(data: bytes) -> Interface:
    """Read the imports and exports of a core module.

    Raises:
        WasmFormatError: for malformed bytes, and for types that no codec needs.
    """
    types: list[str] = []
    # The index of each function's type; imported functions come first.
    functions: list[int] = []
    memories = 0
    imports: list[External] = []
    exports: list[External] = []
    # Index of an exported memory -> its first name.
    exported: dict[int, str] = {}
    remaining: tuple[int, ...] = _CORE_ORDER
    for section in sections(data):
        if section.id == _CUSTOM:
            continue
        if section.id not in remaining:
            raise WasmFormatError(
                f"section {section.id} at byte {section.start} is unknown, repeated or out of order"
            )
        remaining = remaining[remaining.index(section.id) + 1 :]
        if section.id == _CORE_TYPES:
            types += read_list(data, section, _core_type)
        elif section.id == _CORE_IMPORTS:
            imports = read_list(data, section, partial(_core_import, types, functions))
        elif section.id == _CORE_FUNCTIONS:
            functions += read_list(data, section, Reader.u32, size_max=_FUNCTIONS_MAX_BYTES)
        elif section.id == _CORE_MEMORIES:
            memories = len(read_list(data, section, _limits))
        elif section.id == _CORE_EXPORTS:
            exports = read_list(data, section, partial(_core_export, types, functions, exported))
    imported = sum(each.kind == "memory" for each in imports)
    own = tuple(name for index, name in exported.items() if index >= imported)
    return Interface(tuple(imports), tuple(exports), memories, own)


def read_list[T](
    data: bytes,
    section: Section,
    read: Callable[[Reader], T],
    *,
    size_max: int = LIST_MAX_BYTES,
) -> list[T]:
    """Read a section that is one list, to its last byte.

    Args:
        data: the binary.
        section: the section.
        read: reads an item.
        size_max: how many bytes the section may have.

    Raises:
        WasmFormatError: when it is longer, malformed, or has bytes after the list.
    """
    size = section.end - section.payload
    where = f"section {section.id} at byte {section.start}"
    if size > size_max:
        raise WasmFormatError(
            f"{where} is too long", expected=f"at most {size_max} bytes", got=str(size)
        )
    reader = Reader(data, section.payload, section.end)
    items = [read(reader) for _ in range(reader.count())]
    if reader.offset != section.end:
        raise WasmFormatError(
            f"{where} has bytes left over", got=f"{section.end - reader.offset} bytes"
        )
    return items


def _core_type(reader: Reader) -> str:
    # Garbage-collected types, continuations and recursive groups have other forms.
    _known(reader, (_FUNC_TYPE,), "type of form", expected="function types only (0x60)")
    parameters = ", ".join(_value_type(reader) for _ in range(reader.count()))
    results = ", ".join(_value_type(reader) for _ in range(reader.count()))
    return f"({parameters}) -> {results or '()'}"


def _value_type(reader: Reader) -> str:
    return _VALUE_TYPES[_known(reader, _VALUE_TYPES, "value type")]


@cache
def type_parts(type_: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a function's type, such as `(i32, i32) -> i64`, into parameters and results."""
    parameters, results = (
        tuple(filter(None, part.strip("()").split(", "))) for part in type_.split(" -> ")
    )
    return parameters, results


def _core_import(types: list[str], functions: list[int], reader: Reader) -> External:
    module, field = reader.name(), reader.name()
    kind = _known(reader, _EXTERNAL_KINDS, "import of kind")
    type_ = ""
    if kind == _FUNC:
        index = reader.u32()
        functions.append(index)
        type_ = _at(types, index, "type")
    elif kind == _TABLE:
        _known(reader, _REFERENCE_TYPES, "element type")
        _limits(reader)
    elif kind == _MEMORY:
        _limits(reader)
    elif kind == _GLOBAL:
        _value_type(reader)
        _known(reader, (_CONSTANT, _VARIABLE), "mutability")
    elif kind == _TAG:
        _known(reader, (0,), "tag attribute")
        _at(types, reader.u32(), "type")
    return External(f"{module}.{field}", _EXTERNAL_KINDS[kind], type_, module)


def _core_export(
    types: list[str], functions: list[int], memories: dict[int, str], reader: Reader
) -> External:
    name = reader.name()
    kind = _known(reader, _EXTERNAL_KINDS, "export of kind")
    index = reader.u32()
    type_ = _at(types, _at(functions, index, "function"), "type") if kind == _FUNC else ""
    if kind == _MEMORY:
        memories.setdefault(index, name)
    return External(name, _EXTERNAL_KINDS[kind], type_)


def _limits(reader: Reader) -> None:
    # Other flags mean shared memory, 64-bit addresses or another page size.
    has_maximum = _known(reader, (0, 1), "flags of a memory or table")
    reader.u32()
    if has_maximum:
        reader.u32()


def _known(reader: Reader, codes: Container[int], what: str, *, expected: str = "") -> int:
    """Read a byte that must be one of some."""
    code = reader.byte()
    if code not in codes:
        raise WasmFormatError(f"{what} 0x{code:02x} at byte {reader.offset - 1}", expected=expected)
    return code


def _at[T](items: list[T], index: int, what: str) -> T:
    if index >= len(items):
        raise WasmFormatError(f"{what} index {index} of {len(items)}")
    return items[index]
