"""`chonkle cache list`: the entries of the cache."""

import time
from collections.abc import Iterable

import click

from chonkle.cache.record import EntryMetadata
from chonkle.cache.survey import EntryStatus, Machine, layer_name, survey
from chonkle.cli.cache.existing import layers
from chonkle.cli.output import Line, format_age, format_size, print_json, print_lines, table
from chonkle.settings import Settings

_HEADER = ("codec", "implementation", "kind", "wasmtime", "size", "age", "last use", "note")
_UNKNOWN = "-"


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(*, as_json: bool) -> None:
    """List the entries of the cache: what they were compiled from, and when they were last used.

    Notes: `interruptible` is code that a time limit can stop, `system` is in the cache of the
    system, and stale or invalid entries are not used.

    \b
    Exit codes:
      1  the cache is not trusted, or cannot be read

    \b
    Environment:
      CACHE CHONKLE_CACHE_KEY_FILE

    \b
    Examples:
      chonkle cache list
      chonkle cache list --json

    \b
    See also:
      `chonkle cache info`, and docs/reference/cache.md.
    """
    found = layers(Settings.from_environment().cache)
    machine = Machine.here()
    entries = [each for directory in found for each in survey(directory, machine)]
    now = time.time()
    if as_json:
        print_json([entry_document(each, now=now) for each in entries])
    elif entries:
        print_lines(*entry_table(entries, now=now))
    elif found:
        print_lines("the cache is empty", err=True)


def backend_of(metadata: EntryMetadata) -> str:
    """Give the backend that runs an entry: `core` or `component`."""
    return metadata.kind.partition("-")[0]


def entry_table(entries: Iterable[EntryStatus], *, now: float) -> list[Line]:
    """Format entries as a table."""
    return table([_row(each, now=now) for each in entries], header=_HEADER)


def entry_document(each: EntryStatus, *, now: float) -> dict[str, object]:
    """Describe an entry for JSON output.

    Args:
        each: the entry.
        now: the time, in seconds since the epoch; later uses are shown as now.
    """
    entry = each.entry
    metadata = entry.record.metadata if entry.record else None
    return {
        "layer": layer_name(each.directory),
        "key": entry.key,
        "status": each.status,
        "reason": each.reason,
        "codec_id": metadata.codec_id or None if metadata else None,
        "implementation": metadata.label if metadata else None,
        "backend": backend_of(metadata) if metadata else None,
        "kind": metadata.kind if metadata else None,
        "engine": each.engine,
        "wasmtime": metadata.wasmtime if metadata else None,
        "target": metadata.target if metadata else None,
        "wasm": metadata.wasm if metadata else None,
        "size_bytes": entry.files.size_bytes,
        "created": metadata.created if metadata else None,
        "used": min(entry.files.used_at, now),
        "compile_s": metadata.compile_seconds if metadata else None,
    }


def _row(each: EntryStatus, *, now: float) -> tuple[str, ...]:
    entry = each.entry
    what = (_UNKNOWN, entry.key[:16], _UNKNOWN, _UNKNOWN)
    age = _UNKNOWN
    if entry.record is not None:
        metadata = entry.record.metadata
        what = (metadata.codec_id or _UNKNOWN, metadata.label, metadata.kind, metadata.wasmtime)
        age = format_age(now - metadata.created)
    used = format_age(now - entry.files.used_at)
    return (*what, format_size(entry.files.size_bytes), age, used, _note(each))


def _note(each: EntryStatus) -> str:
    notes = ["system"] if each.directory.is_system else []
    notes += ["interruptible"] if each.engine == "interruptible" else []
    notes += [f"{each.status}: {each.reason}"] if each.reason else []
    return ", ".join(notes)
