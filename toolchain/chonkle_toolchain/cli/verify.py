"""`chonkle verify`: the checks of CI, on built files."""

import sys
from pathlib import Path

import click

from chonkle.cli.output import print_lines
from chonkle_toolchain.cli import options
from chonkle_toolchain.vectors import read_vector_files
from chonkle_toolchain.verify import Report, verify_file, verify_folder


@click.command(short_help="Check built codecs, as CI does.")
@click.argument(
    "place", type=click.Path(exists=True, path_type=Path), default=Path(), metavar="[FILE|DIR]"
)
@click.option("--vectors", type=options.FOLDER, help="Golden vectors for FILE.")
@click.option(
    "--codec-src", type=options.FOLDER, help="For DIR: codecs' folders, with golden vectors."
)
@click.option(
    "--allow-import",
    "allowed_imports",
    multiple=True,
    metavar="NAME",
    help="Let codecs import this; NAME may have `*` in it. Repeatable.",
)
@options.as_json
def verify(
    place: Path,
    vectors: Path | None,
    codec_src: Path | None,
    allowed_imports: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Check what is built: FILE, the codec in the folder DIR, or all in a codec store DIR.

    Nothing is built, and no compiler is needed. Each file must be a codec that does what its
    signature says, whatever it is given, and does the same as its other form; and it must be the
    one that codecs.lock lists.

    \b
    Examples:
      chonkle verify
      chonkle verify codec.wasm --vectors vectors
      chonkle verify codec --codec-src codec-src --json
    """
    listed = options.JsonList()

    def show(report: Report) -> None:
        if as_json:
            listed.add(report.to_json())
        else:
            print_lines(*report.lines())

    if place.is_file():
        if codec_src is not None:
            raise click.UsageError("--codec-src is for a folder; a file has --vectors")
        cases = read_vector_files(vectors) if vectors is not None else []
        reports = [verify_file(place, vectors=cases, allowed_imports=allowed_imports)]
        show(reports[0])
    else:
        if vectors is not None:
            raise click.UsageError("--vectors is for a file; a folder has --codec-src")
        reports = verify_folder(
            place, codec_src=codec_src, allowed_imports=allowed_imports, report=show
        )
    if as_json:
        listed.end()
    if not all(report.passed for report in reports):
        sys.exit(1)
