"""`chonkle cache export`: native code to take along."""

import click

from chonkle.cache.bundle import Selection, bundle_parts, select_entries
from chonkle.cache.survey import Machine
from chonkle.cli.output import print_json, print_lines, shown_entries, shown_size
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
    """Write the entries that are of use on this machine into FILE, a tar archive.

    Those of the system's cache are among them. With CODEC, an id such as `zlib` or an
    implementation such as `zlib-rs@1.0.0`, the entries of these codecs alone; each of them must
    have one. FILE may be `-` for standard output.

    \b
    Examples:
      chonkle cache export codecs.tar
      chonkle cache export codecs.tar zlib tiff-predictor-2
    """
    if as_json and is_standard_output(file):
        raise WrongUsage("--json and the bundle cannot both go to standard output")
    config = Settings.from_environment().cache
    selection = select_entries(config, machine=Machine.here(), codecs=codecs)
    try:
        write_parts(file, bundle_parts(selection))
    except BrokenPipeError:
        raise
    except OSError as failure:
        raise CacheError(f"cannot write {file}: {failure.strerror or failure}") from failure
    if as_json:
        print_json(
            {
                "file": file,
                "entries": len(selection.entries),
                "size_bytes": selection.size_bytes,
                "stale": selection.stale,
                "doubtful": selection.doubtful,
            }
        )
    else:
        print_lines(_summary(file, selection), err=True)


def _summary(file: str, selection: Selection) -> str:
    counted = ((selection.stale, "stale"), (selection.doubtful, "doubtful"))
    skipped = ", ".join(f"{count} {word}" for count, word in counted if count)
    entries = shown_entries(len(selection.entries))
    what = f"{entries}, {shown_size(selection.size_bytes)}" if selection.entries else _EMPTY
    return f"{file}: {what}" + f"; skipped {skipped}" * bool(skipped)
