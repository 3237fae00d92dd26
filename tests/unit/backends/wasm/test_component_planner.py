"""Plans of components: what they say, that following them works, and what is refused."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.wasm.component_plan import (
    ComponentPlan,
    CoreExport,
    CoreItem,
    CoreModule,
    InlineInstance,
    LiftedFunction,
    LoweredImport,
    ModuleInstance,
)
from chonkle.backends.wasm.component_planner import plan_component
from chonkle.errors import WasmFormatError
from chonkle.formats.component_binary import Unsupported
from chonkle.formats.wasm_binary import sections, with_custom_section, write_u32

type Extern = (
    wasmtime.Func
    | wasmtime.Global
    | wasmtime.Memory
    | wasmtime.SharedMemory
    | wasmtime.Table
    | wasmtime.Tag
)

COMPONENTS = Path(__file__).parent / "components"
CODECS = sorted((Path(__file__).parents[4] / "codec").glob("*/*.component.wasm"))
INTERFACE = "chonkle:codec/transform@0.1.0"
INLINE = (COMPONENTS / "inline.wat").read_text(encoding="utf-8")
RANDOM = b"\x04" * 8


def binary(source: str) -> bytes:
    return bytes(wasmtime.wat2wasm(source))


def component(name: str) -> bytes:
    return binary((COMPONENTS / f"{name}.wat").read_text(encoding="utf-8"))


def with_more(definitions: str) -> bytes:
    """Give the smallest codec with further definitions behind its own."""
    return binary(INLINE.rstrip().removesuffix(")") + definitions + ")")


def changed(old: str, new: str) -> bytes:
    """Give the smallest codec with every occurrence of some of its text replaced."""
    assert old in INLINE
    return binary(INLINE.replace(old, new))


class Followed:
    """A component instantiated by following its plan, with a host that only knows randomness."""

    def __init__(self, wasm: bytes, plan: ComponentPlan) -> None:
        engine = wasmtime.Engine()
        modules = [wasmtime.Module(engine, wasm[each.start : each.end]) for each in plan.modules]
        self.store = wasmtime.Store(engine)
        self.plan = plan
        self.instances: list[Mapping[str, CoreItem | Extern]] = []
        for instance in plan.instances:
            if isinstance(instance, InlineInstance):
                self.instances.append(dict(instance.exports))
                continue
            module = modules[instance.module]
            given = dict(instance.arguments)
            imports = [
                self.extern(self.instances[given[each.module]][each.name or ""], each.type)
                for each in module.imports
            ]
            exports = wasmtime.Instance(self.store, module, imports).exports(self.store)
            self.instances.append({each.name: exports[each.name] for each in module.exports})

    def extern(self, found: CoreItem | Extern, type_: object = None) -> Extern:
        if isinstance(found, CoreExport):
            return self.extern(self.instances[found.instance][found.name])
        if isinstance(found, LoweredImport):
            assert isinstance(type_, wasmtime.FuncType)
            return self.host_function(found, type_)
        return found

    def function(self, export: CoreExport) -> Callable[..., int]:
        found = self.extern(export)
        assert isinstance(found, wasmtime.Func)
        return lambda *arguments: found(self.store, *arguments)

    def memory(self, export: CoreExport) -> wasmtime.Memory:
        found = self.extern(export)
        assert isinstance(found, wasmtime.Memory)
        return found

    def host_function(self, lowered: LoweredImport, type_: wasmtime.FuncType) -> wasmtime.Func:
        def call(size: int, result: int) -> None:
            assert lowered.function == "get-random-bytes"
            assert lowered.memory is not None
            assert lowered.realloc is not None
            start = self.function(lowered.realloc)(0, 0, 1, size)
            memory = self.memory(lowered.memory)
            memory.write(self.store, RANDOM[:size], start)
            memory.write(self.store, struct.pack("<II", start, size), result)

        return wasmtime.Func(self.store, type_, call)

    def call(self, name: str, rows: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        lifted = self.plan.functions[name]
        memory = self.memory(lifted.memory)
        realloc = self.function(lifted.realloc)
        head = realloc(0, 0, 4, 16 * len(rows))
        for index, (port, data) in enumerate(rows):
            pairs = []
            for text in (port.encode(), data):
                start = realloc(0, 0, 1, len(text))
                memory.write(self.store, text, start)
                pairs += [start, len(text)]
            memory.write(self.store, struct.pack("<4I", *pairs), head + 16 * index)
        result = self.function(lifted.function)(head, len(rows))
        discriminant, head, count = struct.unpack("<3I", self.read(memory, result, 12))
        assert discriminant == 0
        host_function = []
        for index in range(count):
            first, size, second, length = struct.unpack(
                "<4I", self.read(memory, head + 16 * index, 16)
            )
            port = self.read(memory, first, size).decode()
            host_function.append((port, self.read(memory, second, length)))
        if lifted.post_return is not None:
            self.function(lifted.post_return)(result)
        return host_function

    def read(self, memory: wasmtime.Memory, start: int, size: int) -> bytes:
        return bytes(memory.read(self.store, start, start + size))


@pytest.mark.parametrize("path", CODECS, ids=lambda path: path.name)
def test_the_codecs_here_are_one_module_with_two_functions(path: Path) -> None:
    wasm = path.read_bytes()
    plan = plan_component(wasm)
    assert plan.modules == tuple(
        CoreModule(section.payload, section.end, (), ("memory",))
        for section in sections(wasm)
        if section.id == 1
    )
    assert plan.instances == (ModuleInstance(0, ()),)
    assert plan.functions == {
        name: LiftedFunction(
            CoreExport(0, f"{INTERFACE}#{name}"),
            CoreExport(0, "memory"),
            CoreExport(0, "cabi_realloc"),
            CoreExport(0, f"cabi_post_{INTERFACE}#{name}"),
        )
        for name in ("encode", "decode")
    }


def test_there_are_codecs_here() -> None:
    assert CODECS


def test_an_inline_instance_gives_its_functions() -> None:
    plan = plan_component(component("inline"))
    echo, memory, realloc = (CoreExport(0, name) for name in ("echo", "memory", "cabi_realloc"))
    assert plan.instances == (ModuleInstance(0, ()),)
    assert plan.functions == {
        "encode": LiftedFunction(echo, memory, realloc, CoreExport(0, "reset")),
        "decode": LiftedFunction(echo, memory, realloc, None),
    }


def test_an_adapter_gets_its_imports_lowered() -> None:
    plan = plan_component(component("adapter"))
    shim, main, adapter = 0, 2, 7
    memory = CoreExport(main, "memory")
    assert [type(each) for each in plan.instances] == [
        ModuleInstance if index in (shim, main, adapter, 9) else InlineInstance
        for index in range(10)
    ]
    assert plan.instances[main] == ModuleInstance(0, (("wasi_snapshot_preview1", 1),))
    assert plan.instances[4] == InlineInstance(
        (("[resource-drop]error", LoweredImport("wasi:io/error@0.2.0", "[resource-drop]error")),)
    )
    assert plan.instances[8] == InlineInstance(
        (
            ("0", CoreExport(adapter, "random_get")),
            (
                "1",
                LoweredImport(
                    "wasi:random/random@0.2.0",
                    "get-random-bytes",
                    memory,
                    CoreExport(adapter, "cabi_import_realloc"),
                ),
            ),
            ("$imports", CoreExport(shim, "$imports")),
        )
    )
    assert plan.functions["decode"] == plan.functions["encode"]
    assert plan.functions["encode"].memory == memory


def test_libraries_share_a_memory() -> None:
    plan = plan_component(component("libraries"))
    libc, encoder, decoder = 0, 5, 6
    log = LoweredImport("", "log", CoreExport(libc, "memory"))
    assert plan.instances[3] == InlineInstance(
        (
            ("memory", CoreExport(libc, "memory")),
            ("malloc", CoreExport(libc, "malloc")),
            ("log", log),
            ("result", CoreExport(1, "16")),
        )
    )
    assert plan.instances[encoder] == ModuleInstance(1, (("env", 3),))
    assert plan.instances[decoder] == ModuleInstance(1, (("env", 4),))
    assert plan.functions["decode"].function == CoreExport(decoder, "echo")
    assert plan.functions["decode"].memory == CoreExport(libc, "memory")


@pytest.mark.parametrize("name", ["inline", "adapter", "libraries"])
def test_following_a_plan_works(name: str) -> None:
    wasm = component(name)
    wasm_component.Component(wasmtime.Engine(), wasm)  # validates it
    followed = Followed(wasm, plan_component(wasm))
    rows = [("bytes", b"abc" * 1000), ("größe", b"\x00"), ("empty", b"")]
    added = [("random", RANDOM)] if name == "adapter" else []
    for direction in ("encode", "decode", "encode"):
        assert followed.call(direction, rows) == rows + added


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("(component (core module) (core instance (instantiate 0)))", id="unused-code"),
        pytest.param(
            '(import "types" (instance (export "t" (type (sub resource)))))'
            '(import "thing" (type (sub resource))) (import "same" (type (eq 0)))',
            id="imports",
        ),
        pytest.param(
            "(type (record (field `a` u8) (field `b` (option string))))"
            "(type (variant (case `a` u64) (case `b`)))"
            "(type (flags `a` `b`)) (type (enum `a` `b`)) (type (result)) (type (result u8))"
            "(type $resource (resource (rep i32))) (type (own $resource)) (type (borrow $resource))"
            "(type (component (import `x` (func)) (export `y` (core module))))"
            "(type (func (param `a` f64) (result char)))".replace("`", '"'),
            id="types",
        ),
        pytest.param("(core type (func (param i32))) (core type (module))", id="core-types"),
        pytest.param("(alias outer 0 $port-map (type $again))", id="outer-type"),
        pytest.param('(@custom "note" "text")', id="custom-section"),
        pytest.param(
            "(type $word (func (result string)))"
            "(func (type $word) (canon lift (core func $reset) string-encoding=utf16"
            " (memory $memory)))",
            id="another-function-in-utf-16",
        ),
        pytest.param(
            '(component $shell (import "f" (func $f)) (export "g" (func $f)))'
            "(type $none (func)) (func $nothing (type $none) (canon lift (core func $reset)))"
            '(instance $given (instantiate $shell (with "f" (func $nothing))))'
            '(alias export $given "g" (func)) (export "other" (instance $given))',
            id="another-shell",
        ),
    ],
)
def test_what_does_not_matter_is_passed_over(more: str) -> None:
    wasm = with_more(more)
    assert plan_component(wasm).functions == plan_component(component("inline")).functions


REFUSED = {
    "imported-module": ('(import "m" (core module))', "an imported core module"),
    "own-resource": (
        "(type $r (resource (rep i32))) (core func (canon resource.new $r))",
        "a resource of the component's own",
    ),
    "drop-of-own-resource": (
        "(type $r (resource (rep i32))) (core func (canon resource.drop $r))",
        "dropping a resource that is not imported",
    ),
    "task-cancel": ("(core func (canon task.cancel))", "canonical function 0x05"),
    "lowered-own": (
        "(core func (canon lower (func $encode) (memory $memory) (realloc $cabi_realloc)))",
        "the lowering of a function that is not an import",
    ),
    "lowered-in-utf-16": (
        """(import "log" (func $log (param "a" string)))
        (core func (canon lower (func $log) string-encoding=utf16 (memory $memory)))""",
        '`"log"` lowered with `string-encoding=utf16`',
    ),
    "code-inside": (
        "(component $c (core module) (core instance (instantiate 0))) (instance (instantiate $c))",
        "a nested component: it does more",
    ),
    "imported-component": (
        '(import "c" (component $c)) (instance (instantiate $c))',
        "a nested component: it is imported",
    ),
    "module-argument": (
        '(component $c) (core module $m) (instance (instantiate $c (with "m" (core module $m))))',
        "a core module outside of core instances",
    ),
    "outer-component": ("(component $c) (alias outer 0 $c (component))", "an outer alias of a co"),
    "instance-of-imported-instance": (
        """(import "a" (instance $a (export "b" (instance (export "f" (func))))))
        (alias export $a "b" (instance $b)) (alias export $b "f" (func))""",
        "an export of sort instance of an imported instance",
    ),
    "value": ('(import "v" (value u32))', "values"),
}


@pytest.mark.parametrize(("more", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_understood_is_refused(more: str, reason: str) -> None:
    with pytest.raises(Unsupported) as refused:
        plan_component(with_more(more))
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("string-encoding=utf8", "string-encoding=utf16", "`decode`: lifted with `string-enc"),
        ("string-encoding=utf8", "async", "`decode`: lifted with `async`"),
        ("(realloc $cabi_realloc)", "", "`encode`: lifted without a memory or an allocator"),
        ("(memory $memory)", "", "`encode`: lifted without a memory or an allocator"),
        ("transform@0.1.0", "transform@0.2.0", f"no export of an instance `{INTERFACE}`"),
        ("(instance $transform))", "(func $encode))", "no export of an instance"),
    ],
)
def test_another_way_of_lifting_or_exporting_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(Unsupported) as refused:
        plan_component(changed(old, new))
    assert reason in str(refused.value)


def test_a_codec_that_gives_on_an_import_is_refused() -> None:
    wasm = binary(
        f'(component (import "a:b/c" (instance $i (export "encode" (func))))'
        f'(export "{INTERFACE}" (instance $i)))'
    )
    with pytest.raises(Unsupported, match="`encode` is not one of the component's own"):
        plan_component(wasm)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (bytes([9, 1, 0]), "a start function"),
        (bytes([12, 1, 0]), "values"),
        (bytes([99, 0]), "a section with id 99"),
        (bytes([8, 2, 1, 0xFF]), "canonical function 0xff"),
        (bytes([10, 2, 1, 2]), "name of form 0x02"),
        (bytes([2, 2, 1, 7]), "core instance of form 0x07"),
        (bytes([5, 2, 1, 7]), "instance of form 0x07"),
        (bytes([6, 3, 1, 1, 7]), "alias of target 0x07"),
        (bytes([6, 3, 1, 0, 7]), "core sort 0x07"),
        (bytes([6, 2, 1, 7]), "sort 0x07"),
    ],
)
def test_what_may_be_newer_is_refused(section: bytes, reason: str) -> None:
    with pytest.raises(Unsupported) as refused:
        plan_component(component("inline") + section)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (bytes([8, 1, 1]), "a list at byte"),
        (bytes([7, 1, 5]), "a list at byte"),
        (bytes([6, 5, 1, 0, 0, 1, 0x80]), "truncated"),
        (bytes([6, 6, 1, 1, 0, 99, 1, 97]), "instance 99 is not defined yet"),
        (bytes([6, 6, 1, 1, 0, 0, 1, 97]), 'no func `"a"`'),
        (bytes([6, 6, 1, 1, 0, 0, 1, 0xFF]), "a name at byte"),
        (bytes([6, 6, 1, 1, 1, 0, 1, 97]), "an alias of a func of a core instance"),
        (bytes([2, 4, 1, 0, 7, 0]), "core module 7 is not defined yet"),
        (bytes([2, 7, 1, 0, 0, 1, 0, 0x12, 9]), "core instance 9 is not defined yet"),
        (bytes([2, 9, 1, 1, 2, 0, 0, 0, 0, 0, 0]), 'export `""` occurs twice'),
        (bytes([2, 10, 1, 0, 0, 2, 0, 0x12, 0, 0, 0x12, 0]), 'argument `""` occurs twice'),
        (bytes([8, 4, 1, 1, 0, 99]), "truncated"),
        (bytes([8, 5, 1, 1, 0, 99, 0]), "func 99 is not defined yet"),
        (bytes([6, 7, 1, 0, 0, 1, 0, 0, 9]), "section 6 at byte"),
        (bytes([11, 6, 1, 0, 0, 3, 99, 0]), "type 99 is not defined yet"),
        (bytes([1, 0]), "not a WebAssembly binary"),
        (bytes([4, 0]), "not a WebAssembly binary"),
        (bytes([4, 8, *b"\0asm\1\0\0\0"]), "not a component"),
    ],
)
def test_malformed_sections(section: bytes, reason: str) -> None:
    with pytest.raises(WasmFormatError) as refused:
        plan_component(component("inline") + section)
    assert reason in str(refused.value)


@pytest.mark.parametrize("wasm", [b"", b"\0asm\1\0\0\0", b"\0asm\x0d\0\1", b"(component)"])
def test_what_is_no_component_at_all(wasm: bytes) -> None:
    with pytest.raises(WasmFormatError):
        plan_component(wasm)


def test_an_export_twice() -> None:
    wasm = component("inline")
    exports = [wasm[each.start : each.end] for each in sections(wasm) if each.id == 11]
    with pytest.raises(WasmFormatError, match="occurs twice"):
        plan_component(wasm + b"".join(exports))


def test_long_names_may_not_make_a_plan_explode() -> None:
    name = b"n" * 100_000
    alias = b"\x01" + b"\x00\x00\x01\x00" + write_u32(len(name)) + name
    # One alias with a long name, then many small exports of it.
    items = b"".join(
        write_u32(len(str(index))) + str(index).encode() + b"\x00" + write_u32(3)
        for index in range(100)
    )
    inline = b"\x01\x01" + write_u32(100) + items
    wasm = component("inline")
    for identity, payload in ((6, alias), (2, inline)):
        wasm += bytes([identity]) + write_u32(len(payload)) + payload
    with pytest.raises(Unsupported, match="names of more than"):
        plan_component(wasm)


def test_many_instances_of_a_large_shell_take_no_longer_than_their_bytes() -> None:
    exports = "".join(f'(export "e{index}" (func 0))' for index in range(5000))
    instances = '(instance (instantiate $shell (with "f" (func $encode))))' * 5000
    wasm = with_more(f'(component $shell (import "f" (func)) {exports}) {instances}')
    assert plan_component(wasm).functions


def test_names_of_a_component_do_not_reach_the_terminal_as_they_are() -> None:
    name = b"\x1b]0;title\x07" + b"n" * 1000
    alias = b"\x01\x01\x00\x00" + write_u32(len(name)) + name
    with pytest.raises(WasmFormatError) as refused:
        plan_component(component("inline") + b"\x06" + write_u32(len(alias)) + alias)
    assert "\\u001b]0;title" in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("name", ["inline", "adapter", "libraries"])
def test_a_plan_survives_json(name: str) -> None:
    plan = plan_component(with_custom_section(component(name), "note", b"text"))
    assert ComponentPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_other_functions_of_another_interface() -> None:
    plan = plan_component(
        changed(INTERFACE, "a:b/c"), interface="a:b/c", functions=iter(["decode"])
    )
    assert list(plan.functions) == ["decode"]


def test_a_memory_that_no_export_shows_is_not_flattened() -> None:
    with pytest.raises(Unsupported, match="core module 0 does not export its memory"):
        plan_component(
            changed('(memory (export "memory") 64)', '(memory (export "memory") 64) (memory 1)')
        )


def test_so_many_imports_are_not_flattened() -> None:
    imports = "".join(f'(import "" "{index}" (func))' for index in range(2001))
    exports = "".join(f'(func (export "{index}"))' for index in range(2001))
    more = f"""(core module $gives {exports}) (core instance $gives (instantiate $gives))
      (core module $takes {imports})"""
    more += '(core instance (instantiate $takes (with "" (instance $gives))))' * 5
    with pytest.raises(Unsupported, match="more than 10000 imports of core modules"):
        plan_component(with_more(more))


@pytest.mark.parametrize(
    "document",
    [
        None, 5, "plan", [], {}, [[], []], [[5], [], {}], [[], [[]], {}], [[], [], []],
        [[], [], {"encode": [[0, "f"]]}], [[], [[[["x", [1, 2, 3]]]]], {}],
        [[[0, 8, [["a"]], []]], [], {}],
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_plan_is_refused(document: object) -> None:
    with pytest.raises(WasmFormatError, match="malformed component plan"):
        ComponentPlan.from_json(document)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        # modules: a range, imports, and names of memories
        ((0, 0, 0), "0"), ((0, 0, 1), -1), ((0, 1, 2, 0, 2), None), ((0, 0, 3, 0), 1.5),
        # instances: a module that does not exist, one that comes later, a missing argument
        ((1, 0, 0), 9), ((1, 0, 0), True), ((1, 1, 0, 0, 1), 5), ((1, 2, 1), []),
        ((1, 1, 0), []), ((1, 1, 0, 0, 0), {}), ((1, 1, 0, 0, 1, 1), 7),
        # functions: an export of an inline instance, of none, without a name; a missing function
        ((2, "decode", 0, 0), 1), ((2, "decode", 1, 0), [0]), ((2, "encode", 3, 1), 0),
        ((2, "encode", 2), []), ((2,), {}), ((2, "encode"), None),
    ],
    ids=str,
)  # fmt: skip
def test_a_plan_with_one_wrong_field_is_refused(
    place: tuple[int | str, ...], value: object
) -> None:
    document = json.loads(json.dumps(plan_component(component("adapter")).to_json()))
    holder = document
    for each in place[:-1]:
        holder = holder[each]
    holder[place[-1]] = value
    with pytest.raises(WasmFormatError, match="malformed component plan"):
        ComponentPlan.from_json(document)
