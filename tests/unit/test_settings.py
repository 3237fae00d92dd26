import os
import sys
from pathlib import Path

import pytest

from chonkle.cache.layers import CacheConfig
from chonkle.cache.record import Authenticator
from chonkle.errors import CacheError, ChonkleError, PolicyError
from chonkle.limits import CompileLimits
from chonkle.settings import Settings, parse_size

HOME = Path("/home/user")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", staticmethod(lambda: HOME))


@pytest.mark.parametrize(
    ("platform", "variables", "cache", "store"),
    [
        ("linux", {}, HOME / ".cache/chonkle", HOME / ".local/share/chonkle/codecs"),
        (
            "linux",
            {"XDG_CACHE_HOME": "/c", "XDG_DATA_HOME": "/d"},
            Path("/c/chonkle"),
            Path("/d/chonkle/codecs"),
        ),
        (
            "linux",
            {"XDG_CACHE_HOME": "relative", "XDG_DATA_HOME": ""},
            HOME / ".cache/chonkle",
            HOME / ".local/share/chonkle/codecs",
        ),
        (
            "darwin",
            {"XDG_CACHE_HOME": "/c"},
            HOME / "Library/Caches/chonkle",
            HOME / "Library/Application Support/chonkle/codecs",
        ),
        ("win32", {}, HOME / "AppData/Local/chonkle", HOME / "AppData/Local/chonkle/codecs"),
        ("win32", {"LOCALAPPDATA": "/l"}, Path("/l/chonkle"), Path("/l/chonkle/codecs")),
        ("linux", {"CHONKLE_CACHE_DIR": "/a", "CHONKLE_CODEC_STORE": "b"}, Path("/a"), Path("b")),
        (
            "win32",
            {"CHONKLE_CACHE_DIR": "", "CHONKLE_CODEC_STORE": "/b"},
            HOME / "AppData/Local/chonkle",
            Path("/b"),
        ),
    ],
)
def test_directories_are_where_the_platform_has_them(
    platform: str,
    variables: dict[str, str],
    cache: Path,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    settings = Settings.from_environment(variables)
    assert settings.cache.root == cache
    assert settings.codec_store == store


def test_everything_else_has_a_default() -> None:
    settings = Settings.from_environment({})
    assert not settings.force_download
    assert settings.cache == CacheConfig(settings.cache.root)
    assert settings.cache.mode == "auto"
    assert settings.cache.system is None
    assert not settings.cache.authenticator.is_keyed
    assert settings.cache.size_max_bytes == 2 << 30
    assert settings.prepared_calls
    assert settings.compile_limits == CompileLimits(timeout_s=120.0, memory_bytes=3 << 30)


def test_compiling_has_limits_of_its_own() -> None:
    variables = {"CHONKLE_COMPILE_TIMEOUT": "2.5", "CHONKLE_COMPILE_MEMORY": "512M"}
    limits = Settings.from_environment(variables).compile_limits
    assert limits == CompileLimits(timeout_s=2.5, memory_bytes=512 << 20)
    with pytest.raises(ChonkleError, match="CHONKLE_COMPILE_MEMORY: bad limit `memory_bytes`"):
        Settings.from_environment({"CHONKLE_COMPILE_MEMORY": "0"})


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("1", True), ("true", True), ("YES", True), ("0", False), ("", False), ("False", False)],
)
def test_a_switch_is_on_or_off(value: str, meaning: bool) -> None:  # noqa: FBT001 - a column of the table
    settings = Settings.from_environment({"CHONKLE_FORCE_DOWNLOAD": value})
    assert settings.force_download is meaning


@pytest.mark.parametrize("mode", ["auto", "only", "off"])
def test_the_cache_has_three_modes(mode: str) -> None:
    assert Settings.from_environment({"CHONKLE_AOT": mode}).cache.mode == mode


