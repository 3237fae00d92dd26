"""What pickles of pipelines and codecs share: a pickle holds what makes the object again.

It never holds native code. Another process makes the object with its own default runtime, or with
one of the same settings where the object had a runtime of its own.
"""

import pickle
from typing import Any

from chonkle.errors import ChonkleError, PipelineError
from chonkle.runtime import Runtime, default_runtime, shared_runtime


def pickled(part: object, what: str) -> bytes:
    """Pickle a part of an object.

    Args:
        part: the part.
        what: the part, for messages.

    Raises:
        PipelineError: when it cannot be pickled.
    """
    try:
        return pickle.dumps(part)
    except Exception as failure:
        # Each class raises its own errors here.
        raise PipelineError(
            f"{what} cannot be pickled",
            got=f"{type(failure).__name__}: {failure}",
            hint="make it in the process that runs it",
        ) from failure


def unpickled(part: bytes) -> Any:  # noqa: ANN401 - what `pickled` got
    """Load what `pickled` gave."""
    return pickle.loads(part)  # noqa: S301 - a part of a pickle that is being loaded


def pickled_runtime(runtime: Runtime, what: str) -> bytes | None:
    """Pickle the settings of a runtime; None for the default one.

    Args:
        runtime: the runtime.
        what: its owner, for messages.

    Raises:
        PipelineError: when they cannot be pickled.
    """
    if runtime is default_runtime():
        return None
    return pickled(runtime.settings, f"{what}: its runtime's settings")


def unpickled_runtime(settings: bytes | None) -> Runtime:
    """Give the runtime for what `pickled_runtime` gave."""
    return default_runtime() if settings is None else shared_runtime(unpickled(settings))


class Unusable:
    """A mixin for what was pickled and cannot be made here: each use says why.

    A pool of processes that cannot load what it was sent loses the error, or waits for ever.

    Args of the constructor:
        failure: why.
        what: the object, for messages.
    """

    def __init__(self, failure: ChonkleError, what: str) -> None:
        self._failure = failure
        self._what = what

    def __getattr__(self, name: str) -> object:
        """Raise the failure instead of giving what only a usable object has."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._failure.within(self._what)
