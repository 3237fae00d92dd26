"""Codecs in other hosts: which golden vectors they pass, and their speed beside the hosts' own.

An array of 32 MiB is read whole, with the host's own codecs and with chonkle's, in turn, on one
thread. The programs of the hosts, in docs/examples/hosts, do both.

A missed target prints a line and is no failure; a golden vector that does not hold is one.
"""

import argparse
import json
import runpy
import subprocess
import sys
import tempfile
import tomllib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zarr
from chonkle_toolchain.conformance import conformance_lines
from chonkle_toolchain.recipe import find_recipes

from chonkle.backends.base import Codec, Limits
from chonkle.errors import ChonkleError
from chonkle.formats.signature import Direction
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime
from tests.bench.codec_speed.case import KIB, MIB
from tests.bench.codec_speed.report import lines, machine, versions
from tests.bench.zarr_speed.arrays import CASES, COLUMNS, ITEM_BYTES, SHUFFLE, ZLIB, Case, make_data

ROOT = Path(__file__).parents[2]
STORE = ROOT / "codec"
FOLDER = ROOT / "docs/examples/hosts"
REPORT = ROOT / "docs/reference/hosts.json"
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
MIB_OF_ARRAY = 32
CHUNKS_KIB = (1024, 64)
CHONKLE = "chonkle"
# The folder of each host, and the last arguments of its programs.
HOSTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "zarrs": ("zarrs", ()),
    "node": ("browser", ()),
    "chromium": ("browser", ("--chromium",)),
}
OTHER: Mapping[Direction, Direction] = {"decode": "encode", "encode": "decode"}
FAILURES_MAX = 3

_BYTES, *_ = CASES[0].codecs
ARRAYS = (
    Case("zlib", (_BYTES, ZLIB)),
    Case("shuffle-zlib", (_BYTES, SHUFFLE, ZLIB)),
    *(case for case in CASES if case.name in ("gzip", "zstd", "blosc-lz4")),
)
_IN_JAVASCRIPT = {"zlib": 1.7, "shuffle-zlib": 2.2, "zstd": 1.1, "blosc-lz4": 1.7}
# How many times as fast as the host's own codecs.
TARGETS: Mapping[str, Mapping[str, float]] = {
    "zarrs": {"zlib": 1.5, "shuffle-zlib": 1.5, "zstd": 0.85},
    "node": _IN_JAVASCRIPT,
    "chromium": _IN_JAVASCRIPT,
}

type Row = Mapping[str, Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--host", action="append", choices=[CHONKLE, *HOSTS], help="only this one; repeatable"
    )
    parser.add_argument("--conformance", action="store_true", help="only the golden vectors")
    parser.add_argument("--arrays", type=Path, metavar="FOLDER", help="only write the arrays here")
    parser.add_argument("--markdown", action="store_true", help="write docs/reference/hosts.*")
    options = parser.parse_args()
    if options.arrays:
        write_arrays(options.arrays)
        return
    chosen = options.host or [CHONKLE, *HOSTS]
    place = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="chonkle-bench-", dir=place) as temporary:
        vectors, arrays = Path(temporary, "vectors.jsonl"), Path(temporary, "arrays")
        written = list(conformance_lines(STORE, find_recipes(ROOT / "codec-src")))
        vectors.write_text("".join(f"{line}\n" for line in written), encoding="ascii")
        conformance = [row for host in chosen for row in conformance_of(host, vectors)]
        speed: list[Row] = []
        if not options.conformance:
            write_arrays(arrays)
            speed = [row for host in chosen for row in speed_of(host, arrays)]
    found = {"conformance": conformance, "speed": speed}
    if options.markdown:
        write_report(found)
        runpy.run_path(str(REPORT.with_name("make_hosts.py")), run_name="__main__")
    if any(row["passed"] < row["total"] for row in conformance):
        sys.exit("error: golden vectors do not hold")


def write_arrays(folder: Path) -> None:
    """Write the arrays, named `<case>-<chunk_kib>.zarr`, with zarr-python."""
    rows = MIB_OF_ARRAY * MIB // (COLUMNS * ITEM_BYTES)
    data = make_data(rows)
    for case in ARRAYS:
        for chunk_kib in CHUNKS_KIB:
            path = folder / f"{case.name}-{chunk_kib}.zarr"
            path.mkdir(parents=True)
            metadata = json.dumps(case.metadata(chunk_kib * KIB, rows))
            (path / "zarr.json").write_text(metadata, encoding="utf-8")
            zarr.open_array(path, mode="r+")[:] = data


