"""A lock between threads that is free after a fork."""

import os
from threading import Lock


class ForkableLock:
    """A context manager with one lock for each process.

    A plain lock that another thread holds during a fork stays held in the child for ever, because
    that thread does not exist there.
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        # By process id. `setdefault` is atomic, so that all threads of a child get the same lock.
        self._locks: dict[int, Lock] = {}

    def __enter__(self) -> None:
        """Wait for the lock and take it."""
        self._locks.setdefault(os.getpid(), Lock()).acquire()

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self._locks[os.getpid()].release()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle a free lock: one that is held is of no meaning elsewhere."""
        return ForkableLock, ()
