"""The file with all results, from which the documentation is made."""

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
    """Write the results, one item per line for readable diffs.

    Args:
        path: the file.
        rows: the results of the codecs.
        targets: the outcome of each target.
        memory: the growth of memory.
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
    """Return a list as JSON, one item per line."""
    return "[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in items) + "\n]"


def machine() -> str:
    """Describe the machine."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()} on {platform.machine()}"


def processor() -> str:
    """Return the name of the processor."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of the libraries measured."""
    found = {"Python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not there"
    return found
