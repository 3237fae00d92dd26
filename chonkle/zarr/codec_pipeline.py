"""How chunks of a Zarr array are read and written.

A chunk goes from the store into a guest's memory, through all codecs there, and is copied once: to
its place in the caller's array.
"""

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from zarr.abc.codec import GetResult
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import NDBuffer
from zarr.core.chunk_utils import fill_value_or_default
from zarr.core.codec_pipeline import FusedCodecPipeline
from zarr.storage import LocalStore, StorePath

from chonkle.errors import ChonkleError
from chonkle.zarr.chunk_chain import ChunkChain, chunk_chain
from chonkle.zarr.sharding import ShardingCodec

type _Item = tuple[Any, ArraySpec, Any, Any, bool]

_PRESENT, _MISSING = GetResult(status="present"), GetResult(status="missing")


class CodecPipeline(FusedCodecPipeline):
    """Zarr's codec pipeline with chonkle's codecs; `chonkle.zarr.use` puts it in place.

    Where zarr-python cannot read or write without an event loop, and where a codec is not
    chonkle's, it does what zarr-python's own pipeline does.
    """

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Fit the codecs to an array, and prepare them.

        Raises:
            PipelineError: a configuration is wrong.
            ResolveError: in strict mode, when chonkle lacks a codec.
        """
        sharded = replace(self, codecs=tuple(map(ShardingCodec.of, self.codecs)))
        evolved = super(CodecPipeline, sharded).evolve_from_array_spec(array_spec)
        if evolved.sync_transform is None or evolved.supports_partial_decode:
            return evolved
        return replace(evolved, sync_transform=chunk_chain(evolved.codecs))

    def read_sync(
        self,
        batch_info: Iterable[_Item],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
        max_workers: int = 1,
    ) -> tuple[GetResult, ...]:
        """Read chunks into an array; see `zarr.abc.codec.CodecPipeline.read`."""
        items = list(batch_info)
        chain, target = self.sync_transform, out.as_ndarray_like()
        if not (isinstance(chain, ChunkChain) and chain.whole and isinstance(target, np.ndarray)):
            return super().read_sync(items, out, drop_axes, max_workers)
        statuses = [_PRESENT] * len(items)

        def read(index: int) -> None:
            getter, spec, selection, place, _ = items[index]
            data = _read(getter, spec)
            if data is None:
                target[place] = fill_value_or_default(spec)
                statuses[index] = _MISSING
                return

            def use(decoded: np.ndarray[Any, Any]) -> None:
                selected = decoded[selection]
                target[place] = selected.squeeze(axis=drop_axes) if drop_axes else selected

            try:
                chain.decode_with(data, spec, use)
            except ChonkleError as failure:
                raise failure.within(f"chunk `{getter}`") from failure.__cause__

        _in_threads(read, len(items), chain.options.threads or max_workers)
        return tuple(statuses)


def _read(getter: Any, spec: ArraySpec) -> Any:  # noqa: ANN401 - bytes, or a buffer's array
    """Read a chunk, or None where there is none; local files without zarr-python's detour."""
    if isinstance(getter, StorePath) and type(getter.store) is LocalStore:
        try:
            handle = os.open(f"{getter.store.root}/{getter.path}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        try:
            size = os.fstat(handle).st_size
            data = os.read(handle, size + 1)
            while len(data) < size and (more := os.read(handle, size - len(data))):
                data += more
        except IsADirectoryError:
            return None
        finally:
            os.close(handle)
        return data
    found = getter.get_sync(prototype=spec.prototype)
    return None if found is None else found.as_numpy_array()


def _in_threads(work: Callable[[int], None], count: int, threads: int) -> None:
    """Do numbered work in this thread and others; raises the failure with the lowest number."""
    numbers = iter(range(count))
    failures: dict[int, BaseException] = {}

    def run() -> None:
        for index in numbers:
            if failures:
                return
            try:
                work(index)
            except BaseException as failure:  # noqa: BLE001 - raised below
                failures[index] = failure
                return

    others = [threading.Thread(target=run) for _ in range(min(threads, count) - 1)]
    for each in others:
        each.start()
    run()
    for each in others:
        each.join()
    if failures:
        raise failures[min(failures)]
