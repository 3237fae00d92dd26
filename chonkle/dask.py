"""Workers of dask.distributed that read and write Zarr arrays through chonkle.

For example::

    client.register_plugin(chonkle.dask.WarmCodecs())

Each worker uses chonkle from then on, and finds native code in the AOT cache: of the processes of a
machine, one compiles a codec, and the others load it.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import zarr
from distributed import Worker, WorkerPlugin

from chonkle.cache.aot import CacheCounts
from chonkle.codecs import best_codecs
from chonkle.errors import ResolveError
from chonkle.resolver import Resolution
from chonkle.runtime import default_runtime
from chonkle.zarr.options import CONFIG_KEY, Options
from chonkle.zarr.references import make_codec
from chonkle.zarr.registration import unuse, use


class WarmCodecs(WorkerPlugin):
    """Calls `chonkle.zarr.use` in each worker, and compiles codecs before tasks need them.

    Attributes:
        counts: in a worker, what the AOT cache did for it; None until the worker is set up.
    """

    # Registered under it: another plugin of this class takes the place of the one before.
    name = "chonkle-warm-codecs"

    def __init__(self, *codecs: object, **options: Any) -> None:  # noqa: ANN401 - those of Options
        """Check what the workers will do; nothing is compiled here.

        Args:
            codecs: the codecs to compile: anything that `chonkle.codec` takes, and Zarr arrays and
                groups, for the codecs that they need. Without any, all that are shipped or
                installed.
            options: those of `chonkle.zarr.use`; without any, those that are in use here.

        Raises:
            PipelineError: an option does not exist, or the configuration of a codec is wrong.
            LimitError: a limit cannot be kept.
            ResolveError: no implementation of a codec was found.
        """
        self._options = options or _options_in_use() or {}
        checked = Options.of(self._options)
        self._arrays = [array for each in codecs for array in _arrays(each)]
        self._codecs = [each for each in codecs if not isinstance(each, zarr.Array | zarr.Group)]
        self._takes_all = not codecs
        if self._takes_all:
            self._codecs += [name for name, _ in checked.locations]
        for each in self._codecs:
            make_codec(each, checked)
        self._before: Mapping[str, Any] | None = None
        self.counts: CacheCounts | None = None

    async def setup(self, worker: Worker) -> None:  # noqa: ARG002 - as distributed calls it
        """Set a worker up; its event loop goes on meanwhile.

        Raises:
            ChonkleError: a codec cannot be resolved or compiled there.
        """
        # A worker may run in a process that uses chonkle itself.
        self._before = _options_in_use()
        use(**self._options)
        self.counts = await asyncio.to_thread(self._warm)

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - as distributed calls it
        """Restore what was in use before."""
        if self._before is None:
            unuse()
        else:
            use(**self._before)

    def _warm(self) -> CacheCounts:
        options = Options.of(self._options)
        # A codec of several arrays is loaded once.
        found = {
            each.label if each.wasm is None else str(each.wasm.digest): each
            for each in self._resolutions(options)
        }
        return default_runtime().warm(found.values(), options.limits)

    def _resolutions(self, options: Options) -> Iterator[Resolution]:
        if self._takes_all:
            yield from best_codecs(backend=options.backend, resolver=options.resolver())
        for each in self._codecs:
            yield from make_codec(each, options).resolutions()
        for each in self._arrays:
            # What chonkle lacks, zarr-python runs.
            with suppress(ResolveError):
                yield from make_codec(each, options).resolutions()


def _options_in_use() -> dict[str, Any] | None:
    found = zarr.config.get(CONFIG_KEY, None)
    return None if found is None else dict(found)


def _arrays(given: object) -> Iterator[Mapping[str, Any]]:
    """Give the metadata of the codecs of an array, or of all arrays of a group."""
    if isinstance(given, zarr.Group):
        for _, member in given.members(max_depth=None):
            if isinstance(member, zarr.Array):
                yield from _arrays(member)
    elif isinstance(given, zarr.Array):
        metadata: Mapping[str, Any] = given.metadata.to_dict()
        old = (*(metadata.get("filters") or ()), metadata.get("compressor"))
        yield from _with_inner(metadata.get("codecs") or (each for each in old if each))


def _with_inner(codecs: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Give codecs, and those that they have in their configurations, as shards have."""
    for each in codecs:
        yield each
        configuration = each.get("configuration") or {}
        for inner in ("codecs", "index_codecs"):
            yield from _with_inner(configuration.get(inner) or ())
