"""The exports of a core module that is a codec."""

from chonkle.errors import WasmFormatError
from chonkle.formats.wasm_binary import Interface

# Export -> type. `_initialize` (a reactor's start) and `last_error` may be missing.
REQUIRED_EXPORTS = {
    "memory": "",
    "alloc": "(i32) -> i32",
    "dealloc": "(i32, i32) -> ()",
    "encode": "(i32, i32) -> i64",
    "decode": "(i32, i32) -> i64",
}
OPTIONAL_EXPORTS = {"_initialize": "() -> ()", "last_error": "() -> i64"}
FUNCTIONS = {**REQUIRED_EXPORTS, **OPTIONAL_EXPORTS}

_EXPORTS_MAX = 256
_IMPORTS_MAX = 1000


def check_interface(interface: Interface, *, what: str) -> None:
    """Require that a core module has the core ABI.

    Raises:
        WasmFormatError: naming the first export that is missing or has another type.
    """
    if len(interface.exports) > _EXPORTS_MAX:
        # wasmtime's package lists them in quadratic time.
        raise WasmFormatError(
            f"{what}: too many exports",
            expected=f"at most {_EXPORTS_MAX}",
            got=str(len(interface.exports)),
        )
    if len(interface.imports) > _IMPORTS_MAX:
        # Each becomes a function that traps, for each instance.
        raise WasmFormatError(
            f"{what}: too many imports",
            expected=f"at most {_IMPORTS_MAX}",
            got=str(len(interface.imports)),
        )
    exports = {export.name: export for export in interface.exports}
    for name, type_ in FUNCTIONS.items():
        kind = "memory" if name == "memory" else "func"
        found = exports.get(name)
        if found is None and name in OPTIONAL_EXPORTS:
            continue
        if found is None or (found.kind, found.type) != (kind, type_):
            raise WasmFormatError(
                f"{what}: not a codec of the core ABI: export `{name}`",
                expected=f"{kind} {type_}".rstrip(),
                got="none" if found is None else f"{found.kind} {found.type}".rstrip(),
            )
    if interface.memories != 1:
        # The memory of an instance that waits must be measurable.
        raise WasmFormatError(
            f"{what}: not a codec of the core ABI",
            expected="one memory",
            got=str(interface.memories),
        )
