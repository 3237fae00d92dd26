"""The interface of codec components.

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
_TRANSFORM = f"({_PORT_MAP}) -> result<{_PORT_MAP}, string>"
_NAMES: dict[type, str] = {
    wasm_component.U8: "u8",
    wasm_component.U64: "u64",
    wasm_component.String: "string",
}
# No type of the interface is deeper, or has more elements.
_DEPTH_MAX = 4
_ELEMENTS_MAX = 2


def check_interface(component: wasm_component.Component, engine: wasmtime.Engine) -> None:
    """Require that a component exports the codec interface with exactly its types.

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
        if type_text(function) != _TRANSFORM:
            raise WasmFormatError(
                f"not a codec component: `{direction}` of `{INTERFACE}` has another type",
                expected=_TRANSFORM,
            )


def imported_functions(
    component: wasm_component.Component, engine: wasmtime.Engine
) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the imported interfaces of a component, with the types of their functions by name."""
    for name, found in component.type.imports(engine).items():
        interface = _item(found)
        if isinstance(interface, wasm_component.ComponentInstanceType):
            items = ((name, _item(item)) for name, item in interface.exports(engine).items())
            yield (
                name,
                {
                    function: type_text(item)
                    for function, item in items
                    if isinstance(item, wasm_component.FuncType)
                },
            )


def type_text(function: wasm_component.FuncType) -> str:
    """Write the type of a function, such as `(u64) -> list<u8>`; unknown types are `?`."""
    parameters = function.params
    if len(parameters) > _ELEMENTS_MAX:
        return "?"
    texts = ", ".join(_value_text(each) for _, each in parameters)
    return f"({texts}) -> {_value_text(function.result)}"


def _value_text(type_: wasm_component.ValType | None, depth: int = 0) -> str:
    parts: list[wasm_component.ValType | None]
    match type_:
        case wasm_component.ListType():
            form, parts = "list", [type_.element]
        case wasm_component.TupleType():
            form, parts = "tuple", list(type_.elements)
        case wasm_component.OptionType():
            form, parts = "option", [type_.payload]
        case wasm_component.ResultType():
            form, parts = "result", [type_.ok, type_.err]
        case _:
            return _NAMES.get(type(type_), "?")
    if depth == _DEPTH_MAX or len(parts) > _ELEMENTS_MAX:
        return "?"
    return f"{form}<{', '.join(_value_text(each, depth + 1) for each in parts)}>"


def _item(found: object) -> object:
    # Since version 50 an export wraps its type.
    return getattr(found, "ty", found)
