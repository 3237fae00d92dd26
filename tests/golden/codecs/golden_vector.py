"""What every maker of golden vectors needs: the vector itself, and data like that of an image."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

type Value = bytes | bool | int | float | str | list[int]
type Directions = tuple[Literal["decode", "encode"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One golden vector.

    Attributes:
        implementation: the codec's folder in `codec-src`.
        case: what it shows, the file's name.
        made_by: what computed the expected side, with versions.
        directions: which directions must give exactly the other side.
        inputs: ports of the encoded form and parameters; those of type `bytes` as bytes, others as
            plain values.
        outputs: ports of the decoded form, in the same way.
    """

    implementation: str
    case: str
    made_by: str
    directions: Directions
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]

    def text(self) -> str:
        """Write the file."""
        document = {
            "made_by": self.made_by,
            "directions": list(self.directions),
            "inputs": {name: written(value) for name, value in self.inputs.items()},
            "outputs": {name: written(value) for name, value in self.outputs.items()},
        }
        return json.dumps(document, indent=1) + "\n"


def written(value: Value) -> dict[str, object]:
    """Write the value of a port."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return {"json": value}


def smooth(
    dtype: np.dtype[np.unsignedinteger], shape: tuple[int, ...]
) -> NDArray[np.unsignedinteger]:
    """Give integers like those of an image: neighbours are alike, and some wrap around."""
    noise = np.random.default_rng(20240601).integers(-40, 41, shape)
    return np.cumsum(noise, axis=-2).astype(dtype)
