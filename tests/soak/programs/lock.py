"""Locks that are missing, and locks whose holder is stopped, goes on, or is dead.

lock.py KIND FOLDER

The last line is JSON: the outcome of each process that wanted an entry.
"""

import errno
import faulthandler
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from heard import Heard
from numbered_codecs import COMPILERS, ask, open_cache

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.record import Authenticator
from chonkle.cache.trimming import prune
from chonkle.engine import Engine
from chonkle.wasmtime_version import wasmtime_version

NUMBER = 42
# A process that waits this long hangs, and is killed by the other.
FOR_EVER_S, HANG_S = 86400.0, 60
SHORT_S = 0.3
BUDGET_BYTES = 1 << 30
FLOCK = fcntl.flock
# What file systems say that have no locks.
NO_LOCKS = {"ENOSYS": errno.ENOSYS, "ENOLCK": errno.ENOLCK, "EOPNOTSUPP": errno.EOPNOTSUPP}


class Case:
    """An empty cache, and looks at an entry of it as new processes would have them.

    Args of the constructor:
        kind: what the entry is of.
        root: the cache.
        engine: what compiles and loads.
        heard: what is logged.
    """

    def __init__(self, kind: str, root: Path, engine: Engine, heard: Heard) -> None:
        self._kind, self._root, self._engine, self._heard = kind, root, engine, heard

    @property
    def directory(self) -> CacheDirectory:
        return CacheDirectory(self._root, authenticator=Authenticator())

    def look(self, *, wait_s: float = FOR_EVER_S) -> dict[str, object]:
        cache = open_cache(self._root, self._engine)
        cache.wait_s = wait_s
        started = time.monotonic()
        got = ask(cache, self._kind, NUMBER)
        counts = cache.counts
        return {
            "right": got == NUMBER,
            "loaded": counts.loaded,
            "compiled": counts.compiled,
            "kept": counts.kept,
            "messages": self._heard.take(),
            "seconds": round(time.monotonic() - started, 3),
        }

    def start_and_stop(self) -> int:
        """Start a process that stops while it compiles; gives its id."""

        def compile_later() -> None:
            compiler = COMPILERS[self._kind]
            compile_ = compiler.compile

            def stop_first(*arguments: object) -> object:
                os.kill(os.getpid(), signal.SIGSTOP)
                return compile_(*arguments)  # type: ignore[arg-type]  # those of compile

            compiler.compile = stop_first  # type: ignore[method-assign,assignment]
            assert self.look()["right"]

        child = start(compile_later)
        _, status = os.waitpid(child, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return child


def start(act: Callable[[], object]) -> int:
    """Do something in another process; gives its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        act()
        code = 0
    finally:
        os._exit(code)


def end(child: int, name: signal.Signals) -> int:
    """Send a signal to a process, and give the status that it ends with."""
    os.kill(child, name)
    return os.waitpid(child, 0)[1]


@contextmanager
def failing_locks(number: int) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    fcntl.flock = refuse
    try:
        yield
    finally:
        fcntl.flock = FLOCK


def without_locks(case: Case, number: int) -> dict[str, object]:
    with failing_locks(number):
        looks = {"first": case.look(), "second": case.look()}
        directory = case.directory
        freed = sum(directory.remove(entry.key) for entry in directory.entries())
        prune(directory, size_max_bytes=BUDGET_BYTES, wasmtime=wasmtime_version(), now=time.time())
    return {**looks, "freed": freed}


def with_broken_locks(case: Case) -> dict[str, object]:
    with failing_locks(errno.EIO):
        return {"first": case.look(), "second": case.look()}


def while_stopped(case: Case) -> dict[str, object]:
    child = case.start_and_stop()
    meanwhile = case.look(wait_s=SHORT_S)
    status = end(child, signal.SIGCONT)
    return {"meanwhile": meanwhile, "status": status, "afterwards": case.look()}


def until_it_goes_on(case: Case) -> dict[str, object]:
    child = case.start_and_stop()
    read, write = os.pipe()

    def wait() -> None:
        os.write(write, json.dumps(case.look()).encode())

    waiting = start(wait)
    status = end(child, signal.SIGCONT)
    waited = os.waitpid(waiting, 0)[1]
    return {"status": status, "waiter": waited, "looked": json.loads(os.read(read, 65536))}


def after_a_death(case: Case) -> dict[str, object]:
    status = end(case.start_and_stop(), signal.SIGKILL)
    return {"status": status, "first": case.look(), "second": case.look()}


def main() -> None:
    kind, folder, engine, heard = sys.argv[1], Path(sys.argv[2]), Engine(), Heard()
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    # What is imported late is imported here, once.
    Case(kind, folder / "first", engine, heard).look()
    report: dict[str, object] = {
        name: without_locks(Case(kind, folder / name, engine, heard), number)
        for name, number in NO_LOCKS.items()
    }
    for act in (with_broken_locks, while_stopped, until_it_goes_on, after_a_death):
        report[act.__name__] = act(Case(kind, folder / act.__name__, engine, heard))
    faulthandler.cancel_dump_traceback_later()
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
