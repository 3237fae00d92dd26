"""The AOT cache: native code of codecs, compiled once for a machine."""
