"""Components: codecs that export `chonkle:codec/transform`."""

from chonkle.backends.component.codec import ComponentCodec

__all__ = ["ComponentCodec"]
