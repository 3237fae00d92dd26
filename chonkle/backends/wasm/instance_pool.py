"""The pool in which instances of guests wait for calls, and the bounds of all pools together.

An instance serves one call at a time. A caller takes it from the pool and returns it; an instance
whose guest trapped is never returned.
"""

import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from typing import Any, Protocol

# How many instances may wait for calls in a runtime, and their total memory. The memory of a guest
# never shrinks.
_INSTANCES_KEPT = 128
_MEMORY_KEPT_BYTES = 256 << 20
# Instances with at most this much memory are light: they count as none, and small calls need not
# ask for it.
LIGHT_MEMORY_BYTES = 2 << 20


class Pooled(Protocol):
    """An instance that waits for calls."""

    kept_bytes: int  # the size of its memory, or 0 for a light one
    given_s: float  # when it was made, or last returned with more than a light memory


class IdleInstances:
    """Bounds the number and memory of the instances that wait for calls, over all codecs.

    Instances in a call are not bounded. Those that were returned longest ago are freed first.

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
        # The queue of each pool, as long as the pool exists.
        self._queues: list[weakref.ref[deque[Any]]] = []

    def add_pool(self, waiting: deque[Any]) -> None:
        """Include the instances of a pool."""
        existing = [queue for queue in self._queues if queue() is not None]
        self._queues = [*existing, weakref.ref(waiting)]

    def _waiting(self) -> list[deque[Any]]:
        return [waiting for queue in self._queues if (waiting := queue()) is not None]

    def make_room(self) -> None:
        """Free instances until one more may wait."""
        while sum(map(len, self._waiting())) >= self.count_max:
            if not self._free_oldest():
                break

    def have_room(self, memory_bytes: int) -> bool:
        """Tell whether an instance that is not light may wait; frees others for it."""
        if memory_bytes > self._bytes_max:
            return False
        while memory_bytes + self._waiting_bytes() > self._bytes_max:
            if not self._free_oldest(heavy=True):
                break
        return True

    def _waiting_bytes(self) -> int:
        total = 0
        for waiting in self._waiting():
            # A copy, because other threads change the queue.
            for each in tuple(waiting):
                total += each.kept_bytes
        return total

    def _free_oldest(self, *, heavy: bool = False) -> bool:
        """Free the instance that waits longest, and tell whether there was one."""
        found = [
            (each.given_s, waiting, each)
            for waiting in self._waiting()
            for each in tuple(waiting)
            if each.kept_bytes or not heavy
        ]
        if not found:
            return False
        _, waiting, oldest = min(found, key=itemgetter(0))
        # Another thread may have taken it since.
        with suppress(ValueError):
            waiting.remove(oldest)
        return True


class InstancePool[I: Pooled]:
    """Instances of one codec that wait for their next call.

    Taking and returning are single operations of a deque and need no lock. The last one returned is
    taken first, because its memory is still in the processor's cache.
    """

    __slots__ = ("_bounds", "_idle", "_start", "give")

    def __init__(self, start: Callable[[], I], bounds: IdleInstances) -> None:
        """Make an empty pool.

        Args:
            start: makes an instance when none waits.
            bounds: the bounds of all pools together.
        """
        self._start = start
        # A full queue drops the instance that was returned longest ago.
        self._idle: deque[I] = deque(maxlen=bounds.count_max)
        self._bounds = bounds
        bounds.add_pool(self._idle)
        # For an instance that is known to be light.
        self.give = self._idle.append

    def take(self) -> I:
        """Take an instance out, or start one."""
        try:
            return self._idle.pop()
        except IndexError:
            self._bounds.make_room()
            instance = self._start()
            instance.given_s = time.monotonic()
            return instance

    def give_grown(self, instance: I, memory_bytes: int) -> None:
        """Return an instance whose memory may have grown.

        Args:
            instance: the instance, which is freed if there is no room for it.
            memory_bytes: the size of its memory.
        """
        if memory_bytes > LIGHT_MEMORY_BYTES:
            if not self._bounds.have_room(memory_bytes):
                return
            instance.kept_bytes = memory_bytes
            instance.given_s = time.monotonic()
        self._idle.append(instance)

    def waiting(self) -> tuple[I, ...]:
        """Give the instances that wait, without taking them."""
        return tuple(self._idle)

    def clear(self) -> None:
        """Free the instances that wait."""
        self._idle.clear()
