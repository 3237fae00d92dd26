"""Chunks with a codec list beside them: `chonkle decode` and `encode`, and the lines of Python.

The first chonkle read such lists; its lines run as its README had them.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zarr

from tests.fixture_types import Chonkle, ErrorOf, MakeCodec
from tests.loopback import TLS, Server

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
PREDICTOR = next((ROOT / "codec/tiff-predictor-2").glob("*.core.wasm"))
SHAPE = (24, 32)

type Array = np.ndarray[Any, Any]


def pixels() -> Array:
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    return np.asarray(1000 + 40 * np.sin(rows / 4) + 7 * columns).astype("<u2")


def encoded(endian: str = "<") -> bytes:
    """Encode the pixels as the list of `folder` says, without chonkle."""
    differences = np.diff(pixels(), axis=1, prepend=np.uint16(0))
    return zlib.compress(differences.astype(f"{endian}u2").tobytes(), 9)


def codec_list(endian: str = "little") -> dict[str, Any]:
    """Give the list of the first chonkle's README, for another chunk."""
    described = {"endian": endian, "data_type": "uint16", "shape": list(SHAPE)}
    predictor: dict[str, Any] = {"bytes_per_sample": 2, "width": SHAPE[1]}
    if endian == "big":
        predictor["byte_order"] = "big"
    return {
        "codecs": [
            {"name": "bytes", "type": "numcodecs", "configuration": described},
            {
                "name": "tiff_predictor_2",
                "type": "wasm",
                "uri": "file://predictor.wasm",
                "configuration": predictor,
            },
            {"name": "zlib", "type": "numcodecs", "configuration": {"level": 9}},
        ]
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a chunk, its list, and the codec that the list names."""
    chunks = tmp_path / "chunks"
    chunks.mkdir()
    (chunks / "0").write_bytes(encoded())
    (chunks / "0.json").write_text(json.dumps(codec_list()))
    (chunks / "predictor.wasm").write_bytes(PREDICTOR.read_bytes())
    np.save(tmp_path / "chunk.npy", pixels())
    return tmp_path


def npy(data: bytes) -> Array:
    found: Array = np.load(io.BytesIO(data), allow_pickle=False)
    return found


# Both directions


def test_a_chunk_is_decoded_with_the_list_beside_it(folder: Path, chonkle: Chonkle) -> None:
    done = chonkle("decode", "chunks/0", "-o", "new/folder/0.npy")
    assert (done.stdout, done.stderr) == (b"", b"")
    decoded = npy((folder / "new/folder/0.npy").read_bytes())
    assert decoded.dtype == "<u2"
    assert (decoded == pixels()).all()
    # Raw elements, where it is no `.npy`.
    assert chonkle("decode", "chunks/0", "-o", "-").stdout == pixels().tobytes()
    chonkle("decode", "chunks/0", "-o", "0.raw")
    assert (folder / "0.raw").read_bytes() == pixels().tobytes()


def test_an_array_is_encoded_with_the_list_beside_the_chunk(folder: Path, chonkle: Chonkle) -> None:
    for number, given in enumerate((pixels(), np.asfortranarray(pixels()), pixels().astype(">u2"))):
        np.save(folder / "given.npy", given)
        (folder / f"chunks/{number}.json").write_text(json.dumps(codec_list()))
        chonkle("encode", "given.npy", "--output", f"chunks/{number}")
        plain = zlib.decompress((folder / f"chunks/{number}").read_bytes())
        assert plain == zlib.decompress(encoded())
    # Raw elements.
    (folder / "given.raw").write_bytes(pixels().tobytes())
    chonkle("encode", "given.raw", "-o", "new/0", "--codecs", "chunks/0.json")
    assert zlib.decompress((folder / "new/0").read_bytes()) == zlib.decompress(encoded())


@pytest.mark.usefixtures("folder")
def test_streams_have_a_list_that_is_named(chonkle: Chonkle) -> None:
    line = ("--codecs", "chunks/0.json", "-o", "-")
    chunk = chonkle("encode", "-", *line, stdin=pixels().tobytes()).stdout
    assert chonkle("decode", "-", *line, stdin=chunk).stdout == pixels().tobytes()


@pytest.mark.parametrize(
    "codecs",
    [
        *("zlib", "numcodecs.zlib", "8", ' "zlib"', '["zlib"]', '{"id": "zlib"}'),
        '{"codecs": ["zlib"]}' + " " * 5000,  # longer than a path may be
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_list_may_be_given_on_the_command_line(chonkle: Chonkle, codecs: str) -> None:
    chunk = chonkle("encode", "-", "--codecs", codecs, "-o", "-", stdin=b"data").stdout
    assert zlib.decompress(chunk) == b"data"
    assert chonkle("decode", "-", "--codecs", codecs, "-o", "-", stdin=chunk).stdout == b"data"


def test_a_file_with_the_name_of_a_codec_comes_first(folder: Path, chonkle: Chonkle) -> None:
    (folder / "zlib").write_text('"lz4"')
    chunk = chonkle("encode", "-", "--codecs", "zlib", "-o", "-", stdin=b"data").stdout
    assert chunk == chonkle("encode", "-", "--codecs", "lz4", "-o", "-", stdin=b"data").stdout


def test_a_sidecar_may_be_one_codec(folder: Path, chonkle: Chonkle) -> None:
    (folder / "chunk.bin").write_bytes(zlib.compress(b"data"))
    for codec in ("zlib", {"id": "zlib"}, {"name": "zlib", "configuration": {"level": 1}}):
        (folder / "chunk.bin.json").write_text(json.dumps(codec))
        assert chonkle("decode", "chunk.bin", "-o", "-").stdout == b"data"


def test_big_endian_elements_are_swapped(folder: Path, chonkle: Chonkle) -> None:
    (folder / "chunks/1.json").write_text(json.dumps(codec_list("big")))
    (folder / "chunks/1").write_bytes(encoded(">"))
    chonkle("decode", "chunks/1", "-o", "1.npy")
    assert (npy((folder / "1.npy").read_bytes()) == pixels()).all()
    chonkle("encode", "chunk.npy", "-o", "chunks/1")
    assert zlib.decompress((folder / "chunks/1").read_bytes()) == zlib.decompress(encoded(">"))
    # In the byte order that is asked for.
    line = ("decode", "chunks/1", "--dtype", ">u2", "--shape", "24,32", "-o")
    assert chonkle(*line, "-").stdout == pixels().astype(">u2").tobytes()
    chonkle(*line, "1.npy")
    assert npy((folder / "1.npy").read_bytes()).dtype == ">u2"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_bytes_may_be_anywhere_in_a_list(folder: Path, chonkle: Chonkle, place: int) -> None:
    array, *others = codec_list()["codecs"]
    others.insert(place, array)
    (folder / "chunks/0.json").write_text(json.dumps({"codecs": others}))
    chonkle("decode", "chunks/0", "-o", "0.npy")
    assert (npy((folder / "0.npy").read_bytes()) == pixels()).all()


def test_options_describe_the_array(folder: Path, chonkle: Chonkle) -> None:
    document = {"codecs": [{"name": "numcodecs.shuffle"}, {"name": "numcodecs.zlib"}]}
    (folder / "chunks/1.json").write_text(json.dumps(document))
    chonkle("encode", "chunk.npy", "-o", "chunks/1")
    array = ("--dtype", "uint16", "--shape", "24, 32")
    chonkle("decode", "chunks/1", *array, "-o", "1.npy")
    assert (npy((folder / "1.npy").read_bytes()) == pixels()).all()
    chonkle("decode", "chunks/1", "--dtype", "<u2", "-o", "1.npy")
    assert (npy((folder / "1.npy").read_bytes()) == pixels().reshape(-1)).all()
    raw = chonkle("decode", "chunks/1", "--dtype", "u2", "-o", "-").stdout
    line = ("encode", "-", "--codecs", "chunks/1.json", *array, "-o", "-")
    assert chonkle(*line, stdin=raw).stdout == (folder / "chunks/1").read_bytes()


def test_a_list_of_numcodecs_configurations_is_read(folder: Path, chonkle: Chonkle) -> None:
    document = {"codecs": [{"id": "delta", "dtype": "<u2"}, {"id": "zlib", "level": 1}]}
    (folder / "chunks/1.json").write_text(json.dumps(document))
    chonkle("encode", "chunk.npy", "-o", "chunks/1")
    chonkle("decode", "chunks/1", "-o", "1.raw")
    assert (folder / "1.raw").read_bytes() == pixels().tobytes()


@pytest.mark.parametrize("dtype", ["<u2", ">f4", "bool", "<M8[ns]", "<U2", "<c16"])
def test_chunks_of_zarr_are_read_with_its_metadata(
    folder: Path, chonkle: Chonkle, dtype: str
) -> None:
    values = pixels().astype("<i8").astype(dtype)
    store = folder / "data.zarr"
    array: Any = zarr.create_array(store, shape=SHAPE, chunks=(12, 32), dtype=values.dtype)
    array[...] = values
    chonkle("decode", "data.zarr/c/1/0", "--codecs", "data.zarr/zarr.json", "-o", "1.npy")
    decoded = npy((folder / "1.npy").read_bytes())
    assert decoded.dtype.newbyteorder("=") == values.dtype.newbyteorder("=")
    assert decoded.tolist() == values[12:].tolist()
    # What chonkle writes, zarr-python reads.
    np.save(folder / "0.npy", values[::-1][12:])
    chonkle("encode", "0.npy", "-o", "data.zarr/c/1/0", "--codecs", "data.zarr/zarr.json")
    again: Any = zarr.open_array(store)
    assert again[12:].tolist() == values[::-1][12:].tolist()


# Arrays of Zarr in a folder


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Make a group of each format: `v3` and `v2`."""
    values = pixels()
    formats: list[tuple[str, Literal[2, 3]]] = [("v3", 3), ("v2", 2)]
    for name, version in formats:
        group: Any = zarr.open_group(tmp_path / name, mode="w", zarr_format=version)
        group.create_array("plain", data=values, chunks=(12, 16))
        group.create_array("inner/names", shape=3, dtype=str)[:] = ["a", "b", "c"]
    old: Any = zarr.open_group(tmp_path / "v2")
    old.create_array("turned", data=values, chunks=(12, 16), order="F")
    new: Any = zarr.open_group(tmp_path / "v3")
    new.create_array("shards", data=values, chunks=(4, 8), shards=(12, 16))
    new.create_array("empty", shape=SHAPE, chunks=(12, 16), dtype="<u2")
    return tmp_path


@pytest.mark.parametrize("index", ["1.0", "1/0", "1,0", "c/1/0", "c.1.0"])
@pytest.mark.parametrize("place", ["v3/plain", "v3/plain/zarr.json", "v2/plain/.zarray"])
def test_a_chunk_of_an_array_is_decoded_by_its_index(
    arrays: Path, chonkle: Chonkle, place: str, index: str
) -> None:
    chonkle("decode", "--zarr", place, "--chunk", index, "-o", "x.npy", cwd=arrays)
    assert (np.load(arrays / "x.npy") == pixels()[12:, :16]).all()


def test_a_chunk_in_a_shard_is_decoded_by_its_index(arrays: Path, chonkle: Chonkle) -> None:
    chonkle("decode", "--zarr", "v3/shards", "--chunk", "4.3", "-o", "x.npy", cwd=arrays)
    assert (np.load(arrays / "x.npy") == pixels()[16:20, 24:]).all()


@pytest.mark.parametrize("name", ["plain", "turned"])
def test_chunks_of_zarr_2_are_read_with_its_metadata(
    arrays: Path, chonkle: Chonkle, name: str
) -> None:
    metadata = ("--codecs", f"v2/{name}/.zarray")
    chonkle("decode", f"v2/{name}/1.0", *metadata, "-o", "x.npy", cwd=arrays)
    assert (np.load(arrays / "x.npy") == pixels()[12:, :16]).all()
    # What chonkle writes, zarr-python reads.
    np.save(arrays / "x.npy", pixels()[::-1][12:, :16])
    chonkle("encode", "x.npy", *metadata, "-o", f"v2/{name}/1.0", cwd=arrays)
    again: Any = zarr.open_array(arrays / "v2" / name)
    assert (again[12:, :16] == pixels()[::-1][12:, :16]).all()


WRONG_ZARR = [
    ("decode --zarr v3", "v3 is a group; its arrays: empty, inner/names, plain, shards"),
    ("decode --zarr v3/zarr.json", "v3 is a group; its arrays: empty, inner/names, plain, shards"),
    ("decode --zarr v2", "v2 is a group; its arrays: inner/names, plain, turned"),
    ("decode --zarr v2/inner", "v2/inner is a group; its arrays: names"),
    ("decode --zarr nowhere", "no Zarr array nowhere, expected `zarr.json` or `.zarray`"),
    ("decode --zarr v3/inner/names", "names/zarr.json: elements of type `string`: text and bytes"),
    ("decode --zarr v2/inner/names", "names/.zarray: elements of type `|O`: text and bytes of"),
    ("decode --zarr v3/empty", "chunk 1.0 of v3/empty: it is not stored, so that it has the fill"),
    ("decode --zarr v3/plain --chunk 9.9", "chunk 9.9 of v3/plain: no chunk 9.9, expected 2"),
    ("decode --zarr v3/damaged", "chunk 1.0 of v3/damaged: codec 1: codec `zstd` ("),
    ("decode --zarr v3/bad-index", "bad-index/c/0/0: index of the shard: codec 1: codec `crc32c`"),
    ("decode v3/shards/c/0/0 --codecs v3/shards/zarr.json", "is a whole shard; hint: "),
    ("decode v3/plain/c/0/0 --codecs v3/zarr.json", "v3 is a group; its arrays: "),
    ("encode raw --codecs v2/turned/.zarray", "in C order, for chunks in Fortran order; hint: "),
    ("pipeline from-zarr v2", "v2 is a group; its arrays: inner/names, plain, turned"),
]


@pytest.mark.parametrize(("line", "words"), WRONG_ZARR, ids=[line for line, _ in WRONG_ZARR])
def test_what_is_wrong_with_an_array_is_said_in_one_line(
    arrays: Path, error_of: ErrorOf, line: str, words: str
) -> None:
    shutil.copytree(arrays / "v3/plain", arrays / "v3/damaged")
    (arrays / "v3/damaged/c/1/0").write_bytes(b"not a chunk")
    shutil.copytree(arrays / "v3/shards", arrays / "v3/bad-index")
    shard = arrays / "v3/bad-index/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-4] + bytes(4))
    (arrays / "raw").write_bytes(bytes(12 * 16 * 2))
    words = words.replace("arrays: empty", "arrays: bad-index, damaged, empty")
    if "--zarr" in line and "--chunk" not in line:
        line += " --chunk " + ("0" if "bad-index" not in line and "names" in line else "1.0")
    output = () if line.startswith("pipeline") else ("-o", "x")
    message = error_of(*line.split(), *output, cwd=arrays)
    assert words in message
    assert "\n" not in message
    assert not (arrays / "x").exists()


def test_a_chunk_is_a_file_or_one_of_an_array(arrays: Path, error_of: ErrorOf) -> None:
    line = ("decode", "v3/plain/c/0/0", "--zarr", "v3/plain", "--chunk", "0.0", "-o", "x")
    assert "give CHUNK or --zarr, not both" in error_of(*line, code=2, cwd=arrays)
    error_of("decode", "--zarr", "v3/plain", "-o", "x", code=2, cwd=arrays)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("decode x --dtype f5", "--dtype: `f5` is not a type of elements such as float32 or >u2"),
        ("decode x --shape 256x256", "--shape: `256x256` is not a shape such as 512,512"),
        ("decode x --shape -1,2", "--shape: `-1,2` is not a shape such as 512,512"),
        ("encode x --shape " + "9" * 20, "is not a shape such as 512,512"),
        ("decode --zarr s3://bucket/v3 --chunk 0", "s3://bucket/v3: only arrays in local folders"),
        ("decode --zarr v3/plain --chunk c1", "bad --chunk, expected numbers such as 0.3, got"),
        ("pipeline from-zarr s3://bucket/v3", "s3://bucket/v3: only arrays in local folders are"),
    ],
)
def test_a_value_that_no_file_makes_right_is_wrong_usage(
    arrays: Path, error_of: ErrorOf, line: str, words: str
) -> None:
    output = () if line.startswith("pipeline") else ("-o", "y")
    assert words in error_of(*line.split(), *output, code=2, cwd=arrays)


