import sys
from pathlib import Path

import pytest

from chonkle.errors import ChonkleError
from chonkle.settings import Settings

HOME = Path("/home/somebody")


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
        (
            "win32",
            {},
            HOME / "AppData/Local/chonkle",
            HOME / "AppData/Local/chonkle/codecs",
        ),
        ("win32", {"LOCALAPPDATA": "/l"}, Path("/l/chonkle"), Path("/l/chonkle/codecs")),
        (
            "linux",
            {"CHONKLE_CACHE_DIR": "/a", "CHONKLE_CODEC_STORE": "b"},
            Path("/a"),
            Path("b"),
        ),
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
    assert settings.cache.mode == "auto"
    assert settings.prepared_calls


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
    ],
)
def test_a_value_that_a_variable_cannot_have_is_refused(
    name: str, value: str, expected: str
) -> None:
    with pytest.raises(ChonkleError) as caught:
        Settings.from_environment({name: value})
    assert str(caught.value).startswith(f"bad {name}, expected {expected}, got `")


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHONKLE_AOT", "off")
    assert Settings.from_environment().cache.mode == "off"


def test_a_user_without_a_home_needs_none_when_both_directories_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", staticmethod(homeless))
    Settings.from_environment({"CHONKLE_CACHE_DIR": "/a", "CHONKLE_CODEC_STORE": "/b"})
    with pytest.raises(ChonkleError, match="no home directory; hint: set CHONKLE_CACHE_DIR and"):
        Settings.from_environment({})
