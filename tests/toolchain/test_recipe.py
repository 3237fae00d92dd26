"""Recipes: good ones parse, and every bad one is a `BuildError` of one line."""

import json
import os
import sys
from importlib import resources
from pathlib import Path

import pytest
from chonkle_toolchain.recipe import find_recipes, read_recipe, source_files
from chonkle_toolchain.signature_fields import misspelt

from chonkle.errors import BuildError

SIGNATURE = {
    "codec_id": "double",
    "implementation": "double-c",
    "version": "1.2.3",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": {"type": "bytes"}},
}
SCHEMA = "schemas/signature.schema.json"
C_RECIPE = 'language = "c"\nsources = ["codec.c"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder of a good C codec."""
    return write_codec(tmp_path, "double-c")


def write_codec(parent: Path, name: str, **changes: object) -> Path:
    folder = parent / name
    folder.mkdir()
    (folder / "codec.toml").write_text(C_RECIPE)
    (folder / "codec.c").write_text("/* nothing */\n")
    signature = {**SIGNATURE, "implementation": name, **changes}
    (folder / "signature.json").write_text(json.dumps(signature))
    return folder


def test_a_good_recipe(folder: Path) -> None:
    (folder / "codec.toml").write_text(C_RECIPE + "flags = ['-DX=1']\nstack_size_bytes = 1024\n")
    recipe = read_recipe(folder)
    assert (recipe.name, recipe.language, recipe.sources) == ("double-c", "c", ("codec.c",))
    assert (recipe.flags, recipe.stack_size_bytes) == (("-DX=1",), 1024)
    assert recipe.artifact("core") == "double/double-c@1.2.3.core.wasm"


def test_defaults_are_those_of_ports_that_may_be_left_out(tmp_path: Path) -> None:
    inputs = {
        "bytes": {"type": "bytes"},
        "level": {"type": "int", "required": False, "default": 0},
        "shape": {"type": "uint[]", "required": False, "default": [3, 4]},
        "text": {"type": "string", "required": False, "default": '"é\n'},
        "strict": {"type": "bool", "required": False, "default": False},
        "optional": {"type": "int", "required": False},
        "none": {"type": "int", "required": False, "default": None},
        "required": {"type": "int", "default": 1},
    }
    outputs = {
        "bytes": {"type": "bytes"},
        "count": {"type": "uint", "required": False, "default": 7},
    }
    folder = write_codec(tmp_path, "defaults-c", inputs=inputs, outputs=outputs)
    assert read_recipe(folder).defaults.splitlines() == [
        "count 7",
        "level 0",
        "shape [3,4]",
        r'text "\"\u00e9\n"',
        "strict false",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("language = ", "malformed TOML"),
        ("", "bad `language`"),
        ('language = "go"', "bad `language`"),
        ('language = "c"', "no `sources`"),
        ('language = "c"\nsources = "codec.c"', "bad `sources`"),
        ('language = "c"\nsources = ["other.c"]', "no file `other.c`"),
        ('language = "c"\nsources = ["../codec.c"]', "lies outside"),
        ('language = "c"\nsources = ["/codec.c"]', "lies outside"),
        (C_RECIPE + 'include = ["../../shared"]', "neither in the codec's folder nor beside it"),
        (C_RECIPE + 'include = [".."]', "neither in the codec's folder nor beside it"),
        (C_RECIPE + 'include = ["../missing"]', "no folder `../missing`"),
        (C_RECIPE + "optimise = true", "unknown field `optimise`"),
        (C_RECIPE + "stack_size_bytes = 0", "bad `stack_size_bytes`"),
        (C_RECIPE + "stack_size_bytes = true", "bad `stack_size_bytes`"),
        (C_RECIPE + "c_in_crates = true", "unknown field `c_in_crates`"),
        ('language = "rust"\nc_in_crates = 1', "bad `c_in_crates`"),
        (C_RECIPE + f"stack_size_bytes = {1 << 31}", "bad `stack_size_bytes`"),
        ('language = "c"\nsources = [""]', "bad `sources`"),
        ('language = "c"\nsources = ["co\\u0000dec.c"]', "bad `sources`"),
        ('language = "c"\nsources = ["."]', "no file `.`"),
        (C_RECIPE + 'include = ["\\u0000"]', "bad `include`"),
        (C_RECIPE + 'flags = ["-DX=\\u0000"]', "bad `flags`"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        (f"language = {'1' * 5000}", "malformed TOML"),
        ("#" * (5 << 20), "more than the allowed 4194304 bytes"),
        ('language = "rust"', "no file `Cargo.toml`"),
    ],
)
def test_a_bad_recipe(folder: Path, text: str, said: str) -> None:
    (folder / "codec.toml").write_text(text)
    with pytest.raises(BuildError, match=said) as caught:
        read_recipe(folder)
    assert "\n" not in str(caught.value)
    assert str(folder / "codec.toml") in str(caught.value)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_signature_without_ports_is_refused(tmp_path: Path, side: str) -> None:
    folder = write_codec(tmp_path, "double-c", **{side: {}})
    with pytest.raises(
        BuildError, match=rf"signature\.json: `{side}` is empty, expected the ports"
    ):
        read_recipe(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are POSIX's")
@pytest.mark.parametrize("name", ["codec.toml", "signature.json", "codec.c", "Cargo.toml"])
def test_what_has_no_end_is_not_read(folder: Path, name: str) -> None:
    if name == "Cargo.toml":
        write_crate(folder, "")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BuildError, match=r"not a regular file|no file `codec\.c`"):
        read_recipe(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(BuildError, match=r"not a regular file|lies outside"):
        read_recipe(folder)


def test_a_recipe_that_is_not_text(folder: Path) -> None:
    (folder / "codec.toml").write_bytes(b"a\xff")
    with pytest.raises(BuildError, match=r"not UTF-8 text \(byte 1\)"):
        read_recipe(folder)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../../shared", "neither in the codec's folder nor beside it"),
        ("..", "neither in the codec's folder nor beside it"),
        ("../missing", "no folder `../missing`"),
    ],
)
def test_a_bad_crate(folder: Path, path: str, said: str) -> None:
    write_crate(folder, f"[dependencies]\nshared = {{ path = '{path}' }}")
    with pytest.raises(BuildError, match=said):
        read_recipe(folder)


