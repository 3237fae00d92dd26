"""The checks of a wasm file that come before its first call."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from wasmtime import component as wasm_component

from chonkle.backends.base import Limits
from chonkle.backends.wasm import component_interface, core_interface
from chonkle.errors import SignatureError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.declared import Declared
from chonkle.formats.signature import read_signature
from chonkle.formats.wasm_binary import read_core_interface
from chonkle.limits import CompileLimits
from chonkle_toolchain.direct_call import compiled, start
from chonkle_toolchain.recipe import require_data
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable

_IMPORTS_MAX = 3


def check_valid(wasm: bytes, limits: CompileLimits) -> str:
    """Require valid WebAssembly, as wasmtime sees it."""
    _, code = compiled(wasm, limits)
    kind = "component" if isinstance(code, wasm_component.Component) else "core module"
    return f"a {kind} of {len(wasm)} bytes"


def check_imports(wasm: bytes, allowed: Iterable[str]) -> str:
    """Require that only allowed names are imported.

    Args:
        wasm: a valid core module or component.
        allowed: names, or patterns with `*`: `module.name` for a core module, the name of the
            interface for a component.
    """
    patterns = tuple(allowed)
    imports = read_interface(wasm).imports
    wrong = [
        item.name
        for item in imports
        if not any(fnmatchcase(item.name, pattern) for pattern in patterns)
    ]
    if wrong:
        more = f" and {len(wrong) - _IMPORTS_MAX} more" if len(wrong) > _IMPORTS_MAX else ""
        displayed = ", ".join(f"`{name}`" for name in wrong[:_IMPORTS_MAX])
        raise CheckFailed(
            f"it imports {displayed}{more}",
            expected=f"nothing but {', '.join(patterns)}" if patterns else "no import at all",
        )
    return f"{len(imports)}, all allowed" if imports else "none"


def check_exports(wasm: bytes, limits: CompileLimits) -> str:
    """Require the exports of one of the two ABIs, with exactly their types."""
    engine, code = compiled(wasm, limits)
    if isinstance(code, wasm_component.Component):
        component_interface.check_interface(code, engine.wasmtime)
        return f"`{component_interface.INTERFACE}`"
    found = read_core_interface(wasm)
    core_interface.check_interface(found, what="core module")
    names = {item.name for item in found.exports}
    known = {**core_interface.REQUIRED_EXPORTS, **core_interface.OPTIONAL_EXPORTS}
    return ", ".join(f"`{name}`" for name in known if name in names)


def check_start(wasm: bytes, limits: Limits, compile_limits: CompileLimits) -> str:
    """Require that the start functions come to an end."""
    if read_interface(wasm).imports:
        # The runtime implements some of WASI; this check does not.
        raise NotApplicable("what it imports is there when it is called, and not before")
    start(wasm, limits=limits, compile_limits=compile_limits)
    return "an instance starts"


def check_signature(wasm: bytes) -> str:
    """Require a valid signature with inputs and outputs; other checks compare it with the codec."""
    try:
        signature = read_signature(wasm, what="signature")
        require_data(signature, what="signature")
        Declared.of(signature, what="signature")
    except SignatureError as failure:
        raise CheckFailed(str(failure).removeprefix("signature: ")) from failure
    return f"`{signature.codec_id}`, {signature.label}"
