"""`chonkle cache export`: write cache entries into a bundle."""

import click

from chonkle.cache.bundle import Export, bundle_parts, select_entries
from chonkle.cache.survey import Machine
from chonkle.cli.output import format_entries, format_size, print_json, print_lines
from chonkle.cli.streams import is_standard_output, write_parts
from chonkle.cli.usage import WrongUsage
from chonkle.errors import CacheError
from chonkle.settings import Settings

_EMPTY = "an empty bundle, for there is nothing to export: `chonkle cache warm` compiles codecs"


@click.command
@click.argument("file")
@click.argument("codecs", nargs=-1, metavar="[CODEC]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(file: str, codecs: tuple[str, ...], *, as_json: bool) -> None:
    """Write the entries that are usable on this machine into FILE, a tar archive.

    This includes those of the system's cache. With CODEC, an id such as `zlib` or an
    implementation such as `zlib-rs@1.0.0`, only the entries of these codecs; each must have one.
    FILE may be `-` for standard output.

    \b
    Exit codes:
      1  a CODEC has no entry, the bundle would be too large, or FILE cannot be written

    \b
    Environment:
      CACHE CHONKLE_CACHE_KEY_FILE CHONKLE_CACHE_MAX_SIZE

    \b
    Examples:
      chonkle cache export codecs.tar
      chonkle cache export codecs.tar zlib tiff-predictor-2

    \b
    See also:
      `chonkle cache import`, and docs/guides/ship-native-code.md.
    """
    if as_json and is_standard_output(file):
        raise WrongUsage("--json and the bundle cannot both go to standard output")
    config = Settings.from_environment().cache
    exported = select_entries(config, machine=Machine.here(), codecs=codecs)
    try:
        write_parts(file, bundle_parts(exported))
    except BrokenPipeError:
        raise
    except OSError as failure:
        raise CacheError(f"cannot write {file}: {failure.strerror or failure}") from failure
    if as_json:
        print_json(
            {
                "file": file,
                "entries": len(exported.entries),
                "size_bytes": exported.size_bytes,
                "stale": exported.stale,
                "invalid": exported.invalid,
            }
        )
    else:
        print_lines(_summary(file, exported), err=True)


def _summary(file: str, exported: Export) -> str:
    counted = ((exported.stale, "stale"), (exported.invalid, "invalid"))
    skipped = ", ".join(f"{count} {word}" for count, word in counted if count)
    entries = format_entries(len(exported.entries))
    what = f"{entries}, {format_size(exported.size_bytes)}" if exported.entries else _EMPTY
    return f"{file}: {what}" + f"; skipped {skipped}" * bool(skipped)
