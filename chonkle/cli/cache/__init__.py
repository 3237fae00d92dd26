"""`chonkle cache`: the cache of native code. One file for each command."""

import click

from chonkle.cli import LazyGroup

_COMMANDS = {
    "info": ("chonkle.cli.cache.info:info", "Show where the cache is and what it contains."),
    "list": ("chonkle.cli.cache.list_:list_", "List what is in the cache."),
    "warm": ("chonkle.cli.cache.warm:warm", "Compile codecs in advance."),
    "verify": ("chonkle.cli.cache.verify:verify", "Check what is in the cache."),
    "prune": ("chonkle.cli.cache.prune:prune", "Remove stale and old entries, and trim to a size."),
    "clear": ("chonkle.cli.cache.clear:clear", "Remove everything."),
    "export": ("chonkle.cli.cache.export:export", "Write cache entries into a file."),
    "import": ("chonkle.cli.cache.import_:import_", "Read cache entries from a file."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def cache() -> None:
    """Look at the cache of native code, fill it, check it and empty it.

    A codec is compiled at its first use, and loaded from the cache after that.

    \b
    Examples:
      chonkle cache info
      chonkle cache warm tile.json
      chonkle cache prune --max-size 500M

    \b
    See also:
      docs/reference/cache.md, and docs/guides/ship-native-code.md for images and CI.
    """
