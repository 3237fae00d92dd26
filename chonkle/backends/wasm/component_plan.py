"""What a plan of a component says, and its form as JSON, which the cache keeps.

    modules      the core modules: a range of bytes in the component, imports, memories
    instances    what to make, one after the other: each of a module, or put together from exports
    functions    encode and decode: which export each is, with its memory and its allocator

Everything refers back: to an instance by its number, to what an instance of a module exports by its
name. So a plan that is followed from the front never comes to something that is not there yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chonkle.errors import WasmFormatError
from chonkle.formats.values import shown

CODEC_FUNCTIONS = ("encode", "decode")

_OFFSET_MAX = 1 << 63


@dataclass(frozen=True, slots=True)
class CoreExport:
    """An export of a core instance of the plan, which is always a `ModuleInstance`."""

    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class LoweredImport:
    """A core function that the host answers: an imported function, lowered.

    Attributes:
        interface: the imported instance, such as `wasi:random/random@0.2.0`; empty for a function
            that is imported by itself.
        function: its function, or `[resource-drop]` and the name of a resource type.
        memory: where its lists and strings lie, if it was given one.
        realloc: what allocates its results, if it was given one.
    """

    interface: str
    function: str
    memory: CoreExport | None = None
    realloc: CoreExport | None = None


type CoreItem = CoreExport | LoweredImport


@dataclass(frozen=True, slots=True)
class InlineInstance:
    """A core instance put together from exports, in order and with different names."""

    exports: tuple[tuple[str, CoreItem], ...]


@dataclass(frozen=True, slots=True)
class ModuleInstance:
    """A core module instantiated.

    Attributes:
        module: index into the plan's modules.
        arguments: module name of an import -> index of an earlier instance; names differ.
    """

    module: int
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
    """An import of a core module.

    Attributes:
        module: the first part of its name.
        name: the second part.
        type: a function's type, such as `(i32) -> ()`; otherwise empty.
    """

    module: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class CoreModule:
    """A core module of the component.

    Attributes:
        start: where its bytes begin in the component.
        end: where they end.
        imports: what it imports, in its order.
        memories: the names under which it exports its own memories.
    """

    start: int
    end: int
    imports: tuple[CoreImport, ...]
    memories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComponentPlan:
    """How to instantiate and call a component with the core API.

    Attributes:
        modules: the core modules.
        instances: what to instantiate, in this order.
        functions: name -> function of the exported interface.
    """

    modules: tuple[CoreModule, ...]
    instances: tuple[InlineInstance | ModuleInstance, ...]
    functions: Mapping[str, LiftedFunction]

    @property
    def memories(self) -> tuple[CoreExport, ...]:
        """Every memory that an instance has."""
        return tuple(
            CoreExport(index, name)
            for index, instance in enumerate(self.instances)
            if isinstance(instance, ModuleInstance)
            for name in self.modules[instance.module].memories
        )

    def to_json(self) -> dict[str, object]:
        """Give the plan as a JSON object, which `from_json` reads back."""
        return {
            "modules": [_module_to_json(module) for module in self.modules],
            "instances": [_instance_to_json(instance) for instance in self.instances],
            "functions": {
                name: {
                    "function": _item_to_json(lifted.function),
                    "memory": _item_to_json(lifted.memory),
                    "realloc": _item_to_json(lifted.realloc),
                    "post_return": _item_to_json(lifted.post_return),
                }
                for name, lifted in self.functions.items()
            },
        }

    @classmethod
    def from_json(
        cls, document: object, *, functions: Iterable[str] = CODEC_FUNCTIONS
    ) -> "ComponentPlan":
        """Check a parsed JSON object and make a plan of it.

        Args:
            document: the parsed JSON.
            functions: the functions that the plan has to have, and no others.

        Raises:
            WasmFormatError: when it is not what `to_json` gives for some component.
        """
        return _PlanReader().plan(document, tuple(functions))


def _module_to_json(module: CoreModule) -> dict[str, object]:
    imports = [[each.module, each.name, each.type] for each in module.imports]
    return {
        "range": [module.start, module.end],
        "imports": imports,
        "memories": list(module.memories),
    }


def _instance_to_json(instance: InlineInstance | ModuleInstance) -> dict[str, object]:
    if isinstance(instance, ModuleInstance):
        return {"module": instance.module, "arguments": dict(instance.arguments)}
    return {"exports": {name: _item_to_json(item) for name, item in instance.exports}}


def _item_to_json(item: CoreItem | None) -> dict[str, object] | None:
    match item:
        case CoreExport(instance, name):
            return {"instance": instance, "name": name}
        case LoweredImport(interface, function, memory, realloc):
            return {
                "interface": interface,
                "function": function,
                "memory": _item_to_json(memory),
                "realloc": _item_to_json(realloc),
            }
        case None:
            return None


class _PlanReader:
    """Reads a plan's JSON. Everything is checked: it comes from a file that anybody may change."""

    def __init__(self) -> None:
        # Of the instances read so far, whether each is one of a module.
        self._of_module: list[bool] = []

    def plan(self, document: object, functions: tuple[str, ...]) -> ComponentPlan:
        fields = _fields(document, ("modules", "instances", "functions"))
        modules = tuple(_module(each) for each in _array(fields["modules"]))
        instances = []
        for each in _array(fields["instances"]):
            instance = self._instance(each, len(modules))
            instances.append(instance)
            self._of_module.append(isinstance(instance, ModuleInstance))
        lifted = _fields(fields["functions"], functions)
        return ComponentPlan(
            modules, tuple(instances), {name: self._lifted(lifted[name]) for name in functions}
        )

    def _instance(self, value: object, modules: int) -> InlineInstance | ModuleInstance:
        if "exports" in _object(value):
            exports = _object(_fields(value, ("exports",))["exports"])
            return InlineInstance(
                tuple((_text(name), self._item(each)) for name, each in exports.items())
            )
        fields = _fields(value, ("module", "arguments"))
        arguments = _object(fields["arguments"])
        return ModuleInstance(
            _index(fields["module"], modules),
            tuple(
                (_text(name), _index(each, len(self._of_module)))
                for name, each in arguments.items()
            ),
        )

    def _item(self, value: object) -> CoreItem:
        if "interface" not in _object(value):
            return self._export(value)
        fields = _fields(value, ("interface", "function", "memory", "realloc"))
        return LoweredImport(
            _text(fields["interface"]),
            _text(fields["function"]),
            self._optional_export(fields["memory"]),
            self._optional_export(fields["realloc"]),
        )

    def _export(self, value: object) -> CoreExport:
        fields = _fields(value, ("instance", "name"))
        instance = _index(fields["instance"], len(self._of_module))
        if not self._of_module[instance]:
            raise _bad_plan("an export of an instance of a module", value)
        return CoreExport(instance, _text(fields["name"]))

    def _optional_export(self, value: object) -> CoreExport | None:
        return None if value is None else self._export(value)

    def _lifted(self, value: object) -> LiftedFunction:
        fields = _fields(value, ("function", "memory", "realloc", "post_return"))
        return LiftedFunction(
            self._export(fields["function"]),
            self._export(fields["memory"]),
            self._export(fields["realloc"]),
            self._optional_export(fields["post_return"]),
        )


