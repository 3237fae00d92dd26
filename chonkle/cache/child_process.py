"""Starting the child process that compiles a binary, and waiting for its reply.

The child gets the binary and returns artifacts through a pipe. It knows neither the directory nor
the key of the cache: this process writes and authenticates the entry.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from chonkle.cache.child import Job, MalformedMessageError, read_message, write_message
from chonkle.errors import CacheError, LimitExceeded, WasmFormatError, os_error_text

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from chonkle.cache.child import main; main()"
# Isolated from the user's settings, and with no start-up files.
_FLAGS = ("-I", "-S")
# The variables that the system needs to load Python itself.
_PASSED_ON = (
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "SYSTEMROOT",
)
# Native code is ten times as long as WebAssembly, and wasmtime adds up to 16 MiB of zeros to the
# data of each memory.
_REPLY_BYTES_MAX = 96 << 20
_REPLY_BYTES_PER_BYTE = 32
_OUTPUT_BYTES_MAX = 64 << 10
# Messages of Rust, Python and the C library when memory runs out.
_OUT_OF_MEMORY = (b"memory allocation of", b"MemoryError", b"out of memory", b"Cannot allocate")


def compile_in_child(job: Job, wasm: bytes) -> list[bytes]:
    """Compile a binary in a child process, with the limits of the job.

    Raises:
        WasmFormatError: when the binary is not valid.
        LimitExceeded: when compiling exceeds the limits.
        CacheError: when the process cannot be started, or breaks.
    """
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        process.kill()

    with _start(job.what) as process:
        # A timer, because not every system has timeouts for reads and writes of pipes.
        clock = threading.Timer(job.limits.timeout_s, end)
        clock.daemon = True
        try:
            clock.start()
            reply = _exchange(process, job, wasm)
        except RuntimeError as failure:
            # The system has no more threads.
            raise _unstarted(job.what, str(failure)) from failure
        finally:
            clock.cancel()
            # Also after Ctrl-C.
            process.kill()
    if isinstance(reply, list):
        match reply:
            case [b"compiled", *artifacts]:
                return artifacts
            case [b"invalid", reason]:
                raise WasmFormatError(reason.decode(errors="replace"))
            case [b"memory"]:
                raise _too_much_memory(job)
        reply = b"an unknown reply"
    if is_late.is_set() or process.returncode == _return_code("SIGXCPU"):
        raise LimitExceeded(
            f"{job.what}: compiling it took too long",
            expected=f"at most {job.limits.timeout_s:g} s",
            hint="--compile-timeout or CHONKLE_COMPILE_TIMEOUT raises that, if you trust the codec",
        )
    if any(words in reply for words in _OUT_OF_MEMORY):
        raise _too_much_memory(job)
    raise _broken(job, process.returncode, reply)


def _start(what: str) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise _unstarted(what, "sys.executable is not set")
    # The child uses bytecode as this process does.
    flags = [*_FLAGS, *["-B"] * sys.dont_write_bytecode]
    if sys.pycache_prefix:
        flags += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    # The last is for a chonkle that was not found through sys.path.
    paths = [*map(os.path.abspath, sys.path), str(Path(__file__).parents[2])]
    try:
        return subprocess.Popen(  # noqa: S603 - Python itself, with arguments of our own
            [sys.executable, *flags, "-c", _PROGRAM, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Messages of a crash come instead of a reply.
            stderr=subprocess.STDOUT,
            # Unbuffered, so that closing does not write again to a process that ended.
            bufsize=0,
            env=_environment(os.environ),
            # Ctrl-C goes to the parent only.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as failure:
        raise _unstarted(what, os_error_text(failure)) from failure


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: variables[name] for name in _PASSED_ON if name in variables}


def _exchange(process: subprocess.Popen[bytes], job: Job, wasm: bytes) -> list[bytes] | bytes:
    """Send a job and give the parts of the reply, or the other output of the process."""
    assert process.stdin is not None  # noqa: S101 - they are pipes
    assert process.stdout is not None  # noqa: S101
    with BufferedReader(cast("Any", process.stdout)) as output:
        try:
            # The child may end before it has read everything.
            with suppress(OSError):
                write_message(process.stdin, [pickle.dumps(job), wasm])
            return read_message(
                output, size_max=_REPLY_BYTES_MAX + _REPLY_BYTES_PER_BYTE * len(wasm)
            )
        except MalformedMessageError as failure:
            return failure.head + output.read(_OUTPUT_BYTES_MAX)


def _too_much_memory(job: Job) -> LimitExceeded:
    return LimitExceeded(
        f"{job.what}: compiling it took too much memory",
        expected=f"at most {job.limits.memory_bytes} bytes",
        hint="--compile-memory or CHONKLE_COMPILE_MEMORY raises that, if you trust the codec",
    )


def _unstarted(what: str, reason: str) -> CacheError:
    return CacheError(
        f"{what}: the process that compiles it cannot be started: {reason}",
        hint="`Runtime(compile_limits=None)` compiles in this process, without limits",
    )


def _broken(job: Job, code: int, output: bytes) -> CacheError:
    words = output.decode(errors="replace").strip().rpartition("\n")[2]
    return CacheError(
        f"{job.what}: the process that compiles it broke",
        got=f"{_ending(code)}{': ' * bool(words)}{words}",
    )


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def _return_code(name: str) -> int | None:
    """Give the return code after a signal; None on systems without that signal."""
    number = getattr(signal, name, None)
    return None if number is None else -number
