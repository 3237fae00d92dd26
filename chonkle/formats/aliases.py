"""Names that other libraries have for codecs: the field `aliases` of a signature.

    {"zarr_v3": ["numcodecs.zlib"], "numcodecs": ["zlib"], "tiff_compression": [8, 32946]}

A key is a *scope*: who uses the names. Numbers are names too, and may be written as text.
"""

from collections.abc import Iterable, Mapping

from chonkle.errors import SignatureError
from chonkle.formats.declared import read_aliases
from chonkle.formats.signature import Signature

# Its numbers mean other codecs than those of `tiff_compression`.
_ONLY_BY_SCOPE = "tiff_predictor"

# What TIFF's numbers stand for, where it may be asked for (TIFF 6.0, and the registry of libtiff).
TIFF_COMPRESSIONS: Mapping[int, str] = {
    1: "no compression",
    2: "CCITT modified Huffman",
    3: "CCITT Group 3 fax",
    4: "CCITT Group 4 fax",
    5: "LZW",
    6: "old-style JPEG",
    7: "JPEG",
    8: "Deflate",
    9: "JBIG on black and white",
    10: "JBIG on colour",
    32773: "PackBits",
    32946: "Deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL of DNG",
}


def aliases(signature: Signature, scope: str | None = None) -> set[str]:
    """Give the other names of a codec, as text.

    Args:
        signature: its signature; malformed names are none.
        scope: who uses the names, such as `zarr_v3`; None for every scope but `tiff_predictor`.
    """
    try:
        found = read_aliases(signature.document, what=signature.label)
    except SignatureError:
        return set()
    return {
        name
        for where, names in found.items()
        if (where != _ONLY_BY_SCOPE if scope is None else where == scope)
        for name in names
    }


def codecs_named(signatures: Iterable[Signature], name: str, scope: str | None = None) -> list[str]:
    """Give the ids of the codecs that have another name, sorted.

    Args:
        signatures: the codecs that there are.
        name: the name.
        scope: who uses it; None for every scope but `tiff_predictor`.
    """
    return sorted({each.codec_id for each in signatures if name in aliases(each, scope)})