# The first chonkle's lines of Python


LINES = """
from pathlib import Path
from chonkle import decode, encode, get_codecs

codecs = get_codecs(Path("chunks/0.json"))
arr = decode(Path("chunks/0").read_bytes(), codecs)
encoded = encode(arr, codecs)

import hashlib
print(arr.dtype, arr.shape, hashlib.sha256(arr.tobytes()).hexdigest())
assert (decode(encoded, codecs) == arr).all()
"""


def run_lines(folder: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LINES],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("endian", ["little", "big"])
def test_the_lines_of_python(folder: Path, chonkle: Chonkle, endian: str) -> None:
    (folder / "chunks/0.json").write_text(json.dumps(codec_list(endian)))
    (folder / "chunks/0").write_bytes(encoded("<" if endian == "little" else ">"))
    printed = run_lines(folder)
    digest = chonkle("decode", "chunks/0", "-o", "-", cwd=folder).stdout
    assert digest == pixels().tobytes()
    assert printed.startswith("uint16 (24, 32) ")


# Sources


@pytest.fixture
def foreign(folder: Path) -> str:
    """Let the list name its codec elsewhere, and give where."""
    (folder / "elsewhere").mkdir()
    (folder / "chunks/predictor.wasm").rename(folder / "elsewhere/predictor.wasm")
    uri = (folder / "elsewhere/predictor.wasm").as_uri()
    document = codec_list()
    document["codecs"][1]["uri"] = uri
    (folder / "chunks/0.json").write_text(json.dumps(document))
    return uri


