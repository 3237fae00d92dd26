"""Components: codecs that export `chonkle:codec/transform`."""

from chonkle.backends.component.codec import ComponentCodec, ComponentCompiler

__all__ = ["ComponentCodec", "ComponentCompiler"]
