"""Components: codecs that export `chonkle:codec/transform`."""
