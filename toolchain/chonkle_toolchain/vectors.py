"""Golden vectors: inputs and outputs of a codec that an independent implementation computed.

A vector is a JSON file in the codec's folder, `vectors/<case>.json`:

    made_by      the program that computed the expected side, with versions
    directions   the directions that must give exactly the other side
    inputs       ports of the encoded form and parameters: {"base64": ...} or {"json": ...}
    outputs      ports of the decoded form, in the same way
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from chonkle.errors import BuildError, CodecError, CodecTrap, LimitExceeded, list_choices
from chonkle.formats.json_text import parse_json
from chonkle.formats.signature import DIRECTIONS, Direction, Signature
from chonkle.formats.values import encode_scalar, format_value
from chonkle_toolchain.direct_call import call
from chonkle_toolchain.documents import read_document
from chonkle_toolchain.recipe import Recipe

# A vector may hold large data.
_SIZE_MAX_BYTES = 64 << 20
_SUFFIX = ".json"
# 1 for equal suffixes; `.jsn` is nearer.
_NEAR = 0.8
_FIELDS = ("made_by", "directions", "inputs", "outputs")
_EXCERPT_BYTES = 8
_FORM = "an object with `made_by`, a list `directions`, and the objects `inputs` and `outputs`"

type Call = Callable[[Direction, Mapping[str, bytes]], Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class Vector:
    """One golden vector.

    Attributes:
        case: its case, the file's name.
        made_by: the program that computed it.
        directions: the directions that must give exactly the other side.
        inputs: the encoded form and the parameters, as bytes of ports.
        outputs: the decoded form, as bytes of ports.
    """

    case: str
    made_by: str
    directions: tuple[Direction, ...]
    inputs: Mapping[str, bytes]
    outputs: Mapping[str, bytes]

    def given(self, direction: Direction, signature: Signature) -> dict[str, bytes]:
        """Give the inputs of a direction."""
        # A name of both sides, such as `bytes`, means the side that goes in.
        known = (
            {**self.outputs, **self.inputs}
            if direction == "decode"
            else {**self.inputs, **self.outputs}
        )
        return {name: known[name] for name in signature.input_ports(direction) if name in known}

    def expected(self, direction: Direction, signature: Signature) -> dict[str, bytes]:
        """Give the expected outputs of a direction."""
        known = self.outputs if direction == "decode" else self.inputs
        return {name: known[name] for name in signature.output_ports(direction) if name in known}

    def check(self, direction: Direction, signature: Signature, call: Call) -> None:
        """Require that a codec agrees with the vector.

        Args:
            direction: the direction.
            signature: the codec's.
            call: runs the codec.

        Raises:
            BuildError: when it fails, or its outputs differ.
        """
        for side, ports, known in (
            ("input", self.inputs, signature.inputs),
            ("output", self.outputs, signature.outputs),
        ):
            unknown = sorted(ports.keys() - known.keys())
            if unknown:
                raise BuildError(
                    f"golden vector `{self.case}`: `{signature.implementation}` has no {side} port"
                    f" `{unknown[0]}`",
                    hint=f"{list_choices(known)}; add it to `{side}s` of the signature, or correct"
                    " the vector",
                )
        what = f"`{signature.implementation}` fails its golden vector `{self.case}`, to {direction}"
        try:
            found = call(direction, self.given(direction, signature))
        except (CodecError, CodecTrap, LimitExceeded) as failure:
            raise BuildError(what, got=f"the failure: {failure}") from failure
        expected = self.expected(direction, signature)
        if found != expected:
            raise BuildError(
                what,
                expected=format_ports(expected, beside=found),
                got=format_ports(found, beside=expected),
                hint="mend the codec, or give it another version; do not renew the vector",
            )


def read_vectors(recipe: Recipe) -> list[Vector]:
    """Read a codec's golden vectors.

    Args:
        recipe: the codec.

    Returns:
        Its vectors, sorted by case.

    Raises:
        BuildError: when one is malformed.
    """
    return read_vector_files(recipe.folder / "vectors")


def read_vector_files(folder: Path) -> list[Vector]:
    """Read the golden vectors in a folder.

    Args:
        folder: the folder; it need not exist.

    Returns:
        The vectors, sorted by case.

    Raises:
        BuildError: when one is malformed, or misplaced.
    """
    return [
        parse_vector(
            parse_json(text, what=_path(folder, case), error=BuildError),
            case=case,
            what=_path(folder, case),
        )
        for case, text in read_vector_texts(folder)
    ]


def read_vector_texts(folder: Path) -> list[tuple[str, bytes]]:
    """Read the files of the golden vectors in a folder, without parsing them.

    Args:
        folder: the folder; it need not exist.

    Returns:
        Case and text of each, sorted by case.

    Raises:
        BuildError: when one cannot be read, or is misplaced.
    """
    for path in sorted(folder.rglob("*")):
        is_meant = get_close_matches(path.suffix.lower(), [_SUFFIX], cutoff=_NEAR)
        # A misplaced vector would silently not be checked.
        if is_meant and (path.parent != folder or path.suffix != _SUFFIX):
            raise BuildError(
                f"{path}: no golden vector", expected=str(folder / path.with_suffix(_SUFFIX).name)
            )
    return [
        (path.stem, read_document(path, size_max=_SIZE_MAX_BYTES))
        for path in sorted(folder.glob(f"*{_SUFFIX}"))
    ]


def _path(folder: Path, case: str) -> str:
    return str(folder / f"{case}{_SUFFIX}")


def verify(recipe: Recipe, wasm: bytes) -> int:
    """Require that a codec agrees with its golden vectors.

    Args:
        recipe: the codec.
        wasm: the core module or component.

    Returns:
        The number of calls that were compared.

    Raises:
        BuildError: naming the first vector that it fails.
    """
    compared = 0
    for vector in read_vectors(recipe):
        for direction in vector.directions:
            vector.check(direction, recipe.signature, partial(call, wasm))
            compared += 1
    return compared


def format_ports(ports: Mapping[str, bytes], *, beside: Mapping[str, bytes] | None = None) -> str:
    """Format ports for a message: names, sizes and some bytes.

    Args:
        ports: the ports.
        beside: the ports to compare with; where a port differs, the bytes around the first
            different one are shown, with that one in brackets.
    """
    others = beside or {}
    displayed = (
        f"`{name}` of {len(data)} bytes{_format_bytes(data, others.get(name, data))}"
        for name, data in ports.items()
    )
    return ", ".join(displayed) or "no ports"


def _format_bytes(data: bytes, other: bytes) -> str:
    if data == other:
        return f" beginning {data[:_EXCERPT_BYTES].hex(' ')}" if data else ""
    size = min(len(data), len(other))
    at = next((index for index in range(size) if data[index] != other[index]), size)
    before = data[max(0, at - _EXCERPT_BYTES // 2) : at].hex(" ")
    here = data[at : at + 1].hex() or "end"
    after = data[at + 1 : at + _EXCERPT_BYTES // 2].hex(" ")
    return f" with {' '.join(filter(None, [before, f'[{here}]', after]))} at byte {at}"


def parse_vector(document: object, *, case: str, what: str) -> Vector:
    """Check a parsed golden vector.

    Args:
        document: the parsed JSON.
        case: its case.
        what: its origin, for messages.

    Raises:
        BuildError: when it is malformed.
    """
    try:
        match document:
            case {
                "made_by": str(made_by),
                "directions": [_, *_] as directions,
                "inputs": dict(inputs),
                "outputs": dict(outputs),
            }:
                return Vector(
                    case=case,
                    made_by=made_by,
                    directions=tuple(map(_direction, directions)),
                    inputs={name: _port(name, port) for name, port in inputs.items()},
                    outputs={name: _port(name, port) for name, port in outputs.items()},
                )
    except ValueError as failure:
        raise BuildError(f"{what}: malformed golden vector: {failure}") from failure
    missing = [name for name in _FIELDS if isinstance(document, dict) and name not in document]
    got = f"no `{missing[0]}`" if missing else ""
    raise BuildError(f"{what}: malformed golden vector", expected=_FORM, got=got)


def _direction(name: object) -> Direction:
    for known in DIRECTIONS:
        if name == known:
            return known
    raise ValueError(
        f"`directions` has {format_value(name)}, which is neither `encode` nor `decode`"
    )


def _port(name: str, port: object) -> bytes:
    match port:
        case {"base64": str(text), **rest} if not rest:
            try:
                return base64.b64decode(text, validate=True)
            except ValueError as failure:
                raise ValueError(f"port `{name}` is no base64: {failure}") from failure
        case {"json": value, **rest} if not rest:
            return encode_scalar(value)
    raise ValueError(f'port `{name}` is neither {{"base64": text}} nor {{"json": value}}')
