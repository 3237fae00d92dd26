"""The native backend: numcodecs' codecs behind `chonkle.backends.base.Codec`.

Each codec is a signature in `signatures/`, whose extra field `native` says how numcodecs is called.
Nothing here imports numpy or numcodecs before a codec is opened.
"""

from chonkle.backends.native.catalog import (
    INSTALL_HINT,
    REFUSED,
    is_available,
    native_codec_ids,
    native_signature,
    refusal,
)
from chonkle.backends.native.codec import NativeCodec

__all__ = [
    "INSTALL_HINT",
    "REFUSED",
    "NativeCodec",
    "is_available",
    "native_codec_ids",
    "native_signature",
    "refusal",
]
