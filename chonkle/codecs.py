"""Codecs as objects: one codec, or a chain of them, with `encode` and `decode`.

codec = chonkle.codec("zlib", level=6)
chunk = codec.decode(encoded)

Names and configurations are taken as numcodecs, Zarr and TIFF write them; the signatures say what
they mean. Codecs run in WebAssembly unless another backend is asked for.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from keyword import iskeyword
from pathlib import Path
from typing import Any, cast

from chonkle import executor
from chonkle.allowed_sources import AllowedSources
from chonkle.arguments import data_view, writable_view
from chonkle.arrays import (
    array_of,
    array_spec,
    array_view,
    as_array,
    copy_elements,
    elements_of,
    numpy_dtype,
    require_array,
)
from chonkle.backends.base import BACKENDS, Backend, Limits
from chonkle.dag.codec_list import (
    CODEC_LIST_ID,
    ArraySpec,
    CodecEntry,
    CodecList,
    ListedCodec,
    codec_list_pipeline,
    encoded_size,
    is_codec_list,
    is_little_endian,
    is_whole_number,
    listed_array,
    read_codec_list,
    read_entry,
    read_shape,
)
from chonkle.errors import ChonkleError, PipelineError, ResolveError
from chonkle.executor import read_threads
from chonkle.formats.declared import OF_SHAPE
from chonkle.formats.dtypes import Dtype
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import CodecKind, Direction, Port, Signature
from chonkle.formats.values import format_value, is_value, plain_value
from chonkle.locking import ForkableLock
from chonkle.pickles import Unusable, pickled, pickled_runtime, unpickled, unpickled_runtime
from chonkle.pipeline import (
    PreparedPipeline,
    load,
    picked_for,
    prepare_parsed,
    resolve_codecs,
)
from chonkle.resolver import PipelineResolution, Resolution, Resolver
from chonkle.runtime import Runtime, default_runtime

# Arguments of `codec` that are no parameters.
_OPTIONS = ("backend", "resolver", "runtime", "limits", "sources")
# How many codecs from other processes stay made: a pool of processes sends one with each task.
_RECEIVED_MAX = 16
# Dtypes, and shapes where a codec needs them, that a codec stays prepared for.
_PREPARED_MAX = 32


@dataclass(frozen=True, slots=True)
class _Given:
    """What a codec is made of; its pickle."""

    entries: tuple[CodecEntry, ...]
    is_chain: bool  # whether it was given as a list
    resolver: Resolver | None
    limits: Limits
    array: ArraySpec | None = None  # what it encodes, where metadata say that


def codec(
    what: object,
    /,
    *,
    backend: Backend | None = None,
    resolver: Resolver | None = None,
    runtime: Runtime | None = None,
    limits: Limits | None = None,
    sources: Sequence[str] | None = None,
    **parameters: object,
) -> "ChunkCodec":
    """Make a codec, or a chain of codecs.

    Args:
        what: a name; a TIFF compression number; the path of a `.wasm` file; an `oci://`,
            `https://` or `file://` URI; a numcodecs configuration (`{"id": ...}`); Zarr 3 metadata
            (`{"name": ..., "configuration": ...}`); a codec object of numcodecs or Zarr; a codec
            list (`{"codecs": [...]}`); or a sequence of any of these, in the order of encoding.
        backend: `native`, `core` or `component`; WebAssembly when left out.
        resolver: how codecs are picked; the defaults when left out.
        runtime: holds the configuration and the open codecs; the process's own when left out.
        limits: what one call of a codec may take.
        sources: places that the `uri` of an entry may be fetched from: URIs, or what they begin
            with, up to a `/`; all when left out. A URI that is given as `what` needs none.
        parameters: values of parameters, for a codec by name, number, path or URI.

    Raises:
        ResolveError: no implementation of a codec was found.
        PipelineError: a configuration is wrong, with every problem.
        ChonkleError: a codec cannot be fetched or read.
    """
    if parameters and not (is_whole_number(what) or isinstance(what, (str, Path))):
        raise PipelineError(
            f"parameter `{next(iter(parameters))}` beside a configuration",
            hint="only a codec by name, number, path or URI takes parameters",
        )
    resolver = _allowing(resolver, AllowedSources.of(sources))
    if isinstance(what, ChunkCodec):
        return what.changed(backend=backend, resolver=resolver, runtime=runtime, limits=limits)
    is_chain = _is_chain(what)
    entries = [_with_backend(entry, backend) for entry in _entries(what, parameters)]
    if not entries and not is_chain:
        raise _not_a_codec(what)
    given = _Given(tuple(entries), is_chain, resolver, Limits.of(limits))
    return ChunkCodec(given, runtime=runtime)


def best_codecs(
    *,
    backend: Backend | None = None,
    resolver: Resolver | None = None,
    runtime: Runtime | None = None,
) -> list[Resolution]:
    """Give the best implementation of each codec that `codec` may use, by codec id.

    Args:
        backend: as for `codec`.
        resolver: as for `codec`.
        runtime: as for `codec`.

    Raises:
        PipelineError: there is no such backend.
        ResolveError: the preference of the resolver leaves no backend.
        StoreError: the codec store cannot be read.
    """
    resolver = (runtime or default_runtime()).complete(resolver)
    backends = _backends(backend)
    allowed = [each for each in resolver.preference if each in backends]
    if not allowed:
        raise ResolveError(
            "the preference leaves no backend for codecs",
            expected=", ".join(f"`{each}`" for each in backends),
            got=", ".join(f"`{each}`" for each in resolver.preference),
            hint="`backend` names another one",
        )
    found: dict[str, Resolution] = {}
    for each in replace(resolver, preference=allowed).codecs():
        found.setdefault(each.signature.codec_id, each)
    return list(found.values())


def get_codecs(
    codecs: str | Path | Mapping[str, object] | Sequence[object],
    *,
    resolver: Resolver | None = None,
    runtime: Runtime | None = None,
    limits: Limits | None = None,
    sources: Sequence[str] | None = None,
) -> "ChunkCodec":
    """Make a chain of a codec list: a sidecar, or the `zarr.json` of an array.

    Args:
        codecs: the path of a JSON file, or the parsed document. `file://` and `oci-layout://`
            URIs in it may be relative to the file.
        resolver: how codecs are picked; the defaults when left out.
        runtime: holds the configuration and the open codecs; the process's own when left out.
        limits: what one call of a codec may take.
        sources: as for `codec`; what is below the folder of the file is allowed too.

    Raises:
        PipelineError: it cannot be read or is malformed, with every problem.
        ResolveError: no implementation of a codec was found.
        ChonkleError: a codec cannot be fetched or read.
    """
    parsed = load_list(codecs)
    allowed = AllowedSources.of(sources, folder=parsed.folder)
    return listed_chain(
        parsed, resolver=_allowing(resolver, allowed), runtime=runtime, limits=limits
    )


def load_list(
    codecs: str | Path | Mapping[str, object] | Sequence[object],
    *,
    runner: str = "chonkle.prepare",
) -> CodecList:
    """Read a codec list; see `get_codecs`.

    Args:
        codecs: the path of a JSON file, or the parsed document.
        runner: what takes a pipeline, for messages.

    Raises:
        PipelineError: it cannot be read or is malformed, with every problem.
    """
    parsed = load(codecs, what="codec list")
    if not isinstance(parsed, CodecList):
        raise PipelineError(
            f"{codecs if isinstance(codecs, (str, Path)) else 'the document'}: not a codec list",
            expected="a list `codecs`",
            hint=f"`{runner}` takes a pipeline",
        )
    return parsed


def listed_chain(
    codec_list: CodecList,
    *,
    resolver: Resolver | None = None,
    runtime: Runtime | None = None,
    limits: Limits | None = None,
) -> "ChunkCodec":
    """Make a chain of a codec list that was parsed; see `get_codecs`."""
    given = _Given(codec_list.entries, True, resolver, Limits.of(limits), codec_list.array)  # noqa: FBT003
    return ChunkCodec(given, runtime=runtime)


def decode(data: object, codecs: object) -> Any:  # noqa: ANN401 - bytes or an array
    """Decode a chunk with a codec list.

    Args:
        data: any contiguous buffer.
        codecs: what `get_codecs` gave, or anything that `codec` takes.

    Returns:
        An array if an entry of the list describes it, otherwise bytes.

    Raises:
        ChonkleError: as `codec` and `ChunkCodec.decode`.
    """
    return codec(codecs).decode(data)


def encode(array: object, codecs: object) -> bytes:
    """Encode a chunk with a codec list.

    Args:
        array: an array, or any contiguous buffer.
        codecs: what `get_codecs` gave, or anything that `codec` takes.

    Raises:
        ChonkleError: as `codec` and `ChunkCodec.encode`.
    """
    return codec(codecs).encode(array)


def _allowing(resolver: Resolver | None, allowed: AllowedSources | None) -> Resolver | None:
    return resolver if allowed is None else replace(resolver or Resolver(), allowed_sources=allowed)


def _including(resolver: Resolver, sources: Sequence[str]) -> Resolver:
    """Allow sources that were allowed in another form, or that the caller gave."""
    allowed = resolver.allowed_sources
    if allowed is None:
        return resolver
    return replace(resolver, allowed_sources=allowed.including(*sources))


def _is_chain(what: object) -> bool:
    if isinstance(what, Mapping):
        return is_codec_list(what)
    return isinstance(what, Sequence) and not isinstance(what, (str, bytes, bytearray, memoryview))


def _entries(
    what: Any,  # noqa: ANN401 - checked here
    parameters: Mapping[str, object],
) -> Iterator[CodecEntry]:
    """Read one codec, or several."""
    if isinstance(what, ChunkCodec):
        yield from (replace(each, is_allowed=True) for each in what.entries)
    elif isinstance(what, CodecEntry):
        yield what
    elif is_whole_number(what) or isinstance(what, (str, Path)):
        yield _named(what, parameters)
    elif hasattr(what, "get_config"):  # numcodecs
        yield read_entry(what.get_config())
    elif hasattr(what, "to_dict"):  # Zarr
        yield read_entry(what.to_dict())
    elif isinstance(what, Mapping):
        yield from read_codec_list(what).entries if is_codec_list(what) else [read_entry(what)]
    elif _is_chain(what):
        for each in what:
            yield from _entries(each, parameters)
    elif what is not None:  # which Zarr 2 writes for no compressor
        raise _not_a_codec(what)


def _not_a_codec(what: object) -> PipelineError:
    return PipelineError(
        "not a codec",
        expected="a name, a number, a path, a URI, a configuration or a list of these",
        got=format_value(what),
    )


def _named(what: object, parameters: Mapping[str, object]) -> CodecEntry:
    if is_whole_number(what):
        return CodecEntry(str(int(what)), parameters, scope="tiff_compression")
    if isinstance(what, Path):
        return CodecEntry("", parameters, location=what)
    text = str(what)
    if "://" in text:
        return CodecEntry("", parameters, location=text)
    if text.endswith(".wasm") or "/" in text or os.sep in text:
        return CodecEntry("", parameters, location=Path(text))
    return CodecEntry(text, parameters)


def _with_backend(entry: CodecEntry, backend: Backend | None) -> CodecEntry:
    return entry if backend is None else replace(entry, backends=_backends(backend))


def _backends(backend: Backend | None) -> tuple[Backend, ...]:
    """Give the backends that may run a codec."""
    if backend is None:
        return tuple(each for each in BACKENDS if each != "native")
    if backend not in BACKENDS:
        listed = ", ".join(f"`{each}`" for each in BACKENDS)
        raise PipelineError("unknown backend", expected=listed, got=format_value(backend))
    return (backend,)


class ChunkCodec:
    """One codec, or a chain of codecs, as `chonkle.codec` makes it.

    Threads and forked processes may share it. It can be copied and pickled: what is pickled is the
    configuration with the digests of the codecs, and never native code.

    An array is encoded as its elements in C order; one that is not C-contiguous is copied first.
    Where codecs work on little-endian elements, a big-endian array is converted first, and is
    decoded to little-endian elements.

    Attributes:
        limits: what one call of a codec may take.
    """

    def __init__(
        self,
        given: _Given,
        *,
        runtime: Runtime | None = None,
    ) -> None:
        """Resolve the codecs; `chonkle.codec` makes the arguments."""
        self._given = given
        self._runtime = runtime
        self.limits = given.limits
        self._resolver, self._entries = self._located()
        # Pinned: what a source gives later is not used within one codec.
        self._codecs = [
            replace(each, uri=each.pinned or each.uri)
            for each in resolve_codecs(CodecList(self._entries), self._resolver, runtime)
        ]
        self._resolver = _including(self._resolver, [each.uri for each in self._codecs if each.uri])
        self._is_little = is_little_endian(self._codecs)
        self._array = given.array or listed_array(self._codecs)
        # What of an array the parameters depend on.
        taken = {what for each in self._codecs for what in each.depends_on}
        self._needs_shape = not OF_SHAPE.isdisjoint(taken)
        self._needs_dtype = bool(taken)
        self._prepared: OrderedDict[object, PreparedPipeline] = OrderedDict()
        self._lock = ForkableLock()

    def changed(
        self,
        *,
        backend: Backend | None = None,
        resolver: Resolver | None = None,
        runtime: Runtime | None = None,
        limits: Limits | None = None,
    ) -> "ChunkCodec":
        """Give the same codec, with what is given changed; see `codec`."""
        if not (backend or resolver or runtime or limits):
            return self
        given = replace(
            self._given,
            entries=tuple(_with_backend(each, backend) for each in self._given.entries),
            resolver=resolver or self._given.resolver,
            limits=self.limits if limits is None else Limits.of(limits),
        )
        return ChunkCodec(given, runtime=runtime or self._runtime)

    def _located(self) -> tuple[Resolver, tuple[CodecEntry, ...]]:
        """Name the codecs that were given by their place."""
        resolver = (self._runtime or default_runtime()).complete(self._given.resolver)
        entries = []
        paths = dict(resolver.paths)
        given: list[str] = []  # sources that need no permission any more
        for entry in self._given.entries:
            if entry.location is None:
                given += [entry.uri] if entry.uri and entry.is_allowed else []
                entries.append(entry)
                continue
            found = resolver.identify(entry.location)
            if isinstance(found, PipelineResolution):
                raise PipelineError(
                    f"{entry.location}: a pipeline", hint="`chonkle.prepare` runs pipelines"
                )
            codec_id, place = found.signature.codec_id, entry.location
            entry = replace(entry, name=codec_id)  # noqa: PLW2901 - the same entry, with its name
            if isinstance(place, str):
                # The source that it was found at is pinned.
                entry = replace(entry, uri=found.source)  # noqa: PLW2901
                given.append(found.source)
            elif paths.setdefault(codec_id, place) != place:
                raise ResolveError(
                    f"codec `{codec_id}` from two places: {paths[codec_id]} and {place}"
                )
            entries.append(entry)
        return _including(replace(resolver, paths=paths), given), tuple(entries)

    def require_picked(self, picked: Sequence[str]) -> None:
        """Require the codecs that another process has.

        Args:
            picked: its codecs, as `picked` of `ListedCodec`.

        Raises:
            ResolveError: when one is another one.
        """
        for listed, expected in zip(self._codecs, picked, strict=True):
            if listed.picked != expected:
                raise ResolveError(
                    f"codec `{listed.codec_id}`: pickled with {expected}, here {listed.picked}",
                    hint="both processes need the same codecs: installed files, versions and "
                    "sources",
                )

    @property
    def entries(self) -> tuple[CodecEntry, ...]:
        """The codecs as written, in the order of encoding."""
        return self._entries

    def codec_ids(self) -> list[str]:
        """Give the ids of the codecs, in the order of encoding."""
        return [each.codec_id for each in self._codecs]

    def resolutions(self) -> list[Resolution]:
        """Give what was picked for the codecs, and for the steps of pipelines among them."""
        entries = (
            replace(entry, uri=each.uri)
            for entry, each in zip(self._entries, self._codecs, strict=True)
        )
        return picked_for(CodecList(tuple(entries)), self._resolver, self._runtime)

    @property
    def config(self) -> dict[str, object] | list[dict[str, object]]:
        """The configuration as Zarr 3 metadata has it, an object, or a list for a chain."""
        found = [_config(each) for each in self._codecs]
        return found if self._given.is_chain else found[0]

    @property
    def signature(self) -> Signature:
        """The typed ports, of a codec its own; a chain maps `bytes` to `bytes`."""
        if self._given.is_chain:
            ports = {"bytes": Port("bytes")}
            return Signature(CODEC_LIST_ID, "pipeline", inputs=ports, outputs=ports)
        return self._codecs[0].signature

    def encode(self, data: object, *, dtype: object = None, shape: object = None) -> bytes:
        """Encode a chunk.

        Args:
            data: an array, or any contiguous buffer. Bytes, and C-contiguous arrays in the byte
                order that the codecs work on, are not copied.
            dtype: the element type of `data`, where it is bytes and a codec needs it. Where an
                entry of the codecs describes the array, `data` must be that one, unless this is
                given.
            shape: the shape of `data`, likewise.

        Raises:
            PipelineError: the data cannot be encoded, or a parameter has no value.
            CodecError: a codec refused the data.
            CodecTrap: a codec broke; the next call works.
            LimitExceeded: a codec asked for more than its limits allow.
        """
        array = self._given_array(dtype, shape)
        found = as_array(data)
        if array is None and self._array is not None:
            array = self._array
            require_array(data if found is None else found, array)
        elif array is None and found is not None and self._needs_dtype:
            array = array_spec(found)
        prepared, order = self._prepare("encode", array), None
        if self._is_little:
            is_bytes = found is None or found.dtype.itemsize == 1
            if is_bytes and array is not None and array.dtype != array.dtype.little:
                found = array_of(data_view(data, "data"), array)
            order = None if found is None else found.dtype.newbyteorder("<")
        return executor.run(prepared, {"bytes": elements_of(data, found, order)})["bytes"]

    def decode(
        self, data: object, out: object = None, *, dtype: object = None, shape: object = None
    ) -> Any:  # noqa: ANN401 - bytes, an array, or `out`
        """Decode a chunk.

        Args:
            data: any contiguous buffer. It is not copied.
            out: a writable C-contiguous array or buffer of the decoded size, which is filled.
            dtype: the element type, for an array; that of `out` when left out.
            shape: the shape of the array; one axis when left out.

        Returns:
            `out` if it is given; otherwise an array if `dtype` is; otherwise bytes.

        Raises:
            PipelineError: the data is no buffer, or what it decodes to does not fit.
            CodecError: a codec refused the data.
            CodecTrap: a codec broke; the next call works.
            LimitExceeded: a codec asked for more than its limits allow.
        """
        array = self._given_array(dtype, shape)
        if array is None and out is not None and (self._needs_dtype or self._is_little):
            target = as_array(out)
            if target is None:
                writable_view(out, "out").release()
            else:
                array = array_spec(target)
        array = array or self._array
        prepared = self._prepare("decode", array)
        if out is not None:
            is_stored = array is None or not self._is_little or array.dtype == array.dtype.little
            if is_stored:
                executor.run(prepared, {"bytes": data}, out={"bytes": out})
                return out
        if array is None:
            return executor.run(prepared, {"bytes": data})["bytes"]
        stored = ArraySpec(
            array.dtype.little if self._is_little else array.dtype,
            array.shape if out is None else None,
        )
        # Straight from the memory of the codec.
        return executor.visit(
            prepared,
            {"bytes": data},
            lambda outputs: copy_elements(outputs["bytes"], stored, array, out),
        )

    def _given_array(self, dtype: object, shape: object) -> ArraySpec | None:
        if dtype is not None:
            return ArraySpec(Dtype.of(dtype), None if shape is None else read_shape(shape))
        if shape is None:
            return None
        if self._array is None:
            raise PipelineError("`shape` without `dtype`")
        return replace(self._array, shape=read_shape(shape))

    def run(self, direction: Direction, data: object, array: ArraySpec | None = None) -> bytes:
        """Encode or decode bytes as they are.

        Args:
            direction: `encode` or `decode`.
            data: any contiguous buffer.
            array: the array that parameters are taken from.

        Raises:
            ChonkleError: as `encode` and `decode`.
        """
        return executor.run(self._prepare(direction, array), {"bytes": data})["bytes"]

    def encoded_array(self, array: ArraySpec) -> ArraySpec:
        """Give the array that codecs behind this one see, of one that is encoded."""
        for each in self._codecs:
            array = each.encoded_array(array)
        return array

    def decoded_dtype(self) -> Dtype | None:
        """Give the element type that the configuration says decoding gives, if it says one.

        It may not be that of the array: in the byte order, or altogether.
        """
        for each in self._codecs:
            dtype = each.decoded_dtype
            if dtype is not None:
                return dtype
            if each.declared.kind != "array-to-array" or each.declared.encoded.dtype:
                return None
        return None

    def check(self, array: ArraySpec) -> None:
        """Check that the parameters have values for an array.

        Raises:
            PipelineError: one has none.
        """
        codec_list_pipeline(self._codecs, array)

    @property
    def kind(self) -> CodecKind:
        """What it maps; that of the first codec of a chain, if they differ."""
        return self._codecs[0].declared.kind or "bytes-to-bytes"

    @property
    def is_fixed_size(self) -> bool:
        """Whether the encoded size depends on the decoded size only."""
        return all(each.declared.encoded_size.kind == "fixed" for each in self._codecs)

    def encoded_size(
        self, decoded_size: int, *, dtype: object = None, shape: object = None
    ) -> int | None:
        """Give the size that a chunk is encoded to, where it does not depend on the data.

        Args:
            decoded_size: the size of the chunk in bytes.
            dtype: its element type, where a codec needs it.
            shape: its shape, likewise.

        Returns:
            The bytes, or None where a codec declares no exact size, or needs what was left out.

        Raises:
            PipelineError: the size, the dtype or the shape is none.
        """
        return self._encoded_size(decoded_size, dtype, shape, is_exact=True)

    def encoded_size_bound(
        self, decoded_size: int, *, dtype: object = None, shape: object = None
    ) -> int | None:
        """Give a size that no chunk of a size is encoded to more than: for buffers.

        Args:
            decoded_size: the size of the chunk in bytes.
            dtype: its element type, where a codec needs it.
            shape: its shape, likewise.

        Returns:
            The bytes, or None where a codec declares no bound, or needs what was left out.

        Raises:
            PipelineError: the size, the dtype or the shape is none.
        """
        return self._encoded_size(decoded_size, dtype, shape, is_exact=False)

    def _encoded_size(
        self, decoded_size: int, dtype: object, shape: object, *, is_exact: bool
    ) -> int | None:
        size = plain_value(decoded_size)
        if not is_value(size, "uint"):
            raise PipelineError(
                "bad size", expected="a whole number of bytes", got=format_value(decoded_size)
            )
        array = self._given_array(dtype, shape) or self._array
        return encoded_size(self._codecs, cast("int", size), array, is_exact=is_exact)

    def bind(self, dtype: object, shape: object) -> "BoundCodec":
        """Prepare the codec for chunks of one dtype and shape.

        Args:
            dtype: the element type of a decoded chunk.
            shape: its shape.

        Raises:
            PipelineError: a parameter has no value for such an array.
        """
        array = ArraySpec(Dtype.of(dtype), read_shape(shape))
        if self._is_little:
            array = replace(array, dtype=array.dtype.little)
        return BoundCodec(array, self._prepare("encode", array), self._prepare("decode", array))

    def encode_many(self, chunks: Iterable[object], *, threads: int | None = None) -> list[bytes]:
        """Encode chunks on several threads.

        Args:
            chunks: arrays or buffers, as for `encode`.
            threads: how many run at once; as many as there are processors when left out.

        Raises:
            ChonkleError: as `encode`, with the index of the first chunk that failed.
        """
        listed = _listed(chunks, "chunks")
        return _in_threads(lambda index: self.encode(listed[index]), len(listed), threads)

    def decode_many(
        self,
        chunks: Iterable[object],
        outs: Iterable[object] | None = None,
        *,
        threads: int | None = None,
        dtype: object = None,
        shape: object = None,
    ) -> list[Any]:
        """Decode chunks on several threads.

        Args:
            chunks: buffers, as for `decode`.
            outs: an `out` for each.
            threads: how many run at once; as many as there are processors when left out.
            dtype: as for `decode`, of every chunk.
            shape: as for `decode`, of every chunk.

        Raises:
            ChonkleError: as `decode`, with the index of the first chunk that failed.
        """
        listed = _listed(chunks, "chunks")
        targets = [None] * len(listed) if outs is None else _listed(outs, "outs")
        if len(targets) != len(listed):
            raise PipelineError(
                "not one `out` for each chunk",
                expected=f"{len(listed)}",
                got=f"{len(targets)}",
            )

        def decode(index: int) -> Any:  # noqa: ANN401 - as `decode`
            return self.decode(listed[index], targets[index], dtype=dtype, shape=shape)

        return _in_threads(decode, len(listed), threads)

    def _prepare(self, direction: Direction, array: ArraySpec | None) -> PreparedPipeline:
        array = array or self._array
        # A new shape needs nothing new where no parameter depends on it.
        key: object = direction
        if array is not None and self._needs_dtype:
            shape = array.shape if self._needs_shape else None
            key = (direction, array.dtype, shape, array.is_bytes)
        prepared = self._prepared.get(key)
        if prepared is not None:
            return prepared
        pipeline = codec_list_pipeline(self._codecs, array)
        prepared = prepare_parsed(
            pipeline, direction, self._resolver, self.limits, self._runtime or default_runtime()
        )
        with self._lock:
            self._prepared[key] = prepared
            if len(self._prepared) > _PREPARED_MAX:
                self._prepared.popitem(last=False)
        return prepared

    def _identity(self) -> tuple[object, ...]:
        return (
            self._given.is_chain,
            self.limits,
            self._array,
            *((each.picked, each.values, each.backends) for each in self._codecs),
        )

    def __eq__(self, other: object) -> bool:
        """Tell whether another codec has the same codecs, configuration, backends and limits."""
        if not isinstance(other, ChunkCodec):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        """Hash by the ids of the codecs."""
        return hash(tuple(self.codec_ids()))

    def __repr__(self) -> str:
        """Write the call that makes it, without its resolver, runtime and limits."""
        arguments = [repr(self.config)]
        if not self._given.is_chain and self._array is None:
            (only,) = self._codecs
            if not any(iskeyword(each) or each in _OPTIONS for each in only.values):
                arguments = [repr(only.codec_id), *(f"{k}={v!r}" for k, v in only.values.items())]
        backends = {each.backends for each in self._codecs}
        arguments += [f"backend={each[0]!r}" for each in backends if len(backends) == len(each)]
        return f"chonkle.codec({', '.join(arguments)})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the configuration and the digests of the codecs."""
        what = repr(self)
        picked = tuple(each.picked for each in self._codecs)
        return _received, (
            pickled((self._given, picked), f"{what}: its resolver"),
            pickled_runtime(self._runtime or default_runtime(), what),
        )

    def __copy__(self) -> "ChunkCodec":
        """Give itself: nothing in it changes."""
        return self

    def __deepcopy__(self, memo: object) -> "ChunkCodec":
        """Give itself: nothing in it changes."""
        return self


