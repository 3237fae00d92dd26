"""The signature: the typed ports of a codec, embedded in its wasm as a custom section.

A signature is written from the decode side: its inputs are the encoded form, its outputs the
decoded form. `Signature.input_ports` and `Signature.output_ports` give the ports of a direction:

- decoding takes the inputs and gives the outputs;
- encoding takes the outputs and gives the inputs that are data;
- a *parameter* (an input that is not data, such as a level or a width) is an input port of both
  directions, unless it is `encode_only` or `decode_only`.

An input is data if its type is `bytes`, otherwise a parameter; `"parameter": true` (a dictionary)
or `false` (a checksum that encoding computes) says the opposite.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from chonkle.errors import SignatureError
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import PORT_TYPES, PortType, format_value, is_value
from chonkle.formats.wasm_binary import BinaryData, custom_sections, with_custom_section
from chonkle.names import (
    CODEC_NAME_RULE,
    WIRE_NAME_RULE,
    is_codec_name,
    is_version,
    is_wire_name,
)

SECTION_NAME = "chonkle:signature"

Direction = Literal["encode", "decode"]
DIRECTIONS: tuple[Direction, ...] = ("encode", "decode")
CodecKind = Literal["bytes-to-bytes", "array-to-bytes", "array-to-array"]

_SECTION_MAX_BYTES = 1 << 20
_CODEC_KINDS = ("bytes-to-bytes", "array-to-bytes", "array-to-array")


def opposite(direction: Direction) -> Direction:
    """Give the other direction."""
    return "decode" if direction == "encode" else "encode"


@dataclass(frozen=True, slots=True)
class Port:
    """One named input or output of a codec.

    Attributes:
        type: the type of its values.
        required: whether the codec fails without a value.
        default: what the codec assumes without a value, or None.
        encode_only: the port does not exist when decoding.
        decode_only: the port does not exist when encoding.
        parameter: an input port of both directions.
    """

    type: PortType
    required: bool = True
    default: object = None
    encode_only: bool = False
    decode_only: bool = False
    parameter: bool = False

    def exists(self, direction: Direction) -> bool:
        """Tell whether the port exists in a direction."""
        return not (self.decode_only if direction == "encode" else self.encode_only)

    def to_json(self, *, side: str) -> dict[str, object]:
        """Write the port as in a signature, defaults left out.

        Args:
            side: `inputs` or `outputs`.
        """
        written: dict[str, object] = {"type": self.type}
        if not self.required:
            written["required"] = False
        if self.default is not None:
            written["default"] = self.default
        for flag in ("encode_only", "decode_only"):
            if getattr(self, flag):
                written[flag] = True
        if side == "inputs" and self.parameter != (self.type != "bytes"):
            written["parameter"] = self.parameter
        return written


@dataclass(frozen=True, slots=True)
class Signature:
    """The names and ports of a codec.

    Attributes:
        codec_id: what the codec does.
        implementation: which implementation it is.
        inputs: ports of the encoded form, and the parameters.
        outputs: ports of the decoded form.
        version: a semantic version, or empty.
        document: the whole JSON object, with optional fields.
    """

    codec_id: str
    implementation: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    version: str = ""
    document: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def label(self) -> str:
        """The implementation with its version, `zlib-rs@1.0.0`."""
        return f"{self.implementation}@{self.version}" if self.version else self.implementation

    def connectable_ports(self, direction: Direction) -> dict[str, Port]:
        """Give the input ports that a pipeline written in a direction may wire.

        They include ports that exist only in the other direction, since one wiring serves both.
        """
        if direction == "decode":
            return dict(self.inputs)
        parameters = {name: port for name, port in self.inputs.items() if port.parameter}
        return {**self.outputs, **parameters}

    def input_ports(self, direction: Direction) -> dict[str, Port]:
        """Give the input ports of a direction."""
        ports = self.connectable_ports(direction)
        return {name: port for name, port in ports.items() if port.exists(direction)}

    def output_ports(self, direction: Direction) -> dict[str, Port]:
        """Give the output ports of a direction."""
        if direction == "decode":
            ports = dict(self.outputs)
        else:
            ports = {name: port for name, port in self.inputs.items() if not port.parameter}
        return {name: port for name, port in ports.items() if port.exists(direction)}

    @classmethod
    def from_json(
        cls, document: object, *, what: str = "signature", implementation: str = ""
    ) -> "Signature":
        """Check a parsed JSON object and make a signature of it.

        Args:
            document: the object.
            what: the signature, for messages.
            implementation: what a signature without one gets; the codec_id when left out.

        Raises:
            SignatureError: when a field is missing, malformed or not allowed.
        """
        if not isinstance(document, dict):
            raise SignatureError(f"{what}: not an object", got=format_value(document))
        codec_id = document.get("codec_id")
        named = document.get("implementation", implementation or codec_id)
        for name, value in (("codec_id", codec_id), ("implementation", named)):
            if not is_codec_name(value):
                raise SignatureError(
                    f"{what}: bad `{name}`", expected=CODEC_NAME_RULE, got=format_value(value)
                )
        version = document.get("version", "")
        if version != "" and not is_version(version):
            raise SignatureError(
                f"{what}: bad `version`",
                expected="a semantic version such as `1.0.0`",
                got=format_value(version),
            )
        kind = document.get("kind")
        if kind is not None and kind not in _CODEC_KINDS:
            raise SignatureError(
                f"{what}: bad `kind`",
                expected=f"one of {', '.join(_CODEC_KINDS)}",
                got=format_value(kind),
            )
        inputs = _ports(document, "inputs", what)
        outputs = _ports(document, "outputs", what)
        both = sorted(name for name in inputs.keys() & outputs.keys() if inputs[name].parameter)
        if both:
            raise SignatureError(
                f"{what}: `{both[0]}` is both a parameter and an output",
                expected="different names, since encoding takes both",
            )
        return cls(
            codec_id=document["codec_id"],
            implementation=cast("str", named),
            inputs=inputs,
            outputs=outputs,
            version=version,
            document=document,
        )

    def to_json(self) -> dict[str, object]:
        """Write the signature as a JSON object, optional fields as they were read."""
        written: dict[str, object] = dict(self.document)
        written["codec_id"] = self.codec_id
        # A file's signature without one takes it from the file's name, which may change.
        if "implementation" in self.document or not self.document:
            written["implementation"] = self.implementation
        if self.version:
            written["version"] = self.version
        sides = {"inputs": self.inputs, "outputs": self.outputs}
        for side, ports in sides.items():
            read = cast("dict[str, dict[str, object]]", self.document.get(side, {}))
            written[side] = {
                name: {**read.get(name, {}), **port.to_json(side=side)}
                for name, port in ports.items()
            }
        return written


def _ports(document: dict[str, object], side: str, what: str) -> dict[str, Port]:
    ports = document.get(side)
    if not isinstance(ports, dict):
        raise SignatureError(
            f"{what}: bad `{side}`", expected="an object of ports", got=format_value(ports)
        )
    return {
        name: read_port(name, port, what=f"{what}: {side[:-1]} port `{name}`", side=side)
        for name, port in ports.items()
    }


def read_port(name: str, document: object, *, what: str, side: str) -> Port:
    """Check one port of a signature or of a pipeline's inputs.

    Args:
        name: the port's name.
        document: the parsed JSON object of the port.
        what: the port, for messages.
        side: `inputs` or `outputs`.

    Raises:
        SignatureError: when the port is malformed.
    """
    if not is_wire_name(name):
        raise SignatureError(f"{what}: bad port name", expected=WIRE_NAME_RULE)
    if not isinstance(document, dict):
        raise SignatureError(f"{what}: not an object", got=format_value(document))
    port_type = document.get("type")
    if port_type not in PORT_TYPES:
        raise SignatureError(
            f"{what}: bad `type`",
            expected=f"one of {', '.join(PORT_TYPES)}",
            got=format_value(port_type),
        )
    flags = {
        "required": True,
        "encode_only": False,
        "decode_only": False,
        "parameter": side == "inputs" and port_type != "bytes",
    }
    for flag, usual in flags.items():
        value = document.get(flag, usual)
        if not isinstance(value, bool):
            raise SignatureError(
                f"{what}: bad `{flag}`", expected="a boolean", got=format_value(value)
            )
        flags[flag] = value
    if flags["encode_only"] and flags["decode_only"]:
        raise SignatureError(f"{what}: both encode_only and decode_only, so it never exists")
    if flags["parameter"] and side == "outputs":
        raise SignatureError(f"{what}: an output cannot be a parameter")
    default = document.get("default")
    if default is not None and not is_value(default, port_type):
        raise SignatureError(
            f"{what}: bad `default`",
            expected=f"a value of type `{port_type}`",
            got=format_value(default),
        )
    return Port(type=cast("PortType", port_type), default=default, **flags)


def parse_signature(text: bytes | str, *, what: str, implementation: str = "") -> Signature:
    """Parse a signature's JSON text.

    Args:
        text: the text.
        what: the signature, for messages.
        implementation: what a signature without one gets; the codec_id when left out.

    Raises:
        SignatureError: when it is not JSON or not a signature.
    """
    document = parse_json(text, what=what, error=SignatureError)
    return Signature.from_json(document, what=what, implementation=implementation)


def read_signature(wasm: BinaryData, *, what: str, implementation: str = "") -> Signature:
    """Read the signature embedded in a wasm binary; nothing is executed.

    Args:
        wasm: the binary.
        what: the binary, for messages.
        implementation: what a signature without one gets; the codec_id when left out.

    Raises:
        WasmFormatError: when the bytes are no wasm binary.
        SignatureError: when it has no signature, several, or a malformed one.
    """
    found = custom_sections(wasm, SECTION_NAME)
    if not found:
        raise SignatureError(
            f"{what}: no `{SECTION_NAME}` section",
            hint="embed one with `chonkle embed-signature FILE SIGNATURE`",
        )
    if len(found) > 1:
        raise SignatureError(f"{what}: {len(found)} `{SECTION_NAME}` sections", expected="one")
    if len(found[0]) > _SECTION_MAX_BYTES:
        raise SignatureError(
            f"{what}: signature too long",
            expected=f"at most {_SECTION_MAX_BYTES} bytes",
            got=str(len(found[0])),
        )
    return parse_signature(found[0], what=what, implementation=implementation)


def embed_signature(wasm: bytes, signature: Signature) -> bytes:
    """Return the binary with this signature embedded, and no other."""
    text = json.dumps(signature.to_json(), ensure_ascii=False, separators=(",", ":"))
    return with_custom_section(wasm, SECTION_NAME, text.encode())
