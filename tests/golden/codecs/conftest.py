"""What the tests of shipped codecs share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chonkle.backends.base import Codec, Limits
from chonkle.resolver import Resolution, Resolver
from chonkle.runtime import Runtime

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def shipped(
    open_runtime: Callable[..., Runtime], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Codec]]:
    """Return a function that opens a shipped implementation, its core module by default."""
    # With a cache, opening it again with other limits compiles nothing.
    with open_runtime(cache=tmp_path_factory.mktemp("cache")) as runtime:

        def open_(implementation: str, *, form: str = "core", memory_bytes: int = 0) -> Codec:
            codec_id = implementation.rpartition("-")[0]
            resolver = Resolver(
                codec_store=ROOT / "codec", preference=[form], overrides={codec_id: implementation}
            )
            found = resolver.resolve(codec_id)
            assert isinstance(found, Resolution)
            limits = Limits(memory_bytes=memory_bytes) if memory_bytes else Limits()
            return runtime.open(found, limits)

        yield open_
