"""Where codecs under test are run: as the runtime runs them, under limits, and on a clock.

Each codec that is opened here has instances of its own. Their native code lies in a cache that is
thrown away, so that opening one again compiles nothing, and nobody else finds what may be hostile.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from chonkle.backends.base import Codec, Limits, call_label
from chonkle.backends.guest import WORDLESS
from chonkle.closing import Closing
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded
from chonkle.formats.signature import Direction
from chonkle.limits import CompileLimits
from chonkle.resolver import Resolution
from chonkle.session import Session
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.direct_call import COMPILE_LIMITS, LIMITS
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable

# For all calls of one file together: a codec may be slow in each of thousands.
BUDGET_S = 300.0

_DOING: Mapping[Direction, str] = {"encode": "encoding", "decode": "decoding"}

type Ports = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a codec said when it said no.

    Attributes:
        words: its words; empty where it had none.
        for_memory: whether the reason is how much memory it may have, and not the input.
    """

    words: str
    for_memory: bool = False


# What a codec does with a call if it does not break: it answers, or it refuses.
type Reply = Ports | Refusal


class Runner(Closing):
    """Opens codecs, and ends them all when it is closed.

    Args of the constructor:
        cache: where native code goes; a folder of nobody else.
        limits: what one call may take.
        budget_s: how long all calls together may take.
        compile_limits: what compiling one of them may take.
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
        self._sessions: list[Session] = []
        self._budget_s = self._left_s = budget_s
        self._ran_too_long = False

    def open(self, codec: WasmCodec) -> "OpenCodec":
        """Open a codec, with instances of its own.

        Raises:
            WasmFormatError: when it cannot be opened.
        """
        session = Session(cache=self._cache, compile_limits=self.compile_limits)
        self._sessions.append(session)
        resolution = Resolution(codec.kind, codec.signature, "to be verified", codec)
        return OpenCodec(session.open(resolution, self.limits), file=codec, runner=self)

    @contextmanager
    def on_the_clock(self) -> Iterator[None]:
        """Let a guest run, if there is time left for it.

        Raises:
            NotApplicable: when a call ran too long before: the next would do the same.
            CheckFailed: when no time is left.
        """
        if self._ran_too_long:
            raise NotApplicable("not looked at, because a call ran too long before")
        if self._left_s <= 0:
            raise CheckFailed(
                "too slow to be looked at",
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
        for session in self._sessions:
            session.close()
        self._sessions.clear()


class OpenCodec:
    """A codec on the runner; only its runner makes it."""

    def __init__(self, codec: Codec, *, file: WasmCodec, runner: Runner) -> None:
        self._codec = codec
        self._file = file
        self._bench = runner

    def call(self, direction: Direction, ports: Ports, *, what: str = "") -> Reply:
        """Call the codec.

        Args:
            direction: which of its two functions.
            ports: the inputs.
            what: what is special about them, in words behind `encoding` or `decoding`.

        Returns:
            The outputs, or what it said when it refused.

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
                return Refusal("" if words == WORDLESS else words)
            if _is_its_own_word(failure):
                return Refusal(words, for_memory=True)
            raise CheckFailed(f"{doing(direction, what)}: {words}") from failure

    def memory_bytes(self) -> int | None:
        """Say how much memory its idle instance has; None where that cannot be seen."""
        return self._codec.memory_bytes()


def doing(direction: Direction, what: str) -> str:
    """Say what a call does: `encoding`, and what is special about it."""
    return f"{_DOING[direction]} {what}".rstrip()


def _is_its_own_word(failure: ChonkleError) -> bool:
    """Tell whether a codec said itself that it is short of memory, and was not stopped."""
    return isinstance(failure, LimitExceeded) and not isinstance(
        failure.__cause__, (wasmtime.Trap, wasmtime.WasmtimeError)
    )
