"""The byte and text formats of chonkle, parsed into types that the layers above trust."""