@pytest.mark.parametrize(
    ("manifest", "crates"),
    [
        ("", ()),
        ("dependencies = 1", ()),
        ("[dependencies]\nother = '1'\nanother = { version = '1' }\nodd = { path = 1 }", ()),
        ("[dependencies]\nchonkle-codec = { path = '../../sdk' }\nown = { path = 'own' }", ()),
        ("[dependencies]\nshared = { path = '../shared' }", ("../shared",)),
    ],
)
def test_shared_crates(folder: Path, manifest: str, crates: tuple[str, ...]) -> None:
    (folder.parent / "shared").mkdir()
    write_crate(folder, manifest)
    assert read_recipe(folder).shared == crates


def test_crates_of_shared_crates(folder: Path) -> None:
    manifests = {
        "one": "[dependencies]\nchonkle-codec = { path = '../sdk' }\n"
        "[build-dependencies]\ntwo = { path = '../two' }",
        "two": "[dependencies]\none = { path = '../one' }",
    }
    for name, manifest in manifests.items():
        (folder.parent / name).mkdir()
        (folder.parent / name / "Cargo.toml").write_text(manifest)
    write_crate(folder, "[dependencies]\none = { path = '../one' }")
    assert read_recipe(folder).shared == ("../one", "../two")


def test_headers_of_a_crate(folder: Path) -> None:
    (folder.parent / "headers").mkdir()
    write_crate(folder, "")
    (folder / "codec.toml").write_text('language = "rust"\ninclude = ["../headers"]')
    assert read_recipe(folder).shared == ("../headers",)


def test_a_malformed_manifest(folder: Path) -> None:
    write_crate(folder, "[")
    with pytest.raises(BuildError, match=r"Cargo\.toml: malformed TOML"):
        read_recipe(folder)