LINES_OF_CHUNKS = [
    ("decode", "chunks/0", "-o", "0.raw"),
    ("decode", "chunks/0", "--codecs", "chunks/0.json", "-o", "0.raw"),
    ("encode", "chunk.npy", "-o", "chunks/0"),
]


@pytest.mark.parametrize("line", LINES_OF_CHUNKS, ids=" ".join)
def test_a_source_elsewhere_is_fetched_with_leave(
    folder: Path, foreign: str, chonkle: Chonkle, error_of: ErrorOf, line: tuple[str, ...]
) -> None:
    (folder / "store").mkdir()
    store = ("--codec-store", "store")
    for more in ((), ("--allow-source", "oci://registry.test"), ("--allow-source", foreign[:-1])):
        message = error_of(*line, *store, *more, cwd=folder)
        assert message.startswith("codec 1: codec `tiff_predictor_2`: its source is not allowed")
        assert message.endswith(f"got {foreign}; hint: --allow-source allows to fetch it")
    for place in (foreign, foreign.rpartition("/")[0], (folder.as_uri()) + "/"):
        chonkle(*line, *store, "--allow-source", "oci://a", "--allow-source", place)
    assert list((folder / "store").rglob("*.wasm")) == []


def test_a_server_is_not_asked_without_leave(
    folder: Path, named: Callable[[Server], dict[str, str]], error_of: ErrorOf
) -> None:
    with Server("registry.test", lambda _: b"") as server:
        environment = named(server)
        for uri in (f"{server.origin}/x.wasm", "oci" + server.origin.removeprefix("https") + "/x"):
            document = codec_list()
            document["codecs"][1]["uri"] = uri
            (folder / "chunks/0.json").write_text(json.dumps(document))
            message = error_of(*LINES_OF_CHUNKS[0], cwd=folder, environment=environment)
            assert f"its source is not allowed, got {uri}; hint: --allow-source" in message
        server.shutdown()
        assert server.seen == []


