"""The runtime: configuration, engines, cache and open codecs, in one object.

Pipelines that are prepared without a runtime share the process's default one, which
`default_runtime` makes at its first use.
"""

import atexit
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Unpack
from weakref import WeakSet

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.core_abi import open_core
from chonkle.backends.wasm.guest_codec import GuestSetup
from chonkle.backends.wasm.instance_pool import IdleInstances
from chonkle.backends.wasm.trampoline import TrampolineOpener, TrampolineText
from chonkle.backends.wasm.trampoline_texts import COMPONENT_TRAMPOLINE, CORE_TRAMPOLINE
from chonkle.backends.wasm.unchecked_calls import open_calls
from chonkle.cache.aot import AotCache, Binary, CacheCounts
from chonkle.cache.layers import CacheLayers
from chonkle.closing import Closing
from chonkle.engine import Engine, EngineConfig
from chonkle.errors import PipelineError
from chonkle.locking import ForkableLock
from chonkle.resolver import Resolution, Resolver
from chonkle.settings import Given, Settings, variables_now

# Codecs that stay open when no pipeline uses them; those opened longest ago go first.
_OPEN_CODECS_MAX = 64
# Codecs that may be compiled at the same time.
_OPENING_LOCKS = 16


@dataclass(frozen=True, slots=True)
class _CodecKey:
    """What two steps must share to share an open codec."""

    label: str
    content: str
    limits: Limits


class _CodecOpener:
    """Opens codecs, each call a new one; owns what they share.

    Attributes:
        counts: what the AOT cache did.
    """

    def __init__(self, settings: Settings, layers: CacheLayers) -> None:
        self.counts = CacheCounts()
        self._settings = settings
        self._layers = layers
        self._caches: dict[EngineConfig, AotCache] = {}
        self._trampolines: dict[tuple[EngineConfig, TrampolineText], TrampolineOpener] = {}
        self._calls = open_calls(prepared=settings.prepared_calls)
        self._idle = IdleInstances()
        self._lock = ForkableLock()

    def open(self, resolution: Resolution, limits: Limits) -> Codec:
        if resolution.wasm is None:
            # Late: it imports decoders of the standard library, which wasm codecs do not need.
            from chonkle.backends.native.native_codec import NativeCodec  # noqa: PLC0415

            return NativeCodec(resolution.signature, limits=limits)
        wasm, signature = resolution.wasm.wasm, resolution.signature
        cache = self._cache(EngineConfig(interruptible=limits.timeout_s is not None))
        binary = Binary(
            wasm, resolution.wasm.digest, codec_id=signature.codec_id, label=signature.label
        )
        is_core = resolution.wasm.kind == "core"
        text = CORE_TRAMPOLINE if is_core else COMPONENT_TRAMPOLINE
        setup = GuestSetup(
            signature=signature,
            engine=cache.engine,
            limits=limits,
            calls=self._calls,
            open_trampoline=self._trampoline(cache, text),
            idle=self._idle,
        )
        if is_core:
            return open_core(binary, cache, setup)
        # Half of wasmtime's own import time, and only components need it.
        from chonkle.backends.wasm.open_component import open_component  # noqa: PLC0415

        return open_component(binary, cache, setup, flatten=self._settings.flatten_components)

    def open_trampolines(self) -> None:
        """Compile what the opened codecs need at their first call."""
        for open_trampoline in self._trampolines.values():
            open_trampoline()

    def _trampoline(self, cache: AotCache, text: TrampolineText) -> TrampolineOpener:
        with self._lock:
            key = (cache.engine.config, text)
            return self._trampolines.setdefault(key, TrampolineOpener(cache, text))

    def _cache(self, config: EngineConfig) -> AotCache:
        with self._lock:
            cache = self._caches.get(config)
            if cache is None:
                cache = self._caches[config] = AotCache(
                    Engine(config),
                    self._layers,
                    counts=self.counts,
                    compile_limits=self._settings.compile_limits,
                )
            return cache