def write_crate(folder: Path, manifest: str) -> None:
    (folder / "codec.toml").write_text('language = "rust"')
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "Cargo.lock").write_text("")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": ""}, "no `version`"),
        ({"codec_id": "../double"}, "bad `codec_id`"),
        ({"inputs": []}, "bad `inputs`"),
        (
            {"inputs": {"bytes": {"type": "bytes", "requierd": False}}},
            "input port `bytes`: unknown field `requierd`; hint: there is `type`, `required`, `de",
        ),
        (
            {"outputs": {"bytes": {"type": "bytes", "defualt": 1}}},
            "output port `bytes`: unknown field `defualt`; hint: there is `type`",
        ),
        ({"deterministic": "yes"}, 'bad `deterministic`, expected a boolean, got `"yes"`'),
        ({"lossless": 1}, "bad `lossless`, expected a boolean, got `1`"),
        (
            {"encoded_size": {"kind": "fixd"}},
            "bad `encoded_size`, expected an object with `kind`, one of fixed, bounded, unbounded",
        ),
        ({"encoded_size": "fixed"}, "bad `encoded_size`, expected an object with `kind`"),
    ],
)
def test_a_bad_signature(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    folder = write_codec(tmp_path, "double-c", **changes)
    with pytest.raises(BuildError, match=said) as caught:
        read_recipe(folder)
    assert "\n" not in str(caught.value)


def test_a_misspelt_field_is_guessed_and_another_one_kept(tmp_path: Path) -> None:
    own = {"determinstic": True, "licence": "MIT", "x-team": "ours"}
    signature = read_recipe(write_codec(tmp_path, "double-c", **own)).signature
    assert own.items() <= signature.document.items()
    assert [*misspelt(signature)] == [
        "unknown field `determinstic` in the signature: did you mean `deterministic`?",
        "unknown field `licence` in the signature: did you mean `license`?",
    ]


def test_every_field_of_the_schema_is_known(tmp_path: Path) -> None:
    schema = json.loads((resources.files("chonkle.formats") / SCHEMA).read_text("utf-8"))
    values = {
        "$schema": "words",
        "description": "words",
        "license": "words",
        "source": "words",
        "deterministic": True,
        "lossless": True,
        "encoded_size": {"kind": "bounded", "formula": "bytes"},
        "kind": "array-to-array",
        "partial_decode": "none",
        "concurrency": 1,
        "identity": [{"level": 0}],
        "aliases": {"zarr_v3": ["words"]},
    }
    kept = {"codec_id", "implementation", "version", "inputs", "outputs"}
    assert values.keys() | kept == schema["properties"].keys()
    level = {"type": "int", "required": False, "parameter": True, "minimum": 0, "maximum": 9}
    level |= {"clamp": True, "choices": [0, 9], "values": {"low": 0}, "from_array": "itemsize"}
    level |= {"default": 9, "encode_only": True, "decode_only": False, "description": "words"}
    text = {"type": "string", "json_text": True}
    data = {"type": "bytes", "array": {"byte_order": "little"}}
    known = schema["$defs"]["port"]["properties"].keys()
    assert {*level, *text, *data} == {*known}
    inputs = {"bytes": {"type": "bytes"}, "level": level, "text": text}
    folder = write_codec(tmp_path, "double-c", **values, inputs=inputs, outputs={"bytes": data})
    assert not [*misspelt(read_recipe(folder).signature)]


def test_missing_files(folder: Path) -> None:
    (folder / "signature.json").unlink()
    with pytest.raises(BuildError, match="no file"):
        read_recipe(folder)
    with pytest.raises(BuildError, match="no folder"):
        find_recipes(folder / "nowhere")
    (folder / "codec.toml").unlink()
    with pytest.raises(BuildError, match=r"no codec in .*hint: `chonkle new` begins one"):
        find_recipes(folder)


def test_a_codec_s_own_folder_may_have_any_name(folder: Path) -> None:
    clone = folder.rename(folder.with_name("clone"))
    assert list(find_recipes(clone)) == ["double-c"]
    with pytest.raises(BuildError, match=r"differs from the folder's name.*expected `clone`"):
        find_recipes(clone.parent)


def test_what_builds_leave_is_no_source(folder: Path) -> None:
    before = list(source_files(folder))
    for name in ("build/c/x.o", "codec/double/x.wasm", "target/y", "vectors/z.json", ".git/config"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    assert list(source_files(folder)) == before
    (folder / "src/codec").mkdir(parents=True)
    (folder / "src/codec/table.h").write_bytes(b"")
    assert {*source_files(folder)} - {*before} == {Path("src/codec/table.h")}


def test_what_lies_beside_sources_is_none(folder: Path) -> None:
    (folder / "codec.toml").write_text("language = 'c'\nsources = ['codec.c', 'odd.source']\n")
    beside = ("encoded.bin", "NOTES.md", "Makefile", "p.json", "pipeline.json", "rustfmt.toml")
    sources = ("Cargo.toml", "build.rs", "odd.source", "table.h", "data/table.bin", "src/notes")
    for name in (*beside, *sources):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    found = {path.as_posix() for path in read_recipe(folder).files()}
    assert found == {"signature.json", "codec.c", *sources}


def test_recipes_are_found_by_name(tmp_path: Path) -> None:
    for name in ("double-rs", "double-c", "other-c"):
        write_codec(tmp_path, name)
    (tmp_path / "sdk").mkdir()
    assert list(find_recipes(tmp_path)) == ["double-c", "double-rs", "other-c"]
