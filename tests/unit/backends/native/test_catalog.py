"""Which codecs the native backend has, and why others are refused."""

import sys

import pytest

from chonkle.backends.native import INSTALL_HINT, is_available, native_signature, refusal
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import ResolveError


def test_pickle_is_refused_with_the_reason() -> None:
    assert native_signature("pickle") is None
    assert not is_available("pickle")
    with pytest.raises(ResolveError, match="executes code from the data"):
        NativeCodec.of("pickle")


@pytest.mark.parametrize("codec_id", ["nonsense", "../signatures/zlib", "", "a/b", "vlen-utf8"])
def test_unknown_codecs_are_refused(codec_id: str) -> None:
    assert native_signature(codec_id) is None
    with pytest.raises(ResolveError):
        NativeCodec.of(codec_id)


def test_missing_packages_make_one_codec_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"google_crc32c", "crc32c", "msgpack"}
    catalog = sys.modules["chonkle.backends.native.catalog"]
    monkeypatch.setattr(catalog, "find_spec", lambda name: None if name in absent else object())
    assert "hint: install with `pip install google-crc32c`" in str(refusal("crc32c"))
    assert "hint: install with `pip install msgpack`" in str(refusal("msgpack2"))
    assert refusal("crc32") is None
    absent.add("numcodecs")
    assert not is_available()
    assert INSTALL_HINT in str(refusal("crc32"))
    assert native_signature("crc32") is not None
