"""Planning how a component runs through the core WebAssembly API alone.

A codec's component is a wrapping: core modules, instructions to instantiate them with each other's
exports, and two core functions that are lifted to `encode` and `decode`. A plan expresses the same
in terms of the core API, so that calls run at core speed.

    component          plan
    core module        a range of bytes to compile
    core instance      an instance, or a set of exports put together
    alias              gone: references to it become references to its target
    lower              an import that the host provides
    lift               a function with its memory and its allocator
    nested component   gone, if it only forwards its imports; otherwise not understood

A component with anything else raises `Unsupported`, and runs through wasmtime's own support for
components. The planner validates nothing: wasmtime validates the component before it is planned. It
compares the types of imports when an instance is linked; those of the functions are compared with
its view of them when they are prepared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chonkle.backends.wasm.component_plan import (
    CODEC_FUNCTIONS,
    ComponentPlan,
    CoreExport,
    CoreImport,
    CoreItem,
    CoreModule,
    InlineInstance,
    LiftedFunction,
    LoweredImport,
    ModuleInstance,
)
from chonkle.errors import WasmFormatError
from chonkle.formats import component_binary as binary
from chonkle.formats.component_binary import Item, Sort, Unsupported
from chonkle.formats.values import format_value
from chonkle.formats.wasm_binary import binary_kind, read_core_interface

# Many exports may share one long name, which a written plan repeats. The plan of a CPython has some
# tens of kilobytes.
_NAMES_SIZE_MAX = 4 << 20
_IMPORTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _UnsupportedEntity:
    """An entity that takes up its index but that no plan can use, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Imported:
    """A function or type that is imported, by itself or with its instance."""

    interface: str
    name: str


@dataclass(frozen=True, slots=True)
class _ImportedInstance:
    name: str


@dataclass(frozen=True, slots=True)
class _ForwardingComponent:
    """A nested component that only exports its imports."""

    # Name of an export -> sort and name of the import that it forwards; types, which a plan does
    # not use, are left out.
    exports: Mapping[str, tuple[Sort, str]]


@dataclass(frozen=True, slots=True)
class _Instance:
    """An instance with known exports: sort and entity by name."""

    exports: Mapping[str, tuple[Sort, "_Entity"]]


@dataclass(frozen=True, slots=True)
class _ForwardingInstance:
    """A forwarding component with its arguments; its exports are looked up when needed."""

    component: _ForwardingComponent
    arguments: Mapping[str, tuple[Sort, "_Entity"]]


type _Entity = (
    CoreExport
    | LoweredImport
    | LiftedFunction
    | _UnsupportedEntity
    | _Imported
    | _ImportedInstance
    | _ForwardingComponent
    | _Instance
    | _ForwardingInstance
)


def plan_component(
    wasm: bytes,
    *,
    interface: str = "chonkle:codec/transform@0.1.0",
    functions: Iterable[str] = CODEC_FUNCTIONS,
) -> ComponentPlan:
    """Plan how to run a component through the core API.

    Args:
        wasm: the component's binary.
        interface: the exported instance that has the functions.
        functions: the functions to call.

    Raises:
        Unsupported: when the component uses what the planner does not understand.
        WasmFormatError: for malformed bytes.
    """
    planner = _Planner(wasm)
    for definition in binary.definitions(wasm):
        planner.add(definition)
    return planner.plan(interface, functions)


