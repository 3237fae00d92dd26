"""The interface that a codec component exports, and how it is recognised.

world codec of chonkle:codec@0.1.0, which exports
transform { type port-map = list<tuple<string, list<u8>>>;
            encode, decode: func(inputs: port-map) -> result<port-map, string> }
"""

from collections.abc import Iterator

import wasmtime
from wasmtime import component as wasm_component

from chonkle.errors import WasmFormatError
from chonkle.formats.signature import DIRECTIONS

INTERFACE = "chonkle:codec/transform@0.1.0"

_PORT_MAP = "list<tuple<string, list<u8>>>"


def check_interface(component: wasm_component.Component, engine: wasmtime.Engine) -> None:
    """Demand that a component exports the codec interface, with exactly its types.

    Raises:
        WasmFormatError: when it does not.
    """
    exported = _item(component.type.exports(engine).get(INTERFACE))
    if not isinstance(exported, wasm_component.ComponentInstanceType):
        raise WasmFormatError(f"not a codec component: it does not export `{INTERFACE}`")
    functions = exported.exports(engine)
    for direction in DIRECTIONS:
        function = _item(functions.get(direction))
        if not isinstance(function, wasm_component.FuncType):
            raise WasmFormatError(f"not a codec component: no `{direction}` in `{INTERFACE}`")
        parameters, result = function.params, function.result
        if not (
            len(parameters) == 1
            and _is_port_map(parameters[0][1])
            and isinstance(result, wasm_component.ResultType)
            and _is_port_map(result.ok)
            and isinstance(result.err, wasm_component.String)
        ):
            raise WasmFormatError(
                f"not a codec component: `{direction}` of `{INTERFACE}` has another type",
                expected=f"func(inputs: {_PORT_MAP}) -> result<{_PORT_MAP}, string>",
            )


def imported_functions(
    component: wasm_component.Component, engine: wasmtime.Engine
) -> Iterator[tuple[str, list[str]]]:
    """Give the interfaces that a component imports, with the names of their functions."""
    for name, found in component.type.imports(engine).items():
        interface = _item(found)
        if isinstance(interface, wasm_component.ComponentInstanceType):
            yield (
                name,
                [
                    function
                    for function, item in interface.exports(engine).items()
                    if isinstance(_item(item), wasm_component.FuncType)
                ],
            )


def _item(found: object) -> object:
    # Since version 50 an export is wrapped, with its type inside.
    return getattr(found, "ty", found)


def _is_port_map(type_: wasm_component.ValType | None) -> bool:
    if not isinstance(type_, wasm_component.ListType):
        return False
    row = type_.element
    if not isinstance(row, wasm_component.TupleType):
        return False
    columns = row.elements
    return (
        len(columns) == 2  # noqa: PLR2004 - name and data
        and isinstance(columns[0], wasm_component.String)
        and isinstance(columns[1], wasm_component.ListType)
        and isinstance(columns[1].element, wasm_component.U8)
    )
