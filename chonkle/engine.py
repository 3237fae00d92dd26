"""The wasmtime engine: how guests are compiled, and what native code depends on.

`EngineConfig` has every setting that chonkle chooses. All are part of the fingerprint, so that
native code is only loaded under the configuration that compiled it: wasmtime checks most settings
when it loads code, but not all.
"""

import math
import os
import platform
import re
import select
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from weakref import WeakSet

import wasmtime

from chonkle.digest import Digest
from chonkle.wasmtime_version import wasmtime_version

# The smallest module: magic and version. Its compiled form has everything that wasmtime compares
# when it loads native code.
_EMPTY_MODULE = b"\0asm\x01\0\0\0"
_ENGINE_SECTION = b".wasmtime.engine"
_TICK_S = 0.01
_UNREACHABLE_TICK = 1 << 62
# A trap's cause, as `innermost_cause` gives it.
INTERRUPTED = "interrupt"
_UNKNOWN_IMPORT = "unknown import: "
_NUMBERED = re.compile(r"^[0-9]+: ")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The engine settings that chonkle chooses; all others are wasmtime's defaults."""

    # Compile checks into guests, so that a timeout can stop them. They take up to a third longer,
    # so it is on only with a timeout.
    interruptible: bool = False
    max_wasm_stack_bytes: int = 512 * 1024  # stack that a guest may use on the thread that calls it
    # Let wasmtime move a memory that grows. Without, its address is asked for once; wasmtime
    # reserves addresses for the largest 32-bit memory.
    memory_may_move: bool = False
    # Compile the functions of a module on several threads. This pool of threads does not survive a
    # fork: a child that compiles would wait for it for ever.
    parallel_compilation: bool = False


# The configurations that codecs run under: without a timeout, and with one.
ENGINE_CONFIGS = (EngineConfig(), EngineConfig(interruptible=True))


class Engine:
    """A wasmtime engine with its configuration, fingerprint and clock.

    Shared freely between threads.

    Attributes:
        config: its settings.
        wasmtime: the engine itself.
    """

    def __init__(self, config: EngineConfig | None = None) -> None:
        """Make an engine.

        Args:
            config: settings; the defaults when left out.
        """
        self.config = config or EngineConfig()
        settings = base_settings()
        settings.max_wasm_stack = self.config.max_wasm_stack_bytes
        settings.memory_may_move = self.config.memory_may_move
        settings.parallel_compilation = self.config.parallel_compilation
        if self.config.interruptible:
            settings.epoch_interruption = True
        self.wasmtime = wasmtime.Engine(settings)
        self._fingerprint: Digest | None = None
        self._clock = _EpochClock(self.wasmtime)

    @property
    def fingerprint(self) -> Digest:
        """Identify everything that native code made by this engine depends on.

        Covers what wasmtime compares on loading (version, target, processor features, compiler
        settings), the exact wasmtime version, the platform, and every field of the configuration.
        """
        if self._fingerprint is None:
            compiled = bytes(wasmtime.Module(self.wasmtime, _EMPTY_MODULE).serialize())
            parts = (
                elf_section(compiled, _ENGINE_SECTION) or compiled,
                wasmtime_version().encode(),
                target().encode(),
                repr(astuple(self.config)).encode(),
            )
            framed = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
            self._fingerprint = Digest.blake3(framed)
        return self._fingerprint

    @contextmanager
    def deadline(self, wasm_store: wasmtime.Store, timeout_s: float | None) -> Iterator[None]:
        """Interrupt guest code of a store that runs longer than allowed.

        On the main thread Ctrl-C ends the guest as well, without waiting for the timeout.

        Args:
            wasm_store: the store whose guest is about to run.
            timeout_s: seconds; None lets it run.

        Raises:
            KeyboardInterrupt: when Ctrl-C ended the guest.
        """
        if not self.config.interruptible:
            yield
            return
        if timeout_s is None:
            wasm_store.set_epoch_deadline(_UNREACHABLE_TICK)
            yield
            return
        ends_s = time.monotonic() + timeout_s
        # One more tick, because the current one may end immediately.
        ticks = math.ceil(timeout_s / _TICK_S) + 1
        wasm_store.set_epoch_deadline(ticks)
        clock = self._clock
        pipe = clock.begin(ticks)
        try:
            if pipe is not None:
                pipe.listen()
            yield
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            # Only Ctrl-C ends a guest early.
            if time.monotonic() < ends_s and innermost_cause(failure) == INTERRUPTED:
                raise KeyboardInterrupt from failure
            raise
        finally:
            if pipe is not None:
                pipe.rest()
            clock.end()


def base_settings() -> wasmtime.Config:
    """Give settings of wasmtime without the features that no codec needs.

    Garbage collection, exceptions, 64-bit and shared memories: each is code of the engine that a
    hostile module could reach, and chonkle's reader of modules supports none of them.
    """
    settings = wasmtime.Config()
    settings.wasm_gc = False
    settings.wasm_function_references = False
    settings.wasm_exceptions = False
    settings.wasm_memory64 = False
    settings.wasm_threads = False
    return settings


