"""`chonkle cache verify`: whether the entries of the cache are what was written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import click

from chonkle.backends.wasm.component_compiler import FlatteningCompiler, HostComponentCompiler
from chonkle.backends.wasm.trampoline_texts import COMPONENT_TRAMPOLINE, CORE_TRAMPOLINE
from chonkle.cache.compilers import ModuleCompiler
from chonkle.cache.directory import CacheDirectory, Entry
from chonkle.cache.integrity import IncomparableError, Recompiler, check_entry
from chonkle.cache.record import InvalidEntry
from chonkle.cache.survey import layer_name
from chonkle.cli.cache.existing import layers
from chonkle.cli.cache.parallel import work_through
from chonkle.cli.cache.selection import installed_codecs
from chonkle.cli.options import compile_limits_of, compile_options
from chonkle.cli.output import format_entries, print_json, print_lines, table
from chonkle.errors import CacheError
from chonkle.settings import Settings


@click.command
@click.option(
    "--recompile",
    is_flag=True,
    help="Also compile what is installed and shipped again, and compare.",
)
@click.option("--remove", is_flag=True, help="Remove bad entries, except those of the system.")
@compile_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    *,
    recompile: bool,
    remove: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click's options
) -> None:
    """Read every entry of the cache and check its digests, without running any.

    Fails when an entry is bad, also when it was removed.

    \b
    Exit codes:
      1  an entry is bad, also if it was removed

    \b
    Environment:
      CACHE CHONKLE_CACHE_KEY_FILE COMPILING CHONKLE_CODEC_STORE

    \b
    Examples:
      chonkle cache verify
      chonkle cache verify --recompile
      chonkle cache verify --remove

    \b
    See also:
      `chonkle cache list`, and docs/reference/cache.md.
    """
    settings = Settings.from_environment()
    settings = replace(settings, compile_limits=compile_limits_of(options))
    directories = layers(settings.cache)
    found = [
        (directory, entry)
        for directory in directories
        for entry in directory.entries()
        if entry.record or entry.problem
    ]
    recompiler = _recompiler(settings) if recompile else None
    checked = work_through(found, partial(_check, recompiler), label="checking")
    bad = [each for each in checked if each.problem is not None]
    removed = [each for each in bad if remove and _remove(each)]
    if as_json:
        print_json([_document(each, is_removed=each in removed) for each in checked])
    elif checked:
        _print(checked, bad, removed, is_compared=recompile)
    elif directories:
        print_lines("the cache is empty", err=True)
    if bad:
        raise _failure(bad, removed, of=len(checked), is_removing=remove)


@dataclass(frozen=True, slots=True)
class _Checked:
    """The result for one entry."""

    directory: CacheDirectory  # where it is
    entry: Entry
    problem: str | None = None  # the check that it failed
    not_compared: str | None = None  # why it was not compiled again


def _recompiler(settings: Settings) -> Recompiler:
    installed = installed_codecs(settings.codec_store).codecs
    binaries = [found.wasm.wasm for found in installed if found.wasm]
    return Recompiler(
        compilers=(ModuleCompiler(), FlatteningCompiler(), HostComponentCompiler()),
        binaries=binaries,
        own=[CORE_TRAMPOLINE.wasm(), COMPONENT_TRAMPOLINE.wasm()],
        limits=settings.compile_limits,
    )


def _check(recompiler: Recompiler | None, found: tuple[CacheDirectory, Entry]) -> _Checked:
    directory, entry = found
    try:
        check_entry(directory, entry)
        if recompiler is not None and entry.record is not None:
            recompiler.compare(entry.record)
    except InvalidEntry as reason:
        return _Checked(directory, entry, problem=str(reason))
    except IncomparableError as reason:
        return _Checked(directory, entry, not_compared=str(reason))
    return _Checked(directory, entry)


def _remove(bad: _Checked) -> bool:
    if bad.directory.is_system:
        return False
    try:
        bad.directory.remove(bad.entry.key)
        return bad.directory.read(bad.entry.key) is None
    except (OSError, InvalidEntry):
        return False


def _print(
    checked: Sequence[_Checked],
    bad: Sequence[_Checked],
    removed: Sequence[_Checked],
    *,
    is_compared: bool,
) -> None:
    skipped = [each for each in checked if each.not_compared is not None]
    rows = [(_place(each), f"bad: {each.problem}{', removed' * (each in removed)}") for each in bad]
    rows += [(_place(each), f"not compared: {each.not_compared}") for each in skipped]
    if rows:
        print_lines(*table([(*place, note) for place, note in rows]))
    good = len(checked) - len(bad)
    print_lines(f"{good} of {format_entries(len(checked))} as written")
    if is_compared:
        print_lines(f"{good - len(skipped)} of {format_entries(len(checked))} as compiling gives")


def _place(checked: _Checked) -> tuple[str, str, str]:
    record, key = checked.entry.record, checked.entry.key
    layer = layer_name(checked.directory)
    if record is None:
        return layer, "-", key
    return (
        layer,
        record.metadata.codec_id or "-",
        f"{record.metadata.label} ({record.metadata.kind})",
    )


def _document(checked: _Checked, *, is_removed: bool) -> dict[str, object]:
    record = checked.entry.record
    return {
        "layer": layer_name(checked.directory),
        "key": checked.entry.key,
        "codec_id": record.metadata.codec_id or None if record else None,
        "implementation": record.metadata.label if record else None,
        "kind": record.metadata.kind if record else None,
        "problem": checked.problem,
        "not_compared": checked.not_compared,
        "removed": is_removed,
    }


def _failure(
    bad: Sequence[_Checked], removed: Sequence[_Checked], *, of: int, is_removing: bool
) -> CacheError:
    what, left = (
        f"{len(bad)} of {format_entries(of)} bad",
        [each for each in bad if each not in removed],
    )
    if is_removing:
        what += f", and {len(left)} could not be removed" if left else ", and were removed"
    own = [each for each in left if not each.directory.is_system]
    if own and not is_removing:
        return CacheError(what, hint="`--remove` removes those of your own cache")
    if left and not own:
        return CacheError(what, hint="the owner of the system's cache can remove them")
    return CacheError(what)
