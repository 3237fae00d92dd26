"""`chonkle cache clear`: remove everything."""

import click

from chonkle.cache.trimming import Cleared, Removed
from chonkle.cache.trimming import clear as clear_directory
from chonkle.cli.cache.existing import own_layer, require_all_removed
from chonkle.cli.output import format_entries, format_size, print_json, print_lines
from chonkle.settings import Settings


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def clear(*, as_json: bool) -> None:
    """Remove every entry of your own cache, except those that are being written.

    \b
    Exit codes:
      1  an entry cannot be removed, or the cache is not trusted

    \b
    Environment:
      CHONKLE_CACHE_DIR

    \b
    Examples:
      chonkle cache clear

    \b
    See also:
      `chonkle cache prune`, and docs/reference/cache.md.
    """
    own = own_layer(Settings.from_environment().cache)
    cleared = Cleared(Removed(0, 0), 0) if own is None else clear_directory(own)
    removed = cleared.removed
    if as_json:
        print_json(
            {
                "removed": removed.entries,
                "freed_bytes": removed.freed_bytes,
                "left": cleared.busy + len(removed.failures),
            }
        )
    elif own is not None:
        print_lines(
            f"removed {format_entries(removed.entries)}, {format_size(removed.freed_bytes)}"
        )
    if cleared.busy:
        print_lines(
            f"left {format_entries(cleared.busy)} that another process is writing", err=True
        )
    require_all_removed(removed)
