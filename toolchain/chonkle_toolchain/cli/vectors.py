"""`chonkle vectors`: golden vectors for other programs."""

from pathlib import Path

import click

from chonkle.cli.output import print_lines
from chonkle.errors import BuildError
from chonkle_toolchain.cli import options
from chonkle_toolchain.conformance import conformance_lines
from chonkle_toolchain.documents import write_published
from chonkle_toolchain.verify.folder import find_store


@click.group(short_help="Give golden vectors to other programs.")
def vectors() -> None:
    """Give golden vectors to other programs.

    \b
    Examples:
      chonkle vectors export --output vectors.jsonl

    \b
    See also:
      docs/reference/hosts.md, and docs/guides/embed-in-another-host.md.
    """


@vectors.command("export", short_help="Write the golden vectors of built codecs to a file.")
@click.argument("folder", type=options.FOLDER, default=Path(), metavar="[DIR]")
@click.option("--codec-src", type=options.FOLDER, help="For a codec store: the codecs' folders.")
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file to write.",
)
def export(folder: Path, codec_src: Path | None, output: Path) -> None:
    """Write the golden vectors of built codecs as JSON lines, which other hosts of codecs run.

    DIR is the folder of a codec, or of several; or a codec store, with --codec-src. The core
    modules must be those that gave the golden vectors.

    \b
    Exit codes:
      1  a codec is not what its golden vectors say, or the file cannot be written

    \b
    Examples:
      chonkle vectors export --output vectors.jsonl
      chonkle vectors export codec --codec-src codec-src --output vectors.jsonl

    \b
    See also:
      `chonkle test`, docs/reference/hosts.md for the format, and
      docs/guides/embed-in-another-host.md.
    """
    if not folder.is_dir():
        raise BuildError(f"no folder `{folder}`")
    store, recipes = find_store(folder, codec_src)
    if not recipes:
        raise BuildError(
            f"no sources of codecs in `{folder}`", hint="--codec-src names those of a codec store"
        )
    with options.running_tools() as step:
        step("running codecs whose encodings are not in their golden vectors")
        lines = list(
            conformance_lines(
                store, recipes, left_out=lambda what: print_lines(f"left out {what}", err=True)
            )
        )
        write_published(output, "".join(f"{line}\n" for line in lines).encode())
    codecs = "1 codec" if len(recipes) == 1 else f"{len(recipes)} codecs"
    print_lines(f"{len(lines)} lines of {codecs}", err=True)
