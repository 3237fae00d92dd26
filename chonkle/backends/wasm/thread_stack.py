"""The stack of the calling thread: a guest that overflows a small one kills the process.

wasmtime stops a guest that uses more than `max_wasm_stack`, counted from its entry. On a thread
with a smaller stack, the guest reaches the end of the stack first, and nothing can catch that.
"""

import ctypes
import sys
import threading

from chonkle.engine import Engine
from chonkle.errors import LimitExceeded

# What Python and wasmtime use below and above the guest.
_MARGIN_BYTES = 192 * 1024


class StackCheck(threading.local):
    """Refuses to run guests on threads with too small a stack; each thread is checked once.

    Attributes:
        is_enough: whether the calling thread was checked and has enough.

    Args of the constructor:
        engine: the engine, which has the stack limit of guests.
    """

    is_enough = False

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._needed = engine.config.max_wasm_stack_bytes + _MARGIN_BYTES

    def check(self) -> None:
        """Check the calling thread, whose `is_enough` is not true yet.

        Raises:
            LimitExceeded: when its stack is too small.
        """
        size = thread_stack_bytes()
        if size is not None and size < self._needed:
            raise LimitExceeded(
                "the stack of this thread is too small to run wasm on",
                expected=f"at least {self._needed} bytes",
                got=str(size),
                hint=f"call threading.stack_size({1 << 20}) before starting it",
            )
        self.is_enough = True


def thread_stack_bytes() -> int | None:
    """Give the size of the calling thread's stack, or None where the system does not tell."""
    ask = _ASK.get(sys.platform)
    try:
        size = None if ask is None else ask()
    except (AttributeError, OSError):
        # An unusual C library.
        size = None
    return size or threading.stack_size() or None


def _linux_stack_bytes() -> int | None:
    # pthread_getattr_np(3): a pthread_attr_t is 56 bytes with glibc and with musl on 64 bits.
    library = ctypes.CDLL(None)
    attributes = (ctypes.c_char * 128)()
    library.pthread_self.restype = ctypes.c_void_p
    thread = ctypes.c_void_p(library.pthread_self())
    if library.pthread_getattr_np(thread, attributes):
        return None
    size = ctypes.c_size_t()
    failed = library.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    library.pthread_attr_destroy(attributes)
    return None if failed else size.value


def _macos_stack_bytes() -> int:
    library = ctypes.CDLL(None)
    library.pthread_self.restype = ctypes.c_void_p
    library.pthread_get_stacksize_np.restype = ctypes.c_size_t
    size: int = library.pthread_get_stacksize_np(ctypes.c_void_p(library.pthread_self()))
    return size


def _windows_stack_bytes() -> int | None:
    low, high = ctypes.c_size_t(), ctypes.c_size_t()
    kernel: ctypes.CDLL = getattr(ctypes, "windll").kernel32  # noqa: B009 - only on Windows
    kernel.GetCurrentThreadStackLimits(ctypes.byref(low), ctypes.byref(high))
    return high.value - low.value or None


_ASK = {"linux": _linux_stack_bytes, "darwin": _macos_stack_bytes, "win32": _windows_stack_bytes}
