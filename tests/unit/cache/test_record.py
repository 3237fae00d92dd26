"""Records: authenticated, read back as they were written, and anything else is invalid."""

import dataclasses
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.cache.record import (
    RECORD_MAX_BYTES,
    Artifact,
    Authenticator,
    EntryMetadata,
    InvalidEntry,
    Record,
    artifact_name,
    parse_record,
    write_record,
)
from chonkle.digest import Digest
from chonkle.errors import CacheError

KEY = "ab" * 32
METADATA = EntryMetadata(
    kind="core",
    codec_id="zlib",
    label="zlib-rs@1.0.0",
    wasm=str(Digest.blake3(b"wasm")),
    wasm_size=4,
    engine="0" * 64,
    wasmtime="48.0.0",
    target="linux-x86_64",
    created=1_800_000_000,
    compile_seconds=0.25,
)
RECORD = Record(KEY, (Artifact.of(KEY, b"one"), Artifact.of(KEY, b"")), METADATA)
PLAIN, KEYED, OTHER = Authenticator(), Authenticator(b"k" * 32), Authenticator(b"o" * 32)

authenticators = st.sampled_from([PLAIN, KEYED, OTHER])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def records(draw: st.DrawFn) -> Record:
    key = draw(st.text("0123456789abcdef", min_size=64, max_size=64))
    contents = draw(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
    values: dict[Any, Any] = {str: texts, int: st.integers(0, 2**53), float: st.floats(0, 2**53)}
    metadata = {each.name: draw(values[each.type]) for each in dataclasses.fields(EntryMetadata)}
    return Record(
        key, tuple(Artifact.of(key, each) for each in contents), EntryMetadata(**metadata)
    )


@given(records(), authenticators)
def test_a_record_is_read_as_it_was_written(record: Record, authenticator: Authenticator) -> None:
    assert parse_record(write_record(record, authenticator), record.key, authenticator) == record


def test_a_record_is_a_tag_and_a_line_of_json() -> None:
    tag, _, body = write_record(RECORD, PLAIN).partition(b"\n")
    assert tag.decode() == str(Digest.blake3(body))
    table = json.loads(body)
    assert (table["label"], len(table["artifacts"])) == ("zlib-rs@1.0.0", 2)
    assert body.count(b"\n") == 1
    assert RECORD.size_bytes == 3


def test_a_keyed_tag_depends_on_the_key_and_never_shows_it() -> None:
    assert KEYED.tag(b"a") != OTHER.tag(b"a")
    assert KEYED.tag(b"a").startswith("blake3-keyed:")
    assert PLAIN.tag(b"a") == str(Digest.blake3(b"a"))
    assert (PLAIN.is_keyed, KEYED.is_keyed) == (False, True)
    assert "k" * 8 not in repr(KEYED)
    assert "107" not in repr(KEYED)


def test_a_digest_is_no_substitute_for_a_tag_with_a_key() -> None:
    body = write_record(RECORD, PLAIN).partition(b"\n")[2]
    forged = f"blake3-keyed:{Digest.blake3(body).hex}\n".encode() + body
    with pytest.raises(InvalidEntry, match="or was made with another key"):
        parse_record(forged, KEY, KEYED)


@given(st.data(), authenticators)
def test_a_changed_or_cut_record_is_invalid(
    data: st.DataObject, authenticator: Authenticator
) -> None:
    text = write_record(RECORD, authenticator)
    changed = bytearray(text)
    bit = data.draw(st.integers(0, len(text) * 8 - 1))
    changed[bit // 8] ^= 1 << bit % 8
    for other in (bytes(changed), text[: data.draw(st.integers(0, len(text) - 1))]):
        with pytest.raises(InvalidEntry):
            parse_record(other, KEY, authenticator)


def tagged(body: bytes) -> bytes:
    """Write a record as any user with access to the directory could."""
    return f"{PLAIN.tag(body)}\n".encode() + body


@given(st.binary(max_size=200) | texts.map(str.encode))
def test_other_bytes_are_invalid_with_and_without_a_right_tag(body: bytes) -> None:
    for text in (body, tagged(body)):
        with pytest.raises(InvalidEntry):
            parse_record(text, KEY, PLAIN)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"[" * 60_000, "nested too deeply", id="deep"),
        pytest.param(b'{"a": ' + b"9" * 60_000 + b"}", "a number is too long", id="long-number"),
        pytest.param(b'{"a": 1e999}', "too large", id="infinity"),
        pytest.param(b'{"a": NaN}', "is not a JSON number", id="nan"),
        pytest.param(b'{"a": 1, "a": 2}', "occurs twice", id="twice"),
        pytest.param(b'{"a": "\\ud800"}', "surrogate", id="surrogate"),
        pytest.param(b'{"a": "\xff"}', "not UTF-8", id="no-text"),
        pytest.param(b'{"a": 1} {}', "malformed JSON", id="two-values"),
        pytest.param(b"", "malformed JSON", id="empty"),
        pytest.param(b"[]", "not a JSON object", id="list"),
        pytest.param(b"[" + b"{}," * 20_000 + b"{}]", "not a JSON object", id="many"),
        pytest.param(b" " * RECORD_MAX_BYTES, "is longer than", id="long"),
    ],
)
def test_a_body_that_is_no_strict_json_object_is_invalid_and_cheap(
    body: bytes, reason: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidEntry, match=reason):
            parse_record(tagged(body), KEY, PLAIN)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 << 20


