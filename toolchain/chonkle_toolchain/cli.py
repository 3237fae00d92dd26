"""The command line of the build side: `build` and `tools`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from chonkle.errors import ChonkleError
from chonkle_toolchain.build import Folders, Outcome, build
from chonkle_toolchain.install import install_missing
from chonkle_toolchain.report import outcome_line, summary_line, tool_lines
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import Tools

_tools_dir = click.option(
    "--tools-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tools"),
    envvar="CHONKLE_TOOLS_DIR",
    show_default=True,
    help="Where `tools --install` puts wasm-tools.",
)


class _Refusal(click.ClickException):
    """A chonkle failure, shown in chonkle's own form; click exits with code 1."""

    def __init__(self, failure: ChonkleError) -> None:
        super().__init__(str(failure))

    def show(self, file: object = None) -> None:
        """Write the message to standard error."""
        del file
        click.echo(f"error: {self.message}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Build chonkle codecs: one source to a core module and a component."""


@main.command(name="build")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--codec-src",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("codec-src"),
    show_default=True,
    help="The codecs' sources, and `sdk`.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("codec"),
    show_default=True,
    help="Where the built files and codecs.lock go.",
)
@click.option(
    "--build-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/codecs"),
    show_default=True,
    help="What compilers leave behind; may be deleted.",
)
@_tools_dir
@click.option("--check", is_flag=True, help="Change nothing; fail when something is stale.")
@click.option("--json", "as_json", is_flag=True, help="Write the outcome as JSON.")
def build_command(
    names: tuple[str, ...],
    codec_src: Path,
    output: Path,
    build_dir: Path,
    tools_dir: Path,
    *,
    check: bool,
    as_json: bool,
) -> None:
    """Build the codecs that are not up to date, or only those NAMEd."""

    def report(outcome: Outcome) -> None:
        if not as_json:
            click.echo(outcome_line(outcome))

    try:
        outcomes = build(
            Folders(codec_src, output, build_dir, sdk_folder()),
            tools=Tools(tools_dir),
            names=names,
            check=check,
            report=report,
        )
    except ChonkleError as failure:
        raise _Refusal(failure) from failure
    if as_json:
        click.echo(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        click.echo(summary_line(outcomes), err=True)
    if any(outcome.state == "stale" for outcome in outcomes):
        sys.exit(1)


@main.command(name="tools")
@_tools_dir
@click.option("--install", is_flag=True, help="Install what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
def tools_command(tools_dir: Path, *, install: bool, as_json: bool) -> None:
    """List the tools that building needs, and install those that are missing."""
    tools = Tools(tools_dir)
    try:
        if install:
            install_missing(tools, say=lambda line: click.echo(line, err=True))
    except ChonkleError as failure:
        raise _Refusal(failure) from failure
    listed = tools.all()
    if as_json:
        click.echo(json.dumps([asdict(tool) for tool in listed], indent=2))
    else:
        for line in tool_lines(listed):
            click.echo(line)
    if not all(tool.found for tool in listed):
        sys.exit(1)
