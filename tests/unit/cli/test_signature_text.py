from typing import Any

import pytest

from chonkle.cli.signature_text import described
from chonkle.formats.signature import Signature


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def rows_of(**fields: Any) -> list[tuple[str, str]]:
    document = {
        "codec_id": "echo",
        "implementation": "echo-a",
        "inputs": {},
        "outputs": {},
        **fields,
    }
    return described(Signature.from_json(document))


def test_the_fields_of_a_signature_are_rows() -> None:
    assert rows_of(
        source="https://example.org/echo",
        license="MIT",
        description="Gives it back",
        version="1.2.0",
        aliases={"zarr_v3": ["echo", "x.echo"], "zarr_v2": [], "tiff_compression": [8]},
        deterministic=True,
    ) == [
        ("description", "Gives it back"),
        ("version", "1.2.0"),
        ("license", "MIT"),
        ("source", "https://example.org/echo"),
        ("aliases", "zarr_v3: echo, x.echo"),
        ("", "tiff_compression: 8"),
    ]


@pytest.mark.parametrize("nothing", [None, "", {}, [], " \n"])
def test_an_empty_field_has_no_row(nothing: object) -> None:
    assert rows_of() == []
    fields = ("description", "license", "source", "aliases")
    assert rows_of(**dict.fromkeys(fields, nothing)) == []


def test_a_long_text_takes_several_rows() -> None:
    rows = rows_of(description="many words " * 40, license="L" * 300)
    assert [name for name, _ in rows] == ["description", *[""] * 7, "license"]
    assert max(len(text) for name, text in rows if name != "license") <= 60


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"description": 7}, [("description", "7")]),
        ({"license": ["MIT", "0BSD"]}, [("license", '["MIT", "0BSD"]')]),
        ({"description": "a\n\tb\x1b[2J"}, [("description", "a b\\x1b[2J")]),
        ({"aliases": "echo"}, [("aliases", "echo")]),
        ({"aliases": {"a\nb": {"c": None}}}, [("aliases", 'a b: {"c": null}')]),
    ],
)
def test_a_field_is_any_json(fields: dict[str, object], expected: list[tuple[str, str]]) -> None:
    assert rows_of(**fields) == expected


def test_a_field_may_be_very_long() -> None:
    rows = rows_of(description="x " * 500_000, aliases={"zarr_v3": ["x"] * 500_000})
    assert sum(len(text) for _, text in rows) < 5000
