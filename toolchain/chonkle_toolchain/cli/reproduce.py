"""`chonkle reproduce`: the same bytes again, somewhere else."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from chonkle.cli.output import print_json, print_lines
from chonkle.cli.style import styled_outcome
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.build import folders_of
from chonkle_toolchain.cli.lines import reproduction_lines
from chonkle_toolchain.reproduce import reproduce as reproduce_codecs
from chonkle_toolchain.tools import Tools


@click.command(short_help="Build a codec twice from clean, and compare.")
@click.argument("folder", type=options.FOLDER, default=Path(), metavar="[DIR]")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--output", type=options.FOLDER, help="Where the built files are; DIR/codec.")
@click.option("--build-dir", type=options.FOLDER, help="What to work in; DIR/build.")
@options.as_json
def reproduce(
    folder: Path,
    names: tuple[str, ...],
    output: Path | None,
    build_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Build the codecs in DIR twice, and compare the bytes with each other and with those in DIR.

    Each time from clean, in another folder and other surroundings. What was built with other tools
    than those that are here is not compared.

    \b
    Exit codes:
      1  bytes differ, or a codec cannot be built

    \b
    Examples:
      chonkle reproduce
      chonkle reproduce codecs zlib-rs --output built

    \b
    See also:
      `chonkle build`, and docs/reference/codecs-lock.md.
    """
    with options.running_tools() as step:
        step("building twice from clean")
        found = reproduce_codecs(
            folders_of(folder, output=output, build_dir=build_dir),
            tools=Tools(),
            names=names,
            say=lambda line: print_lines(*line.splitlines(), err=True),
        )
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        for each in found:
            print_lines(*map(styled_outcome, reproduction_lines(each)))
    if any(each.differences for each in found):
        sys.exit(1)