def run_program(host: str, name: str, *arguments: Path) -> list[Row]:
    """Run a program of a host, and give the lines that it prints."""
    kind, last = HOSTS[host]
    made = subprocess.run(
        ["sh", ROOT / ".ci/hosts", kind],  # noqa: S607 - the shell of the system
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if made.returncode:
        sys.exit(made.returncode)
    program = Path(made.stdout.strip(), name)
    command = ["node", f"{program}.js"] if kind == "browser" else [str(program)]
    # The program for golden vectors fails if one does not hold, which its lines say too.
    done = subprocess.run(
        [*command, *map(str, arguments), *last], stdout=subprocess.PIPE, text=True, check=False
    )
    found = list(map(json.loads, done.stdout.splitlines()))
    if not found:
        sys.exit(f"error: `{name}` of the host `{host}` printed nothing")
    return found


def conformance_of(host: str, vectors: Path) -> Iterator[Row]:
    """Count the golden vectors that hold in a host: a row for each codec."""
    if host == CHONKLE:
        found: Iterable[Row] = run_here(list(map(json.loads, vectors.read_text().splitlines())))
    else:
        found = run_program(host, "conformance", vectors, STORE)
    codecs: dict[str, list[Row]] = {}
    for row in found:
        codecs.setdefault(row["codec_id"], []).append(row)
    for codec_id, rows in sorted(codecs.items()):
        failed = [row for row in rows if not row["ok"]]
        passed = len(rows) - len(failed)
        print(f"{host:<10}{codec_id:<20}{passed:4} of {len(rows)}", flush=True)
        for row in failed:
            print(f"  {row['case']}, {row['direction']}: {row['error']}")
        yield {
            "host": host,
            "codec_id": codec_id,
            "passed": passed,
            "total": len(rows),
            "failures": [
                {key: row[key] for key in ("case", "direction", "error")}
                for row in failed[:FAILURES_MAX]
            ],
        }


def run_here(vectors: Sequence[Row]) -> Iterator[Row]:
    """Run golden vectors through chonkle's own core backend."""
    with Runtime() as runtime:
        resolver = Resolver(codec_store=STORE, preference=["core"])
        codecs: dict[str, Codec] = {}
        for line in vectors:
            codec_id = line["codec_id"]
            if codec_id not in codecs:
                (found, *_) = resolver.codecs(codec_id)
                codecs[codec_id] = runtime.open(found, Limits())
            error = check_line(codecs[codec_id], line)
            fields = {key: line[key] for key in ("codec_id", "case", "direction")}
            yield {"host": CHONKLE, **fields, "ok": not error, "error": error or None}


def check_line(codec: Codec, line: Row) -> str:
    """Say why a golden vector does not hold; nothing if it does."""
    direction, then = line["direction"], line.get("then")
    try:
        found = codec.call(direction, ports_of(line["inputs"]))
        if then:
            found = codec.call(OTHER[direction], {**found, **ports_of(then["inputs"])})
    except ChonkleError as failure:
        return str(failure)
    wanted = ports_of((then or line)["outputs"])
    return "" if found == wanted else "the outputs differ"


def ports_of(written: Mapping[str, str]) -> dict[str, bytes]:
    """Give the bytes of ports."""
    return {name: b64decode(text) for name, text in written.items()}


def speed_of(host: str, arrays: Path) -> Iterator[Row]:
    """Measure reading arrays in a host, and say whether its targets are reached."""
    if host == CHONKLE:
        return  # `make bench-zarr` does, beside zarr-python
    for row in run_program(host, "bench", arrays, STORE):
        line = f"{row['host']:<10}{row['case']:<16}{row['chunk_kib']:5} KiB"
        line += f"{row['chonkle_s'] * 1e3:8.0f} ms"
        if row["native_s"] is None:
            print(f"{line}   the host has no such codec")
            yield row
            continue
        ratio = row["native_s"] / row["chonkle_s"]
        wanted = TARGETS[row["host"]].get(row["case"])
        verdict = ""
        if wanted is not None:
            verdict = f", {'held' if ratio >= wanted else 'MISSED'}, wanted {wanted:.2f}"
        print(f"{line}{ratio:7.2f} times as fast as its own{verdict}", flush=True)
        yield row


def write_report(found: Mapping[str, Sequence[Row]]) -> None:
    """Write the figures as JSON, one item a line; hosts that did not run keep what they had."""
    before: dict[str, list[Row]] = (
        json.loads(REPORT.read_text("utf-8"))
        if REPORT.exists()
        else {"conformance": [], "speed": []}
    )
    order = [CHONKLE, *HOSTS]
    merged = {}
    for name, rows in found.items():
        ran = {row["host"] for row in rows}
        kept = [row for row in before[name] if row["host"] not in ran]
        merged[name] = sorted([*kept, *rows], key=lambda row: order.index(row["host"]))
    targets = [
        {"host": host, "case": case, "wanted": wanted}
        for host, cases in TARGETS.items()
        for case, wanted in cases.items()
    ]
    fields = {
        "machine": json.dumps(machine()),
        "versions": json.dumps(host_versions()),
        "mib": json.dumps(MIB_OF_ARRAY),
        "targets": lines(targets),
        "conformance": lines(merged["conformance"]),
        "speed": lines(merged["speed"]),
    }
    text = ",\n".join(f'"{name}": {value}' for name, value in fields.items())
    REPORT.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def host_versions() -> dict[str, str]:
    """Give the versions of the hosts, as their locks and programs say."""
    found = {f"{name} (Python)": text for name, text in versions(["wasmtime"]).items()}
    found["Python"] = found.pop("Python (Python)")
    lock = tomllib.loads((FOLDER / "Cargo.lock").read_text("utf-8"))
    crates = {each["name"]: each["version"] for each in lock["package"]}
    found |= {"zarrs": crates["zarrs"], "wasmtime (Rust)": crates["wasmtime"]}
    packages = json.loads((FOLDER / "browser/package-lock.json").read_text("utf-8"))["packages"]
    found["zarrita"] = packages["node_modules/zarrita"]["version"]
    for program in ("node", "chromium"):
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        # `v20.19.2`, `Chromium 140.0.7339.185 built on Debian`
        words = done.stdout.split()
        found[program] = next(
            word.removeprefix("v") for word in words if any(map(str.isdigit, word))
        )
    return found


if __name__ == "__main__":
    main()
