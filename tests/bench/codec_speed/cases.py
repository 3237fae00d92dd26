"""The cases of each codec.

A codec without cases gets one that fits its ports, without a rival.
"""

from collections.abc import Mapping
from functools import partial

from chonkle.formats.signature import Signature
from tests.bench.codec_speed.case import Case
from tests.bench.codec_speed.rivals import (
    bitshuffle_images,
    blosc_images,
    byte_swap,
    image_rows,
    images,
    in_wasm,
    native,
    pcodec_images,
    transposition,
)

Compressor = partial(Case, family="compressors", kind="differences")
Filter = partial(Case, family="filters", kind="uint16")
Checksum = partial(Case, family="checksums", kind="uint16")
Tiff = partial(Case, family="TIFF", kind="uint8")
LEVELS = ("rep_levels", "def_levels")


def blosc(cname: str, shuffle: int, label: str) -> Case:
    """Return the case of a compressor in Blosc."""
    settings = {"cname": cname, "clevel": 5, "shuffle": shuffle}
    return Compressor(
        codec_id="blosc",
        kind="rounded",
        label=label,
        settings=settings,
        rivals=[native("blosc", **settings), blosc_images(cname, shuffle)],
    )


def page(decoded: bytes) -> Mapping[str, bytes]:
    """Cut a page into levels and data."""
    return {**dict.fromkeys(LEVELS, b""), "data": decoded}


CASES = [
    *(
        Compressor(
            codec_id=codec_id, label=f"level {level}", settings={"level": level}, rivals=rivals
        )
        for level in (1, 6)
        for codec_id, rivals in (
            (
                "zlib",
                [
                    native("zlib", level=level),
                    images("deflate", level=level),
                    in_wasm("numcodecs_wasm_zlib", "Zlib", level=level),
                ],
            ),
            ("gzip", [native("gzip", level=level), images("gzip", level=level)]),
            ("deflate", [images("deflate", level=level, raw=True)]),
        )
    ),
    *(
        Compressor(
            codec_id="zstd",
            label=f"level {level}",
            settings={"level": level},
            rivals=[
                native("zstd", level=level),
                images("zstd", level=level),
                in_wasm("numcodecs_wasm_zstd", "Zstd", level=level),
            ],
        )
        for level in (1, 3)
    ),
    *(
        Compressor(
            codec_id="lz4",
            kind=kind,
            label=kind,
            rivals=[native("lz4"), images("lz4", header=True, sized=False)],
        )
        for kind in ("differences", "shuffled")
    ),
    blosc("lz4", 1, "lz4, shuffle"),
    blosc("zstd", 1, "zstd, shuffle"),
    blosc("lz4", 2, "lz4, bitshuffle"),
    Compressor(
        codec_id="bz2",
        label="level 1",
        settings={"level": 1},
        rivals=[native("bz2", level=1), images("bz2", level=1)],
    ),
    Compressor(
        codec_id="lzma",
        label="preset 1",
        settings={"preset": 1},
        rivals=[native("lzma", preset=1), images("lzma", level=1)],
    ),
    Compressor(
        codec_id="pcodec",
        kind="float32",
        rivals=[
            native("pcodec", level=8),
            pcodec_images,
            in_wasm(
                "numcodecs_wasm_pco",
                "Pco",
                level=8,
                mode="auto",
                delta="auto",
                paging="equal-pages-up-to",
            ),
        ],
    ),
    *(
        Filter(
            codec_id="shuffle", kind=kind, label=kind, rivals=[native("shuffle", elementsize=None)]
        )
        for kind in ("uint16", "float32")
    ),
    Filter(codec_id="bitshuffle", kind="float32", rivals=[bitshuffle_images]),
    Filter(codec_id="delta", kind="int32", rivals=[native("delta", dtype=None)]),
    Filter(
        codec_id="fixedscaleoffset",
        kind="float32",
        settings={"offset": 1000.0, "scale": 100.0, "astype": "<i2"},
        rivals=[
            native("fixedscaleoffset", offset=1000.0, scale=100.0, dtype=None, astype="<i2"),
            in_wasm(
                "numcodecs_wasm_fixed_offset_scale", "FixedOffsetScale", offset=1e3, scale=0.01
            ),
        ],
    ),
    # These filters do nothing on decoding.
    Filter(
        codec_id="quantize",
        kind="float32",
        settings={"digits": 2},
        rivals=[native("quantize", digits=2, dtype=None)],
        directions=("encode",),
    ),
    Filter(
        codec_id="bitround",
        kind="float32",
        settings={"keepbits": 10},
        rivals=[
            native("bitround", keepbits=10),
            in_wasm("numcodecs_wasm_bit_round", "BitRound", mode="keepbits", keepbits=10),
        ],
        directions=("encode",),
    ),
    Filter(codec_id="packbits", kind="bool", rivals=[native("packbits")]),
    Filter(codec_id="bytes", settings={"endian": "big"}, rivals=[byte_swap]),
    Filter(codec_id="transpose", settings={"order": [1, 0]}, rivals=[transposition]),
    Filter(codec_id="identity"),
    Filter(
        codec_id="page-split", cut=page, settings=dict.fromkeys((f"{n}_length" for n in LEVELS), 0)
    ),
    *(
        Checksum(codec_id=codec_id, rivals=[native(codec_id)])
        for codec_id in ("adler32", "crc32", "crc32c", "fletcher32")
    ),
    *(
        Tiff(codec_id="tiff-predictor-2", kind=kind, label=kind, rivals=[image_rows("delta")])
        for kind in ("uint8", "uint16")
    ),
    Tiff(codec_id="tiff-predictor-3", kind="float32", rivals=[image_rows("floatpred")]),
    Tiff(codec_id="tiff-lzw", rivals=[images("lzw")]),
    Tiff(codec_id="tiff-packbits", rivals=[images("packbits")]),
]


def cases_of(signature: Signature) -> list[Case]:
    """Return the cases of a codec; a default one, without a rival, when there are none."""
    found = [case for case in CASES if case.codec_id == signature.codec_id]
    return found or [Case(codec_id=signature.codec_id, family="others", kind="uint16")]
