"""How chunks of a Zarr array are read and written.

A chunk goes from the store into a guest's memory, through all codecs there, and is copied once: to
its place in the caller's array.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import numpy as np
import zarr
from zarr.abc.codec import GetResult
from zarr.abc.store import SyncByteGetter, _store_supports_sync_io  # noqa: PLC2701 - decides who runs
from zarr.codecs import BytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import NDBuffer
from zarr.core.chunk_utils import fill_value_or_default, merge_and_encode_chunk
from zarr.core.codec_pipeline import FusedCodecPipeline, codecs_from_list_unchecked
from zarr.core.common import concurrent_map
from zarr.storage import StorePath

from chonkle.errors import ChonkleError, LimitExceeded, ResolveError
from chonkle.zarr.chunk_chain import AnyArray, ChunkChain, chunk_chain, own_codecs
from chonkle.zarr.chunk_files import ChunkFile
from chonkle.zarr.chunk_threads import TOGETHER, Work, for_each_chunk
from chonkle.zarr.sharding import ShardChain, ShardingCodec

type _Item = tuple[Any, ArraySpec, Any, Any, bool]

_PRESENT, _MISSING = GetResult(status="present"), GetResult(status="missing")

# The options of zarr that set limits.
_OPTIONS = {
    "memory_bytes": "memory_bytes",
    "output_bytes": "memory_bytes",
    "timeout_s": "timeout_s",
}


@dataclass(frozen=True)
class CodecPipeline(FusedCodecPipeline):
    """Zarr's codec pipeline with chonkle's codecs; `chonkle.zarr.use` puts it in place.

    Where zarr-python cannot read or write without an event loop, and where a codec is not
    chonkle's, it does what zarr-python's own pipeline does.

    Attributes:
        refusal: why no data is read or written, where the option `strict` refuses a codec. Such an
            array can be opened, so that a group with one can be listed.
    """

    refusal: ResolveError | None = field(default=None, compare=False)

    # Where users find it, and zarr-python looks for it by name.
    __module__ = "chonkle.zarr"

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Fit the codecs to an array, and prepare them.

        Raises:
            PipelineError: a configuration is wrong.
        """
        sharded = replace(self, codecs=tuple(map(ShardingCodec.of, self.codecs)))
        evolved = super(CodecPipeline, sharded).evolve_from_array_spec(array_spec)
        try:
            own = own_codecs(evolved.codecs, array_spec)
        except ResolveError as refusal:
            return replace(evolved, refusal=refusal)
        # Stores that need an event loop have no chain, and run these.
        arrays, serializer, compressors = codecs_from_list_unchecked(own)
        evolved = replace(
            evolved,
            codecs=tuple(own),
            array_array_codecs=arrays,
            array_bytes_codec=serializer,
            bytes_bytes_codecs=compressors,
        )
        if evolved.sync_transform is None:
            return evolved
        codec = evolved.array_bytes_codec
        if isinstance(codec, ShardingCodec) and evolved.supports_partial_decode:
            inner = self.from_codecs(codec.codecs).evolve_from_array_spec(
                codec.inner_spec(array_spec)
            )
            if inner.refusal is not None:
                return replace(evolved, refusal=inner.refusal)
            chain = self._shard_chain(codec, inner) or evolved.sync_transform
        elif evolved.supports_partial_decode:
            return evolved
        else:
            chain = chunk_chain(own, array_spec)
        return replace(evolved, sync_transform=chain)

    @staticmethod
    def _shard_chain(codec: ShardingCodec, inner: "CodecPipeline") -> ShardChain | None:
        """Give the chain of an array in shards, if their inner chunks are read by chonkle."""
        # zarr-python copies shards without further codecs as a whole.
        if len(codec.codecs) == 1 and isinstance(codec.codecs[0], BytesCodec):
            return None
        if isinstance(inner.sync_transform, ShardChain) or _whole(inner.sync_transform):
            return ShardChain(codec, inner)
        return None

    def _require_allowed(self, items: Sequence[_Item]) -> None:
        """Raise the refusal, if there is one, with the chunk."""
        if self.refusal is not None and items:
            raise self.refusal.within(_chunk_name(items[0][0]))

    def read_sync(
        self,
        batch_info: Iterable[_Item],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
        max_workers: int = 1,
    ) -> tuple[GetResult, ...]:
        """Read chunks into an array; see `zarr.abc.codec.CodecPipeline.read`."""
        items = list(batch_info)
        self._require_allowed(items)
        chain, target = self.sync_transform, out.as_ndarray_like()
        is_array = isinstance(target, np.ndarray)
        whole: Any = _whole(chain) if is_array else None
        shards: Any = chain if is_array and isinstance(chain, ShardChain) else None
        statuses = [_PRESENT] * len(items)

        def start_whole() -> Work:
            files = [ChunkFile(whole.options.memory_bytes) for _ in range(TOGETHER)]

            def read(indices: Sequence[int]) -> None:
                found = []
                for index, file in zip(indices, files, strict=False):
                    getter, spec, _, place, _ = items[index]
                    data = file.read(getter, spec)
                    if data is None:
                        target[place] = fill_value_or_default(spec)
                        statuses[index] = _MISSING
                    else:
                        found.append((index, data))

                def use(at: int, decoded: AnyArray) -> None:
                    _, _, selection, place, _ = items[found[at][0]]
                    selected = decoded[selection]
                    target[place] = selected.squeeze(axis=drop_axes) if drop_axes else selected

                whole.decode_with([data for _, data in found], items[indices[0]][1], use)

            return _one_by_one(read, items, together=_is_uniform(items))

        def read_shard(indices: Sequence[int]) -> None:
            (index,) = indices
            if not shards.codec.read_into(
                target, shards.inner, items[index], drop_axes, max(1, max_workers // len(items))
            ):
                statuses[index] = _MISSING

        def read(indices: Sequence[int]) -> None:
            (index,) = indices
            (statuses[index],) = super(CodecPipeline, self).read_sync(
                [items[index]], out, drop_axes
            )

        read_one = read_shard if shards else read
        start = start_whole if whole else lambda: _one_by_one(read_one, items)
        _for_each(items, start, max_workers)
        return tuple(statuses)

    def write_sync(
        self,
        batch_info: Iterable[_Item],
        value: NDBuffer,
        drop_axes: tuple[int, ...] = (),
        max_workers: int = 1,
    ) -> None:
        """Write chunks of an array; see `zarr.abc.codec.CodecPipeline.write`."""
        items = list(batch_info)
        self._require_allowed(items)
        chain = self.sync_transform
        is_array = isinstance(value.as_ndarray_like(), np.ndarray)
        whole: Any = _whole(chain) if is_array else None
        # zarr-python encodes the chunks of a scalar once.
        is_shards = is_array and isinstance(chain, ShardChain) and value.shape
        shards: Any = chain if is_shards else None

        def start_whole() -> Work:
            file = ChunkFile()

            def write(indices: Sequence[int]) -> None:
                merged = []
                for index in indices:
                    setter, spec, *_ = items[index]
                    chunk = _merge(whole, items[index], value, drop_axes)
                    if chunk is None:
                        setter.delete_sync()
                    else:
                        merged.append((setter, chunk))
                spec = items[indices[0]][1]
                whole.encode_with(
                    [chunk for _, chunk in merged],
                    spec,
                    lambda at, data: file.write(merged[at][0], spec, data),
                )

            return _one_by_one(write, items, together=_is_uniform(items))

        def write_shard(indices: Sequence[int]) -> None:
            (index,) = indices
            part = value[items[index][3]]
            shards.codec.write_from(
                part, shards.inner, items[index], max(1, max_workers // len(items))
            )

        def write(indices: Sequence[int]) -> None:
            (index,) = indices
            super(CodecPipeline, self).write_sync([items[index]], value, drop_axes)

        write_one = write_shard if shards else write
        start = start_whole if whole else lambda: _one_by_one(write_one, items)
        _for_each(items, start, max_workers)

    async def read(
        self, batch_info: Iterable[_Item], out: NDBuffer, drop_axes: tuple[int, ...] = ()
    ) -> tuple[GetResult, ...]:
        """Read chunks into an array; see `zarr.abc.codec.CodecPipeline.read`."""
        items = list(batch_info)
        self._require_allowed(items)
        if self._needs_no_loop(items):
            return await super().read(items, out, drop_axes)

        async def read(*item: Any) -> GetResult:  # noqa: ANN401 - of a batch
            with _naming_chunk(item[0]):
                (status,) = await super(CodecPipeline, self).read([item], out, drop_axes)
                return status

        return tuple(await concurrent_map(items, read, zarr.config.get("async.concurrency")))

    async def write(
        self, batch_info: Iterable[_Item], value: NDBuffer, drop_axes: tuple[int, ...] = ()
    ) -> None:
        """Write chunks of an array; see `zarr.abc.codec.CodecPipeline.write`."""
        items = list(batch_info)
        self._require_allowed(items)
        if self._needs_no_loop(items):
            await super().write(items, value, drop_axes)
            return

        async def write(*item: Any) -> None:  # noqa: ANN401 - of a batch
            with _naming_chunk(item[0]):
                await super(CodecPipeline, self).write([item], value, drop_axes)

        await concurrent_map(items, write, zarr.config.get("async.concurrency"))

    def _needs_no_loop(self, items: Sequence[_Item]) -> bool:
        """Tell whether zarr-python hands a batch to `read_sync` and `write_sync`."""
        place = items[0][0] if items else None
        if self.sync_transform is None:
            return False
        if isinstance(place, StorePath):
            return _store_supports_sync_io(place.store)
        return isinstance(place, SyncByteGetter)


@contextmanager
def _naming_chunk(place: object) -> Iterator[None]:
    """Write the chunk into the failures within a `with` statement."""
    try:
        yield
    except LimitExceeded as failure:
        raise _with_option(failure).within(_chunk_name(place)) from failure.__cause__
    except ChonkleError as failure:
        raise failure.within(_chunk_name(place)) from failure.__cause__
    except Exception as failure:
        failure.add_note(_chunk_name(place))
        raise


def _with_option(failure: LimitExceeded) -> LimitExceeded:
    """Name the option that changes the limit, where one does."""
    option = _OPTIONS.get(failure.limit)
    if option is None:
        return failure
    text = str(failure)
    # Without the limit, as its option has been named.
    if "; hint: " in text:
        return type(failure)(f"{text} (option `{option}`)")
    return type(failure)(text, hint=f"option `{option}`")


def _chunk_name(place: object) -> str:
    inner = getattr(place, "chunk_coords", None)  # of a shard
    return f"chunk `{place}`" if inner is None else f"chunk {inner} of the shard"


def _whole(chain: object) -> ChunkChain | None:
    return chain if isinstance(chain, ChunkChain) and chain.whole is not None else None


def _is_uniform(items: Sequence[_Item]) -> bool:
    """Tell whether all chunks have one spec, so that a few can be coded together."""
    return all(item[1] is items[0][1] for item in items)


def _merge(
    chain: ChunkChain, item: _Item, value: NDBuffer, drop_axes: tuple[int, ...]
) -> NDBuffer | None:
    """Give a chunk with what is written to it; None where it is all fill value."""
    setter, spec, selection, place, is_complete = item
    existing = None if is_complete else setter.get_sync(prototype=spec.prototype)

    # zarr-python would encode it here.
    def keep(chunk: NDBuffer, _: ArraySpec) -> Any:  # noqa: ANN401 - no buffer
        return chunk

    merged: Any = merge_and_encode_chunk(
        existing,
        value,
        chunk_spec=spec,
        chunk_selection=selection,
        out_selection=place,
        is_complete=is_complete,
        drop_axes=drop_axes,
        decode=chain.decode_chunk,
        encode=keep,
    )
    return cast("NDBuffer | None", merged)


def _one_by_one(work: Work, items: Sequence[_Item], *, together: bool = False) -> Work:
    """Give work on single chunks, whose failures name them.

    Args:
        work: the work.
        items: the batch.
        together: whether to try several chunks at once, and single ones only when that fails.
    """

    def do(indices: Sequence[int]) -> None:
        if together and len(indices) > 1:
            with suppress(Exception):
                work(indices)
                return
        for index in indices:
            with _naming_chunk(items[index][0]):
                work((index,))

    return do


def _for_each(items: Sequence[_Item], start: Callable[[], Work], threads: int) -> None:
    """Do work on the chunks of a batch; see `for_each_chunk`."""
    if items:
        spec = items[0][1]
        size = math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
        for_each_chunk(start, len(items), chunk_bytes=size, threads=threads)
