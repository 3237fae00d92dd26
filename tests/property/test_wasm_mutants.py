"""Every reader of wasm, fed damaged copies of real codecs, gives a value or its own error."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chonkle.errors import SignatureError, WasmFormatError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import SECTION_NAME, read_signature
from chonkle.formats.wasm_binary import sections, with_custom_section

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "codec").glob("*/*.wasm"))


@st.composite
def damaged(draw: st.DrawFn, original: bytes) -> bytes:
    """Give a copy with some bytes changed, and perhaps a piece cut out or doubled."""
    data = bytearray(original)
    # Code and data sections are skipped whole: damage belongs where something is read.
    places = st.one_of(
        *(
            st.integers(each.start, min(each.end, each.payload + 400) - 1)
            for each in sections(original)
            if each.end > each.start
        ),
        st.integers(0, 15),
    )
    for _ in range(draw(st.integers(1, 6))):
        data[draw(places)] = draw(
            st.one_of(st.sampled_from(b"\0\x01\x7f\x80\xff"), st.integers(0, 255))
        )
    match draw(st.sampled_from(["keep", "keep", "cut", "remove", "double"])):
        case "cut":
            del data[draw(places) :]
        case "remove":
            at = draw(places)
            del data[at : at + draw(st.integers(1, 20))]
        case "double":
            at = draw(places)
            data[at:at] = data[at : at + draw(st.integers(1, 200))]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
@settings(max_examples=60)
@given(st.data())
def test_a_damaged_codec_is_read_or_refused(path: Path, data: st.DataObject) -> None:
    wasm = data.draw(damaged(path.read_bytes()))
    try:
        interface = read_interface(wasm)
    except WasmFormatError:
        pass
    else:
        assert all(each.kind for each in (*interface.imports, *interface.exports))
    try:
        signature = read_signature(wasm, what="x")
    except (WasmFormatError, SignatureError):
        return
    assert read_signature(with_custom_section(wasm, "other", b""), what="x") == signature


@given(st.sampled_from([b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"]), st.binary(max_size=60))
def test_any_bytes_behind_a_header_are_read_or_refused(header: bytes, tail: bytes) -> None:
    for wasm in (header + tail, with_custom_section(header, SECTION_NAME, tail)):
        try:
            read_interface(wasm)
            read_signature(wasm, what="x")
        except (WasmFormatError, SignatureError):
            continue


@given(
    st.sampled_from([b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"]),
    st.lists(
        st.tuples(st.sampled_from([1, 2, 3, 5, 7, 10, 11]), st.binary(max_size=24)), max_size=4
    ),
)
def test_any_payload_is_read_or_refused(header: bytes, parts: list[tuple[int, bytes]]) -> None:
    wasm = header + b"".join(bytes([each, len(payload)]) + payload for each, payload in parts)
    try:
        read_interface(wasm)
    except WasmFormatError:
        return
