"""`chonkle cache info`: where the cache is, whether it is used, and what it is worth."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

import click

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.survey import Machine, Totals, directories, distrust_of, layer_name, survey
from chonkle.cli.output import print_json, shown_age, shown_size, shown_time, table
from chonkle.settings import Settings


@click.command(short_help="Show where the cache is and what it is worth.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(*, as_json: bool) -> None:
    """Show where the cache is, whether it is trusted, what it holds and what that saved.

    \b
    Examples:
      chonkle cache info
      chonkle cache info --json
    """
    config = Settings.from_environment().cache
    machine = Machine.here()
    layers = [_look(directory, machine) for directory in directories(config)]
    engines = {name: fingerprint for fingerprint, name in machine.engines.items()}
    if as_json:
        print_json(
            {
                "mode": config.mode,
                "key_configured": config.seal.is_keyed,
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
        ("key", "configured" if config.seal.is_keyed else "none"),
        ("wasmtime", f"{machine.wasmtime} on {machine.target}"),
        *((f"{name} engine", fingerprint) for name, fingerprint in engines.items()),
    ]
    for layer in layers:
        rows += [("", ""), *_rows(layer, size_max_bytes=config.size_max_bytes)]
    click.echo(table(rows))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A directory at a glance.

    Attributes:
        directory: the directory.
        distrust: why it is not trusted.
        totals: what it holds; None where there is none, or none to believe.
    """

    directory: CacheDirectory
    distrust: str | None
    totals: Totals | None

    @property
    def state(self) -> str:
        """Whether it can be used."""
        if self.distrust is not None:
            return "untrusted"
        return "absent" if self.totals is None else "trusted"


def _look(directory: CacheDirectory, machine: Machine) -> _Layer:
    distrust = distrust_of(directory)
    is_there = distrust is None and directory.exists()
    return _Layer(directory, distrust, Totals.of(survey(directory, machine)) if is_there else None)


def _document(layer: _Layer) -> dict[str, object]:
    nothing = dict.fromkeys(field.name for field in fields(Totals))
    return {
        "layer": layer_name(layer.directory),
        "path": str(layer.directory.root),
        "state": layer.state,
        "reason": layer.distrust,
        **(nothing if layer.totals is None else asdict(layer.totals)),
        "upkeep": None if layer.totals is None else layer.directory.last_trimmed(),
    }


def _rows(layer: _Layer, *, size_max_bytes: int) -> Iterator[tuple[str, str]]:
    directory, totals = layer.directory, layer.totals
    yield f"{layer_name(directory)} cache", str(directory.root)
    if totals is None:
        yield "  state", f"not used: {layer.distrust}" if layer.distrust else "there is none"
        return
    yield "  state", "trusted"
    kinds = (("stale", totals.stale), ("doubtful", totals.doubtful))
    others = ", ".join(f"{count} {kind}" for kind, count in kinds if count)
    yield "  entries", f"{totals.entries}{f' ({others})' * bool(others)}"
    size = shown_size(totals.size_bytes)
    yield "  size", size if directory.is_system else f"{size} of {shown_size(size_max_bytes)}"
    saved = f", which saved {shown_time(totals.saved_s)} of compiling" * bool(totals.uses)
    yield "  uses", f"{totals.uses}{saved}"
    if not directory.is_system:
        trimmed = directory.last_trimmed()
        ago = "never" if trimmed is None else f"{shown_age(time.time() - trimmed)} ago"
        yield "  upkeep", ago
