"""The native backend: numcodecs' codecs behind `chonkle.backends.base.Codec`.

Each codec is a signature in `signatures/`, whose extra field `native` says how numcodecs is called.
Nothing imports numpy or numcodecs before the first call. This file imports only the catalog, which
is all that a resolver needs; `native_codec` opens codecs.
"""

from chonkle.backends.native.catalog import (
    INSTALL_HINT,
    REFUSED,
    is_available,
    native_codec_ids,
    native_signature,
    native_version,
    refusal,
)

__all__ = [
    "INSTALL_HINT",
    "REFUSED",
    "is_available",
    "native_codec_ids",
    "native_signature",
    "native_version",
    "refusal",
]
