"""One contender in a process of its own, which does what it is told on its standard input.

A request is a line of JSON, and so is the answer. A process of its own has its own peak of memory,
and its own settings of zarr-python.
"""

import json
import resource
import shutil
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STATUS = Path("/proc/self/status")
CLEAR_PEAK = Path("/proc/self/clear_refs")


class ZarrPython:
    """zarr-python with a pipeline and codecs."""

    def __init__(self, pipeline: str | None, *, our_codecs: bool) -> None:
        import zarr  # noqa: PLC0415 - a process has one contender

        self._zarr = zarr
        if our_codecs:
            import chonkle.zarr  # noqa: PLC0415 - a process has one contender

            chonkle.zarr.use()
        if pipeline:
            zarr.config.set({"codec_pipeline.path": pipeline})

    def reader(self, path: str) -> Callable[[], Any]:
        """Open an array; gives what reads all of it."""
        array = self._zarr.open_array(path, mode="r")
        return lambda: array[:]

    def writer(self, path: str, data: Any) -> Callable[[], None]:
        """Open an array; gives what writes all of it."""
        array = self._zarr.open_array(path, mode="r+")

        def write() -> None:
            array[:] = data

        return write


class TensorStore:
    """tensorstore, which has a reader and codecs of its own."""

    def __init__(self) -> None:
        import tensorstore  # noqa: PLC0415 - a process has one contender

        self._tensorstore = tensorstore

    def _open(self, path: str) -> Any:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
        return self._tensorstore.open(spec, open=True).result()

    def reader(self, path: str) -> Callable[[], Any]:
        """Open an array; gives what reads all of it."""
        array = self._open(path)
        return lambda: array.read().result()

    def writer(self, path: str, data: Any) -> Callable[[], None]:
        """Open an array; gives what writes all of it."""
        array = self._open(path)
        return lambda: array.write(data).result()


FUSED = "zarr.core.codec_pipeline.FusedCodecPipeline"
CONTENDERS: dict[str, Callable[[], Any]] = {
    "stock": lambda: ZarrPython(None, our_codecs=False),
    "stock, fused": lambda: ZarrPython(FUSED, our_codecs=False),
    "our codecs, fused": lambda: ZarrPython(FUSED, our_codecs=True),
    "chonkle": lambda: ZarrPython(None, our_codecs=True),
    "zarrs-python": lambda: ZarrPython("zarrs.ZarrsCodecPipeline", our_codecs=False),
    "tensorstore": TensorStore,
}


def measured(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Do something; gives its time and processor time in seconds, and the peak of memory."""
    if CLEAR_PEAK.exists():
        CLEAR_PEAK.write_text("5")
    cpu, begun = time.process_time(), time.perf_counter()
    result = work()
    taken = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
    return {**taken, "peak_bytes": peak_bytes()}, result


def peak_bytes() -> int:
    """Give the most memory that this process had since the peak was cleared."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read(contender: Any, path: str) -> dict[str, float]:
    """Read an array; gives a checksum beside what was measured."""
    found, data = measured(contender.reader(path))
    return {**found, "checksum": zlib.crc32(np.ascontiguousarray(data).view("u1"))}


def write(contender: Any, path: str, data: Any) -> dict[str, float]:
    """Write an array anew."""
    metadata = Path(path, "zarr.json").read_bytes()
    shutil.rmtree(path)
    Path(path).mkdir()
    Path(path, "zarr.json").write_bytes(metadata)
    found, _ = measured(contender.writer(path, data))
    return found


def main() -> None:
    """Answer requests until there are no more."""
    contender = CONTENDERS[sys.argv[1]]()
    data = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "read":
                answer: dict[str, object] = dict(read(contender, request["path"]))
            else:
                data = np.load(request["data"]) if data is None else data
                answer = dict(write(contender, request["path"], data))
        except Exception as failure:  # noqa: BLE001 - what a library raises for what it lacks
            answer = {"failure": f"{type(failure).__name__}: {failure}"[:300]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
