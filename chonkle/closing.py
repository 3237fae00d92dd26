"""Things that own memory or files, and are given back at the end of a `with`."""

from types import TracebackType
from typing import Self


class Closing:
    """A context manager whose end is its `close`, which must be idempotent."""

    def close(self) -> None:
        """Give back what is held. Idempotent."""

    def __enter__(self) -> Self:
        """Give the thing itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