@pytest.mark.parametrize(
    ("variables", "directory"),
    [
        ({}, HOME / ".docker"),
        ({"DOCKER_CONFIG": ""}, HOME / ".docker"),
        ({"DOCKER_CONFIG": "/run/secrets"}, Path("/run/secrets")),
        ({"DOCKER_CONFIG": "here"}, Path("here")),
    ],
)
def test_docker_says_where_credentials_are(variables: dict[str, str], directory: Path) -> None:
    assert Settings.from_environment(variables).access.docker_config == directory


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_the_network_can_be_switched_off(value: str, *, offline: bool) -> None:
    access = Settings.from_environment({"CHONKLE_OFFLINE": value}).access
    assert access.offline == offline
    with pytest.raises(ChonkleError, match="bad CHONKLE_OFFLINE"):
        Settings.from_environment({"CHONKLE_OFFLINE": "perhaps"})


LOGIN = {
    "CHONKLE_REGISTRY": "registry.test:5000",
    "CHONKLE_REGISTRY_USERNAME": "me",
    "CHONKLE_REGISTRY_PASSWORD": "secret",
}


def test_credentials_in_the_environment_are_for_one_registry() -> None:
    access = Settings.from_environment(LOGIN).access
    assert (access.registry, access.username) == ("registry.test:5000", "me")
    assert access.password == "secret"  # noqa: S105 - a password of tests
    assert "secret" not in repr(access)


@pytest.mark.parametrize("left_out", LOGIN)
def test_credentials_without_their_registry_are_refused(left_out: str) -> None:
    incomplete = {name: value for name, value in LOGIN.items() if name != left_out}
    with pytest.raises(ChonkleError, match="credentials for a registry are incomplete") as caught:
        Settings.from_environment(incomplete)
    assert "secret" not in str(caught.value)


def test_a_registry_of_the_environment_is_a_host() -> None:
    with pytest.raises(ChonkleError, match="CHONKLE_REGISTRY: malformed host"):
        Settings.from_environment({**LOGIN, "CHONKLE_REGISTRY": "https://host/"})


@pytest.mark.parametrize(("value", "prepared"), [("prepared", True), ("public", False), ("", True)])
def test_guests_are_called_in_one_of_two_ways(value: str, prepared: bool) -> None:  # noqa: FBT001 - a column of the table
    assert Settings.from_environment({"CHONKLE_CALLS": value}).prepared_calls is prepared


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CHONKLE_FORCE_DOWNLOAD", "2", "`1` or `0`"),
        ("CHONKLE_FORCE_DOWNLOAD", " 1", "`1` or `0`"),
        ("CHONKLE_AOT", "on", "`auto`, `only`, `off`"),
        ("CHONKLE_AOT", "AUTO", "`auto`, `only`, `off`"),
        ("CHONKLE_CALLS", "fast", "`prepared`, `public`"),
        ("CHONKLE_CACHE_MAX_SIZE", "much", "a number of bytes as `500M` or `2G`"),
        ("CHONKLE_COMPILE_MEMORY", "much", "a number of bytes as `500M` or `2G`"),
        ("CHONKLE_COMPILE_TIMEOUT", "1m", "a number of seconds as `60` or `2.5`"),
        ("CHONKLE_COMPILE_TIMEOUT", "0", "a number of seconds as `60` or `2.5`"),
        ("CHONKLE_COMPILE_TIMEOUT", "nan", "a number of seconds as `60` or `2.5`"),
    ],
)
def test_a_bad_value_of_a_variable_is_refused(name: str, value: str, expected: str) -> None:
    with pytest.raises(ChonkleError) as caught:
        Settings.from_environment({name: value})
    assert str(caught.value).startswith(f"bad {name}, expected {expected}, got `")


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHONKLE_AOT", "off")
    assert Settings.from_environment().cache.mode == "off"


def test_no_home_is_needed_when_both_directories_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", staticmethod(homeless))
    settings = Settings.from_environment({"CHONKLE_CACHE_DIR": "/a", "CHONKLE_CODEC_STORE": "/b"})
    assert settings.access.docker_config is None
    with pytest.raises(ChonkleError, match="no home directory; hint: set CHONKLE_CACHE_DIR and"):
        Settings.from_environment({})


