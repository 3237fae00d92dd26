"""The child process that compiles one binary, and its messages.

    standard input    request: the job, and the binary
    standard output   reply: "compiled" and the artifacts, "invalid" and the reason, or "memory"

Both are messages: 8 bytes of magic, the number of parts as a u32, then each part: its length as a
u64 and its bytes. All numbers are little-endian.

The job is pickled, because the parent is trusted. The reply is not, because the child handles
untrusted binaries. The parent keeps standard input open as long as it wants the reply.
"""

import math
import os
import pickle
import struct
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from chonkle.cache.compilers import Compiler, compile_artifacts
from chonkle.engine import Engine, EngineConfig
from chonkle.errors import WasmFormatError
from chonkle.limits import CompileLimits

_MAGIC = b"chonkle\1"
_COUNT, _LENGTH = struct.Struct("<I"), struct.Struct("<Q")
# wasmtime allows a component 1000 modules.
_PARTS_MAX = 4096
_REQUEST_BYTES_MAX = 1 << 40
_WATCH_STACK_BYTES = 256 << 10
_OUT_OF_MEMORY = "os error 12)"


@dataclass(frozen=True, slots=True)
class Job:
    """How to compile a binary."""

    compiler: Compiler[Any]
    engine: EngineConfig  # the configuration of the engine that will run it
    what: str  # the codec, for messages
    limits: CompileLimits

    def reply(self, wasm: bytes) -> list[bytes]:
        """Compile a binary to the parts of a reply."""
        try:
            engine = Engine(self.engine).wasmtime
            return [b"compiled", *compile_artifacts(self.compiler, engine, wasm, what=self.what)]
        except MemoryError:
            return [b"memory"]
        except WasmFormatError as failure:
            reason = str(failure)
            return [b"memory"] if _OUT_OF_MEMORY in reason else [b"invalid", reason.encode()]


class MalformedMessageError(Exception):
    """A message is truncated, too long, or malformed in another way.

    Attributes:
        head: its first bytes.
    """

    def __init__(self, head: bytes) -> None:
        super().__init__("malformed message")
        self.head = head


def write_message(stream: IO[bytes], parts: Sequence[bytes]) -> None:
    """Write a message."""
    head = _MAGIC + _COUNT.pack(len(parts))
    for data in (head, *(each for part in parts for each in (_LENGTH.pack(len(part)), part))):
        # A stream without a buffer may write only a part.
        left = memoryview(data)
        while left:
            left = left[stream.write(left) :]
    stream.flush()


def read_message(stream: IO[bytes], *, size_max: int) -> list[bytes]:
    """Read a message.

    Raises:
        MalformedMessageError: when it is malformed.
    """
    head = stream.read(len(_MAGIC) + _COUNT.size)
    if head[: len(_MAGIC)] != _MAGIC or len(head) != len(_MAGIC) + _COUNT.size:
        raise MalformedMessageError(head)
    (count,) = _COUNT.unpack(head[len(_MAGIC) :])
    parts: list[bytes] = []
    if count > _PARTS_MAX:
        raise MalformedMessageError(head)
    for _ in range(count):
        length = stream.read(_LENGTH.size)
        if len(length) != _LENGTH.size:
            raise MalformedMessageError(head)
        (size,) = _LENGTH.unpack(length)
        size_max -= size
        part = stream.read(size) if size_max >= 0 else b""
        if len(part) != size:
            raise MalformedMessageError(head)
        parts.append(part)
    return parts


def main() -> None:
    """Reply to the request on standard input, and end."""
    request = sys.stdin.buffer
    pickled, wasm = read_message(request, size_max=_REQUEST_BYTES_MAX)
    job: Job = pickle.loads(pickled)  # noqa: S301 - see above
    threading.stack_size(_WATCH_STACK_BYTES)
    threading.Thread(target=_end_with_parent, args=(request.fileno(),), daemon=True).start()
    _limit(job.limits)
    write_message(sys.stdout.buffer, job.reply(wasm))
    # Freeing the compiled code would take time.
    os._exit(0)


def _end_with_parent(request: int) -> None:
    """End this process as soon as its parent stops waiting."""
    os.read(request, 1)
    os._exit(1)


def _limit(limits: CompileLimits) -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - Windows has none

    def limit(which: int, soft: int, hard: int) -> None:
        _, most = resource.getrlimit(which)
        # A limit that is set cannot be raised.
        bound = max(soft, hard) if most == resource.RLIM_INFINITY else most
        resource.setrlimit(which, (min(soft, bound), min(hard, bound)))

    # Private memory; unlike RLIMIT_AS, without reserved addresses.
    limit(resource.RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes)
    # The parent has a timer. This is for when the parent dies.
    seconds = math.ceil(limits.timeout_s) + 1
    limit(resource.RLIMIT_CPU, seconds, seconds + 1)
    limit(resource.RLIMIT_CORE, 0, 0)
