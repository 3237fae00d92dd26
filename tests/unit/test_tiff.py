"""GeoTIFFs that tifffile wrote, read by async-tiff with chonkle's codecs."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from async_tiff import TIFF, DecoderRegistry, ThreadPool
from numpy.typing import NDArray
from obstore.store import LocalStore

from chonkle.backends.base import Limits
from chonkle.codecs import codec
from chonkle.errors import PipelineError, ResolveError
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime
from chonkle.tiff import decoder_registry

SIDE = 64
# GeoTIFF 1.1: cells of a sixtieth of a degree from 84 degrees west and 37 north on, in WGS 84.
KEYS = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)
GEOTIFF_TAGS = [
    (33550, "d", 3, (1 / 60, 1 / 60, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, -84.0, 37.0, 0.0), True),
    (34735, "H", len(KEYS), KEYS, True),
]
COMPRESSIONS = ("zlib", "deflate", "lzw", "zstd", "lzma", "packbits")
NUMBERS = (5, 8, 32773, 32946, 34925, 34926, 50000, 50013)


def write(path: Path, image: NDArray[Any], compression: str, **options: Any) -> None:
    tifffile.imwrite(
        path,
        image,
        tile=(SIDE, SIDE),
        compression=compression,
        metadata=None,
        photometric="minisblack",
        planarconfig="contig",
        extratags=GEOTIFF_TAGS,
        **options,
    )


def read(path: Path, registry: DecoderRegistry, *, is_geotiff: bool = True) -> NDArray[Any]:
    """Read all tiles of the first image, in threads of async-tiff."""

    async def tiles() -> NDArray[Any]:
        tiff = await TIFF.open(path.name, store=LocalStore(path.parent))
        image, pool = tiff.ifd(0), ThreadPool(2)
        assert image.tile_count is not None
        if is_geotiff:
            assert image.geo_key_directory is not None
            assert image.geo_key_directory.geographic_type == 4326
        across, down = image.tile_count
        places = [(column, row) for row in range(down) for column in range(across)]
        found = await image.fetch_tiles(places)
        decoded = [await each.decode(decoder_registry=registry, pool=pool) for each in found]
        rows = [
            np.hstack([np.asarray(each) for each in decoded[row * across :][:across]])
            for row in range(down)
        ]
        return np.vstack(rows)[: image.image_height, : image.image_width]

    return asyncio.run(tiles())


def image_of(dtype: str, bands: int = 1) -> NDArray[Any]:
    """Give a hill with some noise, whose sides are no multiples of a tile's."""
    rows, columns, band = np.mgrid[:100, :130, :bands]
    noise = np.random.default_rng(3).normal(size=rows.shape)
    hill = 100 * np.exp(-(((rows - 40) / 30) ** 2) - ((columns - 70) / 40) ** 2)
    image: NDArray[Any] = (hill + 10 * band + noise).clip(0).astype(dtype)
    return image


@pytest.fixture(scope="module")
def registry() -> DecoderRegistry:
    return decoder_registry()


@pytest.mark.parametrize(
    ("dtype", "predictor"),
    [("|u1", 1), ("<u2", 2), (">u2", 2), ("<i4", 2), ("<f4", 3), (">f4", 3), (">f8", 3)],
)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_images_are_what_tifffile_reads(
    tmp_path: Path, registry: DecoderRegistry, compression: str, dtype: str, predictor: int
) -> None:
    path = tmp_path / "image.tif"
    for bands in (1, 3):
        image = image_of(dtype, bands)
        write(
            path,
            image,
            compression,
            byteorder=">" if dtype[0] == ">" else "<",
            predictor=predictor if predictor > 1 else None,
        )
        expected = tifffile.imread(path).reshape(image.shape)
        found = read(path, registry)
        assert found.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected)


def test_compressions_are_those_of_the_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[int, Callable[..., bytes]] = {}
    monkeypatch.setattr("chonkle.tiff.DecoderRegistry", given.update)
    decoder_registry()
    assert sorted(given) == sorted(NUMBERS)
    data = bytes(range(256)) * 9
    for number, decode in given.items():
        assert decode(buffer=codec(number).encode(data)) == data


def test_another_codec_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write(path, image_of("u1"), "zlib")
    wrong = decoder_registry({8: "gzip"})
    with pytest.raises(ValueError, match=r"TIFF compression 8: codec `gzip`"):
        read(path, wrong)
    right = decoder_registry({8: codec("zlib", trailing="refuse")}, backend="component")
    np.testing.assert_array_equal(read(path, right), image_of("u1"))


def test_the_codecs_are_those_of_a_runtime(
    tmp_path: Path, open_runtime: Callable[..., Runtime]
) -> None:
    path = tmp_path / "image.tif"
    write(path, image_of("u1"), "zlib")
    with open_runtime(cache=tmp_path / "cache") as runtime:
        read(path, decoder_registry(runtime=runtime))
        assert runtime.counts.compiled == 1


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd"])
def test_a_corrupt_tile_is_an_error(
    tmp_path: Path, registry: DecoderRegistry, compression: str
) -> None:
    path = tmp_path / "image.tif"
    write(path, image_of("u2"), compression, predictor=2)
    with tifffile.TiffFile(path) as tiff:
        offset, size = tiff.pages.first.dataoffsets[1], tiff.pages.first.databytecounts[1]
        number = int(tiff.pages.first.compression)
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"TIFF compression {number}: codec .* decode: port"):
        read(path, registry)


def test_limits_hold(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write(path, image_of("u2"), "zlib")
    limited = decoder_registry(limits=Limits(output_bytes=1000))
    with pytest.raises(ValueError, match=r"expected at most 1000 bytes, got 8192"):
        read(path, limited)


@pytest.mark.parametrize(
    ("compression", "number"),
    [("jpeg", 7), ("lerc", 34887), ("jpeg2000", 34712), ("webp", 50001), ("png", 34933)],
)
def test_strict_refuses_what_only_async_tiff_decodes(
    tmp_path: Path, registry: DecoderRegistry, compression: str, number: int
) -> None:
    path, image = tmp_path / "image.tif", image_of("u1", 3)
    tifffile.imwrite(path, image, tile=(SIDE, SIDE), photometric="rgb", compression=compression)
    if compression == "png":
        with pytest.raises(ValueError, match="is unsupported"):
            read(path, registry, is_geotiff=False)
    else:
        assert read(path, registry, is_geotiff=False).shape == image.shape
    with pytest.raises(ValueError, match=rf"TIFF compression {number}: no codec of chonkle has"):
        read(path, decoder_registry(strict=True), is_geotiff=False)


def test_strict_reads_what_chonkle_decodes(tmp_path: Path) -> None:
    path, image, strict = tmp_path / "image.tif", image_of("u2"), decoder_registry(strict=True)
    for compression in ("none", *COMPRESSIONS):
        write(path, image, compression, predictor=None if compression == "none" else 2)
        np.testing.assert_array_equal(read(path, strict), image)


def test_mistakes_are_found_before_a_tile_is_read() -> None:
    with pytest.raises(ResolveError, match="zlip"):
        decoder_registry({8: "zlip"})
    with pytest.raises(PipelineError, match="unknown backend"):
        decoder_registry(backend="fast")  # type: ignore[arg-type]
    with pytest.raises(ResolveError, match="leaves no backend"):
        decoder_registry(resolver=Resolver(preference=["native"]))
