"""Codecs on the command line: what is listed, and what can be wrong with a store."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fixture_types import Chonkle, ErrorOf, MakeCodec, PipelineOf

STORE = ("--codec-store", "store")


@pytest.fixture
def store(tmp_path: Path, make_codec: MakeCodec) -> Path:
    """Lay out a store with a good codec and a damaged one, which also stands for a shipped one."""
    files = {"guest/guest-wat@1.0.0.core.wasm": make_codec(), "zlib/damaged.wasm": b"damaged"}
    for name, data in files.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    return tmp_path / "store"


def warning(store: Path) -> bytes:
    path = store.relative_to(store.parent) / "zlib/damaged.wasm"
    return f"warning: {path}: not a WebAssembly binary, expected".encode()


def test_a_bad_file_is_one_warning_beside_the_rest(store: Path, chonkle: Chonkle) -> None:
    done = chonkle("codecs", "--verbose", *STORE)
    assert done.stderr.startswith(warning(store))
    assert done.stderr.count(b"\n") == 1
    listed = [line.split()[:3] for line in done.stdout.decode().splitlines()]
    assert ["guest", "guest-wat@1.0.0", "core"] in listed
    assert ["zlib", "zlib-rs@1.0.0", "core"] in listed

    done = chonkle("codecs", "zlib", *STORE)
    assert done.stderr.startswith(warning(store))
    assert b"zlib-rs@1.0.0" in done.stdout
    assert chonkle("codecs", "guest", *STORE).stderr == b""


def test_a_bad_file_is_in_the_json(store: Path, chonkle: Chonkle) -> None:
    done = chonkle("codecs", "--json", *STORE)
    assert done.stderr.startswith(warning(store))
    documents: list[dict[str, Any]] = json.loads(done.stdout)
    assert len({tuple(each) for each in documents}) == 1  # the same fields everywhere
    (bad,) = [each for each in documents if each["problem"] is not None]
    assert bad["codec_id"] is None  # only its signature would say
    assert bad["path"] == "store/zlib/damaged.wasm"
    assert "not a WebAssembly binary" in bad["problem"]
    assert {"guest", "zlib"} <= {each["codec_id"] for each in documents if not each["problem"]}


def test_two_files_that_contradict_each_other_are_no_candidates(
    store: Path, chonkle: Chonkle, error_of: ErrorOf, make_codec: MakeCodec
) -> None:
    (store / "guest/other-bytes.wasm").write_bytes(make_codec(transform="unreachable"))
    words = "two different files claim codec `guest`"
    assert error_of("codecs", "guest", *STORE).startswith(words)
    done = chonkle("codecs", "-v", *STORE)
    assert f"warning: {words}".encode() in done.stderr
    assert b"guest-wat@1.0.0" not in done.stdout


def test_only_a_pipeline_with_a_bad_file_fails(
    *,
    tmp_path: Path,
    store: Path,
    chonkle: Chonkle,
    error_of: ErrorOf,
    pipeline_of: PipelineOf,
) -> None:
    (tmp_path / "guest.json").write_text(json.dumps(pipeline_of()))
    (tmp_path / "zlib.json").write_text(json.dumps(pipeline_of("zlib")))
    files = ("--input", "bytes=-", "--output", "bytes=-")
    done = chonkle("run", "guest.json", *STORE, *files, stdin=b"data")
    assert (done.stdout, done.stderr) == (b"data", b"")
    problem = f"{store.name}/zlib/damaged.wasm: not a WebAssembly"
    for override in ((), ("--override", "zlib=zlib-rs")):
        done = chonkle("run", "zlib.json", *STORE, *override, "--explain")
        assert done.stderr.startswith(f"codec file not used: {problem}".encode())
        assert done.stderr.count(b"not used") == 1
    message = error_of("run", "zlib.json", *STORE, "--override", "zlib=damaged", "--explain")
    assert message.startswith(f"step `only`: {problem}")


def test_a_codec_that_has_only_a_bad_file_is_an_error(store: Path, error_of: ErrorOf) -> None:
    (store / "mystery").mkdir()
    (store / "mystery/damaged.wasm").write_bytes(b"damaged")
    message = error_of("codecs", "mystery", *STORE)
    assert message.startswith("store/mystery/damaged.wasm: not a WebAssembly binary")


def test_a_codec_is_one_row_that_fits(chonkle: Chonkle) -> None:
    listed = json.loads(chonkle("codecs", "--json").stdout)
    for columns in (80, 120):
        done = chonkle("codecs", environment={"COLUMNS": str(columns)})
        header, *rows = done.stdout.decode().splitlines()
        assert header.split() == ["codec", "description"]
        codec_ids = [row.split()[0] for row in rows]
        assert codec_ids == sorted({each["codec_id"] for each in listed})
        assert max(map(len, rows)) <= columns
        assert all(len(row.split()) > 2 for row in rows)
    narrow = chonkle("codecs").stdout.decode()
    assert "\ncrc32             a CRC-32 checksum (RFC 1952) of the data, little-endian\n" in narrow


def test_a_codec_without_a_description_has_a_row_too(
    chonkle: Chonkle, make_codec: MakeCodec, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/guest.wasm").write_bytes(make_codec())
    assert "\nguest\n" in chonkle("codecs", *STORE).stdout.decode()


@pytest.mark.parametrize(
    ("name", "codec_id", "labels"),
    [
        ("numcodecs.zlib", "zlib", {"numcodecs.zlib", "zlib-rs@1.0.0"}),
        ("endian", "bytes", {"bytes-c@1.0.0"}),
        ("32773", "tiff-packbits", {"tiff-packbits-c@1.0.0"}),
        ("tiff_predictor:2", "tiff-predictor-2", {"tiff-predictor-2-c@1.0.0"}),
        ("zlib-rs", "zlib", {"zlib-rs@1.0.0"}),
        ("zlib-rs@1.0.0", "zlib", {"zlib-rs@1.0.0"}),
    ],
)
def test_a_codec_is_found_by_every_name(
    name: str, codec_id: str, labels: set[str], chonkle: Chonkle
) -> None:
    listed = json.loads(chonkle("codecs", name, "--json").stdout)
    assert {each["codec_id"] for each in listed} == {codec_id}
    found = {
        each["implementation"] + f"@{each['version']}" * bool(each["version"]) for each in listed
    }
    assert found == labels


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("LZW", "no implementation of codec `LZW`; hint: did you mean `tiff-lzw`?"),
        ("zlbi", "no implementation of codec `zlbi`; hint: did you mean `zlib`?"),
        ("tiff_predictor:9", 'no codec has the name `"9"` of `tiff_predictor`; hint: '),
        (":", 'no codec `":"`, expected 1 to 128 of letters'),
    ],
)
def test_a_name_that_no_codec_has_is_an_error(name: str, words: str, error_of: ErrorOf) -> None:
    assert error_of("codecs", name).startswith(words)


def test_implementations_say_what_they_are(chonkle: Chonkle) -> None:
    wide = {"COLUMNS": "200"}
    text = chonkle("codecs", "zlib", environment=wide).stdout.decode()
    native, wasm = (
        text.index("\nnumcodecs.zlib (native):"),
        text.index("\nzlib-rs@1.0.0 (core, comp"),
    )
    assert re.search(r"\n  license +MIT\n", text[native:wasm])
    assert re.search(r"\n  license +Apache-2.0", text[wasm:])
    assert re.search(r"\n +tiff_compression: 8, 32946, 50013\n", text[wasm:])
    # The printed text comes from the signature, which JSON has whole.
    listed = json.loads(chonkle("codecs", "zlib", "--json").stdout)
    signature = next(each["signature"] for each in listed if each["backend"] == "core")
    assert signature["aliases"]["tiff_compression"] == [8, 32946, 50013]
    for field in ("description", "version", "license", "source"):
        assert re.search(rf"\n  {field} +{re.escape(signature[field])}\n", text[wasm:])


@pytest.mark.parametrize("command", ["codecs", "codecs zlib", "validate p.json", "run p.json"])
def test_a_store_that_is_named_may_not_be_a_file(
    tmp_path: Path, error_of: ErrorOf, command: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert error_of(*command.split(), "--codec-store", "file") == (
        "--codec-store file: not a directory; hint: name the directory that codecs are installed in"
    )


def test_a_store_that_is_named_and_not_there_hides_nothing(
    tmp_path: Path, chonkle: Chonkle, pipeline_of: PipelineOf
) -> None:
    (tmp_path / "p.json").write_text(json.dumps(pipeline_of("zlib")))
    store = ("--codec-store", "new/store")
    warned = (
        b"warning: --codec-store new/store: no such directory, so nothing is installed there; "
        b"installing a codec makes it\n"
    )
    usual = chonkle("codecs").stdout
    done = chonkle("codecs", *store)
    assert (done.stdout, done.stderr) == (usual, warned)
    for command in ("validate p.json", "run p.json --explain", "codecs zlib"):
        assert chonkle(*command.split(), *store).stderr.startswith(warned)
    assert not (tmp_path / "new").exists()


def test_the_usual_store_need_not_be_there_but_may_not_be_a_file(
    *, tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, pipeline_of: PipelineOf
) -> None:
    (tmp_path / "p.json").write_text(json.dumps(pipeline_of("identity")))
    nowhere = {"CHONKLE_CODEC_STORE": str(tmp_path / "nowhere")}
    assert b"zlib-rs@1.0.0" in chonkle("codecs", "-v", environment=nowhere).stdout
    chonkle("validate", "p.json", environment=nowhere)
    assert not (tmp_path / "nowhere").exists()
    here = {"CHONKLE_CODEC_STORE": str(tmp_path / "p.json")}
    message = error_of("validate", "p.json", environment=here)
    assert message == f"step `only`: codec store {tmp_path}/p.json: not a directory"
