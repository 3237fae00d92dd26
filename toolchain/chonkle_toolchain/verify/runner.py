"""Running codecs under test: through the runtime, under limits, and within a time budget.

Each codec that is opened here has instances of its own. Their native code is in a temporary cache:
opening a codec again compiles nothing, and hostile code never reaches the user's cache.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from chonkle.backends.base import Codec, Limits, call_label
from chonkle.backends.wasm.guest_errors import NO_MESSAGE
from chonkle.closing import Closing
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded
from chonkle.formats.signature import Direction
from chonkle.limits import CompileLimits
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.direct_call import COMPILE_LIMITS, LIMITS
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable

# For all calls of one file together, which may be thousands.
BUDGET_S = 300.0

_DOING: Mapping[Direction, str] = {"encode": "encoding", "decode": "decoding"}

type Ports = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure that the codec reported.

    Attributes:
        words: its message; empty when it gave none.
        for_memory: whether the reason is the memory limit and not the input.
    """

    words: str
    for_memory: bool = False


# The outcome of a call that does not break the codec: outputs, or a failure that it reports.
type Reply = Ports | Refusal


class Runner(Closing):
    """Opens codecs, and closes them all when it is closed.

    Args of the constructor:
        cache: a private folder for native code.
        limits: the limits of one call.
        budget_s: how long all calls together may take.
        compile_limits: the limits of compiling one of them.
    """

    def __init__(
        self,
        cache: Path,
        *,
        limits: Limits = LIMITS,
        budget_s: float = BUDGET_S,
        compile_limits: CompileLimits = COMPILE_LIMITS,
    ) -> None:
        self.limits = limits
        self.compile_limits = compile_limits
        self._cache = cache
        self._runtimes: list[Runtime] = []
        self._budget_s = self._left_s = budget_s
        self._ran_too_long = False

    def open(self, codec: WasmCodec) -> "OpenCodec":
        """Open a codec, with instances of its own.

        Raises:
            WasmFormatError: when it cannot be opened.
        """
        runtime = Runtime(cache=self._cache, compile_limits=self.compile_limits)
        self._runtimes.append(runtime)
        resolution = Resolution(codec.kind, codec.signature, "to be verified", codec)
        return OpenCodec(runtime.open(resolution, self.limits), file=codec, runner=self)

    @contextmanager
    def on_the_clock(self) -> Iterator[None]:
        """Let a guest run, if there is time left.

        Raises:
            NotApplicable: when an earlier call ran too long: the next would do the same.
            CheckFailed: when no time is left.
        """
        if self._ran_too_long:
            raise NotApplicable("not checked, because a call ran too long before")
        if self._left_s <= 0:
            raise CheckFailed(
                "too slow to be checked",
                expected=f"at most {self._budget_s:g} s for all calls together",
            )
        started = time.monotonic()
        try:
            yield
        except LimitExceeded as failure:
            cause = failure.__cause__
            if isinstance(cause, wasmtime.Trap) and (
                cause.trap_code is wasmtime.TrapCode.INTERRUPT
            ):
                self._ran_too_long = True
            raise
        finally:
            self._left_s -= time.monotonic() - started

    def close(self) -> None:
        """Close every codec. Idempotent."""
        for runtime in self._runtimes:
            runtime.close()
        self._runtimes.clear()


class OpenCodec:
    """An open codec; only its runner makes it."""

    def __init__(self, codec: Codec, *, file: WasmCodec, runner: Runner) -> None:
        self._codec = codec
        self._file = file
        self._bench = runner

    def call(self, direction: Direction, ports: Ports, *, what: str = "") -> Reply:
        """Call the codec.

        Args:
            direction: which of its two functions.
            ports: the inputs.
            what: what is special about them, as words after `encoding` or `decoding`.

        Returns:
            The outputs, or the failure that it reports.

        Raises:
            CheckFailed: when it trapped, ran too long, or broke in any other way.
            NotApplicable: when a call ran too long before.
        """
        try:
            with self._bench.on_the_clock():
                return self._codec.call(direction, ports)
        except (CodecError, CodecTrap, LimitExceeded) as failure:
            label = call_label(self._file.signature, self._file.kind, direction)
            words = str(failure).removeprefix(f"{label}: ")
            if isinstance(failure, CodecError):
                return Refusal("" if words == NO_MESSAGE else words)
            if _is_its_own_word(failure):
                return Refusal(words, for_memory=True)
            raise CheckFailed(f"{doing(direction, what)}: {words}") from failure

    def memory_bytes(self) -> int | None:
        """Give the memory of its idle instance; None where that is unknown."""
        return self._codec.memory_bytes()


def doing(direction: Direction, what: str) -> str:
    """Describe a call: `encoding` or `decoding`, and what is special about it."""
    return f"{_DOING[direction]} {what}".rstrip()


def _is_its_own_word(failure: ChonkleError) -> bool:
    """Tell whether a codec itself reported that memory is short, and was not interrupted."""
    return isinstance(failure, LimitExceeded) and not isinstance(
        failure.__cause__, (wasmtime.Trap, wasmtime.WasmtimeError)
    )
