"""Puts chonkle's codecs and pipeline in the place of zarr-python's, and takes them back."""

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import zarr
from numcodecs.registry import codec_registry as numcodecs_registry
from zarr.registry import (
    Registry,
    _codec_registries,  # noqa: PLC2701 - unknown names have no other door
    fully_qualified_name,
    register_codec,
    register_pipeline,
)

from chonkle.dag.codec_list import absolute_uri
from chonkle.errors import PipelineError
from chonkle.formats.aliases import aliases
from chonkle.formats.signature import Signature
from chonkle.resolver import PipelineResolution, Resolver
from chonkle.zarr.adapters import (
    UnknownCodec,
    numcodecs_class,
    zarr_codec,
    zarr_codec_class,
)
from chonkle.zarr.codec_pipeline import CodecPipeline
from chonkle.zarr.options import CONFIG_KEY, Options, written_options
from chonkle.zarr.references import PREFIX, REFERENCE, forget_codecs, make_codec

_PIPELINE_KEY, _CODECS_KEY = "codec_pipeline.path", "codecs"
_THREADS_KEY = "codec_pipeline.max_workers"
_KEYS = (_PIPELINE_KEY, _THREADS_KEY, _CODECS_KEY, CONFIG_KEY)
_WASM = ("core", "component")
# How the qualified names of chonkle's pipeline and codecs begin.
_OURS = "chonkle.zarr."


class _Placeholder(Registry[Any]):
    """Stands for a codec that zarr-python does not know, until one of its name is registered."""

    def __init__(self) -> None:
        super().__init__()
        super().register(UnknownCodec)

    def register(self, cls: type[Any], qualname: str | None = None) -> None:
        self.pop(fully_qualified_name(UnknownCodec), None)
        super().register(cls, qualname)


@dataclass(frozen=True, slots=True)
class _Before:
    """What was in place at some time.

    Attributes:
        config: values in `zarr.config` by key; None for those that had none.
        numcodecs: the classes of numcodecs by id.
        factory: makes what zarr-python has for codecs that it does not know.
    """

    config: Mapping[str, Any]
    numcodecs: Mapping[str, Any]
    factory: Any

    @classmethod
    def taken(cls) -> "_Before":
        """Take it now."""
        return cls(
            {key: zarr.config.get(key, None) for key in _KEYS},
            dict(numcodecs_registry),
            _codec_registries.default_factory,  # type: ignore[attr-defined]
        )

    def restore(self) -> None:
        """Put it in the place of what is chonkle's now; what else was put in place since stays."""
        pipeline = {_PIPELINE_KEY: zarr.config.get(_PIPELINE_KEY, None)}
        _restore(pipeline, self.config)
        codecs = dict(zarr.config.get(_CODECS_KEY, None) or {})
        _restore(codecs, self.config[_CODECS_KEY] or {})
        zarr.config.set({**self.config, **pipeline, _CODECS_KEY: codecs})
        if self.config[CONFIG_KEY] is None:
            zarr.config.config.pop(CONFIG_KEY, None)
        _restore(numcodecs_registry, self.numcodecs)
        _codec_registries.default_factory = self.factory  # type: ignore[attr-defined]
        _forget_registries(lambda each: UnknownCodec in each.values())


def _forget_registries(is_meant: Callable[[Registry[Any]], bool]) -> None:
    registries: dict[str, Registry[Any]] = _codec_registries
    for name in [name for name, each in registries.items() if is_meant(each)]:
        del registries[name]


