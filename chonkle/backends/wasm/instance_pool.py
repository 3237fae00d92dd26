"""The pool in which instances of guests wait for calls, and the bounds of all pools together.

An instance serves one call at a time. A caller takes it out of the pool and gives it back; an
instance whose guest trapped is never given back.
"""

import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from typing import Any, Protocol

# How many instances may wait for a call in a runtime, and how much memory they may hold together. A
# guest's memory never shrinks.
_INSTANCES_KEPT = 128
_MEMORY_KEPT_BYTES = 256 << 20
# Instances with no more memory than this count as none, so that small calls need no look at it.
LIGHT_MEMORY_BYTES = 2 << 20


class Pooled(Protocol):
    """An instance that waits for calls.

    Attributes:
        kept_bytes: size of its memory, if that is more than a light one.
        given_s: when it was made, or last given back with more memory than a light one.
    """

    kept_bytes: int
    given_s: float


class IdleInstances:
    """Bounds how many instances wait for calls, and their memory, over all codecs of a runtime.

    Instances that are in a call are not bounded. Those that were given back longest ago go first.

    Attributes:
        count_max: how many may wait of one codec, and of all when a new one is made.
    """

    def __init__(
        self, *, count_max: int = _INSTANCES_KEPT, bytes_max: int = _MEMORY_KEPT_BYTES
    ) -> None:
        """Make bounds for the pools that will be made with them.

        Args:
            count_max: how many may wait of one codec, and of all when a new one is made.
            bytes_max: how much memory those may hold together that are not light.
        """
        self.count_max = count_max
        self._bytes_max = bytes_max
        # What waits in each pool, as long as there is that pool.
        self._pools: list[weakref.ref[deque[Any]]] = []

    def add_pool(self, waiting: deque[Any]) -> None:
        """Include the instances that a pool holds, now and later."""
        living = [pool for pool in self._pools if pool() is not None]
        self._pools = [*living, weakref.ref(waiting)]

    def _waiting(self) -> list[deque[Any]]:
        return [waiting for pool in self._pools if (waiting := pool()) is not None]

    def make_room(self) -> None:
        """Free instances where so many wait that one more would be too many."""
        while sum(map(len, self._waiting())) >= self.count_max:
            if not self._free_oldest():
                break

    def have_room(self, memory_bytes: int) -> bool:
        """Tell whether an instance that is not light may wait; others are freed for it.

        Args:
            memory_bytes: how large its memory is.
        """
        if memory_bytes > self._bytes_max:
            return False
        while memory_bytes + self._waiting_bytes() > self._bytes_max:
            if not self._free_oldest(heavy=True):
                break
        return True

    def _waiting_bytes(self) -> int:
        total = 0
        for waiting in self._waiting():
            # A copy, which other threads leave as it is.
            for each in tuple(waiting):
                total += each.kept_bytes
        return total

    def _free_oldest(self, *, heavy: bool = False) -> bool:
        """Take an instance out of its pool, and give whether there was one."""
        found = [
            (each.given_s, waiting, each)
            for waiting in self._waiting()
            for each in tuple(waiting)
            if each.kept_bytes or not heavy
        ]
        if not found:
            return False
        _, waiting, oldest = min(found, key=itemgetter(0))
        # Another thread may have taken it meanwhile, which is as good.
        with suppress(ValueError):
            waiting.remove(oldest)
        return True


class InstancePool[I: Pooled]:
    """Instances of one codec that wait for their next call.

    Taking and giving are single operations of a deque, which need no lock; the last one given is
    the first one taken, because its memory is still in the processor's cache.
    """

    __slots__ = ("_bounds", "_idle", "_start", "give")

    def __init__(self, start: Callable[[], I], bounds: IdleInstances) -> None:
        """Make an empty pool.

        Args:
            start: makes an instance where none waits.
            bounds: what it has in common with other pools.
        """
        self._start = start
        # One that is full drops the instance that was given back longest ago.
        self._idle: deque[I] = deque(maxlen=bounds.count_max)
        self._bounds = bounds
        bounds.add_pool(self._idle)
        # For an instance whose memory is known to be light.
        self.give = self._idle.append

    def take(self) -> I:
        """Take an instance out; nobody else has it until it is given back."""
        try:
            return self._idle.pop()
        except IndexError:
            self._bounds.make_room()
            instance = self._start()
            instance.given_s = time.monotonic()
            return instance

    def give_grown(self, instance: I, memory_bytes: int) -> None:
        """Give an instance back whose memory may have grown.

        Args:
            instance: the instance, which is forgotten where there is no room for it.
            memory_bytes: how large its memory is.
        """
        if memory_bytes > LIGHT_MEMORY_BYTES:
            if not self._bounds.have_room(memory_bytes):
                return
            instance.kept_bytes = memory_bytes
            instance.given_s = time.monotonic()
        self._idle.append(instance)

    def waiting(self) -> tuple[I, ...]:
        """Give the instances that wait, which stay where they are."""
        return tuple(self._idle)

    def clear(self) -> None:
        """Forget the instances that wait."""
        self._idle.clear()
