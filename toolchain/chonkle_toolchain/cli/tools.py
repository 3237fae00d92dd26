"""`chonkle tools`: the compilers that building needs."""

import sys
from dataclasses import asdict

import click

from chonkle.cli.output import print_json, print_lines
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.lines import tool_lines
from chonkle_toolchain.install import install_missing
from chonkle_toolchain.recipe import Language
from chonkle_toolchain.tools import TOOLS_OF, ToolName, Tools


@click.command(short_help="List the compilers that building needs, and install them.")
@click.option(
    "--lang", type=click.Choice(["c", "rust"]), help="Only what builds codecs in this language."
)
@click.option("--install", is_flag=True, help="Install what is missing.")
@options.as_json
def tools(*, lang: Language | None, install: bool, as_json: bool) -> None:
    """List the tools that building needs, and install those that are missing.

    \b
    Exit codes:
      1  codecs cannot be built, in the language of --lang or in any, or --install fails

    \b
    Examples:
      chonkle tools
      chonkle tools --lang c --install

    \b
    See also:
      `chonkle build`, and docs/guides/write-a-codec.md.
    """
    languages = [lang] if lang else list(TOOLS_OF)
    names = frozenset[ToolName]().union(*(TOOLS_OF[each] for each in languages))
    found = Tools()
    if install:
        with options.running_tools() as step:
            step("installing what is missing")
            install_missing(
                found, names, say=lambda line: print_lines(*line.splitlines(), err=True)
            )
    listed = found.look_for(names)
    if as_json:
        print_json([asdict(tool) for tool in listed])
    else:
        for line in tool_lines(listed):
            print_lines(line)
    missing = {tool.name for tool in listed if not tool.found}
    builds_some = any(missing.isdisjoint(TOOLS_OF[each]) for each in languages)
    if missing and (install or not builds_some):
        sys.exit(1)
