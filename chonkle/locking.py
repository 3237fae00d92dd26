"""A lock between threads that a fork leaves free."""

import os
from threading import Lock


class ForkableLock:
    """A lock of its own in every process, held as a context manager.

    A plain lock that another thread holds while the process forks stays held in the child, where
    that thread does not exist: whoever wants it there waits for ever.
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        # By process. One step makes it and finds it, so that threads of a child agree on one.
        self._locks: dict[int, Lock] = {}

    def __enter__(self) -> None:
        """Wait for the lock and take it."""
        self._locks.setdefault(os.getpid(), Lock()).acquire()

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self._locks[os.getpid()].release()
