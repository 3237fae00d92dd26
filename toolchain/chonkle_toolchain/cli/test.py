"""`chonkle test`: build what is not up to date, then every check."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from chonkle.cli.output import print_json, print_lines
from chonkle.cli.progress import progress
from chonkle.cli.style import styled_outcome
from chonkle.settings import read_compile_limits
from chonkle_toolchain.build import build
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.build import folders_of
from chonkle_toolchain.cli.lines import outcome_line
from chonkle_toolchain.tools import Tools
from chonkle_toolchain.verify import Report, verify_folder


@click.command(short_help="Build and test the codec in a folder.")
@click.argument("folder", type=options.FOLDER, default=Path(), metavar="[DIR]")
@click.option("-v", "--verbose", is_flag=True, help="List every check.")
@options.as_json
def test(folder: Path, *, verbose: bool, as_json: bool) -> None:
    """Build the codecs in DIR that are not up to date, and test all of them.

    Golden vectors, round trips on generated data, bad input, and whether core module and component
    give the same bytes: what `chonkle verify` checks. Checks that fail are listed.

    \b
    Exit codes:
      1  a codec cannot be built, or a check fails

    \b
    Environment:
      COMPILING

    \b
    Examples:
      chonkle test
      chonkle test delta-c --verbose

    \b
    See also:
      `chonkle build`, `chonkle verify`, and docs/reference/verify.md.
    """

    def show(report: Report) -> None:
        if not as_json:
            print_lines(*map(styled_outcome, report.lines(every=verbose)))

    with options.running_tools() as step:
        outcomes = build(
            folders_of(folder),
            tools=Tools(),
            step=step,
            report=lambda outcome: (
                None if as_json else print_lines(styled_outcome(outcome_line(outcome)))
            ),
            say=lambda line: print_lines(*line.splitlines(), err=True),
        )
    limits = read_compile_limits()
    with progress(f"testing {folder.resolve().name}"):
        reports = verify_folder(folder, compile_limits=limits, report=show)
    if as_json:
        built = [asdict(outcome) for outcome in outcomes]
        print_json({"built": built, "tested": [report.to_json() for report in reports]})
    if not all(report.passed for report in reports):
        sys.exit(1)
