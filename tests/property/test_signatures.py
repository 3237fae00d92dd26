"""Signatures of every shape survive their JSON, their section, and being turned round."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chonkle.formats.signature import (
    DIRECTIONS,
    Signature,
    embed_signature,
    opposite,
    parse_signature,
    read_signature,
)
from chonkle.formats.values import PORT_TYPES

codec_names = st.from_regex(r"[a-z0-9]([a-z0-9_+-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name not in ("con", "prn", "aux", "nul")
)
wire_names = st.from_regex(r"[a-z_][a-z0-9_-]{0,6}", fullmatch=True)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bytes": st.none(),
    "string": st.text(max_size=5),
    "int": st.integers(-(2**63), 2**63 - 1),
    "uint": st.integers(0, 2**64 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "uint[]": st.lists(st.integers(0, 2**64 - 1), max_size=3),
    "dtype_desc": st.sampled_from(["<u2", [["a", "<u2"]]]),
}
extra = st.dictionaries(
    st.sampled_from(["description", "license", "x"]),
    st.none() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
)


@st.composite
def ports(draw: st.DrawFn, side: str) -> dict[str, Any]:
    port_type = draw(st.sampled_from(PORT_TYPES))
    port: dict[str, Any] = {"type": port_type, **draw(extra)}
    if draw(st.booleans()):
        port["required"] = draw(st.booleans())
    if draw(st.booleans()):
        port["default"] = draw(st.none() | VALUES[port_type])
    only = draw(st.sampled_from(["", "", "encode_only", "decode_only"]))
    if only:
        port[only] = True
    if side == "inputs" and draw(st.booleans()):
        port["parameter"] = draw(st.booleans())
    return port


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    inputs = draw(st.dictionaries(wire_names, ports("inputs"), max_size=4))
    outputs = draw(st.dictionaries(wire_names, ports("outputs"), max_size=3))
    for name, port in inputs.items():
        if port.get("parameter", port["type"] != "bytes"):
            outputs.pop(name, None)
    document = {
        **draw(extra),
        "codec_id": draw(codec_names),
        "implementation": draw(codec_names),
        "inputs": inputs,
        "outputs": outputs,
    }
    if draw(st.booleans()):
        document["version"] = draw(st.sampled_from(["", "1.0.0", "0.1.0-rc.1+b"]))
    return document


@given(documents(), st.sampled_from([b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"]))
def test_a_signature_survives_json_and_wasm(document: dict[str, Any], header: bytes) -> None:
    signature = Signature.from_json(document)
    assert Signature.from_json(signature.to_json()) == signature
    text = json.dumps(signature.to_json(), ensure_ascii=False)
    assert parse_signature(text, what="x") == parse_signature(text.encode(), what="x") == signature
    wasm = embed_signature(header, signature)
    assert read_signature(wasm, what="x") == signature
    assert read_signature(wasm, what="x").document == signature.to_json()
    assert embed_signature(wasm, signature) == wasm


@given(documents())
def test_what_one_direction_gives_the_other_takes(document: dict[str, Any]) -> None:
    signature = Signature.from_json(document)
    for there in DIRECTIONS:
        back = opposite(there)
        assert there != back
        input_ports, output_ports = signature.input_ports(there), signature.output_ports(there)
        assert all(port.exists(there) for port in (*input_ports.values(), *output_ports.values()))
        assert input_ports.keys() <= signature.connectable_ports(there).keys()
        returned = signature.input_ports(back)
        for name, port in output_ports.items():
            if port.exists(back):
                assert returned[name] == port
        data = {
            name for name, port in input_ports.items() if not port.parameter and port.exists(back)
        }
        assert data <= signature.output_ports(back).keys()
        assert not any(port.parameter for port in output_ports.values())
