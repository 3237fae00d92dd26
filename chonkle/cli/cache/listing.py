"""`chonkle cache list`: the entries of the cache."""

import time
from collections.abc import Iterable

import click

from chonkle.cache.record import About
from chonkle.cache.survey import Machine, Surveyed, layer_name, survey
from chonkle.cli.cache.layers import layers
from chonkle.cli.output import print_json, print_lines, shown_age, shown_size, shown_time, table
from chonkle.settings import Settings

_HEADER = (
    *("codec", "implementation", "kind", "wasmtime"),
    *("size", "age", "last use", "uses", "saved", "note"),
)
_UNKNOWN = "-"


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def listing(*, as_json: bool) -> None:
    """List the entries of the cache: what they were compiled from, and what they are worth.

    A note says what is not usual: `interruptible` is code that a time limit can stop, `system` is
    in the cache of the system, and what is stale or doubtful is not used.

    \b
    Examples:
      chonkle cache list
      chonkle cache list --json
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


def backend_of(about: About) -> str:
    """Give the backend that runs an entry: a component is one however it is run."""
    return about.kind.partition("-")[0]


def entry_table(entries: Iterable[Surveyed], *, now: float) -> list[str]:
    """Lay entries out in columns.

    Args:
        entries: the entries.
        now: the time, in seconds since the epoch.
    """
    return table([_row(each, now=now) for each in entries], header=_HEADER)


def entry_document(each: Surveyed, *, now: float) -> dict[str, object]:
    """Describe an entry to a program.

    Args:
        each: the entry.
        now: the time, in seconds since the epoch; nothing was used later.
    """
    entry = each.entry
    about = entry.record.about if entry.record else None
    return {
        "layer": layer_name(each.directory),
        "key": entry.key,
        "status": each.status,
        "reason": each.reason,
        "codec_id": about.codec_id or None if about else None,
        "implementation": about.label if about else None,
        "backend": backend_of(about) if about else None,
        "kind": about.kind if about else None,
        "engine": each.engine,
        "wasmtime": about.wasmtime if about else None,
        "target": about.target if about else None,
        "wasm": about.wasm if about else None,
        "size_bytes": entry.size_bytes,
        "created": about.created if about else None,
        "used": min(entry.used_at, now) if entry.uses else None,
        "uses": entry.uses,
        "compile_s": about.compile_seconds if about else None,
        "saved_s": each.saved_s,
    }


def _row(each: Surveyed, *, now: float) -> tuple[str, ...]:
    entry = each.entry
    used = shown_age(now - entry.used_at) if entry.uses else _UNKNOWN
    what = (_UNKNOWN, entry.key[:16], _UNKNOWN, _UNKNOWN)
    age = _UNKNOWN
    if entry.record is not None:
        about = entry.record.about
        what = (about.codec_id or _UNKNOWN, about.label, about.kind, about.wasmtime)
        age = shown_age(now - about.created)
    saved = shown_time(each.saved_s) if each.saved_s else _UNKNOWN
    return (*what, shown_size(entry.size_bytes), age, used, str(entry.uses), saved, _note(each))


def _note(each: Surveyed) -> str:
    notes = ["system"] if each.directory.is_system else []
    notes += ["interruptible"] if each.engine == "interruptible" else []
    notes += [f"{each.status}: {each.reason}"] if each.reason else []
    return ", ".join(notes)
