"""Records: sealed, read back as they were written, and anything else is a doubt."""

import dataclasses
import tomllib
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.cache.record import (
    RECORD_MAX_BYTES,
    About,
    Artifact,
    Doubt,
    Record,
    Seal,
    artifact_name,
    parse_record,
    write_record,
)
from chonkle.digest import Digest
from chonkle.errors import CacheError

KEY = "ab" * 32
ABOUT = About(
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
RECORD = Record(KEY, (Artifact.of(KEY, b"one"), Artifact.of(KEY, b"")), ABOUT)
PLAIN, KEYED, OTHER = Seal(), Seal(b"k" * 32), Seal(b"o" * 32)

seals = st.sampled_from([PLAIN, KEYED]) | st.binary(min_size=32, max_size=32).map(Seal)
keys = st.text("0123456789abcdef", min_size=64, max_size=64)
# TOML is text in Unicode without surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
integers = st.integers(0, 2**53)
abouts = st.builds(
    About,
    kind=texts,
    codec_id=texts,
    label=texts,
    wasm=texts,
    wasm_size=integers,
    engine=texts,
    wasmtime=texts,
    target=texts,
    created=integers,
    compile_seconds=st.floats(0, 2**53),
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    key = draw(keys)
    contents = draw(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
    return Record(key, tuple(Artifact.of(key, each) for each in contents), draw(abouts))


@given(records(), seals)
def test_a_record_is_read_as_it_was_written(record: Record, seal: Seal) -> None:
    assert parse_record(write_record(record, seal), record.key, seal) == record


def test_a_record_is_toml_with_the_seal_first() -> None:
    text = write_record(RECORD, PLAIN)
    first, _, body = text.partition(b"\n")
    assert first.decode() == f'seal = "{Digest.blake3(body)}"'
    table = tomllib.loads(text.decode())
    assert (table["label"], len(table["artifacts"])) == ("zlib-rs@1.0.0", 2)
    assert RECORD.size_bytes == 3


def test_a_keyed_seal_is_another_for_every_key_and_never_shows_it() -> None:
    assert KEYED.of(b"a") != OTHER.of(b"a")
    assert KEYED.of(b"a").startswith("blake3-keyed:")
    assert PLAIN.of(b"a") == str(Digest.blake3(b"a"))
    assert (PLAIN.is_keyed, KEYED.is_keyed) == (False, True)
    assert "k" * 8 not in repr(KEYED)
    assert "107" not in repr(KEYED)


@pytest.mark.parametrize(
    ("written", "read", "reason"),
    [
        (PLAIN, KEYED, "it is not authenticated, and a cache key is set"),
        (KEYED, PLAIN, "it is sealed with a cache key, and none is set here"),
        (KEYED, OTHER, "the record's seal is broken or made with another key"),
    ],
)
def test_another_seal_is_a_doubt(written: Seal, read: Seal, reason: str) -> None:
    with pytest.raises(Doubt) as caught:
        parse_record(write_record(RECORD, written), KEY, read)
    assert str(caught.value) == reason


def test_a_digest_is_no_substitute_for_a_seal_with_a_key() -> None:
    body = write_record(RECORD, PLAIN).partition(b"\n")[2]
    forged = f'seal = "blake3-keyed:{Digest.blake3(body).hex}"\n'.encode() + body
    with pytest.raises(Doubt, match="broken or made with another key"):
        parse_record(forged, KEY, KEYED)


@given(st.data(), seals)
def test_one_flipped_bit_is_a_doubt(data: st.DataObject, seal: Seal) -> None:
    text = bytearray(write_record(RECORD, seal))
    bit = data.draw(st.integers(0, len(text) * 8 - 1))
    text[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Doubt):
        parse_record(bytes(text), KEY, seal)


@given(st.data(), seals)
def test_a_shorter_record_is_a_doubt(data: st.DataObject, seal: Seal) -> None:
    text = write_record(RECORD, seal)
    with pytest.raises(Doubt):
        parse_record(text[: data.draw(st.integers(0, len(text) - 1))], KEY, seal)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_doubt(text: bytes) -> None:
    with pytest.raises(Doubt):
        parse_record(text, KEY, PLAIN)


def sealed(body: bytes, seal: Seal = PLAIN) -> bytes:
    """Write a record as somebody would who may write to the directory."""
    return f'seal = "{seal.of(body)}"\n'.encode() + body


@given(
    st.binary(max_size=200)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=200).map(str.encode)
)
def test_a_body_that_is_no_record_is_a_doubt_though_its_seal_is_right(body: bytes) -> None:
    with pytest.raises(Doubt):
        parse_record(sealed(body), KEY, PLAIN)


@pytest.mark.parametrize(
    "body",
    [
        b"a = " + b"[" * 60_000,
        b"a = " + b"9" * 10_000,
        b"a = 2026-13-45",
        b"\xff",
        b'a = "\xff"',
        b"a = 1\na = 2",
        b"a.b = 1",
        b"[a.b]",
        b"a = {b.c = 1}",
        b'a = """\nb"""',
        b'a = "' + b"b" * 1024 + b'"',
    ],
    ids=[
        "deep",
        "long number",
        "no date",
        "no line",
        "no text",
        "twice",
        "dots",
        "dots of a table",
        "table in a line",
        "lines",
        "long line",
    ],
)
def test_what_is_not_toml_is_a_doubt(body: bytes) -> None:
    with pytest.raises(Doubt, match="the record is not TOML: "):
        parse_record(sealed(body), KEY, PLAIN)


@pytest.mark.parametrize(
    "body",
    [
        b".".join([b"a"] * 10_000) + b" = 1",
        b"[" + b".".join([b"a"] * 10_000) + b"]",
        b"wasmtime = 0x" + b"f" * 60_000,
        b"\n".join(b"[a%d]" % i for i in range(7_000)),
        b"\n".join(b"[[a]]" for _ in range(10_000)),
        b"\n".join(b"a%d = 1" % i for i in range(6_000)),
        b'a = "' + b"\\u00e9" * 10_000,
        b"a" * 300_000,
    ],
    ids=["key", "table", "number", "tables", "array", "keys", "text", "long"],
)
def test_no_record_takes_much_more_memory_than_it_is_long(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Doubt):
            parse_record(sealed(body), KEY, PLAIN)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 << 20


def test_a_record_of_as_many_artifacts_as_there_may_be_is_read() -> None:
    artifacts = tuple(Artifact.of(KEY, str(number).encode()) for number in range(256))
    record = Record(KEY, artifacts, ABOUT)
    text = write_record(record, KEYED)
    assert RECORD_MAX_BYTES * 3 // 4 < len(text) < RECORD_MAX_BYTES
    assert parse_record(text, KEY, KEYED) == record


def with_body(change: Callable[[str], str]) -> bytes:
    body = write_record(RECORD, PLAIN).partition(b"\n")[2].decode()
    changed = change(body)
    assert changed != body
    return sealed(changed.encode())


def test_a_record_of_another_entry_is_a_doubt() -> None:
    with pytest.raises(Doubt, match="the record belongs to another entry"):
        parse_record(write_record(RECORD, PLAIN), "cd" * 32, PLAIN)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(About)])
