"""Planning how a component runs through the core WebAssembly API alone.

A component that codecs' tools make is a wrapping: core modules, orders to instantiate them with
each other's exports, and two core functions that are lifted to `encode` and `decode`. A plan says
the same in terms of the core API, and whoever follows it calls the component at core speed.

    component          plan
    core module        a range of bytes to compile
    core instance      an instance, or a set of exports put together
    alias              gone: what refers to it refers to what it stands for
    lower              an import that the host answers
    lift               a function with its memory and its allocator
    shell component    gone: a nested component that only exports what it is given

What is not understood is refused with `Unsupported`, and the component runs through wasmtime's own
support for components. The planner neither runs nor validates anything. wasmtime validates the
component before a plan is made. It compares the types of imports when an instance is linked, and
those of the functions are compared with its view of them when they are prepared.
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
from chonkle.formats.values import shown
from chonkle.formats.wasm_binary import binary_kind, read_core_interface

# Many exports may share one long name. A plan is written out, and there each has its own; the plan
# of a whole CPython has some tens of kilobytes.
_NAMES_SIZE_MAX = 4 << 20
_IMPORTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Beyond:
    """Something that has its index but that no plan can use, with the reason."""

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
class _Shell:
    """A nested component that only exports what it is given.

    Attributes:
        exports: name of an export -> sort and name of the import that it gives on; types, which
            a plan does not use, are left out.
    """

    exports: Mapping[str, tuple[Sort, str]]


@dataclass(frozen=True, slots=True)
class _Instance:
    """An instance with known exports: sort and thing by name."""

    exports: Mapping[str, tuple[Sort, "_Thing"]]


@dataclass(frozen=True, slots=True)
class _ShellInstance:
    """A shell with its arguments. Its exports are looked up through both when they are wanted."""

    shell: _Shell
    arguments: Mapping[str, tuple[Sort, "_Thing"]]


type _Thing = (
    CoreExport
    | LoweredImport
    | LiftedFunction
    | _Beyond
    | _Imported
    | _ImportedInstance
    | _Shell
    | _Instance
    | _ShellInstance
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
        # Of the inline instances, by index: what an alias of their exports stands for.
        self._inline: dict[int, dict[str, tuple[Sort, CoreItem]]] = {}
        self._spaces: dict[Sort, list[_Thing]] = {}
        self._exports: dict[str, tuple[Sort, _Thing]] = {}
        self._names_size = 0
        self._imports = 0

    def add(self, definition: binary.Definition) -> None:  # noqa: C901, PLR0912 - one arm each
        """Take up the next definition."""
        match definition:
            case binary.CoreModule(start, end):
                self._add_module(start, end)
            case binary.CoreInstantiation(module, arguments):
                self._add_module_instance(module, arguments)
            case binary.CoreExports(exports):
                self._add_inline_instance(exports)
            case binary.NestedComponent(start, end):
                self._define("component", _read_shell(self._wasm[start:end]))
            case binary.Instantiation(component, arguments):
                self._define("instance", self._instantiate(component, arguments))
            case binary.Exports(exports):
                self._define("instance", _Instance(self._named(exports, "export")))
            case binary.ExportAlias(sort, instance, name):
                self._define(sort, self._export_of(instance, sort, name))
            case binary.CoreExportAlias(sort, instance, name):
                self._define(sort, self._core_export_of(instance, sort, name))
            case binary.OuterAlias(sort, _, _):
                # At the top there is nothing outside, only another index for one's own.
                if sort != "type":
                    raise Unsupported(f"an outer alias of a {sort}")
                self._define(sort, _Beyond("an outer alias of a type"))
            case binary.Types(count):
                own = _Beyond("a type of the component's own")
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
                thing = self._find(item)
                _add_new(self._exports, name, (item.sort, thing), "export")
                self._define(item.sort, thing)

    def plan(self, interface: str, functions: Iterable[str]) -> ComponentPlan:
        """Give the plan, when every definition is there."""
        sort, instance = self._exports.get(interface, ("instance", None))
        if instance is None or sort != "instance":
            raise Unsupported(f"no export of an instance `{interface}`")
        found: dict[str, LiftedFunction] = {}
        for name in functions:
            try:
                thing = _export_of(instance, "func", name)
            except WasmFormatError as failure:
                # Nothing in the component asked for it, so nothing in it is wrong.
                raise Unsupported(f"no function `{name}` in `{interface}`") from failure
            if isinstance(thing, _Beyond):
                raise Unsupported(f"function `{name}`: {thing.reason}")
            if not isinstance(thing, LiftedFunction):
                raise Unsupported(f"function `{name}` is not one of the component's own")
            found[name] = thing
        return ComponentPlan(tuple(self._modules), tuple(self._instances), found)

    def _define(self, sort: Sort, thing: _Thing) -> None:
        self._spaces.setdefault(sort, []).append(thing)

    def _find(self, item: Item) -> _Thing:
        if item.sort.startswith("core"):
            raise Unsupported(f"a {item.sort} outside of core instances")
        return _at(self._spaces.get(item.sort, []), item.index, item.sort)

    def _find_core(self, sort: Sort, index: int) -> CoreItem:
        thing = _at(self._spaces.get(sort, []), index, sort)
        # Only such things are ever defined in the core spaces that are asked for.
        if not isinstance(thing, CoreExport | LoweredImport):
            raise Unsupported(f"a {sort} that is not an export")
        return thing

    def _find_export(self, sort: Sort, index: int | None) -> CoreExport | None:
        if index is None:
            return None
        found = self._find_core(sort, index)
        if isinstance(found, LoweredImport):
            raise Unsupported("an import among canonical options")
        return found

    def _named(
        self, items: Iterable[tuple[str, Item]], what: str
    ) -> dict[str, tuple[Sort, _Thing]]:
        named: dict[str, tuple[Sort, _Thing]] = {}
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
            # Perhaps newer than the reader is.
            raise Unsupported(f"core module {len(self._modules)}: {failure}") from failure
        if len(found.exported_memories) != found.memories:
            # It could be neither seen nor bounded where instances wait.
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
        # Each takes time whenever an instance is made.
        self._imports += len(wanted)
        if self._imports > _IMPORTS_MAX:
            raise Unsupported(f"more than {_IMPORTS_MAX} imports of core modules")
        self._instances.append(ModuleInstance(module, tuple(named.items())))

    def _check_import(self, wanted: CoreImport, arguments: Mapping[str, int]) -> None:
        """Require an argument for an import, as far as an inline instance shows it."""
        if wanted.module not in arguments:
            raise WasmFormatError(f"no argument {shown(wanted.module)} for a core module")
        inline = self._inline.get(arguments[wanted.module])
        if inline is not None and wanted.name not in inline:
            raise WasmFormatError(f"no {shown(wanted.name)} in an argument of a core module")

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

    def _export_of(self, instance: int, sort: Sort, name: str) -> _Thing:
        if sort.startswith("core"):
            raise Unsupported(f"an alias of a {sort}")
        return _export_of(self._find(Item("instance", instance)), sort, name)

    def _instantiate(self, component: int, arguments: Iterable[tuple[str, Item]]) -> _Thing:
        shell = self._find(Item("component", component))
        named = self._named(arguments, "argument")
        if isinstance(shell, _Shell):
            return _ShellInstance(shell, named)
        # Code that would run has to be in the plan.
        reason = shell.reason if isinstance(shell, _Beyond) else "it is not defined here"
        raise Unsupported(f"a nested component: {reason}")

    def _add_import(self, name: str, sort: Sort) -> None:
        match sort:
            case "instance":
                self._define(sort, _ImportedInstance(name))
            case "func" | "type":
                self._define(sort, _Imported("", name))
            case "component":
                self._define(sort, _Beyond("it is imported"))
            case _:
                raise Unsupported(f"an imported {sort}")

    def _lift(self, core_function: int, options: binary.Options) -> LiftedFunction | _Beyond:
        # Functions that nobody calls may be as they like.
        try:
            function = self._find_export("core func", core_function)
            memory = self._find_export("core memory", options.memory)
            realloc = self._find_export("core func", options.realloc)
            post_return = self._find_export("core func", options.post_return)
        except Unsupported as reason:
            return _Beyond(str(reason))
        if options.other:
            return _Beyond(f"lifted with `{options.other}`")
        if function is None or memory is None or realloc is None:
            return _Beyond("lifted without a memory or an allocator")
        return LiftedFunction(function, memory, realloc, post_return)

    def _lower(self, function: int, options: binary.Options) -> LoweredImport:
        imported = self._find(Item("func", function))
        if not isinstance(imported, _Imported):
            raise Unsupported("the lowering of a function that is not an import")
        if options.other:
            raise Unsupported(f"{shown(imported.name)} lowered with `{options.other}`")
        memory = self._find_export("core memory", options.memory)
        realloc = self._find_export("core func", options.realloc)
        return LoweredImport(imported.interface, imported.name, memory, realloc)

    def _resource_drop(self, type_: int) -> LoweredImport:
        imported = self._find(Item("type", type_))
        if not isinstance(imported, _Imported):
            raise Unsupported("dropping a resource that is not imported")
        return LoweredImport(imported.interface, f"[resource-drop]{imported.name}")


def _export_of(instance: _Thing, sort: Sort, name: str) -> _Thing:
    """Look an export of an instance up."""
    match instance:
        case _ImportedInstance(interface):
            if sort in ("func", "type"):
                return _Imported(interface, name)
            return _Beyond(f"an export of sort {sort} of an imported instance")
        case _Instance(exports):
            return _of_sort(exports, sort, name)
        case _ShellInstance(shell, arguments):
            if sort == "type":
                return _Beyond("a type of a nested component")
            return _of_sort(arguments, sort, _of_sort(shell.exports, sort, name))
        case _Beyond(reason):
            raise Unsupported(reason)
        case _:
            raise Unsupported("an instance of unknown exports")


def _read_shell(component: bytes) -> _Shell | _Beyond:
    """Read a nested component, if it is one that only exports what it imports."""
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
                    return _Beyond("it does more than export what it is given")
    except Unsupported as reason:
        return _Beyond(str(reason))
    return _Shell(exports)


def _at[T](space: list[T], index: int, what: str) -> T:
    if index >= len(space):
        raise WasmFormatError(f"{what} {index} is not defined yet", got=f"{len(space)} of them")
    return space[index]


def _of_sort[T](named: Mapping[str, tuple[Sort, T]], sort: Sort, name: str) -> T:
    found = named.get(name)
    if found is None or found[0] != sort:
        raise WasmFormatError(f"no {sort} {shown(name)}", got=found[0] if found else "")
    return found[1]


def _add_new[T](named: dict[str, T], name: str, value: T, what: str) -> None:
    if name in named:
        raise WasmFormatError(f"{what} {shown(name)} occurs twice")
    named[name] = value


def _names_size(item: CoreItem | None) -> int:
    match item:
        case CoreExport(_, name):
            return len(name)
        case LoweredImport(interface, function, memory, realloc):
            return len(interface) + len(function) + _names_size(memory) + _names_size(realloc)
        case None:
            return 0
