"""What a user can get wrong: one line that says what, exit code 1 or 2, and no file left behind.

The fixture `error_of` checks the form of each failure; the tables here hold the input and the words
of the message.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import pytest

from chonkle.formats.signature import SECTION_NAME
from chonkle.formats.wasm_binary import with_custom_section
from tests.documents import changed
from tests.e2e.tiles import Tile
from tests.fixture_types import Chonkle, ErrorOf, MakeCodec, PipelineOf

ROOT = Path(__file__).parents[2]
ZLIB = next((ROOT / "codec/zlib").glob("*.core.wasm"))
PREDICTOR = next((ROOT / "codec/tiff-predictor-2").glob("*.core.wasm"))
# An empty core module, and an empty component.
EMPTY_MODULE = bytes.fromhex("0061736d01000000")
EMPTY_COMPONENT = bytes.fromhex("0061736d0d000100")

IN, OUT = "--input bytes=tile.bin", "--output bytes=out.raw"

# A codec with several outputs and parameters.
PAGE: dict[str, Any] = {
    "codec_id": "page",
    "direction": "decode",
    "inputs": {"bytes": {"type": "bytes"}},
    "constants": {"none": {"type": "uint", "value": 0}},
    "outputs": {name: f"split.{name}" for name in ("rep_levels", "def_levels", "data")},
    "steps": {
        "split": {
            "codec_id": "page-split",
            "inputs": {
                "bytes": "input.bytes",
                "rep_levels_length": "constant.none",
                "def_levels_length": "constant.none",
            },
        }
    },
}


def changed_text(document: Mapping[str, Any], path: str, value: object) -> str:
    return json.dumps(changed(document, path, value))


def signed(codec_id: str, wasm: bytes = EMPTY_MODULE) -> bytes:
    """Put a signature into a binary, perhaps with a name that tools refuse."""
    ports = {"bytes": {"type": "bytes"}}
    signature = {"codec_id": codec_id, "implementation": "x", "inputs": ports, "outputs": ports}
    return with_custom_section(wasm, SECTION_NAME, json.dumps(signature).encode())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, tile: Tile) -> Path:
    """Lay out the files that the tables name."""
    good, text = tile.pipeline, json.dumps(tile.pipeline)
    circle = changed_text(good, "steps/zlib/inputs/bytes", "predictor2.bytes")
    files: dict[str, str | bytes] = {
        "tile.json": text,
        "malformed.json": text[:-1] + ",}",
        "list.json": "[]",
        "deep.json": "[" * 200_000,
        "no-direction.json": changed_text(good, "direction", ...),
        "cycle.json": circle,
        "wrong-type.json": changed_text(good, "steps/zlib/inputs/bytes", "constant.width"),
        "no-port.json": changed_text(good, "outputs/bytes", "predictor2.pixels"),
        "unwired.json": changed_text(good, "steps/predictor2/inputs/width", ...),
        "unknown-codec.json": changed_text(good, "steps/zlib/codec_id", "zstdd"),
        "traversal.json": changed_text(good, "steps/zlib/codec_id", "../../etc/passwd"),
        "two-problems.json": changed_text(json.loads(circle), "outputs/more", "absent.bytes"),
        "itself.json": changed_text(good, "steps/zlib/codec_id", good["codec_id"]),
        "zero-width.json": changed_text(good, "constants/width/value", 0),
        "odd-samples.json": changed_text(good, "constants/bytes_per_sample/value", 3),
        "sidecar.json": json.dumps({"codecs": [{"name": "zlib", "type": "gpu"}, [7]]}),
        "tile.bin": tile.encoded,
        "truncated.wasm": ZLIB.read_bytes()[:-100],
        "stump.wasm": ZLIB.read_bytes()[:9],
        "random.wasm": np.random.default_rng(1).bytes(5000),
        "nothing.wasm": b"",
        "random-behind-magic.wasm": EMPTY_MODULE + np.random.default_rng(2).bytes(5000),
        "unsigned.wasm": EMPTY_MODULE,
        "unsigned-component.wasm": EMPTY_COMPONENT,
        "traversal.wasm": signed("../../zlib"),
        "null-byte.wasm": signed("zlib\0"),
        "not-a-codec.wasm": signed("zlib"),
        "not-a-codec-either.wasm": signed("zlib", EMPTY_COMPONENT),
        "other-codec.wasm": PREDICTOR.read_bytes(),
    }
    folder = tmp_path_factory.mktemp("bench")
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
    (folder / "folder").mkdir()
    return folder


def case(name: str, arguments: str, *words: str) -> Any:
    return pytest.param(arguments, words, id=name.replace(" ", "-"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        case("missing input", f"tile.json {OUT}", "input `bytes` is missing"),
        case(
            "unknown input", f"tile.json --input b=tile.bin {OUT}", "unknown input `b`", "missing"
        ),
        case(
            "unknown output", f"tile.json {IN} --output b=out.raw", "unknown output `b`", "`bytes`"
        ),
        case(
            "malformed JSON",
            f"malformed.json {IN} {OUT}",
            "malformed.json: malformed JSON",
            "line 1",
        ),
        case("no object", f"list.json {IN} {OUT}", "list.json: not a codec list"),
        case("deep JSON", f"deep.json {IN} {OUT}", "nested too deeply"),
        case("no direction", f"no-direction.json {IN} {OUT}", "pipeline `geotiff-tile`: bad"),
        case("cycle", f"cycle.json {IN} {OUT}", "cycle", "`predictor2`", "`zlib`"),
        case("wrong type", f"wrong-type.json {IN} {OUT}", "expected `bytes`", "got `int`"),
        case("no such port", f"no-port.json {IN} {OUT}", "no output port `pixels`", "`bytes`"),
        case("unwired port", f"unwired.json {IN} {OUT}", "required port `width` gets no value"),
        case("unknown codec", f"unknown-codec.json {IN} {OUT}", "`zstdd`", "mean `zstd`"),
        case("codec id with folders", f"traversal.json {IN} {OUT}", "bad `codec_id`"),
        case("two problems", f"two-problems.json {IN} {OUT}", "2 problems", "cycle", "`absent`"),
        case(
            "a pipeline in itself",
            f"itself.json {IN} {OUT} --codec-path geotiff-tile=itself.json",
            "a pipeline contains itself",
        ),
        case("bad sidecar", f"sidecar.json {IN} {OUT}", "2 problems", "codec 0", "codec 1"),
        case("no such pipeline", f"gone.json {IN} {OUT}", "cannot read pipeline gone.json"),
        case("no such pipeline, and nothing to do", "gone.json", "gone.json: No such file"),
        case("pipeline is a folder", f"folder {IN} {OUT}", "cannot read pipeline folder"),
        case("pipeline is wasm", f"random.wasm {IN} {OUT}", "not UTF-8"),
        case("no such file", f"tile.json --input bytes=gone.bin {OUT}", "cannot read gone.bin"),
        case("input is a folder", f"tile.json --input bytes=folder {OUT}", "cannot read folder"),
        case(
            "folder is a file",
            f"tile.json {IN} --output bytes=tile.json/new/out.raw",
            "output `bytes`: tile.json is not a directory",
        ),
        case("output is a folder", f"tile.json {IN} --output bytes=folder", "cannot write folder"),
        case(
            "no such implementation",
            f"tile.json {IN} {OUT} --override zlib=zlib-ng",
            "no implementation `zlib-ng`",
            "`zlib-rs@1.0.0 (core)`",
        ),
        case("bytes as value", f"tile.json --value bytes=7 {OUT}", "`bytes` is of type `bytes`"),
    ],
)
def test_a_bad_run(error_of: ErrorOf, bench: Path, arguments: str, words: tuple[str, ...]) -> None:
    message = error_of("run", *arguments.split(), cwd=bench)
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("truncated.wasm", "truncated.wasm"),
        ("stump.wasm", "stump.wasm"),
        ("random.wasm", "random.wasm"),
        ("random-behind-magic.wasm", "random-behind-magic.wasm"),
        ("nothing.wasm", "nothing.wasm"),
        ("unsigned.wasm", "no `chonkle:signature` section"),
        ("unsigned-component.wasm", "no `chonkle:signature` section"),
        ("traversal.wasm", "`codec_id`"),
        ("null-byte.wasm", "`codec_id`"),
        ("not-a-codec.wasm", "export `memory`"),
        ("not-a-codec-either.wasm", "not a codec component"),
        ("other-codec.wasm", "is another codec"),
        ("tile.bin", "tile.bin"),
        ("gone.wasm", "cannot read gone.wasm"),
        ("folder", "cannot read folder"),
        ("list.json", "list.json"),
        ("malformed.json", "path malformed.json: malformed JSON"),
        ("no-direction.json", "path no-direction.json: pipeline `geotiff-tile`: bad `direction`"),
    ],
)
def test_a_bad_codec_file(error_of: ErrorOf, bench: Path, file: str, words: str) -> None:
    message = error_of(*f"run tile.json {IN} {OUT} --codec-path zlib={file}".split(), cwd=bench)
    assert words in message


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://127.0.0.1:9/zlib.wasm", "http:// is refused"),
        ("zlib.wasm", "it has no scheme"),
        ("file://elsewhere/zlib.wasm", "another host"),
        ("{bench}/gone.wasm", "cannot read the file"),
        ("{bench}/traversal.wasm", "`codec_id`"),
        ("{bench}/other-codec.wasm", "is another codec"),
        ("{bench}/unsigned.wasm#blake3=" + "0" * 64, "wrong digest"),
        ("{bench}/unsigned.wasm#blake3=0", "malformed digest"),
        ("oci://127.0.0.1:9/Upper Case:1", "malformed OCI reference"),
    ],
)
def test_a_bad_source(tmp_path: Path, error_of: ErrorOf, bench: Path, uri: str, words: str) -> None:
    uri = uri.replace("{bench}", bench.as_uri())
    (tmp_path / "store").mkdir()
    message = error_of(
        *f"run tile.json {IN} {OUT}".split(),
        *("--source", f"zlib={uri}", "--codec-store", tmp_path / "store"),
        cwd=bench,
    )
    assert words in message


@pytest.mark.parametrize(
    ("value", "words"),
    [("7x", "malformed JSON"), ("-1", "`uint`"), ("9" * 5000, "too long"), ("99", "page-split")],
)
def test_a_bad_value(tmp_path: Path, error_of: ErrorOf, value: str, words: str) -> None:
    page = changed(PAGE, "inputs/length", {"type": "uint"})
    page["steps"]["split"]["inputs"]["rep_levels_length"] = "input.length"
    (tmp_path / "page.json").write_text(json.dumps(page))
    message = error_of(
        *("run", "page.json", "--preference", "core", "--value", f"length={value}"),
        *("--input", "bytes=-", "--output", "data=out.bin"),
        stdin=b"0123456789",
    )
    assert words in message
    assert len(message) < 1000


BAD_DATA: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "flipped-checksum": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "empty": lambda _: b"",
    "not-whole-samples": lambda _: zlib.compress(b"1234567"),
}


@pytest.mark.parametrize("backend", ["core", "component", "native"])
@pytest.mark.parametrize("damage", BAD_DATA)
def test_bad_data(bench: Path, error_of: ErrorOf, tile: Tile, backend: str, damage: str) -> None:
    message = error_of(
        *f"run tile.json --input bytes=- {OUT} --preference {backend},core".split(),
        stdin=BAD_DATA[damage](tile.encoded),
        cwd=bench,
    )
    step = "predictor2" if damage == "not-whole-samples" else "zlib"
    assert message.startswith(f"step `{step}`: ")
    ran = "core" if backend == "native" and step == "predictor2" else backend
    words = f", {ran}), decode: " if ran == "native" else f"@1.0.0, {ran}), decode: "
    assert words in message
    # And then why.
    assert message.partition(words)[2]


@pytest.mark.parametrize("pipeline", ["zero-width.json", "odd-samples.json"])
def test_a_constant_that_the_codec_refuses(bench: Path, error_of: ErrorOf, pipeline: str) -> None:
    message = error_of(*f"run {pipeline} {IN} {OUT}".split(), cwd=bench)
    assert message.startswith("step `predictor2`: codec `tiff-predictor-2`")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("validate cycle.json", "cycle"),
        ("validate gone.json", "cannot read"),
        ("validate unknown-codec.json --json", "`zstdd`"),
        ("codecs no-such-codec", "no-such-codec"),
        ("codecs ../zlib", "../zlib"),
        ("inspect gone.wasm", "cannot read gone.wasm"),
        ("inspect folder", "cannot read folder"),
        ("inspect random.wasm", "random.wasm"),
        ("inspect truncated.wasm", "truncated.wasm"),
        ("inspect random-behind-magic.wasm --json", "random-behind-magic.wasm"),
        ("embed-signature unsigned.wasm gone.json", "cannot read gone.json"),
        ("embed-signature unsigned.wasm list.json", "list.json"),
        ("embed-signature random.wasm tile.json", "tile.json"),
    ],
)
def test_other_commands(error_of: ErrorOf, bench: Path, arguments: str, words: str) -> None:
    assert words in error_of(*arguments.split(), cwd=bench)


@pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, and devices are POSIX's")
@pytest.mark.parametrize(
    ("special", "arguments"),
    [
        ("pipe", f"run SPECIAL {IN} {OUT}"),
        ("zero", f"run tile.json --input bytes=SPECIAL {OUT}"),
        ("tty", f"run tile.json --input bytes=SPECIAL {OUT}"),
        ("pipe", f"run tile.json --input bytes=SPECIAL {OUT}"),
        ("pipe", f"run tile.json {IN} {OUT} --codec-path zlib=SPECIAL"),
        ("pipe", f"run tile.json {IN} {OUT} --source zlib=file://FOLDER/SPECIAL"),
        ("pipe", "validate SPECIAL"),
        ("zero", "inspect SPECIAL"),
        ("pipe", "embed-signature SPECIAL signature.json"),
        ("pipe", "embed-signature unsigned.wasm SPECIAL"),
        ("pipe", "cache import SPECIAL --allow-unauthenticated"),
        ("pipe", "cache info --key"),
    ],
)
def test_only_regular_files_are_read(
    tmp_path: Path, error_of: ErrorOf, bench: Path, special: str, arguments: str
) -> None:
    for name in ("tile.json", "tile.bin", "unsigned.wasm"):
        (tmp_path / name).write_bytes((bench / name).read_bytes())
    shutil.copy(ROOT / "codec-src/identity-c/signature.json", tmp_path)
    place = tmp_path / special
    if special == "pipe":
        # Nothing ever writes to it.
        os.mkfifo(place)
    else:
        place.symlink_to(f"/dev/{special}")
    store = tmp_path / "zlib"
    store.mkdir()
    (store / "x@1.0.0.core.wasm").symlink_to(place)
    environment = {}
    if arguments.endswith(" --key"):
        arguments = arguments.removesuffix(" --key")
        environment["CHONKLE_CACHE_KEY_FILE"] = special
    text = arguments.replace("SPECIAL", special).replace("FOLDER", str(tmp_path))
    message = error_of(*text.split(), environment=environment)
    refused = ("not a regular file", "Too many levels of symbolic links", "No such device")
    assert any(words in message for words in refused), message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_streams_of_the_shell_are_read(
    bench: Path, chonkle: Chonkle, tile: Tile, name: str
) -> None:
    command = f"run tile.json --input bytes={name} --output bytes=-".split()
    assert chonkle(*command, cwd=bench, stdin=tile.encoded).stdout == tile.pixels


@pytest.mark.parametrize("variable", ["CHONKLE_AOT=sometimes", "CHONKLE_FORCE_DOWNLOAD=maybe"])
def test_a_bad_environment(error_of: ErrorOf, bench: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    message = error_of(*f"run tile.json {IN} {OUT}".split(), cwd=bench, environment={name: value})
    assert name in message
    assert value in message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes")
def test_a_reader_that_leaves_ends_the_run_quietly(
    bench: Path, chonkle_process: Callable[..., Popen[bytes]]
) -> None:
    command = f"run tile.json {IN} --output bytes=-".split()
    with chonkle_process(*command, cwd=bench) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("frobnicate", "no such command `frobnicate`"),
        ("run", "missing argument PIPELINE"),
        (f"run tile.json {IN} {OUT} --preference ,", "--preference: names no backend"),
        ("run tile.json --colour red", "no such option `--colour`"),
        (f"run tile.json {IN} {OUT} --direction sideways", "--direction: `sideways` is not one of"),
        (f"run tile.json {IN} {OUT} --preference gpu", "--preference: `gpu` is not one of"),
        (f"run tile.json {IN} {OUT} --timeout 0", "--timeout: `0` is not a time"),
        (f"run tile.json {IN} {OUT} --timeout soon", "--timeout: `soon` is not a time"),
        (f"run tile.json {IN} {OUT} --timeout nan", "--timeout: `nan` is not a time"),
        (f"run tile.json {IN} {OUT} --timeout inf", "--timeout: `inf` is not a time"),
        (f"run tile.json {IN} {OUT} --timeout 1e9", "bad limit `timeout_s`"),
        (f"run tile.json {IN} {OUT} --memory-limit lots", "`lots` is not a size"),
        (f"run tile.json {IN} {OUT} --memory-limit 0", "bad limit `memory_bytes`"),
        (f"run tile.json {IN} {OUT} --memory-limit 99999999999999G", "bad limit `memory_bytes`"),
        (f"run tile.json {IN} {OUT} --compile-timeout nan", "`nan` is not a time"),
        (f"run tile.json {IN} {OUT} --compile-memory 0", "bad limit `memory_bytes`"),
        (f"run tile.json {IN} {IN} {OUT}", "--input bytes is given twice"),
        (f"run tile.json {IN} {OUT} --value bytes=1", "both as --input and as --value"),
        (f"run tile.json --input bytes {OUT}", "`bytes` is not of the form NAME=FILE"),
        (f"run tile.json --input a=- --input b=- {OUT}", "only one --input can be `-`"),
        (f"run tile.json {IN} --output bytes=- --explain --json", "both want standard output"),
        (
            f"run tile.json {IN} --output a=out.raw --output b=folder/../out.raw",
            "--output a=out.raw and b=folder/../out.raw are the same file",
        ),
        ("inspect", "missing argument FILE"),
        ("validate tile.json tile.json", "unexpected extra argument"),
    ],
)
def test_wrong_usage(error_of: ErrorOf, bench: Path, arguments: str, words: str) -> None:
    assert words in error_of(*arguments.split(), cwd=bench, code=2)


def test_without_arguments_the_help_is_shown(chonkle_done: Chonkle, tmp_path: Path) -> None:
    done = chonkle_done(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Usage: chonkle [OPTIONS] COMMAND")


@pytest.mark.skipif(sys.platform == "win32", reason="names standard output as Unix does")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--output a=- --output b=/dev/stdout", "--output a=- and b=/dev/stdout are the same file"),
        ("--output a=/dev/stdout --explain --json", "--json and an output both want standard"),
    ],
)
def test_standard_output_has_other_names(
    error_of: ErrorOf, bench: Path, arguments: str, words: str
) -> None:
    assert words in error_of(*f"run tile.json {IN} {arguments}".split(), cwd=bench, code=2)


@pytest.mark.skipif(sys.platform == "win32", reason="names standard output as Unix does")
def test_several_outputs_may_go_to_the_null_device(tmp_path: Path, chonkle: Chonkle) -> None:
    (tmp_path / "page.json").write_text(json.dumps(PAGE))
    files = [f"--output={name}=/dev/null" for name in ("rep_levels", "def_levels")]
    done = chonkle(
        *("run", "page.json", "--input", "bytes=-", *files, "--output", "data=/dev/stdout"),
        stdin=b"data",
    )
    assert done.stdout == b"data"


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors as a shell does")
@pytest.mark.parametrize("descriptor", [0, 1])
def test_a_closed_standard_stream(bench: Path, descriptor: int) -> None:
    inputs, outputs = ("bytes=-", "bytes=o") if descriptor == 0 else ("bytes=tile.bin", "bytes=-")
    command = [sys.executable, "-m", "chonkle", "run", "tile.json"]
    command += ["--input", inputs, "--output", outputs, "--preference", "core"]
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {descriptor}>&-', "sh", *command],
        capture_output=True,
        text=True,
        cwd=bench,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "is closed" in done.stderr
    assert not (bench / "o").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_ends_a_guest_that_loops(
    bench: Path, make_codec: MakeCodec, pipeline_of: PipelineOf
) -> None:
    (bench / "loop.wasm").write_bytes(make_codec(transform="(loop $l (br $l)) (i64.const 0)"))
    (bench / "loop.json").write_text(json.dumps(pipeline_of("guest")))
    command = [sys.executable, "-m", "chonkle", "run", "loop.json", "--codec-path"]
    command += ["guest=loop.wasm", "--input", "bytes=tile.bin", "--output", "bytes=o"]
    with Popen(command, cwd=bench) as process:
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) != 0
    assert not (bench / "o").exists()


# What runs instead of `os.fsync`: says that a file is half written, and waits for a signal.
HALF_WRITTEN = """
import os, signal
os.fsync = lambda _: (print("half written", flush=True), signal.pause())
from chonkle.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGTERM, 143, b""), (signal.SIGINT, 130, b"\ninterrupted\n")],
)
@pytest.mark.parametrize("command", ["run", "embed-signature"])
def test_a_signal_in_the_middle_of_writing_leaves_nothing(
    *, tmp_path: Path, tile: Tile, command: str, number: signal.Signals, code: int, words: bytes
) -> None:
    (tmp_path / "tile.json").write_text(json.dumps(tile.pipeline))
    (tmp_path / "tile.bin").write_bytes(tile.encoded)
    (tmp_path / "empty.wasm").write_bytes(EMPTY_MODULE)
    ports = {"bytes": {"type": "bytes"}}
    (tmp_path / "signature.json").write_text(
        json.dumps({"codec_id": "x", "implementation": "x", "inputs": ports, "outputs": ports})
    )
    before = sorted(tmp_path.iterdir())
    arguments = {
        "run": f"run tile.json {IN} {OUT}",
        "embed-signature": "embed-signature empty.wasm signature.json",
    }[command]
    with Popen(
        [sys.executable, "-c", HALF_WRITTEN, *arguments.split()],
        cwd=tmp_path,
        # Nothing else is to be written.
        env={**os.environ, "CHONKLE_AOT": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"half written\n"
        assert len(sorted(tmp_path.iterdir())) == len(before) + 1
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert process.stderr.read() == words
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "empty.wasm").read_bytes() == EMPTY_MODULE
