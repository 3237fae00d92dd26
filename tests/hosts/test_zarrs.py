"""The crate for zarrs: golden vectors, arrays in both directions, and files made to harm it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
import zarr
from numpy.typing import NDArray

import chonkle.zarr
from chonkle.formats.wasm_binary import with_custom_section
from tests.e2e.test_hostile_modules import CORE

type Command = Callable[[str], list[str]]
type Done = subprocess.CompletedProcess[str]
type Run = Callable[..., Done]

SHAPE, CHUNKS = (37, 50), (16, 24)


def numcodec(name: str, **configuration: object) -> dict[str, object]:
    return {"name": f"numcodecs.{name}", "configuration": configuration}


def blosc(name: str, shuffle: str, typesize: int = 4) -> dict[str, object]:
    settings = {"cname": name, "clevel": 5, "shuffle": shuffle, "typesize": typesize}
    return {"name": "blosc", "configuration": {**settings, "blocksize": 0}}


BIG = {"name": "bytes", "configuration": {"endian": "big"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
GZIP = {"name": "gzip", "configuration": {"level": 5}}
TRANSPOSE = {"name": "transpose", "configuration": {"order": [1, 0]}}
PREDICTOR: dict[str, Any] = {
    "name": "chonkle.tiff-predictor-2",
    "configuration": {
        "bytes_per_sample": 4,
        "width": CHUNKS[1],
        "samples_per_pixel": 1,
        "byte_order": "little",
    },
}
SCALE = {"offset": 10, "scale": 100, "dtype": "<f4", "astype": "<i2"}
# Of each, the element type and the codecs.
ARRAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("<f4", {"compressors": None}),
    "big": ("<i4", {"serializer": BIG, "compressors": None}),
    "zlib": ("<f4", {"compressors": [numcodec("zlib", level=1)]}),
    "gzip": ("<f8", {"compressors": [GZIP]}),
    "zstd": ("<u2", {"compressors": [ZSTD]}),
    "lz4": ("<c8", {"compressors": [numcodec("lz4", acceleration=1)]}),
    "bz2": ("|i1", {"compressors": [numcodec("bz2", level=1)]}),
    "lzma": (
        "<u8",
        {"compressors": [numcodec("lzma", format=1, check=-1, preset=1, filters=None)]},
    ),
    "blosc-lz4": ("<f4", {"compressors": [blosc("lz4", "shuffle")]}),
    "blosc-zstd-bits": ("<i2", {"compressors": [blosc("zstd", "bitshuffle", 2)]}),
    "blosc-plain": ("|u1", {"compressors": [blosc("blosclz", "noshuffle", 1)]}),
    "shuffle-zlib": (
        "<f4",
        {"compressors": [numcodec("shuffle", elementsize=4), numcodec("zlib", level=1)]},
    ),
    "crc32c": ("<f4", {"compressors": [ZSTD, {"name": "crc32c"}]}),
    "fletcher32": ("<i4", {"compressors": [numcodec("fletcher32")]}),
    "pcodec": ("<f4", {"serializer": numcodec("pcodec", level=8), "compressors": None}),
    "bitround": ("<f4", {"filters": [numcodec("bitround", keepbits=8)], "compressors": [ZSTD]}),
    "delta": ("<i4", {"filters": [numcodec("delta", dtype="<i4")], "compressors": [ZSTD]}),
    "delta-big": ("<i4", {"filters": [numcodec("delta", dtype="<i4")], "serializer": BIG}),
    "scale": ("<f4", {"filters": [numcodec("fixedscaleoffset", **SCALE)], "compressors": [GZIP]}),
    "quantize": (
        "<f8",
        {"filters": [numcodec("quantize", digits=3, dtype="<f8")], "compressors": [GZIP]},
    ),
    "astype": (
        "<f8",
        {"filters": [numcodec("astype", encode_dtype="<f4", decode_dtype="<f8")]},
    ),
    "packbits": ("|b1", {"filters": [numcodec("packbits")], "compressors": [GZIP]}),
    "transpose": ("<f4", {"filters": [TRANSPOSE], "compressors": [ZSTD]}),
    "time": ("<M8[ms]", {"filters": [TRANSPOSE], "compressors": [ZSTD]}),
    "shards": ("<f4", {"shards": (32, 48), "compressors": [ZSTD]}),
    "shards-of-pcodec": (
        "<i4",
        {"shards": (32, 48), "serializer": numcodec("pcodec", level=8), "compressors": None},
    ),
    "shards-of-filters": (
        "<f4",
        {
            "shards": (32, 48),
            "filters": [TRANSPOSE, numcodec("bitround", keepbits=8)],
            "compressors": [blosc("lz4", "shuffle"), {"name": "crc32c"}],
        },
    ),
    "only-ours": ("<i4", {"compressors": [PREDICTOR, numcodec("zlib", level=1)]}),
}  # fmt: skip


def make(dtype: str) -> NDArray[Any]:
    """Make an array with a chunk of nothing but the fill value."""
    values = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 251
    values[: CHUNKS[0], : CHUNKS[1]] = 0
    return values.astype(dtype) if dtype[1] in "biuM" else (values / 7).astype(dtype)


def write(store: Path, name: str, *, options: dict[str, Any] | None = None) -> NDArray[Any]:
    """Write an array with zarr-python, and give what it reads of it."""
    dtype, codecs = ARRAYS[name]
    data = make(dtype)
    array = zarr.create_array(store, data=data, chunks=CHUNKS, **{**codecs, **(options or {})})
    return np.asarray(array[:])


def read(store: Path) -> NDArray[Any]:
    return np.asarray(zarr.open_array(store, mode="r")[:])


@pytest.fixture
def run_program(zarrs_program: Command) -> Run:
    def run(name: str, *arguments: object) -> Done:
        command = [*zarrs_program(name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def copy(run_program: Run, codec_store: Path) -> Callable[..., Done]:
    def copy_array(source: Path, target: Path, *more: object, codecs: Path = codec_store) -> Done:
        return run_program("copy_array", source, target, codecs, *more)

    return copy_array


def check_failure(done: Done, *words: str) -> None:
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: "), line
    for each in words:
        assert each in line


def test_every_golden_vector(run_program: Run, vectors_file: Path, codec_store: Path) -> None:
    done = run_program("conformance", vectors_file, codec_store)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line for line in lines if not line["ok"]] == []
    assert done.returncode == 0, done.stderr
    known = [json.loads(line) for line in vectors_file.read_text("ascii").splitlines()]
    named = ("codec_id", "case", "direction")
    assert [[line[each] for each in named] for line in lines] == [
        [line[each] for each in named] for line in known
    ]


def test_a_wrong_expectation_fails(
    run_program: Run, vectors_file: Path, codec_store: Path, tmp_path: Path
) -> None:
    """Without this, the program might pass whatever it is given."""
    lines = [json.loads(line) for line in vectors_file.read_text("ascii").splitlines()]
    exact = next(line for line in lines if line.get("outputs", {}).get("bytes"))
    restored = next(line for line in lines if line.get("then", {}).get("outputs", {}).get("bytes"))
    exact["outputs"]["bytes"] = restored["then"]["outputs"]["bytes"] = "AAAA"
    other = dict(lines[0], sha256="0" * 64)
    path = tmp_path / "vectors.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (exact, restored, other)))
    done = run_program("conformance", path, codec_store)
    errors = [json.loads(line)["error"] for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert errors[:2] == ["the outputs differ"] * 2
    assert errors[2].startswith(f"expected SHA-256 {'0' * 64}, got ")


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_in_both_directions(copy: Callable[..., Done], tmp_path: Path, name: str) -> None:
    with chonkle.zarr.using(strict=True):
        expected = write(tmp_path / "source", name)
    done = copy(tmp_path / "source", tmp_path / "target")
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "target", name, expected)
    if name not in OURS:
        written = [zarr.open_array(tmp_path / each).metadata for each in ("source", "target")]
        assert written[0] == written[1]


@pytest.mark.parametrize("name", sorted(ARRAYS.keys() - {"only-ours"}))
def test_arrays_that_zarr_python_wrote_alone(
    copy: Callable[..., Done], tmp_path: Path, name: str
) -> None:
    expected = write(tmp_path / "source", name)
    done = copy(tmp_path / "source", tmp_path / "target")
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "target", name, expected)


@pytest.mark.parametrize(
    "name", ["big", "zlib", "pcodec", "delta", "packbits", "transpose", "shards-of-filters"]
)
def test_parts_of_chunks(copy: Callable[..., Done], tmp_path: Path, name: str) -> None:
    expected = write(tmp_path / "source", name)
    done = copy(tmp_path / "source", tmp_path / "target", 7)
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "target", name, expected)


# What only chonkle reads: a codec of its own, and codecs without a configuration, which zarrs
# leaves out if it is empty, and which zarr-python's codecs of numcodecs require.
OURS = frozenset({"only-ours", "packbits", "fletcher32"})


def check_equal(store: Path, name: str, expected: NDArray[Any]) -> None:
    """Require that zarr-python reads an array, with chonkle's codecs and with its own."""
    with chonkle.zarr.using(strict=True):
        np.testing.assert_array_equal(read(store), expected, strict=True)
    if name not in OURS:
        np.testing.assert_array_equal(read(store), expected, strict=True)