@pytest.mark.parametrize("value", [None, "true", "1979-05-27"])
def test_every_field_is_demanded_with_its_type(field: str, value: str | None) -> None:
    def change(body: str) -> str:
        lines = body.splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{field} = "))
        lines[at : at + 1] = [] if value is None else [f"{field} = {value}\n"]
        return "".join(lines)

    with pytest.raises(Doubt, match=f"the record's field `{field}` is missing or of another type"):
        parse_record(with_body(change), KEY, PLAIN)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("compile_seconds", "nan"),
        ("compile_seconds", "inf"),
        ("compile_seconds", "-0.5"),
        ("created", "-1"),
        ("created", "1" + "0" * 30),
        ("wasm_size", "-1"),
    ],
)
def test_a_number_that_nobody_can_reckon_with_is_a_doubt(field: str, value: str) -> None:
    was = f"{field} = {getattr(ABOUT, field)}\n"
    with pytest.raises(Doubt, match=f"the record's field `{field}` is out of range"):
        parse_record(with_body(lambda body: body.replace(was, f"{field} = {value}\n")), KEY, PLAIN)


def body_with(artifacts: object) -> bytes:
    import tomli_w  # noqa: PLC0415 - for this alone

    return sealed(
        tomli_w.dumps(
            {"key": KEY, **dataclasses.asdict(ABOUT), "artifacts": artifacts},
        ).encode()
    )