class _Planner:
    """The index spaces of a component, filled one definition after the other.

    An index may only refer to what was defined before it, so nothing can refer to itself.
    """

    def __init__(self, wasm: bytes) -> None:
        self._wasm = wasm
        self._modules: list[CoreModule] = []
        self._instances: list[InlineInstance | ModuleInstance] = []
        # Of the inline instances, by index: the targets of their exports.
        self._inline: dict[int, dict[str, tuple[Sort, CoreItem]]] = {}
        self._spaces: dict[Sort, list[_Entity]] = {}
        self._exports: dict[str, tuple[Sort, _Entity]] = {}
        self._names_size = 0
        self._imports = 0

    def add(self, definition: binary.Definition) -> None:  # noqa: C901, PLR0912 - one arm each
        match definition:
            case binary.CoreModule(start, end):
                self._add_module(start, end)
            case binary.CoreInstantiation(module, arguments):
                self._add_module_instance(module, arguments)
            case binary.CoreExports(exports):
                self._add_inline_instance(exports)
            case binary.NestedComponent(start, end):
                self._define("component", _read_forwarding(self._wasm[start:end]))
            case binary.Instantiation(component, arguments):
                self._define("instance", self._instantiate(component, arguments))
            case binary.Exports(exports):
                self._define("instance", _Instance(self._named(exports, "export")))
            case binary.ExportAlias(sort, instance, name):
                self._define(sort, self._export_of(instance, sort, name))
            case binary.CoreExportAlias(sort, instance, name):
                self._define(sort, self._core_export_of(instance, sort, name))
            case binary.OuterAlias(sort, _, _):
                # At the top level an outer alias is another index for an own definition.
                if sort != "type":
                    raise Unsupported(f"an outer alias of a {sort}")
                self._define(sort, _UnsupportedEntity("an outer alias of a type"))
            case binary.Types(count):
                own = _UnsupportedEntity("a type of the component's own")
                self._spaces.setdefault("type", []).extend([own] * count)
            case binary.Lift(core_function, options):
                self._define("func", self._lift(core_function, options))
            case binary.Lower(function, options):
                self._define("core func", self._lower(function, options))
            case binary.ResourceDrop(type_):
                self._define("core func", self._resource_drop(type_))
            case binary.Import(name, sort):
                self._add_import(name, sort)
            case binary.Export(name, item):
                entity = self._find(item)
                _add_new(self._exports, name, (item.sort, entity), "export")
                self._define(item.sort, entity)

    def plan(self, interface: str, functions: Iterable[str]) -> ComponentPlan:
        sort, instance = self._exports.get(interface, ("instance", None))
        if instance is None or sort != "instance":
            raise Unsupported(f"no export of an instance `{interface}`")
        found: dict[str, LiftedFunction] = {}
        for name in functions:
            try:
                entity = _export_of(instance, "func", name)
            except WasmFormatError as failure:
                # The component does not refer to it, so it is not malformed.
                raise Unsupported(f"no function `{name}` in `{interface}`") from failure
            if isinstance(entity, _UnsupportedEntity):
                raise Unsupported(f"function `{name}`: {entity.reason}")
            if not isinstance(entity, LiftedFunction):
                raise Unsupported(f"function `{name}` is not one of the component's own")
            found[name] = entity
        return ComponentPlan(tuple(self._modules), tuple(self._instances), found)

    def _define(self, sort: Sort, entity: _Entity) -> None:
        self._spaces.setdefault(sort, []).append(entity)

    def _find(self, item: Item) -> _Entity:
        if item.sort.startswith("core"):
            raise Unsupported(f"a {item.sort} outside of core instances")
        return _at(self._spaces.get(item.sort, []), item.index, item.sort)

    def _find_core(self, sort: Sort, index: int) -> CoreItem:
        entity = _at(self._spaces.get(sort, []), index, sort)
        # The core spaces that are asked for hold only these.
        if not isinstance(entity, CoreExport | LoweredImport):
            raise Unsupported(f"a {sort} that is not an export")
        return entity

    def _find_export(self, sort: Sort, index: int | None) -> CoreExport | None:
        if index is None:
            return None
        found = self._find_core(sort, index)
        if isinstance(found, LoweredImport):
            raise Unsupported("an import among canonical options")
        return found

    def _named(
        self, items: Iterable[tuple[str, Item]], what: str
    ) -> dict[str, tuple[Sort, _Entity]]:
        named: dict[str, tuple[Sort, _Entity]] = {}
        for name, item in items:
            _add_new(named, name, (item.sort, self._find(item)), what)
        return named

    def _add_module(self, start: int, end: int) -> None:
        wasm = self._wasm[start:end]
        if binary_kind(wasm) != "core":
            raise WasmFormatError(f"the section at byte {start} holds no core module")
        try:
            found = read_core_interface(wasm)
        except WasmFormatError as failure:
            # It may be newer than the reader.
            raise Unsupported(f"core module {len(self._modules)}: {failure}") from failure
        if len(found.exported_memories) != found.memories:
            # The memory of an instance that waits must be measurable.
            raise Unsupported(f"core module {len(self._modules)} does not export its memory")
        imports = tuple(CoreImport(each.module, each.field, each.type) for each in found.imports)
        self._modules.append(CoreModule(start, end, imports, found.exported_memories))

    def _add_module_instance(self, module: int, arguments: Iterable[tuple[str, int]]) -> None:
        wanted = _at(self._modules, module, "core module").imports
        named: dict[str, int] = {}
        for name, instance in arguments:
            _at(self._instances, instance, "core instance")
            _add_new(named, name, instance, "argument")
        for each in wanted:
            self._check_import(each, named)
        # Each takes time for each new instance.
        self._imports += len(wanted)
        if self._imports > _IMPORTS_MAX:
            raise Unsupported(f"more than {_IMPORTS_MAX} imports of core modules")
        self._instances.append(ModuleInstance(module, tuple(named.items())))

    def _check_import(self, wanted: CoreImport, arguments: Mapping[str, int]) -> None:
        """Require an argument for an import, as far as an inline instance shows it."""
        if wanted.module not in arguments:
            raise WasmFormatError(f"no argument {format_value(wanted.module)} for a core module")
        inline = self._inline.get(arguments[wanted.module])
        if inline is not None and wanted.name not in inline:
            raise WasmFormatError(f"no {format_value(wanted.name)} in an argument of a core module")

    def _add_inline_instance(self, exports: Iterable[tuple[str, Item]]) -> None:
        named: dict[str, tuple[Sort, CoreItem]] = {}
        for name, item in exports:
            found = self._find_core(item.sort, item.index)
            _add_new(named, name, (item.sort, found), "export")
            self._names_size += _names_size(found)
        if self._names_size > _NAMES_SIZE_MAX:
            raise Unsupported(f"names of more than {_NAMES_SIZE_MAX} bytes")
        self._inline[len(self._instances)] = named
        self._instances.append(
            InlineInstance(tuple((name, found) for name, (_, found) in named.items()))
        )

    def _core_export_of(self, instance: int, sort: Sort, name: str) -> CoreItem:
        _at(self._instances, instance, "core instance")
        if instance not in self._inline:
            return CoreExport(instance, name)
        return _of_sort(self._inline[instance], sort, name)

    def _export_of(self, instance: int, sort: Sort, name: str) -> _Entity:
        if sort.startswith("core"):
            raise Unsupported(f"an alias of a {sort}")
        return _export_of(self._find(Item("instance", instance)), sort, name)

    def _instantiate(self, component: int, arguments: Iterable[tuple[str, Item]]) -> _Entity:
        found = self._find(Item("component", component))
        named = self._named(arguments, "argument")
        if isinstance(found, _ForwardingComponent):
            return _ForwardingInstance(found, named)
        reason = found.reason if isinstance(found, _UnsupportedEntity) else "it is not defined here"
        raise Unsupported(f"a nested component: {reason}")

    def _add_import(self, name: str, sort: Sort) -> None:
        match sort:
            case "instance":
                self._define(sort, _ImportedInstance(name))
            case "func" | "type":
                self._define(sort, _Imported("", name))
            case "component":
                self._define(sort, _UnsupportedEntity("it is imported"))
            case _:
                raise Unsupported(f"an imported {sort}")

    def _lift(
        self, core_function: int, options: binary.Options
    ) -> LiftedFunction | _UnsupportedEntity:
        # A function that is never called may be anything.
        try:
            function = self._find_export("core func", core_function)
            memory = self._find_export("core memory", options.memory)
            realloc = self._find_export("core func", options.realloc)
            post_return = self._find_export("core func", options.post_return)
        except Unsupported as reason:
            return _UnsupportedEntity(str(reason))
        if options.other:
            return _UnsupportedEntity(f"lifted with `{options.other}`")
        if function is None or memory is None or realloc is None:
            return _UnsupportedEntity("lifted without a memory or an allocator")
        return LiftedFunction(function, memory, realloc, post_return)

    def _lower(self, function: int, options: binary.Options) -> LoweredImport:
        imported = self._find(Item("func", function))
        if not isinstance(imported, _Imported):
            raise Unsupported("the lowering of a function that is not an import")
        if options.other:
            raise Unsupported(f"{format_value(imported.name)} lowered with `{options.other}`")
        memory = self._find_export("core memory", options.memory)
        realloc = self._find_export("core func", options.realloc)
        return LoweredImport(imported.interface, imported.name, memory, realloc)

    def _resource_drop(self, type_: int) -> LoweredImport:
        imported = self._find(Item("type", type_))
        if not isinstance(imported, _Imported):
            raise Unsupported("dropping a resource that is not imported")
        return LoweredImport(imported.interface, f"[resource-drop]{imported.name}")


