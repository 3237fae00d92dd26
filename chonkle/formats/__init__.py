"""The byte and text formats of chonkle: parse once here, trust the types above."""