def innermost_cause(failure: Exception) -> str:
    """Give the reason that wasmtime names for a failure, in one line.

    wasmtime prints a chain of causes below a backtrace, the innermost last, and numbers a long one.
    The names of a guest's functions are not compiled in; the name of an import is, and may have
    line breaks.
    """
    text = str(failure).strip()
    at = text.find(_UNKNOWN_IMPORT)
    line = text[at:] if at >= 0 else text.rpartition("\n")[2].strip()
    return _NUMBERED.sub("", line).removeprefix("wasm trap: ") or type(failure).__name__


class _EpochClock:
    """Advances the epoch of an engine while guests run that have a deadline.

    When the main thread runs such a guest and the process gets Ctrl-C, the clock ends all of them:
    an engine has one epoch, which cannot end a single guest early.
    """

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._reset()
        _CLOCKS.add(self)

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._running = 0
        # The longest deadline of a running guest, in ticks.
        self._farthest = 0
        self._thread: threading.Thread | None = None
        self._pipe: _InterruptPipe | None = None

    def start_anew(self) -> None:
        """Start again in a forked child, which has none of its parent's threads."""
        if self._pipe is not None:
            # The parent must not hear of this process's signals.
            self._pipe.rest()
        self._reset()

    def begin(self, ticks: int) -> "_InterruptPipe | None":
        """Advance the epoch until `end` is called.

        Args:
            ticks: the deadline of the guest that is about to run.

        Returns:
            What is told of Ctrl-C, where it would raise KeyboardInterrupt in this thread.
        """
        with self._condition:
            self._running += 1
            self._farthest = max(self._farthest, ticks)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._tick, name="chonkle-epoch", daemon=True
                )
                self._thread.start()
            elif self._running == 1:
                self._condition.notify()
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            return None
        if self._pipe is None:
            self._pipe = _InterruptPipe()
        return self._pipe

    def end(self) -> None:
        with self._condition:
            self._running -= 1
            if self._running == 0:
                self._farthest = 0

    def _tick(self) -> None:
        while True:
            with self._condition:
                # Without guests the thread ends, so that the engine can be freed.
                if self._running == 0 and not self._condition.wait_for(
                    lambda: self._running > 0, timeout=1.0
                ):
                    self._thread = None
                    return
            pipe = self._pipe
            if pipe is None:
                time.sleep(_TICK_S)
            elif pipe.hears(_TICK_S):
                for _ in range(self._farthest):
                    self._engine.increment_epoch()
            self._engine.increment_epoch()


class _InterruptPipe:
    """Tells a thread of Ctrl-C while the main thread runs a guest.

    Python calls a signal handler only after the guest has returned. But its handler in C writes
    the signal's number immediately, to a file descriptor that it was given.
    """

    __slots__ = ("_is_given", "_reader", "_writer")

    def __init__(self) -> None:
        # Whether Python has the descriptor.
        self._is_given = False
        self._reader = self._writer = -1
        if os.name != "posix":
            # `select` takes no pipes there.
            return
        try:
            self._reader, self._writer = os.pipe()
        except OSError:
            # The process may open no more files: Ctrl-C waits for the timeout.
            return
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def __del__(self) -> None:
        # A descriptor in use must not be reused for another file.
        if self._writer >= 0 and not self._is_given:
            os.close(self._reader)
            os.close(self._writer)

    def listen(self) -> None:
        """Give Python the descriptor, on the main thread."""
        if self._writer < 0:
            return
        before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._is_given = True
        if before not in (-1, self._writer):
            # It belongs to an event loop, which keeps it.
            signal.set_wakeup_fd(before)
            self._is_given = False

    def rest(self) -> None:
        """Take the descriptor back, on the main thread."""
        if self._is_given:
            signal.set_wakeup_fd(-1)
            self._is_given = False

    def hears(self, timeout_s: float) -> bool:
        """Wait for Ctrl-C, and tell whether it came."""
        if self._reader < 0:
            time.sleep(timeout_s)
            return False
        readable, _, _ = select.select([self._reader], [], [], timeout_s)
        return bool(readable) and signal.SIGINT in os.read(self._reader, 4096)


# One hook for all clocks, because Python cannot remove a hook.
_CLOCKS: WeakSet[_EpochClock] = WeakSet()


def _start_clocks_anew() -> None:
    for clock in list(_CLOCKS):
        clock.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_clocks_anew)


def target() -> str:
    """Name the operating system and the processor that native code is made for."""
    return f"{sys.platform}-{platform.machine()}"


def elf_section(image: bytes, name: bytes) -> bytes | None:
    """Find a section of a 64-bit little-endian ELF image (System V gABI, chapter 4)."""
    if image[:6] != b"\x7fELF\x02\x01":
        return None
    (table,) = struct.unpack_from("<Q", image, 0x28)
    entry_size, count, names_index = struct.unpack_from("<HHH", image, 0x3A)

    def header(index: int) -> tuple[int, int, int]:
        # sh_name at 0, sh_offset at 24, sh_size at 32
        start = table + index * entry_size
        (name_offset,) = struct.unpack_from("<I", image, start)
        offset, size = struct.unpack_from("<QQ", image, start + 24)
        return name_offset, offset, size

    names_start = header(names_index)[1]
    for index in range(count):
        name_offset, offset, size = header(index)
        start = names_start + name_offset
        if image[start : start + len(name) + 1] == name + b"\0":
            return image[offset : offset + size]
    return None
