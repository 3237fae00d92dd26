"""Puts chonkle's codecs and pipeline in the place of zarr-python's, and takes them back."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import zarr
from numcodecs.registry import codec_registry as numcodecs_registry
from zarr.registry import fully_qualified_name, register_codec, register_pipeline

from chonkle.formats.aliases import aliases
from chonkle.formats.signature import Signature
from chonkle.resolver import Resolver
from chonkle.zarr.adapters import numcodecs_class, zarr_codec_class
from chonkle.zarr.codec_pipeline import CodecPipeline
from chonkle.zarr.options import CONFIG_KEY, Options

# Before a codec id, so that chonkle's codec can be named in any case.
PREFIX = "chonkle."

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


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give what chonkle sets in `zarr.config`, with its codecs registered."""
    Options.of(options)
    register_pipeline(CodecPipeline)
    # As a whole: a name with a dot would be taken for a path.
    chosen = dict(zarr.config.get(_CODECS_KEY, {}))
    for signature in _shipped():
        for name in _zarr_names(signature):
            cls = zarr_codec_class(name, signature.document.get("kind") or "bytes-to-bytes")
            register_codec(name, cls)
            chosen[name] = fully_qualified_name(cls)
    return {
        _PIPELINE_KEY: fully_qualified_name(CodecPipeline),
        _CODECS_KEY: chosen,
        CONFIG_KEY: dict(options),
    }


def _zarr_names(signature: Signature) -> set[str]:
    return {f"{PREFIX}{signature.codec_id}"} | aliases(signature, "zarr_v3")


def _replace_numcodecs() -> None:
    for signature in _shipped():
        names = aliases(signature, "zarr_v2") | aliases(signature, "numcodecs")
        for name in names | {f"{PREFIX}{signature.codec_id}"}:
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
