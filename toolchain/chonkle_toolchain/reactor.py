"""Dropping `_initialize` from a linked C module that has nothing to initialise.

wasi-libc's reactor always exports `_initialize`. It runs the constructors, which the linker gathers
in one function, `__wasm_call_ctors`. In plain C there are none and that function is empty; then
the export only costs every host a call, and every component a second core module with a start
function. What stays behind is a function that nobody calls.
"""

from chonkle.formats.wasm_binary import Reader, custom_sections, read_core_interface, sections
from chonkle_toolchain.exports import without_exports

_CODE = 10
_FUNCTION_NAMES = 1
_CONSTRUCTORS = "__wasm_call_ctors"
_INITIALIZE = "_initialize"
# No locals, then `end`.
_EMPTY_BODY = b"\x00\x0b"


def without_empty_initialize(module: bytes) -> bytes:
    """Give the module without `_initialize` where calling it would do nothing.

    Args:
        module: a linked core module that still has its `name` section.

    Returns:
        The module, unchanged when it has constructors or no such export.
    """
    index = _function_index(module, _CONSTRUCTORS)
    if index is None or _body(module, index) != _EMPTY_BODY:
        return module
    return without_exports(module, {_INITIALIZE})


def _function_index(module: bytes, wanted: str) -> int | None:
    for payload in custom_sections(module, "name"):
        reader = Reader(payload, 0, len(payload))
        while reader.offset < reader.end:
            subsection, size = reader.byte(), reader.u32()
            inner = Reader(payload, reader.offset, reader.offset + size)
            reader.take(size)
            if subsection != _FUNCTION_NAMES:
                continue
            for _ in range(inner.u32()):
                index, name = inner.u32(), inner.name()
                if name == wanted:
                    return index
    return None


def _body(module: bytes, index: int) -> bytes:
    imported = sum(1 for item in read_core_interface(module).imports if item.kind == "func")
    for section in sections(module):
        if section.id == _CODE:
            reader = Reader(module, section.payload, section.end)
            bodies = [reader.take(reader.u32()) for _ in range(reader.u32())]
            return bodies[index - imported]
    return b""