def test_a_system_cache_is_one_more_directory() -> None:
    cache = Settings.from_environment(
        {"CHONKLE_CACHE_SYSTEM": "/s", "CHONKLE_CACHE_DIR": "/c"}
    ).cache
    assert (cache.system, cache.root) == (Path("/s"), Path("/c"))
    assert Settings.from_environment({"CHONKLE_CACHE_SYSTEM": ""}).cache.system is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("65536", 65536),
        (" 500M ", 500 << 20),
        ("2G", 2 << 30),
        ("2g", 2 << 30),
        ("1T", 1 << 40),
        ("3KiB", 3 << 10),
        ("3kb", 3 << 10),
        ("7B", 7),
    ],
)
def test_a_size_is_a_number_of_bytes(text: str, size: int) -> None:
    assert parse_size(text, what="SIZE") == size
    settings = Settings.from_environment({"CHONKLE_CACHE_MAX_SIZE": text})
    assert settings.cache.size_max_bytes == size


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "1.5G", "1e9", "0x10", "G", "2X", "2 G", "1" * 16, "\u0663G", "2G\n2G", "KiB"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ChonkleError, match="bad --size, expected a number of bytes as `500M`"):
        parse_size(text, what="--size")


KEY = "0123456789abcdef" * 4


def key_file(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return {"CHONKLE_CACHE_KEY_FILE": str(path)}


def test_a_key_is_given_itself_or_in_a_file(tmp_path: Path) -> None:
    by_itself = Settings.from_environment({"CHONKLE_CACHE_KEY": KEY})
    in_a_file = Settings.from_environment(key_file(tmp_path, f"{KEY}\n"))
    assert (
        by_itself.cache.authenticator
        == in_a_file.cache.authenticator
        == Authenticator(bytes.fromhex(KEY))
    )
    assert KEY not in repr(by_itself)
    assert repr(bytes.fromhex(KEY)) not in repr(by_itself)


def test_the_key_itself_counts_before_the_file(tmp_path: Path) -> None:
    variables = {"CHONKLE_CACHE_KEY": KEY, "CHONKLE_CACHE_KEY_FILE": str(tmp_path / "none")}
    assert Settings.from_environment(variables).cache.authenticator == Authenticator(
        bytes.fromhex(KEY)
    )
    variables = {"CHONKLE_CACHE_KEY": "", **key_file(tmp_path, "ab" * 32)}
    assert Settings.from_environment(variables).cache.authenticator == Authenticator(b"\xab" * 32)


@pytest.mark.parametrize("text", ["", "ab", KEY + KEY, "secret " * 9, "\xff" * 64])
def test_what_is_no_key_is_an_error_that_does_not_show_it(tmp_path: Path, text: str) -> None:
    variables = [key_file(tmp_path, text), *([{"CHONKLE_CACHE_KEY": text}] if text else [])]
    for given in variables:
        (name,) = given
        with pytest.raises(CacheError) as caught:
            Settings.from_environment(given)
        assert str(caught.value).startswith(f"bad {name}, expected 64 hexadecimal digits, got ")
        assert not text or text.strip() not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="file modes and links are POSIX")
def test_a_key_file_that_others_can_read_or_could_have_written_is_refused(tmp_path: Path) -> None:
    given = key_file(tmp_path, KEY, mode=0o640)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "key")
    for path, reason in (
        (tmp_path / "key", "others may read it (mode 0640)"),
        (link, "Too many levels of symbolic links"),
        (tmp_path, "not a regular file"),
        (tmp_path / "none", "No such file or directory"),
    ):
        given["CHONKLE_CACHE_KEY_FILE"] = str(path)
        with pytest.raises(CacheError) as caught:
            Settings.from_environment(given)
        assert str(caught.value) == (
            f"CHONKLE_CACHE_KEY_FILE: {reason}, expected a file of your own, not a link, that only "
            f"you can read (mode 0600), got `{path}`"
        )


def test_a_key_file_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="more than the allowed 1024 bytes"):
        Settings.from_environment(key_file(tmp_path, "a" * 2000))


def test_a_policy_is_read_where_one_is_named(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert Settings.from_environment(home).read_policy() is None
    path = tmp_path / "policy.toml"
    path.write_text('version = 1\ndefault = "allow"\n')
    named = Settings.from_environment({**home, "CHONKLE_POLICY": str(path)}).read_policy()
    assert named is not None
    assert named.default == "allow"
    missing = Settings.from_environment({**home, "CHONKLE_POLICY": str(tmp_path / "no")})
    with pytest.raises(PolicyError, match="cannot read the policy"):
        missing.read_policy()
