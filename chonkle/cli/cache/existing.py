"""The existing directories of the cache, for a command to work on."""

from collections.abc import Iterable, Iterator

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.layers import CacheConfig
from chonkle.cache.survey import cache_words, directories, require_trust
from chonkle.cache.trimming import Removed
from chonkle.cli.output import format_entries, print_lines
from chonkle.errors import CacheError, os_error_text


def layers(config: CacheConfig) -> list[CacheDirectory]:
    """Give the directories that exist, and report the configured ones that do not.

    Raises:
        CacheError: when other users could have put native code into one.
    """
    return list(_existing(directories(config)))


def own_layer(config: CacheConfig) -> CacheDirectory | None:
    """Give the user's own directory, or report that there is none.

    Raises:
        CacheError: when other users could have put native code there.
    """
    found = _existing(each for each in directories(config) if not each.is_system)
    return next(found, None)


def require_all_removed(removed: Removed) -> None:
    """Require that everything was removed that should be.

    Raises:
        CacheError: with the number of entries left, and the first reason.
    """
    if removed.failures:
        count = format_entries(len(removed.failures))
        raise CacheError(f"{count} could not be removed: {os_error_text(removed.failures[0])}")


def _existing(named: Iterable[CacheDirectory]) -> Iterator[CacheDirectory]:
    for directory in named:
        require_trust(directory)
        if directory.exists():
            yield directory
        else:
            print_lines(f"{cache_words(directory)} is not there: {directory.root}", err=True)
