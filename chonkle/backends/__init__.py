"""The backends: ways of running a codec, all behind `base.Codec`."""
