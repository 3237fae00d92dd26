"""What the tests of shipped codecs share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chonkle.backends.base import Codec, Limits
from chonkle.resolver import Resolution, Resolver
from chonkle.session import Session

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def shipped(open_session: Callable[..., Session]) -> Iterator[Callable[[str], Codec]]:
    """Give a function that opens the core module of a shipped implementation."""
    with open_session(cache=None) as session:

        def open_(implementation: str) -> Codec:
            codec_id = implementation.rpartition("-")[0]
            resolver = Resolver(
                codec_store=ROOT / "codec",
                preference=["core"],
                overrides={codec_id: implementation},
            )
            found = resolver.resolve(codec_id)
            assert isinstance(found, Resolution)
            return session.open(found, Limits())

        yield open_
