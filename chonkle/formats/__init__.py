"""The byte and text formats of chonkle, each in one file: parse once here, trust the types above."""
