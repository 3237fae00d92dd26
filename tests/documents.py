"""JSON documents for tests."""

import copy
from collections.abc import Mapping
from typing import Any


def changed(
    document: Mapping[str, Any], path: str | tuple[str | int, ...], value: object
) -> dict[str, Any]:
    """Copy a document with another value at a path, `steps/zlib`; `...` removes what is there."""
    copied: Any = copy.deepcopy(document)
    *parents, last = path.split("/") if isinstance(path, str) else path
    inner = copied
    for key in parents:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    found: dict[str, Any] = copied
    return found