CORRUPT = {
    "zlib": "codec `zlib`: ",
    "gzip": "codec `gzip`: ",
    "zstd": "codec `zstd`: ",
    "blosc-lz4": "codec `blosc`: ",
    "lz4": "codec `lz4`: ",
    "crc32c": "codec `crc32c`: ",
    "fletcher32": "codec `fletcher32`: ",
    "pcodec": "codec `pcodec`: ",
    "shards-of-filters": "",
}


@pytest.mark.parametrize("name", CORRUPT)
@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_corrupt_chunk_is_an_error_in_the_words_of_the_codec(
    copy: Callable[..., Done], tmp_path: Path, name: str, damage: str
) -> None:
    write(tmp_path / "source", name)
    chunk = tmp_path / "source/c/1/0"
    data = bytearray(chunk.read_bytes())
    data[4 : len(data) // 2] = b"\xa5" * (len(data) // 2 - 4)
    chunk.write_bytes(
        {"cut": chunk.read_bytes()[:-5], "changed": bytes(data), "empty": b""}[damage]
    )
    done = copy(tmp_path / "source", tmp_path / "target")
    check_failure(done, *([] if damage == "empty" else [CORRUPT[name]]))


def test_a_chunk_of_another_size_is_an_error(copy: Callable[..., Done], tmp_path: Path) -> None:
    write(tmp_path / "source", "zlib")
    (tmp_path / "source/c/1/0").write_bytes(numcodecs_zlib(b"\0" * 12))
    done = copy(tmp_path / "source", tmp_path / "target")
    check_failure(done, "`numcodecs.zlib`: gave 12 bytes, expected 1536")


def numcodecs_zlib(data: bytes) -> bytes:
    return bytes(chonkle.codec("zlib").encode(data))


REFUSED = {
    "unknown": ({"level": 1, "speed": 2}, "unknown parameter `speed`"),
    "range": ({"level": 10}, "parameter `level`: out of range, expected 9, got 10"),
    "type": ({"level": "1"}, 'parameter `level`: expected a value of type `int`, got "1"'),
    "choice": ({"trailing": "eat"}, 'expected one of ["ignore","refuse"], got "eat"'),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_configuration_is_an_error(
    copy: Callable[..., Done], tmp_path: Path, case: str
) -> None:
    configuration, words = REFUSED[case]
    write(tmp_path / "source", "zlib")
    replace_codec(tmp_path / "source", {"name": "numcodecs.zlib", "configuration": configuration})
    check_failure(copy(tmp_path / "source", tmp_path / "target"), "`numcodecs.zlib`", words)


def test_a_chunk_of_more_bytes_than_there_are_is_an_error(
    copy: Callable[..., Done], tmp_path: Path
) -> None:
    write(tmp_path / "source", "pcodec")
    metadata = json.loads((tmp_path / "source/zarr.json").read_text())
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = [2**62, 8]
    (tmp_path / "source/zarr.json").write_text(json.dumps(metadata))
    done = copy(tmp_path / "source", tmp_path / "target")
    check_failure(done, "codec `numcodecs.pcodec`: a chunk of [4611686018427387904, 8] elements is")


def test_codecs_of_bytes_do_not_guess_what_the_array_is(
    copy: Callable[..., Done], tmp_path: Path
) -> None:
    write(tmp_path / "source", "zlib")
    replace_codec(tmp_path / "source", numcodec("shuffle"))
    done = copy(tmp_path / "source", tmp_path / "target")
    check_failure(done, "codec `numcodecs.shuffle`: parameter `elementsize` has no value")
    settings: Any = dict(PREDICTOR["configuration"])
    for name in ("samples_per_pixel", "byte_order"):
        del settings[name]
        replace_codec(tmp_path / "source", {**PREDICTOR, "configuration": settings})
        done = copy(tmp_path / "source", tmp_path / "target")
        check_failure(done, f"codec `chonkle.tiff-predictor-2`: parameter `{name}` has no value")
        settings[name] = PREDICTOR["configuration"][name]


def replace_codec(store: Path, codec: dict[str, object]) -> None:
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["codecs"][-1] = codec
    (store / "zarr.json").write_text(json.dumps(metadata))


def test_a_file_that_is_not_that_of_the_lock_is_refused(
    copy: Callable[..., Done], codec_store: Path, tmp_path: Path
) -> None:
    write(tmp_path / "source", "zlib")
    codecs = tmp_path / "codecs"
    for path in (codec_store / "codecs.lock", *codec_store.glob("zlib/*")):
        (codecs / path.relative_to(codec_store)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, codecs / path.relative_to(codec_store))
    assert copy(tmp_path / "source", tmp_path / "one", codecs=codecs).returncode == 0
    (module,) = codecs.glob("zlib/*.core.wasm")
    module.write_bytes(module.read_bytes() + b"\0\x02\x01x")
    done = copy(tmp_path / "source", tmp_path / "two", codecs=codecs)
    check_failure(done, "zlib/zlib-rs@1.0.0.core.wasm: expected SHA-256 ")
    module.rename(module.with_name("other.wasm"))
    done = copy(tmp_path / "source", tmp_path / "three", codecs=codecs)
    check_failure(done, "zlib/other.wasm: expected SHA-256 none")
    (codecs / "codecs.lock").unlink()
    (codecs / "codecs.lock").symlink_to("nothing")
    done = copy(tmp_path / "source", tmp_path / "four", codecs=codecs)
    check_failure(done, "codecs.lock: ")


SIGNATURE: dict[str, Any] = {
    "codec_id": "guest",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": {"type": "bytes"}},
}
GUEST = """
(module {more} (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) {alloc})
  (func (export "dealloc") (param i32 i32) {dealloc})
  (func (export "encode") (param i32 i32) (result i64) {call})
  (func (export "decode") (param i32 i32) (result i64) {call}))
"""
FOREVER = "(loop $l (br $l)) unreachable"
FAILS = "(i64.const 0)"
# The port-map of the inputs is one of the outputs, too.
ECHOES = (
    "(i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))"
    "(i64.extend_i32_u (local.get 1)))"
)


def guest(
    *, alloc: str = "(i32.const 1024)", dealloc: str = "", call: str, more: str = "", **says: Any
) -> bytes:
    text = GUEST.format(alloc=alloc, dealloc=dealloc, call=call, more=more)
    signature = json.dumps(SIGNATURE | says).encode()
    return with_custom_section(bytes(wasmtime.wat2wasm(text)), "chonkle:signature", signature)


def gives(address: int, size: int) -> str:
    return f"(i64.const {address << 32 | size})"


def with_data(data: str, size: int, **parts: str) -> bytes:
    return guest(call=gives(16, size), more=f'(data (i32.const 16) "{data}")', **parts)


def says(words: str, *, size: int) -> bytes:
    last_error = f'(func (export "last_error") (result i64) {gives(16, size)})'
    return guest(call=FAILS, more=f'{last_error} (data (i32.const 16) "{words}")')


ONE = "\\01\\00\\00\\00"
GOOD = f"{ONE}\\05\\00\\00\\00bytes\\02\\00\\00\\00hi"
# Of each, what the error says.
LIARS: dict[str, tuple[bytes, str]] = {
    "alloc-outside": (guest(alloc="(i32.const -16)", call=FAILS), "a place outside of its memory"),
    "alloc-at-the-end": (guest(alloc="(i32.const 65530)", call=FAILS), "a place outside"),
    "alloc-gives-nothing": (guest(alloc="(i32.const 0)", call=FAILS), "out of memory for an input"),
    "result-outside": (guest(call=gives(0xFFFF_0000, 16)), "no port-map"),
    "result-beyond": (guest(call=gives(0xFFFF_FFFF, 0x3FFF_FFFF)), "no port-map"),
    "result-too-large": (guest(call=gives(0, 0xFFFF_FFFF)), "at most 1073741824 bytes"),
    "result-too-small": (guest(call=gives(16, 2)), "no port-map"),
    "port-missing": (guest(call=gives(16, 4)), "gave no port `bytes`"),
    "port-too-large": (with_data(f"{ONE}\\ff\\ff\\ff\\ff", 8), "no port-map"),
    "ports-too-many": (with_data("\\ff\\ff\\ff\\ff", 4), "no port-map"),
    "port-twice": (with_data("\\02" + GOOD[3:] + GOOD[12:], 34), "no port-map"),
    "port-not-text": (with_data(GOOD.replace("bytes", "byte\\ff"), 19), "no port-map"),
    "port-with-more": (with_data(GOOD, 20), "no port-map"),
    "traps": (guest(call="unreachable"), "unreachable"),
    "divides": (guest(call="(i64.div_u (i64.const 1) (i64.const 0))"), "divide by zero"),
    "overflows": (
        guest(call="(call $f)", more="(func $f (result i64) (i64.add (call $f) (call $f)))"),
        "call stack exhausted",
    ),
    "loops": (guest(call=FOREVER), "longer than its timeout"),
    "loops-in-alloc": (guest(alloc=FOREVER, call=FAILS), "longer than its timeout"),
    "loops-in-dealloc": (with_data(GOOD, 19, dealloc=FOREVER), "longer than its timeout"),
    "loops-at-start": (
        guest(call=FAILS, more=f"(func $s {FOREVER}) (start $s)"),
        "longer than its timeout",
    ),
    "loops-at-initialize": (
        guest(call=FAILS, more=f'(func (export "_initialize") {FOREVER})'),
        "longer than its timeout",
    ),
    "grows": (
        guest(
            call="(loop $l (br_if $l (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))"
            "unreachable"
        ),
        "unreachable",
    ),
    "says-nothing": (guest(call=FAILS), "without a message"),
    "says-what-is-outside": (
        guest(
            call=FAILS,
            more=f'(func (export "last_error") (result i64) {gives(0xFFFF_FFF0, 16)})',
        ),
        "message is outside",
    ),
    "says-no-text": (says("a\\ff\\fe", size=3), "a\ufffd\ufffd"),
    "says-too-much": (says("a", size=0xFFFF), "a "),
    "controls-the-terminal": (says("\\1b]0;title\\07\\0a\\e2\\80\\ae", size=14), "]0;title"),
    "controls-the-terminal-by-its-name": (
        guest(call=FAILS, codec_id="\x1b]0;title\x07\n"),
        "codec ` ]0;title  `: it failed",
    ),
    "imports": (guest(call=FAILS, more='(import "a" "b" (func))'), "imports"),
}  # fmt: skip


def run_vectors(run_program: Run, folder: Path, modules: dict[str, bytes]) -> dict[str, str | None]:
    """Run modules in one process, and give the error of each."""
    lines = []
    for name, wasm in modules.items():
        (folder / f"{name}.wasm").write_bytes(wasm)
        line = {"codec_id": "guest", "case": name, "module": f"{name}.wasm"}
        line |= {"sha256": sha256(wasm).hexdigest(), "direction": "decode"}
        lines.append(line | {"inputs": {"bytes": "AAAA"}, "outputs": {"bytes": "aGk="}})
    path = folder / "vectors.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = run_program("conformance", path, folder, 0.5)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["case"] for report in reports] == list(modules), done.stderr
    assert all(report["ok"] == (report["error"] is None) for report in reports)
    assert done.returncode == int(any(not report["ok"] for report in reports))
    return {report["case"]: report["error"] for report in reports}


def test_modules_that_lie_are_errors(run_program: Run, tmp_path: Path) -> None:
    good = {"good": with_data(GOOD, 19)}
    modules = {name: wasm for name, (wasm, _) in LIARS.items()}
    errors = run_vectors(run_program, tmp_path, good | modules)
    assert errors.pop("good") is None
    for name, (_, words) in LIARS.items():
        assert words in (errors[name] or ""), name
        assert (errors[name] or "").replace("\ufffd", "").isprintable(), name


def test_modules_made_to_own_the_process_are_errors(run_program: Run, tmp_path: Path) -> None:
    errors = run_vectors(run_program, tmp_path, CORE)
    assert [name for name, error in errors.items() if not error] == []


def test_a_codec_that_gives_too_little_is_an_error_in_an_array(
    copy: Callable[..., Done], tmp_path: Path
) -> None:
    write(tmp_path / "source", "zlib")
    replace_codec(tmp_path / "source", {"name": "chonkle.guest"})
    (tmp_path / "codecs").mkdir()
    (tmp_path / "codecs/guest.wasm").write_bytes(with_data(GOOD, 19))
    done = copy(tmp_path / "source", tmp_path / "target", codecs=tmp_path / "codecs")
    check_failure(done, "codec `chonkle.guest`: gave 2 bytes, expected 1536")


def copy_with_echo(copy: Callable[..., Done], folder: Path, place: int, **says: Any) -> Done:
    """Copy an array through a codec that changes nothing, with this in its signature."""
    write(folder / "source", "nothing")
    metadata = json.loads((folder / "source/zarr.json").read_text())
    metadata["codecs"].insert(place, {"name": "chonkle.guest"})
    (folder / "source/zarr.json").write_text(json.dumps(metadata))
    (folder / "codecs").mkdir()
    (folder / "codecs/guest.wasm").write_bytes(guest(call=ECHOES, **says))
    return copy(folder / "source", folder / "target", codecs=folder / "codecs")


def array_codec(encoded: str) -> dict[str, Any]:
    ports = [{"bytes": {"type": "bytes", "array": {"dtype": [each]}}} for each in (encoded, "<f4")]
    return {"kind": "array-to-array", "inputs": ports[0], "outputs": ports[1]}


@pytest.mark.parametrize("dtype", ["|V0", "|V65537", "|V1000000000000000"])
@pytest.mark.parametrize("kind", ["fixed", "unbounded"])
def test_elements_of_an_unlikely_size_are_an_error(
    copy: Callable[..., Done], tmp_path: Path, dtype: str, kind: str
) -> None:
    size = {"encoded_size": {"kind": kind, "formula": "bytes + 1"}}
    done = copy_with_echo(copy, tmp_path, 0, **array_codec(dtype), **size)
    check_failure(done, f"codec `chonkle.guest`: elements of type {dtype} are empty or too large")


def test_an_array_of_an_unknown_size_keeps_its_shape(
    copy: Callable[..., Done], tmp_path: Path
) -> None:
    check_copied(copy_with_echo(copy, tmp_path, 0, **array_codec("<f4")), tmp_path)


@pytest.mark.parametrize("formula", [f"{2**127 - 1}/2", f"({2**64 - 1}*{2**63 - 1} - 1)/2"])
def test_a_formula_beyond_all_sizes_counts_as_none(
    copy: Callable[..., Done], tmp_path: Path, formula: str
) -> None:
    size = {"encoded_size": {"kind": "bounded", "formula": formula}}
    check_copied(copy_with_echo(copy, tmp_path, 1, **size), tmp_path)


def check_copied(done: Done, folder: Path) -> None:
    assert done.returncode == 0, done.stderr
    source, target = ((folder / each / "c/1/0").read_bytes() for each in ("source", "target"))
    assert source == target


def test_the_benchmark_reads_with_both(run_program: Run, codec_store: Path, tmp_path: Path) -> None:
    write(tmp_path / "zlib-2.zarr", "zlib")
    done = run_program("bench", tmp_path, codec_store)
    (report,) = map(json.loads, done.stdout.splitlines())
    assert (report["host"], report["case"], report["chunk_kib"]) == ("zarrs", "zlib", 2)
    assert report["native_s"] > 0
    assert report["chonkle_s"] > 0
