"""`chonkle cache import`: read cache entries from a bundle."""

from pathlib import Path

import click

from chonkle.cache.bundle import import_bundle
from chonkle.cache.survey import Machine
from chonkle.cli.output import format_entries, format_size, print_json, print_lines
from chonkle.settings import Settings


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    help="Accept entries without a cache key: their author can run code as you.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_(file: Path, *, allow_unauthenticated: bool, as_json: bool) -> None:
    """Write the entries of FILE, made by `chonkle cache export`, into the user's own cache.

    All of them are checked before the first is written; existing entries stay. If
    CHONKLE_CACHE_KEY is set, they must be authenticated with that key.

    \b
    Exit codes:
      1  the bundle is damaged, for another engine, too large or not authenticated

    \b
    Environment:
      CHONKLE_CACHE_DIR CHONKLE_CACHE_KEY CHONKLE_CACHE_KEY_FILE CHONKLE_CACHE_MAX_SIZE

    \b
    Examples:
      chonkle cache import codecs.tar
      chonkle cache import codecs.tar --allow-unauthenticated

    \b
    See also:
      `chonkle cache export`, and docs/guides/ship-native-code.md.
    """
    imported = import_bundle(
        file,
        Settings.from_environment().cache,
        machine=Machine.here(),
        allow_unauthenticated=allow_unauthenticated,
    )
    if as_json:
        print_json(
            {
                "file": str(file),
                "entries": imported.entries,
                "size_bytes": imported.size_bytes,
                "kept": imported.kept,
                "busy": imported.busy,
            }
        )
        return
    there = "1 was" if imported.kept == 1 else f"{imported.kept} were"
    kept = f"; {there} there already" if imported.kept else ""
    if imported.busy:
        kept += f"; left {format_entries(imported.busy)} that another process is writing"
    size = format_size(imported.size_bytes)
    entries = format_entries(imported.entries)
    print_lines(f"{file}: imported {entries}, {size}{kept}", err=True)