def test_a_record_of_as_many_artifacts_as_there_may_be_is_read() -> None:
    artifacts = tuple(Artifact.of(KEY, str(number).encode()) for number in range(256))
    record = Record(KEY, artifacts, METADATA)
    text = write_record(record, KEYED)
    assert RECORD_MAX_BYTES // 2 < len(text) < RECORD_MAX_BYTES
    assert parse_record(text, KEY, KEYED) == record


def refusal(**changed: object) -> str:
    """Change fields of a record, dropping those that are None, and give why it is invalid."""
    table = {**json.loads(write_record(RECORD, PLAIN).partition(b"\n")[2]), **changed}
    body = json.dumps({name: value for name, value in table.items() if value is not None})
    with pytest.raises(InvalidEntry) as caught:
        parse_record(tagged(body.encode()), KEY, PLAIN)
    return str(caught.value)


def test_a_record_of_another_entry_is_invalid() -> None:
    assert refusal(key="cd" * 32) == "the record belongs to another entry"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(EntryMetadata)])
@pytest.mark.parametrize("value", [None, True, []])
def test_every_field_is_required_with_its_type(field: str, value: object) -> None:
    reason = f"the record's field `{field}` is missing or of another type"
    assert refusal(**{field: value}) == reason


@pytest.mark.parametrize(
    ("field", "value"),
    [("compile_seconds", -0.5), ("created", -1), ("created", 10**30), ("wasm_size", -1)],
)
def test_a_number_out_of_range_is_invalid(field: str, value: float) -> None:
    assert refusal(**{field: value}) == f"the record's field `{field}` is out of range"


@pytest.mark.parametrize("artifacts", ["none", 1, [], [{"name": "a"}] * 257, {"name": "a"}])
def test_a_record_names_a_few_artifacts(artifacts: object) -> None:
    assert refusal(artifacts=artifacts) == "the record names no artifacts"


OWN = {"name": artifact_name(KEY, "0" * 64), "size": 1, "blake3": "0" * 64}


@pytest.mark.parametrize(
    ("artifact", "reason"),
    [
        *((each, "the record lacks a field") for each in (3, {}, {**OWN, "size": True})),
        *(({**OWN, name: None}, "the record lacks a field") for name in ("name", "size", "blake3")),
        *(
            ({**OWN, "size": size}, "the record's field `size` is out of range")
            for size in (-1, 1 << 54, 10**31)
        ),
        *(
            ({**OWN, "name": name}, "the record names a file of another entry")
            for name in ("../x.cwasm", "/etc/passwd", "", artifact_name("cd" * 32, "0" * 64))
        ),
        *(
            (
                {**OWN, "name": artifact_name(KEY, digest), "blake3": digest},
                "the record names a file of another entry",
            )
            for digest in ("", "0" * 63, "0" * 65, "A" * 64, "../" * 22, "\0" * 64, "é" * 64)
        ),
    ],
)
def test_an_artifact_has_a_size_a_digest_and_its_name(artifact: Any, reason: str) -> None:
    assert refusal(artifacts=[artifact]) == reason


def test_a_key_is_read_from_hexadecimal_digits() -> None:
    assert Authenticator.from_hex("00ff" * 16, what="KEY").key == bytes.fromhex("00ff" * 16)
    # A file ends with a line end.
    assert Authenticator.from_hex(f" {'AB' * 32}\n", what="KEY").key == b"\xab" * 32


@pytest.mark.parametrize(
    "text",
    ["", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 31 + " a", f"{'ab' * 16} {'ab' * 16}", "٣" * 64],
)
def test_a_bad_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(CacheError) as caught:
        Authenticator.from_hex(text, what="KEY")
    assert str(caught.value) == (
        f"bad KEY, expected 64 hexadecimal digits, got {len(text.strip())} characters; "
        "hint: `openssl rand -hex 32` makes a key"
    )


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_has_a_length(size: int) -> None:
    with pytest.raises(CacheError, match=f"expected 32 bytes, got {size}"):
        Authenticator(b"k" * size)
