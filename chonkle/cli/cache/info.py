"""`chonkle cache info`: where the cache is, whether it is used, and what it contains."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Literal

import click

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.survey import Machine, Totals, check_directory, directories, layer_name, survey
from chonkle.cli.output import format_age, format_size, print_json, print_lines, table
from chonkle.errors import os_error_text
from chonkle.settings import Settings
from chonkle.storage.files import UntrustedError


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(*, as_json: bool) -> None:
    """Show where the cache is, whether it is trusted, and what it contains.

    \b
    Environment:
      CACHE CHONKLE_CACHE_KEY_FILE CHONKLE_CACHE_MAX_SIZE

    \b
    Examples:
      chonkle cache info
      chonkle cache info --json

    \b
    See also:
      `chonkle doctor`, `chonkle cache list`, and docs/reference/cache.md.
    """
    config = Settings.from_environment().cache
    machine = Machine.here()
    layers = [_look(directory, machine) for directory in directories(config)]
    engines = {name: fingerprint for fingerprint, name in machine.engines.items()}
    if as_json:
        print_json(
            {
                "mode": config.mode,
                "key_configured": config.authenticator.is_keyed,
                "size_max_bytes": config.size_max_bytes,
                "wasmtime": machine.wasmtime,
                "target": machine.target,
                "engines": engines,
                "layers": [_document(layer) for layer in layers],
            }
        )
        return
    rows = [
        ("mode", config.mode),
        ("key", "configured" if config.authenticator.is_keyed else "none"),
        ("wasmtime", f"{machine.wasmtime} on {machine.target}"),
        *((f"{name} engine", fingerprint) for name, fingerprint in engines.items()),
    ]
    for layer in layers:
        rows += [("", ""), *_rows(layer, size_max_bytes=config.size_max_bytes)]
    print_lines(*table(rows))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A directory and its contents in numbers."""

    directory: CacheDirectory
    state: Literal["trusted", "untrusted", "unreadable", "absent"]  # whether it can be used
    reason: str | None = None  # why not, where it exists
    totals: Totals | None = None  # its contents, where it can be used


def _look(directory: CacheDirectory, machine: Machine) -> _Layer:
    try:
        check_directory(directory)
        if not directory.exists():
            return _Layer(directory, "absent")
        return _Layer(directory, "trusted", totals=Totals.of(survey(directory, machine)))
    except UntrustedError as reason:
        return _Layer(directory, "untrusted", str(reason))
    except OSError as failure:
        return _Layer(directory, "unreadable", os_error_text(failure))


def _document(layer: _Layer) -> dict[str, object]:
    nothing = dict.fromkeys(field.name for field in fields(Totals))
    return {
        "layer": layer_name(layer.directory),
        "path": str(layer.directory.root),
        "state": layer.state,
        "reason": layer.reason,
        **(nothing if layer.totals is None else asdict(layer.totals)),
        "trimmed": None if layer.totals is None else layer.directory.last_trimmed(),
    }


def _rows(layer: _Layer, *, size_max_bytes: int) -> Iterator[tuple[str, str]]:
    directory, totals = layer.directory, layer.totals
    yield f"{layer_name(directory)} cache", str(directory.root)
    if totals is None:
        words = {"untrusted": "not used", "unreadable": "cannot be read"}
        yield (
            "  state",
            f"{words[layer.state]}: {layer.reason}" if layer.reason else "there is none",
        )
        return
    yield "  state", "trusted"
    kinds = (("stale", totals.stale), ("invalid", totals.invalid))
    others = ", ".join(f"{count} {kind}" for kind, count in kinds if count)
    yield "  entries", f"{totals.entries}{f' ({others})' * bool(others)}"
    size = format_size(totals.size_bytes)
    yield "  size", size if directory.is_system else f"{size} of {format_size(size_max_bytes)}"
    if not directory.is_system:
        trimmed = directory.last_trimmed()
        ago = "never" if trimmed is None else f"{format_age(time.time() - trimmed)} ago"
        yield "  trimmed", ago
