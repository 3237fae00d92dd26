"""The plan of a component, and its form as JSON, which the cache keeps.

    modules      the core modules: a range of bytes in the component, imports, memories
    instances    what to make, in this order: each of a module, or inline, from other exports
    functions    encode and decode: which export each is, with its memory and its allocator

References point back only: to an instance by its index, to an export of a module's instance by its
name. Following the plan from the front never meets something that does not exist yet.

As JSON, each of the classes below is an array of its fields, in their order.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from chonkle.errors import WasmFormatError

CODEC_FUNCTIONS = ("encode", "decode")


@dataclass(frozen=True, slots=True)
class CoreExport:
    """An export of a core instance of the plan, which is always a `ModuleInstance`."""

    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class LoweredImport:
    """A core function that the host provides: an imported function, lowered."""

    # The imported instance, such as `wasi:random/random@0.2.0`; empty for a function that is
    # imported by itself.
    interface: str
    function: str  # its function, or `[resource-drop]` and the name of a resource type
    memory: CoreExport | None = None  # where its lists and strings lie, if it was given one
    realloc: CoreExport | None = None  # what allocates its results, if it was given one


type CoreItem = CoreExport | LoweredImport


@dataclass(frozen=True, slots=True)
class InlineInstance:
    """A core instance made of exports, in order and with different names."""

    exports: tuple[tuple[str, CoreItem], ...]


@dataclass(frozen=True, slots=True)
class ModuleInstance:
    """A core module instantiated."""

    module: int  # index into the plan's modules
    # Module name of an import -> index of an earlier instance; names differ.
    arguments: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LiftedFunction:
    """A core function with what its canonical ABI needs."""

    function: CoreExport
    memory: CoreExport
    realloc: CoreExport
    post_return: CoreExport | None = None


@dataclass(frozen=True, slots=True)
class CoreImport:
    """An import of a core module."""

    module: str  # the first part of its name
    name: str  # the second part
    type: str  # a function's type, such as `(i32) -> ()`; otherwise empty


@dataclass(frozen=True, slots=True)
class CoreModule:
    """A core module of the component."""

    start: int  # where its bytes begin in the component
    end: int  # where they end
    imports: tuple[CoreImport, ...]  # what it imports, in its order
    memories: tuple[str, ...] = ()  # the names under which it exports its own memories


@dataclass(frozen=True, slots=True)
class ComponentPlan:
    """How to instantiate and call a component with the core API."""

    modules: tuple[CoreModule, ...]
    instances: tuple[InlineInstance | ModuleInstance, ...]  # what to instantiate, in this order
    functions: Mapping[str, LiftedFunction]  # name -> function of the exported interface

    @property
    def memories(self) -> tuple[CoreExport, ...]:
        """Every memory of an instance."""
        return tuple(
            CoreExport(index, name)
            for index, instance in enumerate(self.instances)
            if isinstance(instance, ModuleInstance)
            for name in self.modules[instance.module].memories
        )

    def to_json(self) -> list[object]:
        """Give the plan as a JSON array, which `from_json` reads back."""
        return list(astuple(self))

    @classmethod
    def from_json(cls, document: Any) -> "ComponentPlan":  # noqa: ANN401 - parsed JSON
        """Make a plan of parsed JSON.

        Every field is checked, so that a cache entry with another plan is a miss. The types of
        exports are compared when instances are linked.

        Raises:
            WasmFormatError: when it is not the JSON of a codec's plan.
        """
        try:
            modules, instances, functions = document
            reader = _Reader(tuple(map(_module, modules)))
            for fields in instances:
                reader.instances.append(reader.instance(fields))
            lifted = {name: reader.lifted(functions[name]) for name in CODEC_FUNCTIONS}
            return cls(reader.modules, tuple(reader.instances), lifted)
        except (AttributeError, LookupError, TypeError, ValueError) as failure:
            raise WasmFormatError("malformed component plan") from failure


class _Reader:
    """Reads what refers to modules, and to instances that were read before."""

    def __init__(self, modules: tuple[CoreModule, ...]) -> None:
        self.modules = modules
        self.instances: list[InlineInstance | ModuleInstance] = []

    def instance(self, fields: Any) -> InlineInstance | ModuleInstance:  # noqa: ANN401
        if len(fields) == 1:
            (exports,) = fields
            return InlineInstance(tuple((_text(name), self._item(item)) for name, item in exports))
        module, arguments = fields
        found = {_text(name): self.instances[_index(index)] for name, index in arguments}
        for wanted in self.modules[_index(module)].imports:
            given = found[wanted.module]
            if isinstance(given, InlineInstance) and wanted.name not in dict(given.exports):
                raise ValueError(wanted)
        return ModuleInstance(module, tuple((name, index) for name, index in arguments))

    def lifted(self, fields: Any) -> LiftedFunction:  # noqa: ANN401
        *required, post_return = fields
        function, memory, realloc = map(self._export, required)
        return LiftedFunction(function, memory, realloc, self._optional(post_return))

    def _item(self, fields: Any) -> CoreItem:  # noqa: ANN401
        if len(fields) != len(LoweredImport.__slots__):
            return self._export(fields)
        interface, function, memory, realloc = fields
        parts = self._optional(memory), self._optional(realloc)
        return LoweredImport(_text(interface), _text(function), *parts)

    def _optional(self, fields: Any) -> CoreExport | None:  # noqa: ANN401
        return None if fields is None else self._export(fields)

    def _export(self, fields: Any) -> CoreExport:  # noqa: ANN401
        instance, name = fields
        if not isinstance(self.instances[_index(instance)], ModuleInstance):
            raise TypeError(fields)
        return CoreExport(instance, _text(name))


def _module(fields: Any) -> CoreModule:  # noqa: ANN401
    start, end, imports, memories = fields
    wanted = tuple(CoreImport(*map(_text, each)) for each in imports)
    return CoreModule(_index(start), _index(end), wanted, tuple(map(_text, memories)))


def _index(value: object) -> int:
    # JSON's `true` is an int to Python.
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