class BoundCodec:
    """A codec for chunks of one dtype and shape; `ChunkCodec.bind` makes it.

    Attributes:
        array: the decoded chunk.
    """

    def __init__(
        self, array: ArraySpec, encoder: PreparedPipeline, decoder: PreparedPipeline
    ) -> None:
        self.array = array
        self._encoder = encoder
        self._decoder = decoder
        self._dtype = numpy_dtype(array.dtype)
        self._view = array_view(array)

    def encode(self, chunk: object) -> bytes:
        """Encode an array; one of another byte order or layout is copied first."""
        elements = elements_of(chunk, as_array(chunk), self._dtype)
        return executor.run(self._encoder, {"bytes": elements})["bytes"]

    def encode_with(self, chunks: Sequence[object], use: Callable[[int, Buffer], None]) -> None:
        """Encode a few arrays, and give each to a function before its memory is used again.

        Small chunks take less time together.

        Args:
            chunks: arrays, as for `encode`.
            use: gets the index of a chunk and its bytes, and keeps no view of them.

        Raises:
            ChonkleError: as `encode`, for any of the chunks.
        """
        executor.visit_many(
            self._encoder,
            [{"bytes": elements_of(each, as_array(each), self._dtype)} for each in chunks],
            lambda index, outputs: use(index, outputs["bytes"]),
        )

    def decode_with(self, chunks: Sequence[object], use: Callable[[int, Any], None]) -> None:
        """Decode a few chunks, and give each to a function before its memory is used again.

        Small chunks take less time together.

        Args:
            chunks: contiguous buffers.
            use: gets the index of a chunk and a read-only array, and keeps no view of it.

        Raises:
            PipelineError: a chunk does not have the size of the array.
            CodecError: a codec refused the data.
            CodecTrap: a codec broke; the next call works.
            LimitExceeded: a codec asked for more than its limits allow.
        """
        executor.visit_many(
            self._decoder,
            [{"bytes": data} for data in chunks],
            lambda index, outputs: use(index, self._view(outputs["bytes"])),
        )


