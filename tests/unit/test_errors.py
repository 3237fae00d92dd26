import inspect
import pickle

import pytest

from chonkle import errors
from chonkle.errors import ChonkleError, PipelineError, list_choices, suggest

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, ChonkleError)
]


def test_every_error_of_the_tree_is_here() -> None:
    assert {each.__name__ for each in CLASSES} >= {
        "ChonkleError",
        "PipelineError",
        "SignatureError",
        "WasmFormatError",
        "PortMapError",
        "ResolveError",
        "StoreError",
        "FetchError",
        "DigestMismatchError",
        "CodecError",
        "CodecTrap",
        "LimitExceeded",
        "CacheError",
        "BuildError",
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_pickling_between_processes(kind: type[ChonkleError]) -> None:
    error = kind("what", expected="this", got="that", hint="do")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copied = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
        assert type(copied) is kind
        assert str(copied) == str(error) == "what, expected this, got that; hint: do"


@pytest.mark.parametrize("kind", CLASSES)
def test_context_goes_before_the_message_and_keeps_the_class(kind: type[ChonkleError]) -> None:
    error = kind("what", hint="do").within("inner").within("outer")
    assert type(error) is kind
    assert str(error) == "outer: inner: what; hint: do"


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.PipelineError, ValueError),
        (errors.SignatureError, ValueError),
        (errors.WasmFormatError, ValueError),
        (errors.PortMapError, ValueError),
        (errors.ResolveError, LookupError),
        (errors.CodecError, RuntimeError),
        (errors.DigestMismatchError, errors.FetchError),
    ],
)
def test_an_error_is_also_what_users_expect(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, base)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "what"),
        ({"expected": "a"}, "what, expected a"),
        ({"got": "b"}, "what, got b"),
        ({"hint": "c"}, "what; hint: c"),
        ({"expected": "a", "hint": "c"}, "what, expected a; hint: c"),
    ],
)
def test_a_message_has_the_parts_that_are_given(words: dict[str, str], message: str) -> None:
    assert str(ChonkleError("what", **words)) == message


def test_one_problem_is_on_the_first_line() -> None:
    error = PipelineError.from_problems("pipeline `p`", ["a is wrong"])
    assert str(error) == "pipeline `p`: a is wrong"
    assert error.problems == ("a is wrong",)


def test_several_problems_are_listed_and_kept() -> None:
    error = PipelineError.from_problems("pipeline `p`", iter(["a", "b"]))
    assert str(error) == "pipeline `p` has 2 problems:\n  - a\n  - b"
    for copied in (error, error.within("x"), pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert isinstance(copied, PipelineError)
        assert copied.problems == ("a", "b")
    assert PipelineError("plain").problems == ()


@pytest.mark.parametrize(
    ("words", "displayed"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("two\nlines\r", r"two\nlines\r"),
        ("turned \u202eround", r"turned \u202eround"),
        ("caf\u00e9 \u65e5\u672c", "caf\u00e9 \u65e5\u672c"),
    ],
)
def test_text_from_elsewhere_becomes_one_printable_line(words: str, displayed: str) -> None:
    for error in (
        ChonkleError(words),
        ChonkleError("x", expected=words, got=words, hint=words),
        ChonkleError("x").within(words),
    ):
        assert displayed in str(error)
        assert "\x1b" not in str(error)
        assert "\n" not in str(error)


def test_a_long_text_loses_its_middle_and_a_long_list_its_end() -> None:
    error = ChonkleError("begin" + "x" * 1_000_000 + "end")
    assert str(error).startswith("begin")
    assert str(error).endswith("end")
    assert len(str(error)) < 3000
    many = PipelineError.from_problems("x", [f"problem {index}" for index in range(10_000)])
    assert str(many).count("\n") == 51
    assert str(many).endswith("and 9950 more")
    assert len(many.problems) == 10_000


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://h/a.wasm?token=s3cret, expected", "https://h/a.wasm?..., expected"),
        ("`https://h/a?t=s3cret#blake3=00`", "`https://h/a?...#blake3=00`"),
        ("HTTP://me:s3cret@h:1/a", "HTTP://h:1/a"),
        (
            "oci://me:s3cret@h/a:1@sha256:00 and https://h?s3cret",
            "oci://h/a:1@sha256:00 and https://h?...",
        ),
        ("oci://h/a@sha256:00", "oci://h/a@sha256:00"),
        ("oci-layout://a@sha256:00", "oci-layout://a@sha256:00"),
        ("https://h/a: why?", "https://h/a: why?"),
    ],
)
def test_a_message_has_no_secrets_of_urls(text: str, safe: str) -> None:
    for error in (
        ChonkleError(text),
        ChonkleError("x", expected=text, got=text, hint=text),
        ChonkleError("x").within(text),
    ):
        assert safe in str(error)
        assert "s3cret" not in str(error)


def test_choices_name_a_few() -> None:
    assert list_choices([]) == "there is none"
    assert list_choices(["a", "b"]) == "there is `a`, `b`"
    assert list_choices([str(index) for index in range(1000)]).endswith(" and 988 more")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("zlip", "did you mean `zlib`?"),
        ("ZLIB", "did you mean `zlib`?"),
        ("--zlib", "did you mean `zlib`?"),
        ("lz", "did you mean `lz4`?"),
        ("frobnicate", "look"),
        ("", "look"),
        ("x" * 1_000_000, "look"),
    ],
)
def test_a_suggestion_names_what_is_similar(name: str, hint: str) -> None:
    assert suggest(name, ["zlib", "lz4", "--level", "--label"], otherwise="look") == hint
    assert suggest(name, [], otherwise="look") == "look"


def test_an_option_is_similar_by_more_than_its_dashes() -> None:
    assert suggest("--colour", ["--source", "--json"]) == ""
    assert suggest("--lble", ["--level", "--label"]) == "did you mean `--label`?"
    assert suggest("zlip", ["zlib", "gzip", "lz4"]) == "did you mean `zlib`, `gzip`?"
