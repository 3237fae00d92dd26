import os
import signal
import sys
from collections.abc import Iterator

import pytest

from chonkle.cli.signals import interruptible, terminable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

HANDLERS = [signal.SIG_IGN, lambda *_: None]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put back what handled signals before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_has_the_default_action_where_python_cannot_handle_it() -> None:
    def fail() -> None:
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_signal_that_is_ignored_or_handled_stays_so(handler: signal.Handlers) -> None:
    for number, context in ((signal.SIGINT, interruptible), (signal.SIGTERM, terminable)):
        signal.signal(number, handler)
        with context():
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) is handler
        assert signal.getsignal(number) is handler


def test_sigterm_raises_an_exception() -> None:
    with pytest.raises(SystemExit) as ended, terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
