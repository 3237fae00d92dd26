"""One contender in a process of its own: its peak of memory and its settings are its own.

Its only argument is the contender. A request is a line of JSON on standard input, and so is the
answer on standard output.
"""

import json
import resource
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

STATUS = Path("/proc/self/status")
CLEAR_PEAK = Path("/proc/self/clear_refs")


class Contender(Protocol):
    """A library that reads and writes arrays."""

    def open(self, path: str, *, mode: str) -> Any:
        """Open an array."""

    def read(self, array: Any) -> Any:
        """Read all of an array."""

    def write(self, array: Any, data: Any) -> None:
        """Write all of an array."""


class ZarrPython:
    """zarr-python with a pipeline, and maybe with chonkle's codecs."""

    def __init__(self, pipeline: str | None, *, is_ours: bool = False) -> None:
        import zarr  # noqa: PLC0415 - tensorstore's process does without

        self._zarr = zarr
        if is_ours:
            import chonkle.zarr  # noqa: PLC0415 - it would count for the others

            chonkle.zarr.use()
        if pipeline:
            zarr.config.set({"codec_pipeline.path": pipeline})

    def open(self, path: str, *, mode: str) -> Any:
        """Open an array."""
        return self._zarr.open_array(path, mode=mode)

    def read(self, array: Any) -> Any:
        """Read all of an array."""
        return array[:]

    def write(self, array: Any, data: Any) -> None:
        """Write all of an array."""
        array[:] = data


class TensorStore:
    """tensorstore, which has a reader and codecs of its own."""

    def __init__(self) -> None:
        import tensorstore  # noqa: PLC0415 - it would count for the others

        self._open = tensorstore.open

    def open(self, path: str, *, mode: str) -> Any:  # noqa: ARG002 - as in Contender
        """Open an array."""
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
        return self._open(spec, open=True).result()

    def read(self, array: Any) -> Any:
        """Read all of an array."""
        return array.read().result()

    def write(self, array: Any, data: Any) -> None:
        """Write all of an array."""
        array.write(data).result()


FUSED = "zarr.core.codec_pipeline.FusedCodecPipeline"
MAKERS: dict[str, Callable[[], Contender]] = {
    "stock": lambda: ZarrPython(None),
    "stock, fused": lambda: ZarrPython(FUSED),
    "chonkle codecs, fused": lambda: ZarrPython(FUSED, is_ours=True),
    "chonkle": lambda: ZarrPython(None, is_ours=True),
    "zarrs-python": lambda: ZarrPython("zarrs.ZarrsCodecPipeline"),
    "tensorstore": TensorStore,
}


def measured(work: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """Do work; return its time, processor time and peak of memory, and its result."""
    if CLEAR_PEAK.exists():
        CLEAR_PEAK.write_text("5", encoding="ascii")
    cpu, begun = time.process_time(), time.perf_counter()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    taken = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes()}
    return taken, result


def peak_bytes() -> int:
    """Return the most memory of this process, since the peak was cleared where it can be."""
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def answer(contender: Contender, request: dict[str, str]) -> dict[str, Any]:
    """Do what was asked for."""
    if request["do"] == "read":
        array = contender.open(request["path"], mode="r")
        taken, data = measured(lambda: contender.read(array))
        return {**taken, "checksum": zlib.crc32(data.reshape(-1).view(np.uint8))}
    array = contender.open(request["path"], mode="r+")
    data = np.load(request["data"])
    return measured(lambda: contender.write(array, data))[0]


def main() -> None:
    """Answer requests until there are no more."""
    contender = MAKERS[sys.argv[1]]()
    for line in sys.stdin:
        try:
            found = answer(contender, json.loads(line))
        except Exception as failure:  # noqa: BLE001 - what a library raises for what it lacks
            found = {"failure": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
