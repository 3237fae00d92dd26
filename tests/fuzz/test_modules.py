"""chonkle's reader of core modules against wasmtime's: they agree, or chonkle's refuses.

`make fuzz` tries 100,000 modules; `make test` a slice of them.
"""

import os
import random
from typing import Any

import pytest
import wasmtime

from chonkle.errors import WasmFormatError
from chonkle.formats.wasm_binary import External, read_core_interface
from tests.fuzz.modules import Writer

COUNT = 100_000 if os.environ.get("FUZZ") == "full" else 4000
# The package's names for C functions. To ask for the kind of a type would abort the process.
FFI: Any = wasmtime._ffi  # noqa: SLF001


class Names:
    """Names the types of wasmtime by comparing them with those that are known."""

    def __init__(self) -> None:
        self._known = {
            "i32": wasmtime.ValType.i32(),
            "i64": wasmtime.ValType.i64(),
            "f32": wasmtime.ValType.f32(),
            "f64": wasmtime.ValType.f64(),
            "funcref": wasmtime.ValType.funcref(),
            "externref": wasmtime.ValType.externref(),
        }
        self._v128 = FFI.wasmtime_wasm_valtype_v128()

    def value(self, type_: object) -> str:
        if FFI.wasmtime_wasm_valtype_equal(type_, self._v128):
            return "v128"
        for name, known in self._known.items():
            if FFI.wasmtime_wasm_valtype_equal(type_, known.ptr()):
                return name
        return "another type"

    def function(self, type_: wasmtime.FuncType) -> str:
        parameters, results = (
            ", ".join(self.value(part.contents.data[i]) for i in range(part.contents.size))
            for part in (
                FFI.wasm_functype_params(type_.ptr()),
                FFI.wasm_functype_results(type_.ptr()),
            )
        )
        return f"({parameters}) -> {results or '()'}"

    def external(self, found: Any, name: str, module: str = "") -> External:
        kinds = {
            wasmtime.FuncType: "func", wasmtime.TableType: "table", wasmtime.MemoryType: "memory",
            wasmtime.GlobalType: "global", wasmtime.TagType: "tag",
        }  # fmt: skip
        type_ = self.function(found.type) if isinstance(found.type, wasmtime.FuncType) else ""
        return External(name, kinds[type(found.type)], type_, module)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_reader_and_wasmtime_agree_on_every_module(part: int) -> None:
    # With all that wasmtime knows, which is more than chonkle allows.
    engine, names = wasmtime.Engine(), Names()
    seen = dict.fromkeys(("valid for wasmtime", "read by both", "with functions"), 0)
    for number in range(part * COUNT // 4, (part + 1) * COUNT // 4):
        wasm = Writer(random.Random(number)).module()  # noqa: S311 - not for keys
        try:
            module = wasmtime.Module(engine, wasm)
        except wasmtime.WasmtimeError:
            module = None
        seen["valid for wasmtime"] += module is not None
        try:
            found = read_core_interface(wasm)
        except WasmFormatError:
            continue
        if module is None:
            continue
        seen["read by both"] += 1
        seen["with functions"] += any(each.type for each in (*found.imports, *found.exports))
        imports = [
            names.external(each, f"{each.module}.{each.name}", each.module)
            for each in module.imports
        ]
        assert list(found.imports) == imports, (number, wasm.hex())
        exports = {each.name: names.external(each, each.name) for each in module.exports}
        assert {each.name: each for each in found.exports} == exports, (number, wasm.hex())
        assert len(found.exports) == len(exports)
    print(f"\n{COUNT // 4} modules: {seen}")  # noqa: T201
    # Or else the modules show nothing.
    assert seen["valid for wasmtime"] > COUNT // 4 * 0.5, seen
    assert seen["with functions"] > COUNT // 4 * 0.15, seen