def _restore(now: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Put back what was there before, where chonkle's is there now or was."""
    for name in now.keys() | before.keys():
        if _is_ours(now.get(name)) or _is_ours(before.get(name)):
            if name in before:
                now[name] = before[name]
            else:
                del now[name]


def _is_ours(what: Any) -> bool:  # noqa: ANN401 - a class or its name, if anything
    name = fully_qualified_name(what) if isinstance(what, type) else str(what)
    return name.startswith(_OURS)


class _Switch:
    """What is in force.

    Attributes:
        before: what was in place before `use`; None while that is not in force.
        outside: the options in `zarr.config` outside of all `using`; None outside of these.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.before: _Before | None = None
        self.outside: Mapping[str, Any] | None = None

    def first_options(self) -> Mapping[str, Any]:
        """Give the options that were in `zarr.config` before `use` and `using`.

        An operator's are there, from the environment or a file.
        """
        if self.outside is not None:
            return self.outside
        if self.before is not None:
            return self.before.config[CONFIG_KEY] or {}
        return written_options()


_SWITCH = _Switch()


def use(*positional: object, **options: Any) -> None:  # noqa: ANN401 - those of Options
    """Read and write Zarr arrays through chonkle from now on, in this process.

    Arrays that are open keep what they were opened with. Options that are left out are those of
    `zarr.config` before the first call, so that a second call replaces those of the first.

    Args:
        positional: none.
        options: those of `chonkle.zarr.Options`: `backend`, `memory_bytes`, `timeout_s`, `threads`,
            `strict`, `sources` and `locations`.

    Raises:
        TypeError: an argument is no keyword.
        PipelineError: an option does not exist, or has a value of a wrong type.
        LimitError: a limit cannot be kept.
    """
    _require_keywords("use", positional)
    with _SWITCH.lock:
        before = _SWITCH.before or _Before.taken()
        _put_in_place({**_SWITCH.first_options(), **options})
        _SWITCH.before = before


def unuse() -> None:
    """Take back what `use` did, as it was before the first call. Idempotent.

    A pipeline or a codec that was put in place after `use` stays.
    """
    with _SWITCH.lock:
        if _SWITCH.before is not None:
            _SWITCH.before.restore()
            _SWITCH.before = None


@contextmanager
def using(*positional: object, **options: Any) -> Iterator[None]:  # noqa: ANN401 - those of Options
    """Read and write Zarr arrays through chonkle within a `with` statement; they nest.

    The configuration is that of the process: other threads see it too. At the end, everything is
    as it was at the beginning, whatever `use` or `unuse` did in between.

    Args:
        positional: none.
        options: as for `use`.

    Raises:
        TypeError: an argument is no keyword.
        PipelineError: an option does not exist, or has a value of a wrong type.
        LimitError: a limit cannot be kept.
    """
    _require_keywords("using", positional)
    with _SWITCH.lock:
        outer = _SWITCH.before, _SWITCH.outside
        before, first = _Before.taken(), _SWITCH.first_options()
        _put_in_place({**first, **options})
        _SWITCH.outside = first
    try:
        yield
    finally:
        with _SWITCH.lock:
            before.restore()
            _SWITCH.before, _SWITCH.outside = outer


def _require_keywords(name: str, positional: Sequence[object]) -> None:
    if positional:
        options = ", ".join(each.name for each in fields(Options) if each.init)
        raise TypeError(f"chonkle.zarr.{name}() takes keywords only: {options}")


def register(location: str | Path) -> list[str]:
    """Make codecs known to zarr-python and numcodecs, by the names in their signatures.

    Args:
        location: a `.wasm` file, a folder of them, or an `oci://`, `https://` or `file://` URI.

    Returns:
        The names that Zarr 3 metadata may have.

    Raises:
        ChonkleError: one cannot be read or fetched, or is no codec.
    """
    places: list[str | Path] = [location]
    if isinstance(location, Path) or "://" not in location:
        path = Path(location)
        places = sorted(path.rglob("*.wasm")) if path.is_dir() else [path]
    found = [(place, Resolver().identify(place)) for place in places]
    names: list[str] = []
    locations = dict(Options.current().locations)
    for place, each in found:
        if isinstance(each, PipelineResolution):
            raise PipelineError(f"{place}: a pipeline", expected="a codec")
        where = str(place.absolute()) if isinstance(place, Path) else each.source
        signature = each.signature
        new = {signature.codec_id} | aliases(signature)
        locations |= dict.fromkeys(new, where)
        names += sorted(_register(signature))
    zarr.config.set({CONFIG_KEY: {**written_options(), "locations": locations}})
    forget_codecs()
    return names


def codec(
    what: str | Path,
    /,
    *,
    reference: str = "",
    **parameters: Any,  # noqa: ANN401 - by signature
) -> Any:  # noqa: ANN401 - a codec of Zarr
    """Make a Zarr 3 codec, for `filters`, `serializer` or `compressors` of `zarr.create_array`.

    Args:
        what: a name, the path of a `.wasm` file, or an `oci://`, `https://` or `file://` URI. Of a
            URI, the metadata get the pinned form, so that readers without the codec can fetch it.
        reference: what the metadata get instead.
        parameters: values of parameters.

    Raises:
        ChonkleError: it cannot be found, read or fetched, or a parameter is wrong.
    """
    name = str(what)
    if isinstance(what, Path) or "://" in what or what.endswith(".wasm"):
        # Absolute: the metadata are read from other folders, too.
        is_uri = isinstance(what, str) and "://" in what
        place = absolute_uri(name, Path()) if is_uri else Path(what)
        found = Resolver().identify(place)
        if isinstance(found, PipelineResolution):
            raise PipelineError(f"{what}: a pipeline", expected="a codec")
        signature = found.signature
        name = min(aliases(signature, "zarr_v3"), default=signature.codec_id)
        if isinstance(place, str):
            reference = reference or found.source
        else:
            register(place)
    configuration = {**parameters, **({REFERENCE: reference} if reference else {})}
    options = replace(Options.current(), sources=(reference,) if reference else ())
    metadata = {"name": name, "configuration": configuration}
    return zarr_codec(metadata, make_codec(metadata, options))


def _register(signature: Signature) -> set[str]:
    """Register the classes of a codec, and give its names in Zarr 3."""
    names = _zarr_names(signature)
    for name in names:
        register_codec(name, zarr_codec_class(name, _kind(signature)))
    for name in _old_names(signature):
        numcodecs_registry.setdefault(name, numcodecs_class(name))
    return names


def _kind(signature: Signature) -> Any:  # noqa: ANN401 - one of three texts, which were checked
    return signature.document.get("kind") or "bytes-to-bytes"


def _put_in_place(options: Mapping[str, Any]) -> None:
    """Register chonkle's codecs and pipeline, and choose them."""
    threads = Options.of(options).threads
    locations = {**dict(Options.current().locations), **_located(options.get("locations", {}))}
    forget_codecs()
    register_pipeline(CodecPipeline)
    # As a whole: a name with a dot would be taken for a path.
    chosen = dict(zarr.config.get(_CODECS_KEY, None) or {})
    resolver = Resolver(preference=_WASM).completed()
    for signature in _available(resolver.inventory.state()):
        for name in _register(signature):
            chosen[name] = fully_qualified_name(zarr_codec_class(name, _kind(signature)))
        for name in _old_names(signature):
            numcodecs_registry[name] = numcodecs_class(name)
    _codec_registries.default_factory = _Placeholder  # type: ignore[attr-defined]
    # An array with an unknown codec that was opened before leaves an empty one.
    _forget_registries(lambda each: not each and not each.lazy_load_list)
    zarr.config.set(
        {
            **({} if threads is None else {_THREADS_KEY: threads}),
            _PIPELINE_KEY: fully_qualified_name(CodecPipeline),
            _CODECS_KEY: chosen,
            CONFIG_KEY: {**options, "locations": locations},
        }
    )


def _located(locations: Mapping[str, str]) -> dict[str, str]:
    """Give locations whose paths hold in every folder.

    Raises:
        PipelineError: one of them is a path without a file. Later, zarr-python's own codec would
            be run instead.
    """
    found = dict(locations)
    for name, place in locations.items():
        if "://" not in place:
            if not Path(place).is_file():
                raise PipelineError(
                    f"option `locations`, codec `{name}`", expected="a file or a URI", got=place
                )
            found[name] = str(Path(place).absolute())
    return found


def _zarr_names(signature: Signature) -> set[str]:
    return {f"{PREFIX}{signature.codec_id}"} | aliases(signature, "zarr_v3")


def _old_names(signature: Signature) -> set[str]:
    names = aliases(signature, "zarr_v2") | aliases(signature, "numcodecs")
    return names | {f"{PREFIX}{signature.codec_id}"}


# The signatures, without the files, which are read and checked for a survey.
@lru_cache(maxsize=1)
def _available(_state: Hashable) -> tuple[Signature, ...]:
    """Give a signature of each codec that runs in WebAssembly and maps one value to one."""
    found: dict[str, Signature] = {}
    for each in Resolver(preference=_WASM).codecs():
        signature = each.signature
        data = [name for name, port in signature.outputs.items() if not port.parameter]
        if data == ["bytes"]:
            found.setdefault(signature.codec_id, signature)
    return tuple(found.values())
