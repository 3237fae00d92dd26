"""Dropping `_initialize` from a linked C module that has nothing to initialise.

wasi-libc's reactor always exports `_initialize`. It runs the constructors, which the linker gathers
in one function, `__wasm_call_ctors`. Plain C has none, so that function is empty; the export then
costs every host a call, and every component a second core module with a start function.
"""

from chonkle.formats.wasm_binary import Reader, sections, write_u32
from chonkle_toolchain.functions import named_functions

_CONSTRUCTORS = "__wasm_call_ctors"
_INITIALIZE = "_initialize"
# No locals, then `end`.
_EMPTY_BODY = b"\x00\x0b"
_HEADER_SIZE = 8
_EXPORTS = 7


def without_empty_initialize(module: bytes) -> bytes:
    """Give the module without the export `_initialize` where calling it would do nothing.

    Args:
        module: a linked core module that still has its `name` section.

    Returns:
        The module, unchanged when it has constructors or no such export.
    """
    if (_CONSTRUCTORS, _EMPTY_BODY) not in named_functions(module):
        return module
    out = [module[:_HEADER_SIZE]]
    for section in sections(module):
        if section.id != _EXPORTS:
            out.append(module[section.start : section.end])
            continue
        reader = Reader(module, section.payload, section.end)
        kept = []
        for _ in range(reader.u32()):
            start = reader.offset
            name = reader.name()
            reader.byte()
            reader.u32()
            if name != _INITIALIZE:
                kept.append(module[start : reader.offset])
        body = write_u32(len(kept)) + b"".join(kept)
        out.append(bytes([_EXPORTS]) + write_u32(len(body)) + body)
    return b"".join(out)
