"""`chonkle cache`: the cache of native code. One file for each command."""

import click

from chonkle.cli import LazyGroup

_COMMANDS = {
    "info": "chonkle.cli.cache.info:info",
    "list": "chonkle.cli.cache.list_:list_",
    "warm": "chonkle.cli.cache.warm:warm",
    "verify": "chonkle.cli.cache.verify:verify",
    "prune": "chonkle.cli.cache.prune:prune",
    "clear": "chonkle.cli.cache.clear:clear",
    "export": "chonkle.cli.cache.export:export",
    "import": "chonkle.cli.cache.import_:import_",
}


@click.group(
    cls=LazyGroup,
    places=_COMMANDS,
    short_help="Manage the cache of native code.",
)
def cache() -> None:
    """Look at the cache of native code, fill it, check it and empty it.

    A codec is compiled at its first use, and loaded from the cache after that.

    \b
    Examples:
      chonkle cache info
      chonkle cache warm tile.json
      chonkle cache prune --max-size 500M
    """
