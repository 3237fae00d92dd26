"""Zarr arrays through chonkle's codecs.

For example::

    import chonkle.zarr

    chonkle.zarr.use()
    zarr.open("data.zarr")[:]
"""

from chonkle.zarr.codec_pipeline import CodecPipeline
from chonkle.zarr.explanation import ExplainedCodec, explain
from chonkle.zarr.metadata import pipeline
from chonkle.zarr.options import Options
from chonkle.zarr.registration import codec, register, unuse, use, using

__all__ = [
    "CodecPipeline",
    "ExplainedCodec",
    "Options",
    "codec",
    "explain",
    "pipeline",
    "register",
    "unuse",
    "use",
    "using",
]
