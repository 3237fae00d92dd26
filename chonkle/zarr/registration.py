"""Puts chonkle's codecs and pipeline in the place of zarr-python's, and takes them back."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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
from chonkle.zarr.options import CONFIG_KEY, Options
from chonkle.zarr.references import PREFIX, REFERENCE, make_codec

_PIPELINE_KEY, _CODECS_KEY = "codec_pipeline.path", "codecs"
_WASM = ("core", "component")


class _Switch:
    """What was in place before chonkle was."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.config: dict[str, Any] | None = None  # None while chonkle is not in use
        self.numcodecs: dict[str, Any] = {}


_SWITCH = _Switch()


def use(**options: Any) -> None:  # noqa: ANN401 - those of Options
    """Read and write Zarr arrays through chonkle from now on, in this process.

    Arrays that are open keep what they were opened with. A second call replaces the options.

    Args:
        options: those of `chonkle.zarr.options.Options`.

    Raises:
        PipelineError: an option does not exist.
        LimitError: a limit cannot be kept.
    """
    settings = _settings(options)
    with _SWITCH.lock:
        if _SWITCH.config is None:
            _SWITCH.config = {key: zarr.config.get(key, None) for key in settings}
            _SWITCH.numcodecs = dict(numcodecs_registry)
        zarr.config.set(settings)
        _replace_numcodecs()


def unuse() -> None:
    """Take back what `use` did, as it was before the first call. Idempotent."""
    with _SWITCH.lock:
        if _SWITCH.config is not None:
            zarr.config.set(_SWITCH.config)
            _restore_numcodecs(_SWITCH.numcodecs)
            _SWITCH.config = None


@contextmanager
def using(**options: Any) -> Iterator[None]:  # noqa: ANN401 - those of Options
    """Read and write Zarr arrays through chonkle within a `with` statement; they nest.

    Args:
        options: as for `use`.

    Raises:
        PipelineError: an option does not exist.
        LimitError: a limit cannot be kept.
    """
    before = dict(numcodecs_registry)
    with zarr.config.set(_settings(options)):
        _replace_numcodecs()
        try:
            yield
        finally:
            _restore_numcodecs(before)


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
    config = zarr.config.get(CONFIG_KEY, None) or {}
    zarr.config.set({CONFIG_KEY: {**config, "locations": locations}})
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
        place = what if isinstance(what, str) and "://" in what else Path(what)
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


def _unknown_codec() -> Registry[Any]:
    registry: Registry[Any] = Registry()
    registry.register(UnknownCodec)
    return registry


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give what chonkle sets in `zarr.config`, with its codecs registered."""
    Options.of(options)
    register_pipeline(CodecPipeline)
    # As a whole: a name with a dot would be taken for a path.
    chosen = dict(zarr.config.get(_CODECS_KEY, {}))
    for signature in _shipped():
        for name in _register(signature):
            chosen[name] = fully_qualified_name(zarr_codec_class(name, _kind(signature)))
    _codec_registries.default_factory = _unknown_codec  # type: ignore[attr-defined]
    locations = dict(Options.current().locations) | dict(options.get("locations", {}))
    return {
        _PIPELINE_KEY: fully_qualified_name(CodecPipeline),
        _CODECS_KEY: chosen,
        CONFIG_KEY: {**options, "locations": locations},
    }


def _zarr_names(signature: Signature) -> set[str]:
    return {f"{PREFIX}{signature.codec_id}"} | aliases(signature, "zarr_v3")


def _old_names(signature: Signature) -> set[str]:
    names = aliases(signature, "zarr_v2") | aliases(signature, "numcodecs")
    return names | {f"{PREFIX}{signature.codec_id}"}


def _replace_numcodecs() -> None:
    for signature in _shipped():
        for name in _old_names(signature):
            numcodecs_registry[name] = numcodecs_class(name)


def _restore_numcodecs(before: Mapping[str, Any]) -> None:
    numcodecs_registry.clear()
    numcodecs_registry.update(before)


def _shipped() -> list[Signature]:
    """Give a signature of each codec that runs in WebAssembly and maps one value to one."""
    found: dict[str, Signature] = {}
    for each in Resolver(preference=_WASM).codecs():
        signature = each.signature
        data = [name for name, port in signature.outputs.items() if not port.parameter]
        if data == ["bytes"]:
            found.setdefault(signature.codec_id, signature)
    return list(found.values())
