"""Reads the definitions of a component, in file order.

    section   content                                    read as
    1         a core module                              CoreModule
    2         core instances                             CoreInstantiation, CoreExports
    4         a nested component                         NestedComponent
    5         instances                                  Instantiation, Exports
    6         aliases                                    ExportAlias, CoreExportAlias, OuterAlias
    7         types                                      Types
    8         canonical functions                        Lift, Lower, ResourceDrop
    10, 11    imports, exports                           Import, Export

Source: Component Model, `design/mvp/Binary.md`. Custom sections hold no definitions, and nothing
read here refers to the core types of section 3.

An unknown code may be garbage or newer than this file, which only a validator can tell: it raises
`Unsupported`. Bytes that are wrong in every version (truncated, not UTF-8, left over) raise
`WasmFormatError`. Nothing here validates or recurses.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from chonkle.errors import ChonkleError, WasmFormatError
from chonkle.formats.wasm_binary import (
    LIST_MAX_BYTES,
    SIZE_MAX_BYTES,
    External,
    Interface,
    Reader,
    binary_kind,
    read_core_interface,
    read_list,
    sections,
)

type Sort = Literal[
    "core func",
    "core table",
    "core memory",
    "core global",
    "core tag",
    "core type",
    "core module",
    "core instance",
    "func",
    "value",
    "type",
    "component",
    "instance",
]

_CORE_SORTS: Final[dict[int, Sort]] = {
    0x00: "core func",
    0x01: "core table",
    0x02: "core memory",
    0x03: "core global",
    0x04: "core tag",
    0x10: "core type",
    0x11: "core module",
    0x12: "core instance",
}
_SORTS: Final[dict[int, Sort | None]] = {
    0x00: None,  # the code of a core sort follows
    0x01: "func",
    0x02: "value",
    0x03: "type",
    0x04: "component",
    0x05: "instance",
}
_ONLY_CORE_INSTANCE: Final = {0x12: None}
_ONLY_ZERO: Final = {0: None}
# Sections that are not lists of definitions, and those of imports and exports.
_CUSTOM, _CORE_MODULE, _CORE_TYPES, _COMPONENT, _TYPES = 0, 1, 3, 4, 7
_IMPORTS, _EXPORTS = 10, 11
_UNSUPPORTED_SECTIONS = {9: "a start function", 12: "values"}
# Canonical functions.
_LIFT, _LOWER, _RESOURCE_NEW, _RESOURCE_DROP, _RESOURCE_REP = 0, 1, 2, 3, 4
# Canonical options.
_UTF8, _MEMORY, _REALLOC, _POST_RETURN = 0, 3, 4, 5
_OTHER_OPTIONS = {1: "string-encoding=utf16", 2: "string-encoding=latin1+utf16", 6: "async",
                  9: "gc"}  # fmt: skip
_OTHER_OPTIONS_WITH_INDEX = {7: "callback", 8: "core-type"}


class Unsupported(ChonkleError):  # noqa: N818 - a property of the component, not a failure
    """A component, perhaps a valid one, uses something that is not understood here."""


class Definition:
    """One of the definitions below."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Item:
    """An index in one of the index spaces."""

    sort: Sort
    index: int


