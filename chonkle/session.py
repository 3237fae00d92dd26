"""The session: the one place where engines, cache and codecs are put together."""

from dataclasses import dataclass
from pathlib import Path

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.core_abi import open_core
from chonkle.backends.wasm.guest_codec import GuestSetup
from chonkle.backends.wasm.instance_pool import IdleInstances
from chonkle.backends.wasm.trampoline import TrampolineOpener, TrampolineText
from chonkle.backends.wasm.trampoline_texts import COMPONENT_TRAMPOLINE, CORE_TRAMPOLINE
from chonkle.backends.wasm.unchecked_calls import open_calls
from chonkle.cache.aot import AotCache, Binary, CacheCounts
from chonkle.cache.layers import CacheConfig, CacheLayers
from chonkle.closing import Closing
from chonkle.engine import Engine, EngineConfig
from chonkle.errors import PipelineError
from chonkle.limits import CompileLimits
from chonkle.locking import ForkableLock
from chonkle.resolver import Resolution

_COMPILE_LIMITS = CompileLimits()


@dataclass(frozen=True, slots=True)
class _CodecKey:
    """What two steps must share to share an opened codec."""

    label: str
    content: str
    limits: Limits


class Session(Closing):
    """Opens codecs, each once, and owns what they share.

    A session may be used by several threads, and by the processes that they fork. Pipelines
    prepared with the same session share their compiled codecs and idle instances; it must outlive
    them.

    Attributes:
        counts: what the AOT cache did for this session.
    """

    def __init__(
        self,
        *,
        cache: CacheConfig | CacheLayers | Path | None,
        prepared_calls: bool = True,
        flatten_components: bool = True,
        compile_limits: CompileLimits | None = _COMPILE_LIMITS,
    ) -> None:
        """Make a session with nothing open.

        Args:
            cache: where native code is kept: a directory, or more about it, or the layers that
                several sessions share; None keeps none.
            prepared_calls: call guests through wasmtime's C API, where that works.
            flatten_components: run components as fast as core modules, where that can be done.
            compile_limits: what compiling a codec may take that is not shipped with chonkle, in a
                process of its own; None compiles in this process, without limits.
        """
        self.counts = CacheCounts()
        if not isinstance(cache, CacheLayers):
            cache = CacheLayers(cache if isinstance(cache, CacheConfig) else CacheConfig(cache))
        self._layers = cache
        self._caches: dict[EngineConfig, AotCache] = {}
        self._codecs: dict[_CodecKey, Codec] = {}
        self._trampolines: dict[tuple[EngineConfig, TrampolineText], TrampolineOpener] = {}
        self._lock = ForkableLock()
        self._calls = open_calls(prepared=prepared_calls)
        self._idle = IdleInstances()
        self._flatten = flatten_components
        self._compile_limits = compile_limits
        self._closed = False

    def open(self, resolution: Resolution, limits: Limits) -> Codec:
        """Open the codec that was resolved, or give the one that is open.

        Args:
            resolution: what the resolver picked.
            limits: what one call may take.

        Raises:
            WasmFormatError: when the wasm is not valid, or lacks the ABI.
            LimitExceeded: when compiling it takes more than it may.
            CacheError: in mode `only`, when its native code is not in the cache.
        """
        content = "" if resolution.wasm is None else str(resolution.wasm.digest)
        key = _CodecKey(resolution.label, content, limits)
        # Held while compiling, so that a session compiles nothing twice either.
        with self._lock:
            if self._closed:
                raise PipelineError("the session is already closed")
            codec = self._codecs.get(key)
            if codec is None:
                codec = self._codecs[key] = self._open(resolution, limits)
            return codec

    def warm(self, resolution: Resolution, limits: Limits) -> None:
        """Have everything in the cache that a later run of a codec loads.

        Args:
            resolution: what the resolver picked.
            limits: what one call may take.

        Raises:
            WasmFormatError: when the wasm is not valid, or lacks the ABI.
            LimitExceeded: when compiling it takes more than it may.
            CacheError: in mode `only`, when its native code is not in the cache.
        """
        self.open(resolution, limits)
        with self._lock:
            trampolines = list(self._trampolines.values())
        for open_trampoline in trampolines:
            open_trampoline()

    def _open(self, resolution: Resolution, limits: Limits) -> Codec:
        if resolution.wasm is None:
            # It brings the decoders of the standard library with it; wasm needs none of them.
            from chonkle.backends.native.native_codec import NativeCodec  # noqa: PLC0415

            return NativeCodec(resolution.signature, limits=limits)
        wasm, signature = resolution.wasm.wasm, resolution.signature
        cache = self._cache(EngineConfig(interruptible=limits.timeout_s is not None))
        binary = Binary(
            wasm, resolution.wasm.digest, codec_id=signature.codec_id, label=signature.label
        )
        is_core = resolution.wasm.kind == "core"
        setup = GuestSetup(
            signature=signature,
            engine=cache.engine,
            limits=limits,
            calls=self._calls,
            idle=self._idle,
            open_trampoline=self._trampoline(
                cache, CORE_TRAMPOLINE if is_core else COMPONENT_TRAMPOLINE
            ),
        )
        if is_core:
            return open_core(binary, cache, setup)
        # Half of wasmtime's own import time, so only where a component runs.
        from chonkle.backends.wasm.open_component import open_component  # noqa: PLC0415

        return open_component(binary, cache, setup, flatten=self._flatten)

    def _trampoline(self, cache: AotCache, text: TrampolineText) -> TrampolineOpener:
        key = (cache.engine.config, text)
        return self._trampolines.setdefault(key, TrampolineOpener(cache, text))

    def _cache(self, config: EngineConfig) -> AotCache:
        cache = self._caches.get(config)
        if cache is None:
            cache = self._caches[config] = AotCache(
                Engine(config),
                self._layers,
                counts=self.counts,
                compile_limits=self._compile_limits,
            )
        return cache

    def close(self) -> None:
        """Close every codec. Idempotent."""
        with self._lock:
            self._closed = True
            codecs = list(self._codecs.values())
            self._codecs.clear()
        for codec in codecs:
            codec.close()
