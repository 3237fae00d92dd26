"""The native backend: numcodecs' codecs behind `chonkle.backends.base.Codec`.

Each codec is a signature in `signatures/`, whose extra field `native` says how numcodecs is called.
Nothing here imports numpy or numcodecs before a codec is opened, and this file imports only the
catalogue, which is all that a resolver needs: who opens a codec imports it from `codec`.
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
