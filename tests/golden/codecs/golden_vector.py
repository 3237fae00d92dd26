"""A golden vector, and sample data like that of an image."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

type Value = bytes | bool | int | float | str | list[int] | list[list[Any]]
type Directions = tuple[Literal["decode", "encode"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One golden vector.

    Attributes:
        implementation: the codec's folder in `codec-src`.
        case: the name of the file.
        made_by: the implementation that made it, with versions.
        directions: the directions whose result must be exactly the same.
        inputs: ports of the encoded form and parameters; those of type `bytes` as bytes, others as
            plain values.
        outputs: ports of the decoded form, likewise.
    """

    implementation: str
    case: str
    made_by: str
    directions: Directions
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]

    def text(self) -> str:
        """Return the text of the file."""
        document = {
            "made_by": self.made_by,
            "directions": list(self.directions),
            "inputs": {name: written(value) for name, value in self.inputs.items()},
            "outputs": {name: written(value) for name, value in self.outputs.items()},
        }
        return json.dumps(document, indent=1) + "\n"


def written(value: Value) -> dict[str, object]:
    """Return the value of a port as JSON."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return {"json": value}


def smooth(
    dtype: np.dtype[np.unsignedinteger], shape: tuple[int, ...]
) -> NDArray[np.unsignedinteger]:
    """Return integers like those of an image: neighbours are similar, and some wrap around."""
    noise = np.random.default_rng(20240601).integers(-40, 41, shape)
    return np.cumsum(noise, axis=-2).astype(dtype)
