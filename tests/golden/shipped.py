"""What tests of a shipped codec are given: the codec, and something to encode."""

from collections.abc import Callable

from hypothesis import strategies as st

from chonkle.backends.base import Codec

# Opens an implementation: its core module, if not told else, with `form` and `memory_bytes`.
type Shipped = Callable[..., Codec]

# Runs and noise of all lengths: what compresses a thousand times, and what does not at all.
chunks = st.lists(
    st.one_of(
        st.binary(max_size=600),
        st.tuples(st.binary(min_size=1, max_size=4), st.integers(1, 30_000)).map(
            lambda run: run[0] * run[1]
        ),
    ),
    max_size=5,
).map(b"".join)
