"""The version of chonkle; it stands here alone."""

__version__ = "0.1.0"