@pytest.mark.parametrize("artifacts", ["none", 1, [{"name": "a" * 100}] * 257, {"name": "a"}])
def test_a_record_names_a_few_artifacts(artifacts: object) -> None:
    with pytest.raises(Doubt, match="the record names no artifacts"):
        parse_record(body_with(artifacts), KEY, PLAIN)


@pytest.mark.parametrize(
    "artifact",
    [
        {"other": "a" * 100},
        {"name": 1, "size": 1, "blake3": "0" * 90},
        {"name": "a" * 40, "blake3": "0" * 64},
        {"name": "a" * 40, "size": True, "blake3": "0" * 64},
    ],
)
def test_an_artifact_has_a_name_a_size_and_a_digest(artifact: object) -> None:
    with pytest.raises(Doubt, match="the record lacks a field"):
        parse_record(body_with([artifact]), KEY, PLAIN)


@pytest.mark.parametrize("size", [-1, 1 << 54, 10**31])
def test_a_size_that_no_file_has_is_a_doubt(size: int) -> None:
    listed = {"name": artifact_name(KEY, "0" * 64), "size": size, "blake3": "0" * 64}
    with pytest.raises(Doubt, match="the record's field `size` is out of range"):
        parse_record(body_with([listed]), KEY, PLAIN)


@pytest.mark.parametrize(
    "digest",
    ["", "0" * 63, "0" * 65, "A" * 64, "../" * 22, "\0" * 64, "..\\" * 22, "é" * 64],
)
def test_a_digest_is_hexadecimal_digits(digest: str) -> None:
    listed = {"name": artifact_name(KEY, digest), "size": 1, "blake3": digest}
    with pytest.raises(Doubt, match="the record names a file that is not its own"):
        parse_record(body_with([listed]), KEY, PLAIN)


@pytest.mark.parametrize("name", ["../x.cwasm", "/etc/passwd", "", f"{'cd' * 32}-{'0' * 16}.cwasm"])
def test_a_record_names_only_files_of_its_own(name: str) -> None:
    with pytest.raises(Doubt, match="the record names a file that is not its own"):
        parse_record(body_with([{"name": name, "size": 1, "blake3": "0" * 64}]), KEY, PLAIN)


def test_a_key_is_read_from_hexadecimal_digits() -> None:
    assert Seal.from_hex("00ff" * 16, what="KEY").key == bytes.fromhex("00ff" * 16)
    # As a file has it, which ends with a line end.
    assert Seal.from_hex(f" {'AB' * 32}\n", what="KEY").key == b"\xab" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab" * 31,
        "ab" * 33,
        "zz" * 32,
        "ab " * 21 + "a",
        "ab" * 31 + " a",
        f"{'ab' * 16} {'ab' * 16}",
        "٣" * 64,
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(CacheError) as caught:
        Seal.from_hex(text, what="KEY")
    assert str(caught.value) == (
        f"bad KEY, expected 64 hexadecimal digits, got {len(text.strip())} characters; "
        "hint: `openssl rand -hex 32` makes a key"
    )


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_has_a_length(size: int) -> None:
    with pytest.raises(CacheError, match=f"expected 32 bytes, got {size}"):
        Seal(b"k" * size)