@dataclass(frozen=True, slots=True)
class CoreModule(Definition):
    """A core module: the bytes from `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CoreInstantiation(Definition):
    """A core module instantiated with named core instances."""

    module: int
    arguments: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CoreExports(Definition):
    """A core instance made of core items."""

    exports: tuple[tuple[str, Item], ...]


@dataclass(frozen=True, slots=True)
class NestedComponent(Definition):
    """A component inside the component: the bytes from `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Instantiation(Definition):
    """A nested component instantiated with named items."""

    component: int
    arguments: tuple[tuple[str, Item], ...]


@dataclass(frozen=True, slots=True)
class Exports(Definition):
    """An instance made of items."""

    exports: tuple[tuple[str, Item], ...]


@dataclass(frozen=True, slots=True)
class ExportAlias(Definition):
    """An export of an instance, as an item of its own."""

    sort: Sort
    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class CoreExportAlias(Definition):
    """An export of a core instance, as an item of its own."""

    sort: Sort
    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class OuterAlias(Definition):
    """An item of this component (`depth` 0) or an enclosing one, as an item of its own."""

    sort: Sort
    depth: int
    index: int


@dataclass(frozen=True, slots=True)
class Types(Definition):
    """A number of types; only a validator needs more of them."""

    count: int


@dataclass(frozen=True, slots=True)
class Options:
    """Canonical options, as indices into the core spaces."""

    memory: int | None = None
    realloc: int | None = None  # the core function that allocates
    post_return: int | None = None  # the core function to call after the results were read
    other: str = ""  # the first option besides these and UTF-8, or empty


@dataclass(frozen=True, slots=True)
class Lift(Definition):
    """A function made of a core function."""

    core_function: int
    options: Options


@dataclass(frozen=True, slots=True)
class Lower(Definition):
    """A core function made of a function."""

    function: int
    options: Options


@dataclass(frozen=True, slots=True)
class ResourceDrop(Definition):
    """A core function that drops handles of a resource type."""

    type: int


@dataclass(frozen=True, slots=True)
class Import(Definition):
    """An import."""

    name: str
    sort: Sort


@dataclass(frozen=True, slots=True)
class Export(Definition):
    """An export, which also gives its item a second index."""

    name: str
    item: Item


def definitions(component: bytes) -> Iterator[Definition]:
    """Read the definitions of a component.

    Raises:
        WasmFormatError: for malformed bytes, when they are reached.
        Unsupported: for something unknown, when it is reached.
    """
    if binary_kind(component) != "component":
        raise WasmFormatError("not a component", expected="a component", got="a core module")
    for section in sections(component):
        if section.id in (_CUSTOM, _CORE_TYPES):
            continue
        if section.id == _CORE_MODULE:
            yield CoreModule(section.payload, section.end)
        elif section.id == _COMPONENT:
            yield NestedComponent(section.payload, section.end)
        elif section.id == _TYPES:
            # They are not read: the section's own length says where it ends.
            yield Types(Reader(component, section.payload, section.end).count())
        elif section.id in _READ:
            yield from read_list(component, section, _READ[section.id], size_max=SIZE_MAX_BYTES)
        else:
            raise Unsupported(
                _UNSUPPORTED_SECTIONS.get(section.id, f"a section with id {section.id}")
            )


def read_interface(data: bytes) -> Interface:
    """Read the imports and exports of a core module or component.

    Of a component, nothing else is read.

    Raises:
        WasmFormatError: for malformed bytes, and for unknown imports or exports.
    """
    if binary_kind(data) == "core":
        return read_core_interface(data)
    imports: list[External] = []
    exports: list[External] = []
    # Over all sections, of which there may be any number.
    left = LIST_MAX_BYTES
    try:
        for section in sections(data):
            if section.id not in (_IMPORTS, _EXPORTS):
                continue
            left -= section.end - section.payload
            if left < 0:
                raise WasmFormatError(
                    "imports and exports are too long", expected=f"at most {LIST_MAX_BYTES} bytes"
                )
            for definition in read_list(data, section, _READ[section.id]):
                if isinstance(definition, Import):
                    imports.append(External(definition.name, definition.sort))
                elif isinstance(definition, Export):
                    exports.append(External(definition.name, definition.item.sort))
    except Unsupported as reason:
        raise WasmFormatError(f"unknown import or export: {reason}") from reason
    return Interface(tuple(imports), tuple(exports))


def _list[T](reader: Reader, read: Callable[[Reader], T]) -> tuple[T, ...]:
    return tuple(read(reader) for _ in range(reader.count()))


def _unknown(what: str, code: int, reader: Reader) -> Unsupported:
    return Unsupported(f"{what} 0x{code:02x} at byte {reader.offset - 1}")


def _known[T](reader: Reader, table: Mapping[int, T], what: str) -> T:
    code = reader.byte()
    if code not in table:
        raise _unknown(what, code, reader)
    return table[code]


def _core_sort(reader: Reader) -> Sort:
    return _known(reader, _CORE_SORTS, "core sort")


def _sort(reader: Reader) -> Sort:
    return _known(reader, _SORTS, "sort") or _core_sort(reader)


def _item(reader: Reader) -> Item:
    return Item(_sort(reader), reader.u32())


def _external_name(reader: Reader) -> str:
    # 0x00 len name; 0x01 is an older form of the same; 0x02 adds options after the name.
    _known(reader, {0: None, 1: None}, "name of form")
    return reader.name()


def _external_type(reader: Reader) -> Sort:
    sort = _sort(reader)
    if sort == "value":
        raise Unsupported("values")
    # A type has a bound: equal to another one, or any resource.
    if sort != "type" or reader.byte() == 0:
        reader.u32()
    return sort


def _core_argument(reader: Reader) -> tuple[str, int]:
    name = reader.name()
    _known(reader, _ONLY_CORE_INSTANCE, "core argument of sort")
    return name, reader.u32()


def _core_instance(reader: Reader) -> Definition:
    form = reader.byte()
    if form == 0:
        return CoreInstantiation(reader.u32(), _list(reader, _core_argument))
    if form == 1:
        return CoreExports(
            _list(reader, lambda each: (each.name(), Item(_core_sort(each), each.u32())))
        )
    raise _unknown("core instance of form", form, reader)


def _instance(reader: Reader) -> Definition:
    form = reader.byte()
    if form == 0:
        return Instantiation(reader.u32(), _list(reader, lambda each: (each.name(), _item(each))))
    if form == 1:
        return Exports(_list(reader, lambda each: (_external_name(each), _item(each))))
    raise _unknown("instance of form", form, reader)


def _alias(reader: Reader) -> Definition:
    sort = _sort(reader)
    target = reader.byte()
    if target == 0:
        return ExportAlias(sort, reader.u32(), reader.name())
    if target == 1:
        if not sort.startswith("core"):
            raise WasmFormatError(f"an alias of a {sort} of a core instance")
        return CoreExportAlias(sort, reader.u32(), reader.name())
    if target == 2:  # noqa: PLR2004 - an outer alias
        return OuterAlias(sort, reader.u32(), reader.u32())
    raise _unknown("alias of target", target, reader)


def _options(reader: Reader) -> Options:
    indices: dict[int, int] = {}
    other = ""
    for _ in range(reader.count()):
        code = reader.byte()
        if code in (_MEMORY, _REALLOC, _POST_RETURN):
            indices[code] = reader.u32()
        elif code in _OTHER_OPTIONS_WITH_INDEX:
            other = other or _OTHER_OPTIONS_WITH_INDEX[code]
            reader.u32()
        elif code in _OTHER_OPTIONS:
            other = other or _OTHER_OPTIONS[code]
        elif code != _UTF8:
            raise _unknown("canonical option", code, reader)
    return Options(indices.get(_MEMORY), indices.get(_REALLOC), indices.get(_POST_RETURN), other)


def _canonical(reader: Reader) -> Definition:
    code = reader.byte()
    if code == _LIFT:
        _known(reader, _ONLY_ZERO, "lift of form")
        lift = Lift(reader.u32(), _options(reader))
        reader.u32()  # its type
        return lift
    if code == _LOWER:
        _known(reader, _ONLY_ZERO, "lower of form")
        return Lower(reader.u32(), _options(reader))
    if code == _RESOURCE_DROP:
        return ResourceDrop(reader.u32())
    if code in (_RESOURCE_NEW, _RESOURCE_REP):
        raise Unsupported("a resource of the component's own")
    raise _unknown("canonical function", code, reader)


def _import(reader: Reader) -> Definition:
    return Import(_external_name(reader), _external_type(reader))


def _export(reader: Reader) -> Definition:
    export = Export(_external_name(reader), _item(reader))
    if reader.byte():  # a type is ascribed
        _external_type(reader)
    return export


_READ: Final[dict[int, Callable[[Reader], Definition]]] = {
    2: _core_instance,
    5: _instance,
    6: _alias,
    8: _canonical,
    _IMPORTS: _import,
    _EXPORTS: _export,
}
