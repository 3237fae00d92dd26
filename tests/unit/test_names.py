import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.names import implementation_of, is_codec_name, is_version, is_wire_name, version_key

HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "/a",
    "C:a",
    "a..b",
    "a.",
    ".a",
    "-a",
    "a-",
    "_a",
    "a ",
    " a",
    "a\0",
    "a\0b",
    "a\n",
    "a\u2028",
    "é",
    "ａ",  # noqa: RUF001 - a full-width letter
    "٣",
    "a@b",
    "a:b",
    "a*",
    "~a",
    "$a",
    "a" * 129,
    "con",
    "CON",
    "nul.wasm",
    "Aux.1",
    "prn",
    "com1",
    "LPT9",
    "com1.tar.gz",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_not_safe_as_a_file_name_is_refused(name: str) -> None:
    assert not is_codec_name(name)


@pytest.mark.parametrize("name", [None, 1, b"zlib", ["zlib"], True])
def test_a_name_is_text(name: object) -> None:
    assert not is_codec_name(name)
    assert not is_wire_name(name)
    assert not is_version(name)


@pytest.mark.parametrize(
    "name", ["a", "7", "zlib", "zlib-rs", "a.b_c+d-e", "A1", "a" * 128, "console", "com10", "lpt0"]
)
def test_a_plain_name_is_a_codec_name(name: str) -> None:
    assert is_codec_name(name)


@pytest.mark.parametrize("name", ["a", "_", "_a", "a-", "a_b-c9", "A" * 64])
def test_a_plain_name_is_a_wire_name(name: str) -> None:
    assert is_wire_name(name)


@pytest.mark.parametrize(
    "name", ["", "a.b", "9a", "-a", "a b", "a\n", "a/b", "é", "A" * 65, "a\0", "input.x"]
)
def test_a_name_that_is_ambiguous_in_wiring_is_refused(name: str) -> None:
    assert not is_wire_name(name)


@given(st.text(max_size=12))
def test_every_codec_name_is_one_plain_path_component(name: str) -> None:
    if is_codec_name(name):
        assert name.isascii()
        assert name[0].isalnum()
        assert name[-1].isalnum()
        assert not set(name) & set('/\\:@*?"<>|\0 \n')
        assert ".." not in name


# From https://semver.org: the second column of its own test suite, and some edges.
@pytest.mark.parametrize(
    "version",
    [
        "0.0.4",
        "1.2.3",
        "10.20.30",
        "1.1.2-prerelease+meta",
        "1.1.2+meta",
        "1.1.2+meta-valid",
        "1.0.0-alpha",
        "1.0.0-alpha.beta.1",
        "1.0.0-alpha0.valid",
        "1.0.0-alpha.0valid",
        "1.0.0-rc.1+build.123",
        "1.2.3-SNAPSHOT-123",
        "2.0.1-alpha.1227",
        "1.0.0-alpha+beta",
        "1.2.3----RC-SNAPSHOT.12.9.1--.12+788",
        "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
        "1.0.0-0A.is.legal",
        "1.0.0-0",
        "1.0.0+001",
    ],
)
def test_a_semantic_version_is_a_version(version: str) -> None:
    assert is_version(version)


@pytest.mark.parametrize(
    "version",
    [
        "",
        "1",
        "1.2",
        "1.2.3-0123",
        "1.2.3-0123.0123",
        "1.1.2+.123",
        "+invalid",
        "-invalid",
        "alpha",
        "1.0.0-alpha_beta",
        "1.0.0-alpha.",
        "1.0.0-alpha..1",
        "01.1.1",
        "1.01.1",
        "1.1.01",
        "1.2.3.DEV",
        "1.2-SNAPSHOT",
        "-1.0.3-gamma+b7718",
        "9.8.7+meta+meta",
        "v1.0.0",
        " 1.0.0",
        "1.0.0\n",
        "1.0.0-",
        "1.0.0+",
        "٣.0.0",
        "1.0.0/..",
        "1000000000.0.0",
        "1.0.0-" + "a" * 59,
    ],
)
def test_other_text_is_not_a_version(version: str) -> None:
    assert not is_version(version)


def test_versions_sort_as_the_specification_says() -> None:
    # Semantic Versioning 2.0.0, section 11, with what has no version before everything.
    ordered = [
        "",
        "1.0.0-9",
        "1.0.0-10",
        # Longer than Python makes a number of.
        "1.0.0-1" + "0" * 5000,
        "1.0.0-1" + "0" * 4999 + "1",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0",
        "2.1.0",
        "2.1.1",
        "10.0.0",
    ]
    for lower, higher in itertools.combinations(ordered, 2):
        assert version_key(lower) < version_key(higher), (lower, higher)


def test_builds_do_not_count_in_the_order() -> None:
    assert version_key("1.0.0+a") == version_key("1.0.0+b") == version_key("1.0.0")


identifiers = st.from_regex(
    r"(0|[1-9][0-9]{0,3}|[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3})", fullmatch=True
)
numbers = st.integers(0, 12)
versions = st.builds(
    lambda core, pre, build: (
        ".".join(map(str, core))
        + ("-" + ".".join(pre) if pre else "")
        + ("+" + ".".join(build) if build else "")
    ),
    st.tuples(numbers, numbers, numbers),
    st.lists(identifiers, max_size=3),
    st.lists(identifiers, max_size=1),
)


@given(versions, versions, versions)
def test_the_order_of_versions_is_total_and_consistent(a: str, b: str, c: str) -> None:
    assert all(map(is_version, (a, b, c)))
    x, y, z = map(version_key, (a, b, c))
    assert (x < y) + (x == y) + (x > y) == 1
    if x <= y <= z:
        assert x <= z
    assert version_key("") < x
    if x == y:
        assert a.partition("+")[0] == b.partition("+")[0]


@pytest.mark.parametrize(
    ("file", "implementation"),
    [
        ("zlib-rs.wasm", "zlib-rs"),
        ("/a/b.c/zlib-rs@1.0.0.core.wasm", "zlib-rs"),
        ("a\\zlib.component.wasm", "zlib"),
        ("https://host/zlib.wasm?x=/y.wasm#blake3=00", "zlib"),
        ("file:///zlib%20rs.wasm", ""),
        ("oci://host/codecs/zlib-rs:1.0.0", ""),
        ("a b.wasm", ""),
        (".core.wasm", ""),
        ("@1.wasm", ""),
        ("", ""),
    ],
)
def test_a_files_name_may_name_an_implementation(file: str, implementation: str) -> None:
    assert implementation_of(file) == implementation