def test_the_metadata_of_an_array_name_no_source_without_leave(
    folder: Path, foreign: str, chonkle: Chonkle, error_of: ErrorOf
) -> None:
    store = folder / "data.zarr"
    array: Any = zarr.create_array(store, shape=SHAPE, dtype="<u2", compressors=[])
    array[...] = pixels()
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["codecs"].append({"name": "tiff_predictor_2", "type": "wasm", "uri": foreign})
    metadata["codecs"][-1]["configuration"] = {"bytes_per_sample": 2, "width": SHAPE[1]}
    (store / "zarr.json").write_text(json.dumps(metadata))
    lines = [
        ("decode", "--zarr", "data.zarr", "--chunk", "0.0", "-o", "-"),
        ("pipeline", "from-zarr", "data.zarr"),
    ]
    for line in lines:
        assert "its source is not allowed" in error_of(*line, cwd=folder)
        assert chonkle(*line, "--allow-source", foreign).stdout
    assert json.loads(chonkle(*lines[1], "--allow-source", foreign).stdout)["sources"]


@pytest.fixture
def named(tmp_path: Path) -> Callable[[Server], dict[str, str]]:
    """Give the environment in which a process finds a server by the name in its certificate."""
    names = tmp_path / "names"
    names.mkdir()
    (names / "sitecustomize.py").write_text(
        "import socket\nresolve = socket.getaddrinfo\n"
        'socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)\n'
    )

    def environment(server: Server) -> dict[str, str]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        paths = os.pathsep.join([str(names), str(ROOT)])
        trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(TLS / "ca.pem"))
        return {"PYTHONPATH": paths, **trusted, "CHONKLE_CODEC_STORE": str(tmp_path / "store")}

    return environment