class _Unusable(Unusable, ChunkCodec):
    """A codec that was pickled and cannot be made here."""

    __repr__ = object.__repr__


def _received(given: bytes, settings: bytes | None) -> ChunkCodec:
    """Make a codec that was pickled."""
    try:
        return _make_again(given, unpickled_runtime(settings))
    except ChonkleError as failure:
        return _Unusable(failure, "a pickled codec")


@lru_cache(maxsize=_RECEIVED_MAX)
def _make_again(given: bytes, runtime: Runtime) -> ChunkCodec:
    """Make a codec, and require what it was pickled with.

    Raises:
        ResolveError: when a codec here is another one.
        ChonkleError: as `codec`.
    """
    made, picked = unpickled(given)
    codec = ChunkCodec(made, runtime=None if runtime is default_runtime() else runtime)
    codec.require_picked(picked)
    return codec


def _config(listed: ListedCodec) -> dict[str, object]:
    configuration = dict(listed.values)
    if listed.array is not None:
        configuration["data_type"] = listed.array.dtype.description
        if listed.array.shape is not None:
            configuration["shape"] = list(listed.array.shape)
    return {
        "name": listed.codec_id,
        **({"configuration": configuration} if configuration else {}),
    }


def _listed(items: Iterable[object], what: str) -> list[object]:
    try:
        return list(items)
    except TypeError:
        raise PipelineError(
            f"the {what} cannot be iterated over", expected="an iterable", got=format_value(items)
        ) from None


def _in_threads[T](work: Callable[[int], T], count: int, threads: int | None) -> list[T]:
    """Do numbered work on this thread and others, and give the results in order.

    Raises:
        ChonkleError: the first failure by number; work after it may not have been done.
    """
    results: list[Any] = [None] * count
    failures: dict[int, BaseException] = {}
    numbers = iter(range(count))

    def run() -> None:
        for index in numbers:  # each number goes to one thread
            if failures:
                return
            try:
                results[index] = work(index)
            except BaseException as failure:  # noqa: BLE001 - raised below
                failures[index] = failure
                return

    others = [
        threading.Thread(target=run, name="chonkle")
        for _ in range(min(read_threads(threads), count) - 1)
    ]
    try:
        for thread in others:
            thread.start()
        run()
        for thread in others:
            thread.join()
    except BaseException as interruption:
        # Which is not to wait for all other work.
        failures[count] = interruption
        raise
    if failures:
        index, failure = min(failures.items())
        if isinstance(failure, ChonkleError):
            raise failure.within(f"chunk {index}") from failure.__cause__
        failure.add_note(f"chunk {index}")
        raise failure
    return results
