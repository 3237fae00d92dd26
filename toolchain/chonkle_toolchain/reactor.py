"""Dropping `_initialize` from a linked C module that has nothing to initialise.

wasi-libc's reactor always exports `_initialize`. It runs the constructors, which the linker gathers
in one function, `__wasm_call_ctors`. In plain C there are none and that function is empty; then
the export only costs every host a call, and every component a second core module with a start
function. What stays behind is a function that nobody calls.
"""

from chonkle_toolchain.exports import without_exports
from chonkle_toolchain.functions import named_functions

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
    if (_CONSTRUCTORS, _EMPTY_BODY) in named_functions(module):
        return without_exports(module, {_INITIALIZE})
    return module
