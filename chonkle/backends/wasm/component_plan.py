"""The plan of a component, and its form as JSON, which the cache keeps.

    modules      the core modules: a range of bytes in the component, imports, memories
    instances    what to make, in this order: each of a module, or inline, from other exports
    functions    encode and decode: which export each is, with its memory and its allocator

References point back only: to an instance by its index, to an export of a module's instance by its
name. Following the plan from the front never meets something that does not exist yet.

As JSON, each of the classes below is an array of its fields, in their order.
"""

from collections.abc import Iterable, Mapping
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

        Only its form is checked: it comes from a cache entry whose digest was checked, like that of
        the native code beside it, and types are compared again when instances are linked.

        Raises:
            WasmFormatError: when it is not the JSON of a plan.
        """
        try:
            modules, instances, functions = document
            return cls(
                tuple(
                    CoreModule(start, end, tuple(CoreImport(*each) for each in imports), (*names,))
                    for start, end, imports, names in modules
                ),
                tuple(map(_instance, instances)),
                {
                    name: LiftedFunction(*(part and CoreExport(*part) for part in parts))
                    for name, parts in functions.items()
                },
            )
        except (AttributeError, TypeError, ValueError) as failure:
            raise WasmFormatError("malformed component plan") from failure


def _instance(fields: Iterable[Any]) -> InlineInstance | ModuleInstance:
    match fields:
        case [exports]:
            return InlineInstance(tuple((name, _item(item)) for name, item in exports))
        case [module, arguments]:
            return ModuleInstance(module, tuple((name, index) for name, index in arguments))
        case _:
            raise ValueError(fields)


def _item(fields: Iterable[Any]) -> CoreItem:
    match fields:
        case [interface, function, memory, realloc]:
            memory, realloc = (part and CoreExport(*part) for part in (memory, realloc))
            return LoweredImport(interface, function, memory, realloc)
        case _:
            return CoreExport(*fields)
