"""The file that the documentation is made of: everything that was measured, and on what."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.codec_speed.measure import Row
from tests.bench.codec_speed.memory import Growth
from tests.bench.codec_speed.targets import Outcome

CPU_INFO = Path("/proc/cpuinfo")
PACKAGES = ("wasmtime", "numcodecs", "imagecodecs", "numcodecs-wasm", "numpy")


def write_report(
    path: Path, *, rows: Sequence[Row], targets: Sequence[Outcome], memory: Sequence[Growth]
) -> None:
    """Write what was measured, a line for each item, so that a diff can be read.

    Args:
        path: where to.
        rows: of the codecs.
        targets: what became of each.
        memory: what became of memory.
    """
    fields = {
        "machine": json.dumps(machine()),
        "versions": json.dumps(versions()),
        "rows": lines([row.to_json() for row in rows]),
        "targets": lines([target.to_json() for target in targets]),
        "memory": lines([growth.to_json() for growth in memory]),
    }
    text = ",\n".join(f'"{name}": {value}' for name, value in fields.items())
    path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def lines(items: Sequence[object]) -> str:
    """Write a list with a line for each item."""
    return "[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in items) + "\n]"


def machine() -> str:
    """Name the machine in words."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()} on {platform.machine()}"


def processor() -> str:
    """Give the name of the processor."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def versions() -> dict[str, str]:
    """Give the versions of what was measured."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not there"
    return found
