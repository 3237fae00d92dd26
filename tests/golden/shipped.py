"""Types and sample data for tests of shipped codecs."""

from collections.abc import Callable

from hypothesis import strategies as st

from chonkle.backends.base import Codec

# Opens an implementation, its core module by default; takes `form` and `memory_bytes`.
type Shipped = Callable[..., Codec]

# Runs and noise of all lengths: compression ratios from a thousand to none.
chunks = st.lists(
    st.one_of(
        st.binary(max_size=600),
        st.tuples(st.binary(min_size=1, max_size=4), st.integers(1, 30_000)).map(
            lambda run: run[0] * run[1]
        ),
    ),
    max_size=5,
).map(b"".join)
