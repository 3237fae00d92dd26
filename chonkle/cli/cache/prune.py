"""`chonkle cache prune`: remove stale and old entries, and trim to a size."""

import time

import click

from chonkle.cache.survey import Machine, survey
from chonkle.cache.trimming import Removed
from chonkle.cache.trimming import prune as prune_directory
from chonkle.cli.cache.existing import own_layer, require_all_removed
from chonkle.cli.cache.list_ import entry_document, entry_table
from chonkle.cli.options import AGE, SIZE
from chonkle.cli.output import format_entries, format_size, print_json, print_lines
from chonkle.settings import Settings
from chonkle.wasmtime_version import wasmtime_version


@click.command
@click.option(
    "--max-size",
    type=SIZE,
    metavar="SIZE",
    help="Maximum size of all entries together, such as 500M.  [default: CHONKLE_CACHE_MAX_SIZE]",
)
@click.option(
    "--older-than",
    type=AGE,
    metavar="AGE",
    help="Also remove what was not used for this long, such as 12h or 30d.",
)
@click.option("-v", "--verbose", is_flag=True, help="List what is removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def prune(*, max_size: int | None, older_than: float | None, verbose: bool, as_json: bool) -> None:
    """Remove unfinished files, stale entries, and the least recently used entries beyond a size.

    Code for another version of wasmtime is stale when it was not used for 30 days.

    \b
    Exit codes:
      1  an entry cannot be removed, or the cache is not trusted

    \b
    Environment:
      CHONKLE_CACHE_DIR CHONKLE_CACHE_MAX_SIZE

    \b
    Examples:
      chonkle cache prune
      chonkle cache prune --max-size 500M --older-than 30d --verbose

    \b
    See also:
      `chonkle cache clear`, `chonkle cache list`, and docs/reference/cache.md.
    """
    config = Settings.from_environment().cache
    own = own_layer(config)
    removed, now = Removed(0, 0), time.time()
    before = survey(own, Machine.here()) if own is not None and (verbose or as_json) else []
    if own is not None:
        removed = prune_directory(
            own,
            size_max_bytes=config.size_max_bytes if max_size is None else max_size,
            wasmtime=wasmtime_version(),
            now=now,
            unused_s=older_than,
        )
    listed = own.files() if own is not None else ()
    left = {files.key: files.size_bytes for files in listed if files.is_more_than_a_lock}
    gone = [each for each in before if each.entry.key not in left and each.status != "unfinished"]
    size_bytes = sum(left.values())
    if as_json:
        print_json(
            {
                "removed": removed.entries,
                "freed_bytes": removed.freed_bytes,
                "left": len(left),
                "left_bytes": size_bytes,
                "entries": [entry_document(each, now=now) for each in gone],
            }
        )
    elif own is not None:
        if gone:
            print_lines(*entry_table(gone, now=now))
        freed = format_size(removed.freed_bytes)
        print_lines(f"removed {format_entries(removed.entries)}, {freed}")
        print_lines(f"left {format_entries(len(left))}, {format_size(size_bytes)}")
    require_all_removed(removed)