def _export_of(instance: _Entity, sort: Sort, name: str) -> _Entity:
    match instance:
        case _ImportedInstance(interface):
            if sort in ("func", "type"):
                return _Imported(interface, name)
            return _UnsupportedEntity(f"an export of sort {sort} of an imported instance")
        case _Instance(exports):
            return _of_sort(exports, sort, name)
        case _ForwardingInstance(component, arguments):
            if sort == "type":
                return _UnsupportedEntity("a type of a nested component")
            return _of_sort(arguments, sort, _of_sort(component.exports, sort, name))
        case _UnsupportedEntity(reason):
            raise Unsupported(reason)
        case _:
            raise Unsupported("an instance of unknown exports")


def _read_forwarding(component: bytes) -> _ForwardingComponent | _UnsupportedEntity:
    """Read a nested component that only exports its imports."""
    functions: list[str] = []
    exports: dict[str, tuple[Sort, str]] = {}
    try:
        for definition in binary.definitions(component):
            match definition:
                case binary.Types() | binary.OuterAlias(sort="type"):
                    pass
                case binary.Import(_, "type") | binary.Export(_, Item("type", _)):
                    pass
                case binary.Import(name, "func"):
                    functions.append(name)
                case binary.Export(name, Item("func", index)):
                    imported = _at(functions, index, "func")
                    _add_new(exports, name, ("func", imported), "export")
                    functions.append(imported)
                case _:
                    return _UnsupportedEntity("it does more than export its imports")
    except Unsupported as reason:
        return _UnsupportedEntity(str(reason))
    return _ForwardingComponent(exports)


def _at[T](space: list[T], index: int, what: str) -> T:
    if index >= len(space):
        raise WasmFormatError(f"{what} {index} is not defined yet", got=f"{len(space)} of them")
    return space[index]


def _of_sort[T](named: Mapping[str, tuple[Sort, T]], sort: Sort, name: str) -> T:
    found = named.get(name)
    if found is None or found[0] != sort:
        raise WasmFormatError(f"no {sort} {format_value(name)}", got=found[0] if found else "")
    return found[1]


def _add_new[T](named: dict[str, T], name: str, value: T, what: str) -> None:
    if name in named:
        raise WasmFormatError(f"{what} {format_value(name)} occurs twice")
    named[name] = value


def _names_size(item: CoreItem | None) -> int:
    match item:
        case CoreExport(_, name):
            return len(name)
        case LoweredImport(interface, function, memory, realloc):
            return len(interface) + len(function) + _names_size(memory) + _names_size(realloc)
        case None:
            return 0