class Runtime(Closing):
    """Owns configuration, engines, cache and open codecs.

    Pipelines of one runtime share compiled codecs and idle instances, in both directions. Several
    threads may use a runtime, and so may the processes that they fork.

    Attributes:
        settings: its configuration.
    """

    def __init__(self, **given: Unpack[Given]) -> None:
        """Make a runtime with nothing open.

        Args:
            given: settings, by the names of `chonkle.settings.Settings`; the environment decides
                what is left out.

        Raises:
            ChonkleError: when a variable of the environment has a value that it cannot have.
        """
        self.settings = Settings.from_environment(**given)
        # Shared, so that a problem of the cache is logged once.
        self._layers = CacheLayers(self.settings.cache)
        self._opener = _CodecOpener(self.settings, self._layers)
        self._codecs: OrderedDict[_CodecKey, Codec] = OrderedDict()
        self._lock = ForkableLock()
        self._opening = tuple(ForkableLock() for _ in range(_OPENING_LOCKS))
        self._closed = False

    @property
    def counts(self) -> CacheCounts:
        """What the AOT cache did for the codecs of this runtime."""
        return self._opener.counts

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, and opens nothing any more."""
        return self._closed

    def complete(self, resolver: Resolver | None) -> Resolver:
        """Give a resolver in which the settings stand for what it leaves open.

        Args:
            resolver: the resolver; None leaves everything open.

        Raises:
            PolicyError: when the policy of the settings cannot be read, or is wrong.
        """
        return (resolver or Resolver()).completed(self.settings)

    def open(self, resolution: Resolution, limits: Limits) -> Codec:
        """Open the codec that was resolved, or give the one that is open.

        Raises:
            WasmFormatError: when the wasm is not valid, or lacks the ABI.
            LimitExceeded: when compiling it takes more than it may.
            CacheError: in mode `only`, when its native code is not in the cache.
            PipelineError: when the runtime is closed.
        """
        content = "" if resolution.wasm is None else str(resolution.wasm.digest)
        key = _CodecKey(resolution.label, content, limits)
        # Held while compiling, so that a runtime compiles nothing twice.
        with self._opening[hash(key) % _OPENING_LOCKS]:
            codec = self._find(key)
            if codec is None:
                codec = self._opener.open(resolution, limits)
                self._keep(key, codec)
            return codec

    def _find(self, key: _CodecKey) -> Codec | None:
        with self._lock:
            self._require_open()
            codec = self._codecs.get(key)
            if codec is not None:
                self._codecs.move_to_end(key)
            return codec

    def _keep(self, key: _CodecKey, codec: Codec) -> None:
        with self._lock:
            self._require_open()
            self._codecs[key] = codec
            if len(self._codecs) > _OPEN_CODECS_MAX:
                # Not closed: pipelines may use it, and the last of them frees it.
                self._codecs.popitem(last=False)

    def _require_open(self) -> None:
        if self._closed:
            raise PipelineError("the runtime is already closed")

    def warm(self, resolutions: Iterable[Resolution], limits: Limits) -> CacheCounts:
        """Put everything into the cache that later runs of codecs load.

        Nothing stays open.

        Args:
            resolutions: the codecs.
            limits: those that the codecs will run with.

        Returns:
            What the cache did.

        Raises:
            WasmFormatError: when a wasm is not valid, or lacks the ABI.
            LimitExceeded: when compiling one takes more than it may.
            CacheError: in mode `only`, when native code is not in the cache.
        """
        opener = _CodecOpener(self.settings, self._layers)
        for each in resolutions:
            opener.open(each, limits).close()
        opener.open_trampolines()
        return opener.counts

    def close(self) -> None:
        """Close every codec. Idempotent."""
        with self._lock:
            self._closed = True
            codecs = list(self._codecs.values())
            self._codecs.clear()
        for codec in codecs:
            codec.close()


class _Shared:
    """The runtimes of the process that pipelines share.

    Attributes:
        default: the one of the environment; None before its first use.
    """

    def __init__(self) -> None:
        self.default: Runtime | None = None
        # The variables that it was made with.
        self._variables: dict[str, str] = {}
        # Those of pipelines that came from other processes, as long as they are used.
        self._others: WeakSet[Runtime] = WeakSet()
        self._lock = ForkableLock()

    def get(self) -> Runtime:
        # Arrays and pipelines ask for it all the time: settings are read when a variable changed.
        variables = variables_now()
        with self._lock:
            if self.default is None:
                atexit.register(self.close)
            if self.default is None or (
                self._variables != variables
                and self.default.settings != Settings.from_environment(variables)
            ):
                # The one before stays open for its pipelines, and is freed with the last of them.
                self.default = Runtime()
            self._variables = variables
            return self.default

    def find_or_make(self, settings: Settings) -> Runtime:
        with self._lock:
            for each in self._others:
                if each.settings == settings and not each.is_closed:
                    return each
            given = {each.name: getattr(settings, each.name) for each in fields(settings)}
            made = Runtime(**given)
            self._others.add(made)
            return made

    def close(self) -> None:
        if self.default is not None:
            self.default.close()


_SHARED = _Shared()


def default_runtime() -> Runtime:
    """Give the runtime that the process's pipelines share; it is closed when the process exits.

    Where the environment says something else than at the last call, another runtime is made.

    Raises:
        ChonkleError: when a variable of the environment has a value that it cannot have.
    """
    return _SHARED.get()


def shared_runtime(settings: Settings) -> Runtime:
    """Give the runtime that pipelines share which other processes prepared with these settings.

    It is freed with the last of them.
    """
    return _SHARED.find_or_make(settings)