def test_a_codec_is_downloaded_once_unless_that_is_forced(
    folder: Path, named: Callable[[Server], dict[str, str]], make_codec: MakeCodec
) -> None:
    with Server("registry.test", lambda _: make_codec("fetched")) as server:
        environment = named(server)
        document = codec_list()
        document["codecs"].append(
            {"name": "fetched", "type": "wasm", "uri": f"{server.origin}/fetched.wasm"}
        )
        (folder / "chunks/0.json").write_text(json.dumps(document))
        (folder / "chunks/0").write_bytes(encoded())
        first = run_lines(folder, environment)
        asked = len(server.seen)
        assert asked > 0
        assert run_lines(folder, environment) == first
        assert len(server.seen) == asked
        assert run_lines(folder, {**environment, "CHONKLE_FORCE_DOWNLOAD": "1"}) == first
        assert len(server.seen) > asked
        server.shutdown()


# What can be wrong

GRAPH = {
    "codec_id": "p",
    "direction": "decode",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": "zlib.bytes"},
    "steps": {"zlib": {"codec_id": "zlib", "inputs": {"bytes": "input.bytes"}}},
}


def array_header(text: str) -> bytes:
    """Write the beginning of a `.npy` file."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.fixture
def bad(folder: Path) -> Path:
    files: dict[str, bytes | str] = {
        "chunks/broken": encoded()[:-9],
        "chunks/broken.json": json.dumps(codec_list()),
        "chunks/other": zlib.compress(bytes(10)),
        "chunks/other.json": json.dumps(codec_list()),
        "chunks/plain": zlib.compress(bytes(96)),
        "chunks/plain.json": '{"codecs": [{"name": "zlib"}]}',
        "chunks/alone": b"",
        "chunks/text.json": "{",
        "chunks/none.json": '{"codecs": []}',
        "chunks/graph.json": json.dumps(GRAPH),
        "chunks/unknown.json": '{"codecs": [{"name": "zlob"}]}',
        "chunks/wrong.json": '{"codecs": [{"name": "zlib", "type": "wasm", "configuration":'
        ' {"levle": 1}}]}',
        "chunks/jpeg.json": "[7]",
        "chunks/laid.json": '[{"name": "x", "uri": "oci-layout://nowhere"}]',
        "chunks/shuffled": bytes(96),
        "chunks/shuffled.json": '{"codecs": [{"name": "numcodecs.shuffle"}]}',
        "chunks/lost.json": '{"codecs": [{"name": "x", "type": "wasm", "uri": "file://no.wasm"}]}',
        "empty.npy": b"",
        "text.npy": b"no array",
        "cut.npy": (folder / "chunk.npy").read_bytes()[:-9],
        "huge.npy": array_header(
            "{'descr': '<u2', 'fortran_order': False, 'shape': (1000000000000000,), }\n"
        ),
        "odd.npy": array_header("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }\n"),
        "short.raw": bytes(7),
    }
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
    np.save(folder / "objects.npy", np.array([1, "a"], object), allow_pickle=True)
    np.save(folder / "small.npy", pixels()[:3])
    np.save(folder / "wide.npy", pixels().astype("<u8"))
    (folder / "is-a-folder").mkdir()
    return folder


WRONG = [
    ("decode chunks/none -o x", "chunks/none.json: not a codec list, expected a list"),
    ("decode chunks/alone -o x", "no codec list chunks/alone.json beside the chunk; hint: "),
    ("decode chunks/gone -o x", "no codec list chunks/gone.json beside the chunk"),
    ("decode - -o x", "no codec list -.json beside the chunk; hint: --codecs FILE names"),
    ("decode chunks/0 --codecs gone.json -o x", "cannot read codec list gone.json: No such file"),
    ("decode chunks/0 --codecs gone/list -o x", "cannot read codec list gone/list: No such file"),
    ("decode chunks/0 --codecs zlob -o x", 'no codec has the name `"zlob"`; hint: did you mean'),
    ("decode chunks/0 --codecs [zlib -o x", "--codecs: malformed JSON at line 1, column 2"),
    ("decode chunks/0 --codecs [] -o x", "not a codec list, expected a list `codecs` of at least"),
    ("decode chunks/plain --preference native -o x", "expected `core` or `component`, got"),
    ("decode chunks/jpeg -o x", "no codec for TIFF compression 7 (JPEG); hint: "),
    ("decode chunks/laid -o x", "/chunks/nowhere: the folder does not exist"),
    ("decode chunks/0 --codecs is-a-folder -o x", "cannot read codec list is-a-folder: "),
    ("decode chunks/text -o x", "chunks/text.json: malformed JSON at line 1"),
    ("decode chunks/graph -o x", "not a codec list, expected a list `codecs`; hint: `chonkle run`"),
    ("decode chunks/unknown -o x", 'no codec has the name `"zlob"`; hint: did you mean `zlib`?'),
    ("decode chunks/wrong -o x", "codec `zlib`: unknown parameter `levle`, there is `level`"),
    ("decode chunks/lost -o x", "chunks/no.wasm`: cannot read the file: No such file"),
    ("decode chunks/gone --codecs chunks/0.json -o x", "input `chunk`: cannot read chunks/gone"),
    ("decode is-a-folder --codecs chunks/0.json -o x", "input `chunk`: cannot read is-a-folder: "),
    ("decode chunks/broken -o x", "codec 2: codec `zlib` (numcodecs.zlib, native), decode: "),
    ("decode chunks/other -o x", "codec 1: codec `tiff-predictor-2` ("),
    ("decode chunks/plain -o x.npy", "the dtype and shape of chunks/plain are unknown; hint: give"),
    ("decode chunks/plain --dtype f4 --shape 5 -o x", 'expected 20 bytes, for "<f4" of shape (5,)'),
    ("decode chunks/plain --dtype S7 -o x", "expected a multiple of 7 bytes, got 96 bytes"),
    ("decode chunks/plain --shape 3 -o x", "`shape` without `dtype`"),
    ("decode chunks/shuffled -o x", "codec `shuffle`: parameter `elementsize` has no value"),
    ("decode chunks/0 -o is-a-folder", "output `chunk`: cannot write is-a-folder: Is a directory"),
    ("decode chunks/0 -o chunk.npy/x", "output `chunk`: cannot write chunk.npy/x: "),
    ("decode chunks/0 --memory-limit 1KiB -o x", "1024"),
    ("encode gone.npy -o chunks/0", "input `array`: cannot read gone.npy: No such file"),
    ("encode chunk.npy -o y", "no codec list y.json beside the chunk"),
    ("encode empty.npy -o chunks/0", "cannot read empty.npy as an array: "),
    ("encode text.npy -o chunks/0", "cannot read text.npy as an array: "),
    ("encode cut.npy -o chunks/0", "cannot read cut.npy as an array: "),
    ("encode huge.npy -o chunks/0", "cannot read huge.npy as an array: "),
    ("encode odd.npy -o chunks/0", "cannot read odd.npy as an array: "),
    ("encode objects.npy -o chunks/0", "cannot read objects.npy as an array: "),
    ("encode small.npy -o chunks/0", 'not the array that the codecs are for, expected "<u2"'),
    ("encode wide.npy -o chunks/0", 'of shape (24, 32), got "<u8" of shape (24, 32)'),
    ("encode short.raw -o chunks/0", 'expected 1536 bytes, for "<u2" of shape (24, 32)'),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line(
    bad: Path, error_of: ErrorOf, line: str, words: str
) -> None:
    message = error_of(*line.split(), cwd=bad)
    assert words in message
    assert "\n" not in message


def test_options_that_are_no_use_are_refused(bad: Path, error_of: ErrorOf) -> None:
    line = ("decode", "chunks/0", "--codec-path", "lz4=chunks/predictor.wasm", "-o", "x")
    assert "lz4" in error_of(*line, cwd=bad)
    error_of("decode", "chunks/0", code=2, cwd=bad)
    error_of("encode", "-o", "x", code=2, cwd=bad)
