"""`chonkle build`: source to a core module and a component."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from chonkle.cli.output import print_json, print_lines
from chonkle.cli.style import styled_outcome
from chonkle_toolchain.build import Folders
from chonkle_toolchain.build import build as build_codecs
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.lines import outcome_line, summary_line
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import Tools


@click.command(short_help="Build the codec in a folder.")
@click.argument("folder", type=options.FOLDER, default=Path(), metavar="[DIR]")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--output", type=options.FOLDER, help="Where the built files and codecs.lock go; DIR/codec."
)
@click.option(
    "--build-dir", type=options.FOLDER, help="What compilers leave, and may be deleted; DIR/build."
)
@click.option("--check", is_flag=True, help="Change nothing; fail when something is stale.")
@options.as_json
def build(
    folder: Path,
    names: tuple[str, ...],
    output: Path | None,
    build_dir: Path | None,
    *,
    check: bool,
    as_json: bool,
) -> None:
    """Build the codec in DIR, or those in the folders in it, where they are not up to date.

    DIR is the current folder where it is left out. NAMEs choose among several codecs.

    \b
    Exit codes:
      1  a codec cannot be built, a compiler is missing, or with --check one is stale

    \b
    Examples:
      chonkle build
      chonkle build codecs zlib-rs --output built
      chonkle build --check

    \b
    See also:
      `chonkle test`, `chonkle tools`, `chonkle reproduce`, and
      docs/reference/codecs-lock.md.
    """
    with options.running_tools() as step:
        outcomes = build_codecs(
            folders_of(folder, output=output, build_dir=build_dir),
            tools=Tools(),
            names=names,
            check=check,
            step=step,
            report=lambda outcome: (
                None if as_json else print_lines(styled_outcome(outcome_line(outcome)))
            ),
            say=lambda line: print_lines(*line.splitlines(), err=True),
        )
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        print_lines(summary_line(outcomes), err=True)
    if any(outcome.state == "stale" for outcome in outcomes):
        sys.exit(1)


def folders_of(
    folder: Path, *, output: Path | None = None, build_dir: Path | None = None
) -> Folders:
    """Give the folders of a build.

    Args:
        folder: a codec's folder, or a folder of them.
        output: where the built files go; `codec` in it by default.
        build_dir: the build root; `build` in it by default.
    """
    return Folders(folder, output or folder / "codec", build_dir or folder / "build", sdk_folder())
