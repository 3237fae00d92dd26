"""`chonkle tools`: the compilers that building needs."""

import sys
from dataclasses import asdict

import click

from chonkle.cli.output import print_json, print_lines
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.lines import tool_lines
from chonkle_toolchain.install import install_missing
from chonkle_toolchain.tools import Tools


@click.command(short_help="List the compilers that building needs, and install them.")
@click.option("--install", is_flag=True, help="Install what is missing.")
@options.as_json
def tools(*, install: bool, as_json: bool) -> None:
    """List the tools that building needs, and install those that are missing.

    \b
    Exit codes:
      1  a tool is missing, or cannot be installed

    \b
    Examples:
      chonkle tools
      chonkle tools --install

    \b
    See also:
      `chonkle build`, and docs/guides/write-a-codec.md.
    """
    found = Tools()
    if install:
        with options.running_tools() as step:
            step("installing what is missing")
            install_missing(found, say=lambda line: print_lines(*line.splitlines(), err=True))
    listed = found.all()
    if as_json:
        print_json([asdict(tool) for tool in listed])
    else:
        for line in tool_lines(listed):
            print_lines(line)
    if not all(tool.found for tool in listed):
        sys.exit(1)
