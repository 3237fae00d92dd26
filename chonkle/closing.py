"""Objects that own memory or files, as context managers."""

from types import TracebackType
from typing import Self


class Closing:
    """A context manager that ends with its `close`."""

    def close(self) -> None:
        """Free what it owns. Idempotent."""

    def __enter__(self) -> Self:
        """Give the object itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
