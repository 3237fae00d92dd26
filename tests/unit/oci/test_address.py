import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import FetchError
from chonkle.oci.address import Address, Host


@pytest.mark.parametrize(
    ("text", "host", "written"),
    [
        ("host", Host("host"), "host"),
        ("host:5000", Host("host", 5000), "host:5000"),
        ("HOST.Example:080", Host("host.example", 80), "host.example:80"),
        ("a_b-c.example", Host("a_b-c.example"), "a_b-c.example"),
        ("xn--bcher-kva.example", Host("xn--bcher-kva.example"), "xn--bcher-kva.example"),
        ("127.0.0.1:1", Host("127.0.0.1", 1), "127.0.0.1:1"),
        ("[::1]", Host("::1"), "[::1]"),
        ("[2001:DB8:0:0::1]:65535", Host("2001:db8::1", 65535), "[2001:db8::1]:65535"),
        ("1.example", Host("1.example"), "1.example"),
    ],
)
def test_a_host_is_read_and_written_in_one_way(text: str, host: Host, written: str) -> None:
    assert Host.parse(text) == host
    assert str(host) == written
    assert Host.parse(written) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", "host:", "host:0", "host:65536", "host:123456", "host:8o", "host:80:80"),
        *("host.", ".host", "a..b", "-a", "a-", "a b", "a/b", "a\\b", "a%2eb", "a\n", "\ta", "*"),
        *("bücher.example", "\uff25xample", "host:\uff18\uff10", "a\u200bb", "ⓔxample"),
        *("::1", "[::1", "[::1]x", "[::1%lo]", "[fe80::1%25eth0]", "[]", "[127.0.0.1]", "[::g]"),
        # What some read as 127.0.0.1, and others as a name.
        *(
            "127.1",
            "127.0.0.01",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "1.2.3.4.5",
            "256.0.0.1",
        ),
        *("a" * 64, ".".join(["a" * 60] * 5)),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(FetchError, match="malformed host"):
        Host.parse(text)


@pytest.mark.parametrize(
    "text", ["localhost:80@host", "user@host", "user:secret@host:80", "@host", "host@", "a@b@c"]
)
def test_user_information_is_refused_and_not_shown(text: str) -> None:
    for parse in (Host.parse, lambda host: Address.parse(f"https://{host}/path")):
        with pytest.raises(FetchError, match="user information") as caught:
            parse(text)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [
        *((text, True) for text in ("localhost", "LOCALHOST:80", "127.0.0.1", "127.9.9.9:5")),
        *((text, True) for text in ("[::1]:80", "[0:0::1]")),
        *((text, False) for text in ("localhost.example", "a.localhost", "10.0.0.1", "[::2]")),
        *((text, False) for text in ("127.0.0.1.example", "0.0.0.0", "[::]")),  # noqa: S104 - a host, and not to listen on
    ],
)
def test_loopback_is_told_from_the_rest(text: str, is_loopback: bool) -> None:  # noqa: FBT001 - a column of the table
    assert Host.parse(text).is_loopback == is_loopback


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://host", "https://host/"),
        ("HTTPS://HOST:443?q=1", "https://host/?q=1"),
        ("https://host:80/a", "https://host:80/a"),
        ("http://host:80/a#fragment", "http://host/a"),
        ("https://host/é a%20\\b?x=[1]&y=@:/", "https://host/%C3%A9%20a%20%5Cb?x=[1]&y=@:/"),
        ("https://[::1]:5/a", "https://[::1]:5/a"),
        ("https://host/a@b:80/", "https://host/a@b:80/"),
    ],
)
def test_an_address_is_read_and_written_in_one_way(text: str, written: str) -> None:
    address = Address.parse(text)
    assert str(address) == written
    assert Address.parse(written) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "host",
            "//host/a",
            "/a",
            "ftp://host/",
            "file:///etc/passwd",
            "https:/host",
            "https:",
        ),
        *("https:///a", "https://\\\\host/", "https://host\\@other/", "https://ho st/"),
        *("https://host/a\nb", "ht\ntps://host/", "https://host/\u202e", " https://host/", "\0"),
        *("https://[::1/", "https://host:80x/", "https://?a", "https://#a"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(FetchError):
        Address.parse(text)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("blob", "https://host/v2/blob"),
        ("/blob?a=b", "https://host/blob?a=b"),
        ("//other:8080/x", "https://other:8080/x"),
        ("http://host/", "http://host/"),
        ("?q", "https://host/v2/a?q"),
        ("../../../x", "https://host/x"),
        ("\\\\other/x", "https://host/v2/%5C%5Cother/x"),
        ("https:///x", "https://host/x"),
    ],
)
def test_a_redirect_leads_on_from_where_it_was(location: str, target: str) -> None:
    assert str(Address.parse("https://host/v2/a").joined(location)) == target


@pytest.mark.parametrize(
    "location", ["file:///x", "ht\ttps://other/", "//user@other/", "https://["]
)
def test_a_redirect_to_nowhere_is_refused(location: str) -> None:
    with pytest.raises(FetchError):
        Address.parse("https://host/v2/a").joined(location)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("host", "https://host"),
        ("host:443", "https://host"),
        ("host:80", "https://host:80"),
        ("localhost:80", "http://localhost"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("docker.io", "https://registry-1.docker.io"),
        ("index.docker.io:443", "https://registry-1.docker.io"),
    ],
)
def test_a_registry_has_one_address(host: str, origin: str) -> None:
    assert Address.of_registry(Host.parse(host)).origin == origin


def test_a_query_is_added_to_what_is_there() -> None:
    address = Address.parse("https://host/token?a=b")
    assert str(address.with_query({"c": "d e&f"})) == "https://host/token?a=b&c=d+e%26f"
    assert address.with_query({}) == address
    assert str(Address.parse("https://host/").with_query({"c": "1"})) == "https://host/?c=1"


@given(st.text(alphabet=st.sampled_from("ah.:/@[]?#%\\1-_ \n\0é"), max_size=20))
def test_whatever_is_read_is_written_so_that_it_is_read_again(text: str) -> None:
    try:
        address = Address.parse(f"https://{text}")
    except FetchError:
        return
    assert Address.parse(str(address)) == address
    assert str(address).isascii()
    assert "@" not in str(address.host)