def _module(value: object) -> CoreModule:
    fields = _fields(value, ("range", "imports", "memories"))
    start, end = _row(fields["range"], 2, "two offsets")
    end = _index(end, _OFFSET_MAX)
    rows = (_row(each, 3, "a module, a name and a type") for each in _array(fields["imports"]))
    return CoreModule(
        _index(start, end),
        end,
        tuple(CoreImport(*map(_text, row)) for row in rows),
        tuple(map(_text, _array(fields["memories"]))),
    )


def _row(value: object, size: int, expected: str) -> list[object]:
    row = _array(value)
    if len(row) != size:
        raise _bad_plan(expected, value)
    return row


def _index(value: object, count: int) -> int:
    # JSON's `true` is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise _bad_plan(f"an integer below {count}", value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _bad_plan("a name", value)
    try:
        value.encode()
    except UnicodeEncodeError as failure:
        # JSON can escape one half of a surrogate pair; no component has such a name.
        raise _bad_plan("a name in UTF-8", value) from failure
    return value


def _array(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _bad_plan("an array", value)
    return value


def _object(value: object) -> dict[object, object]:
    if not isinstance(value, dict):
        raise _bad_plan("an object", value)
    return value


def _fields(value: object, names: Iterable[str]) -> dict[object, object]:
    found = _object(value)
    if found.keys() != set(names):
        raise _bad_plan(f"the fields {', '.join(names)}", value)
    return found


def _bad_plan(expected: str, got: object) -> WasmFormatError:
    what = type(got).__name__ if isinstance(got, dict | list) else shown(got)
    return WasmFormatError("malformed component plan", expected=expected, got=what)
