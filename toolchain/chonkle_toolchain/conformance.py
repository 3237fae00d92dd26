"""Golden vectors as JSON lines, which any host of codecs can run without reading codec sources.

One line for each codec, case and direction, sorted:

    codec_id, case   of the golden vector
    made_by          the program that computed it
    module, sha256   the core module: its path in the codec store, and its digest
    direction        the function to call
    inputs           ports of the call, in base64
    outputs          ports that it must give, exactly

Encoders may differ, and golden vectors do not say what they give. Then `then` is instead of
`outputs`, with `inputs` and `outputs`: the outputs of the call, together with these inputs, go
through the other direction, which must give these outputs.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chonkle.errors import BuildError, CodecError, CodecTrap, LimitExceeded
from chonkle.formats.signature import DIRECTIONS, Direction, Signature
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES
from chonkle_toolchain.codecs_lock import LOCK_FILE, Artifact, Lock, read_lock
from chonkle_toolchain.direct_call import call
from chonkle_toolchain.documents import read_document
from chonkle_toolchain.fingerprint import vectors_digest
from chonkle_toolchain.recipe import Recipe
from chonkle_toolchain.vectors import Call, Vector, read_vectors

type Ports = Mapping[str, bytes]

_OTHER: Mapping[Direction, Direction] = {"decode": "encode", "encode": "decode"}
_BUILD = "`chonkle build`, or take the sources and the built files of one commit"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A call of a codec, and what must come of it.

    Attributes:
        direction: the function to call.
        inputs: its inputs.
        outputs: the outputs that it must give or, with `back`, that the other function must.
        back: None, or the inputs of the other function besides the outputs of the first.
    """

    direction: Direction
    inputs: Ports
    outputs: Ports
    back: Ports | None = None

    def is_met(self, run: Call) -> bool:
        """Tell whether a codec does what is expected.

        Args:
            run: runs the codec.

        Raises:
            CodecError: when it refuses.
            CodecTrap: when it traps.
            LimitExceeded: when it exceeds a limit.
        """
        found = run(self.direction, self.inputs)
        if self.back is not None:
            found = run(_OTHER[self.direction], {**self.back, **found})
        return found == self.outputs

    def to_json(self) -> dict[str, object]:
        """Give the fields of its line."""
        fields: dict[str, object] = {"direction": self.direction, "inputs": _as_json(self.inputs)}
        if self.back is None:
            return {**fields, "outputs": _as_json(self.outputs)}
        then = {"inputs": _as_json(self.back), "outputs": _as_json(self.outputs)}
        return {**fields, "then": then}


def conformance_lines(
    store: Path,
    recipes: Mapping[str, Recipe],
    *,
    left_out: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """Give the golden vectors of built codecs as lines of JSON.

    Args:
        store: the folder of the built files and their lock.
        recipes: the codecs, by implementation.
        left_out: told of each direction of a golden vector that nothing is known about, and why.

    Yields:
        Lines without their ends, sorted.

    Raises:
        BuildError: when a golden vector is malformed, or a file is not the one that was built and
            gave the golden vectors.
    """
    lock = read_lock(store)
    # All of them before the first codec runs.
    modules = {name: _module(store, recipe, lock) for name, recipe in recipes.items()}
    for name, recipe in sorted(
        recipes.items(), key=lambda item: (item[1].signature.codec_id, item[0])
    ):
        module, wasm = modules[name]
        for vector in read_vectors(recipe):
            codec = {
                "codec_id": recipe.signature.codec_id,
                "case": vector.case,
                "made_by": vector.made_by,
                "module": module.file,
                "sha256": module.sha256,
            }
            for direction in sorted(DIRECTIONS):
                try:
                    expectation = _expectation(
                        vector, direction, recipe.signature, partial(call, wasm)
                    )
                except _Unknown as why:
                    left_out(f"{name}, {vector.case}, {direction}: {why}")
                else:
                    yield json.dumps({**codec, **expectation.to_json()}, separators=(",", ":"))


class _Unknown(Exception):  # noqa: N818 - no error of the caller's
    """Nothing is known about a direction of a golden vector."""


def _module(store: Path, recipe: Recipe, lock: Lock) -> tuple[Artifact, bytes]:
    """Read a codec's core module, which must be the one that gave the golden vectors."""
    built = lock.codecs.get(recipe.name)
    if built is None:
        raise BuildError(f"{store / LOCK_FILE}: no codec `{recipe.name}`", hint=_BUILD)
    if vectors_digest(recipe) != built.vectors:
        raise BuildError(
            f"the golden vectors of `{recipe.name}` are not those that its files gave", hint=_BUILD
        )
    path = store / built.core.file
    wasm = read_document(path, size_max=SIZE_MAX_BYTES)
    if Artifact.of(built.core.file, wasm) != built.core:
        raise BuildError(f"{path}: other bytes than {LOCK_FILE} says", hint=_BUILD)
    return built.core, wasm


def _expectation(
    vector: Vector, direction: Direction, signature: Signature, run: Call
) -> Expectation:
    """Give what a golden vector says about a direction.

    Raises:
        _Unknown: when it says nothing, and going back does not restore its data.
    """
    inputs = vector.given(direction, signature)
    if direction in vector.directions:
        return Expectation(direction, inputs, vector.expected(direction, signature))
    other = _OTHER[direction]
    first = signature.output_ports(direction)
    if not first:
        raise _Unknown("it has no outputs")
    back = {
        name: data for name, data in vector.given(other, signature).items() if name not in first
    }
    found = Expectation(direction, inputs, vector.expected(other, signature), back)
    # A lossy codec restores some data; and not everything that can be decoded can be encoded.
    try:
        if found.is_met(run):
            return found
    except (CodecError, CodecTrap, LimitExceeded) as failure:
        raise _Unknown(str(failure)) from failure
    raise _Unknown(f"{other} does not restore the data")


def _as_json(ports: Ports) -> dict[str, str]:
    return {name: base64.b64encode(data).decode() for name, data in sorted(ports.items())}
