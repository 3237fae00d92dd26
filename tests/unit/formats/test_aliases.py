import pytest

from chonkle.formats.aliases import aliases, codecs_named
from chonkle.formats.signature import Port, Signature


def signature(codec_id: str, written: object) -> Signature:
    port = {"bytes": Port("bytes")}
    return Signature(codec_id, codec_id, port, port, document={"aliases": written})


def test_names_are_those_of_a_scope_or_of_all_but_predictors() -> None:
    written = {"zarr_v3": ["a", "b.a"], "tiff_compression": [8], "tiff_predictor": [2]}
    found = signature("x", written)
    assert aliases(found) == {"a", "b.a", "8"}
    assert aliases(found, "zarr_v3") == {"a", "b.a"}
    assert aliases(found, "tiff_predictor") == {"2"}
    assert aliases(found, "zarr_v2") == set()


@pytest.mark.parametrize(
    "written", [3, None, "x", ["x"], {"zarr_v3": "x"}, {"zarr_v3": [None, True, 1.5, {"x": 1}]}]
)
def test_what_is_malformed_names_nothing(written: object) -> None:
    assert aliases(signature("y", written)) == set()


def test_each_codec_is_found_once() -> None:
    found = [signature(each, {"zarr_v2": ["x"]}) for each in ("b", "a", "b")]
    found.append(signature("c", {"zarr_v2": ["y"]}))
    assert codecs_named(found, "x") == ["a", "b"]
    assert codecs_named(found, "z") == []
