"""Golden vectors: inputs and outputs of a codec that an independent implementation computed.

A vector is a JSON file in the codec's folder, `vectors/<case>.json`:

    made_by      what computed the expected side, with versions
    directions   which directions must give exactly the other side
    inputs       ports of the encoded form and parameters: {"base64": ...} or {"json": ...}
    outputs      ports of the decoded form, in the same way
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from chonkle.errors import BuildError, CodecError, CodecTrap
from chonkle.formats.json_text import parse_json
from chonkle.formats.signature import Direction, Signature
from chonkle.formats.values import encode_scalar
from chonkle_toolchain.guest import call
from chonkle_toolchain.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Vector:
    """One golden vector.

    Attributes:
        case: what it shows, the file's name.
        made_by: what computed it.
        directions: the directions that must give exactly the other side.
        inputs: the encoded form and the parameters, as they travel.
        outputs: the decoded form, as it travels.
    """

    case: str
    made_by: str
    directions: tuple[Direction, ...]
    inputs: Mapping[str, bytes]
    outputs: Mapping[str, bytes]

    def given(self, direction: Direction, signature: Signature) -> dict[str, bytes]:
        """Give what goes in, in a direction."""
        # A name that stands on both sides, such as `bytes`, means the side that goes in.
        known = (
            {**self.outputs, **self.inputs}
            if direction == "decode"
            else {**self.inputs, **self.outputs}
        )
        return {name: known[name] for name in signature.takes(direction) if name in known}

    def expected(self, direction: Direction, signature: Signature) -> dict[str, bytes]:
        """Give what must come out, in a direction."""
        known = self.outputs if direction == "decode" else self.inputs
        return {name: known[name] for name in signature.gives(direction)}


def read_vectors(recipe: Recipe) -> list[Vector]:
    """Read a codec's golden vectors.

    Args:
        recipe: the codec.

    Returns:
        Its vectors, sorted by case.

    Raises:
        BuildError: when one is malformed.
    """
    return [_read(path) for path in sorted((recipe.folder / "vectors").glob("*.json"))]


def verify(recipe: Recipe, wasm: bytes) -> int:
    """Demand that a codec gives what its golden vectors say.

    Args:
        recipe: the codec.
        wasm: the core module or component.

    Returns:
        How many answers were compared.

    Raises:
        BuildError: naming the first vector that it fails.
    """
    compared = 0
    for vector in read_vectors(recipe):
        for direction in vector.directions:
            what = f"`{recipe.name}` fails its golden vector `{vector.case}`, to {direction}"
            try:
                found = call(wasm, direction, vector.given(direction, recipe.signature))
            except (CodecError, CodecTrap) as failure:
                raise BuildError(what, got=f"the failure: {failure}") from failure
            expected = vector.expected(direction, recipe.signature)
            if found != expected:
                raise BuildError(
                    what,
                    expected=_shown(expected),
                    got=_shown(found),
                    hint="mend the codec, or give it another version; do not renew the vector",
                )
            compared += 1
    return compared


def _shown(ports: Mapping[str, bytes]) -> str:
    return ", ".join(
        f"`{name}` of {len(data)} bytes beginning {data[:8].hex(' ')}"
        for name, data in ports.items()
    )


def _read(path: Path) -> Vector:
    document = parse_json(path.read_bytes(), what=str(path), error=BuildError)
    try:
        fields = cast("dict[str, object]", document)
        directions = cast("list[Direction]", fields["directions"])
        return Vector(
            case=path.stem,
            made_by=str(fields["made_by"]),
            directions=tuple(directions),
            inputs=_ports(fields["inputs"]),
            outputs=_ports(fields["outputs"]),
        )
    except (KeyError, TypeError, AttributeError, binascii.Error) as failure:
        raise BuildError(f"{path}: malformed golden vector: {failure}") from failure


def _ports(document: object) -> dict[str, bytes]:
    ports = cast("dict[str, dict[str, object]]", document)
    return {
        name: base64.b64decode(cast("str", port["base64"]), validate=True)
        if "base64" in port
        else encode_scalar(port["json"])
        for name, port in ports.items()
    }
