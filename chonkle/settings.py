"""Settings from the environment: the only file that reads it.

| variable | meaning |
|---|---|
| `CHONKLE_CACHE_DIR` | directory of the AOT cache |
| `CHONKLE_CODEC_STORE` | directory of installed codecs |
| `CHONKLE_FORCE_DOWNLOAD` | `1`: fetch from sources even what is installed |
| `CHONKLE_AOT` | `auto` (default), `only` (never compile) or `off` (keep nothing) |
| `CHONKLE_CALLS` | `prepared` (default) or `public`: how guests are called |
| `CHONKLE_COMPONENT` | `flatten` (default) or `fallback`: how components are run |
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from chonkle.errors import ChonkleError
from chonkle.formats.values import shown
from chonkle.storage.aot import Mode

_BOOLEANS = {
    "": False,
    "0": False,
    "false": False,
    "no": False,
    "1": True,
    "true": True,
    "yes": True,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says.

    Attributes:
        cache_directory: the AOT cache.
        codec_store: installed codecs.
        force_download: fetch from sources even what is installed.
        aot: how the AOT cache is used.
        prepared_calls: call guests through wasmtime's C API, where that works.
        flatten_components: run components as fast as core modules, where that can be done.
    """

    cache_directory: Path
    codec_store: Path
    force_download: bool = False
    aot: Mode = "auto"
    prepared_calls: bool = True
    flatten_components: bool = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings.

        Args:
            environment: variables; the process's own when left out.

        Raises:
            ChonkleError: when a variable has a value that it cannot have.
        """
        variables = os.environ if environment is None else environment
        force = variables.get("CHONKLE_FORCE_DOWNLOAD", "").lower()
        if force not in _BOOLEANS:
            raise ChonkleError(
                "bad CHONKLE_FORCE_DOWNLOAD", expected="`1` or `0`", got=shown(force)
            )
        cache = variables.get("CHONKLE_CACHE_DIR")
        store = variables.get("CHONKLE_CODEC_STORE")
        return cls(
            cache_directory=Path(cache) if cache else _cache_home(variables) / "chonkle",
            codec_store=Path(store) if store else _data_home(variables) / "chonkle" / "codecs",
            force_download=_BOOLEANS[force],
            aot=cast("Mode", _choice(variables, "CHONKLE_AOT", ("auto", "only", "off"))),
            prepared_calls=_choice(variables, "CHONKLE_CALLS", ("prepared", "public"))
            == "prepared",
            flatten_components=_choice(variables, "CHONKLE_COMPONENT", ("flatten", "fallback"))
            == "flatten",
        )


def _choice(variables: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Read a variable that has a few values, the first of which is the default."""
    value = variables.get(name, "") or choices[0]
    if value not in choices:
        allowed = ", ".join(f"`{choice}`" for choice in choices)
        raise ChonkleError(f"bad {name}", expected=allowed, got=shown(value))
    return value


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as failure:
        # A container's user may have no entry anywhere.
        raise ChonkleError(
            "this user has no home directory",
            hint="set CHONKLE_CACHE_DIR and CHONKLE_CODEC_STORE",
        ) from failure


def _cache_home(variables: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        return _local_app_data(variables)
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches"
    return _xdg(variables, "XDG_CACHE_HOME", ".cache")


def _data_home(variables: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        return _local_app_data(variables)
    if sys.platform == "darwin":
        return _home() / "Library" / "Application Support"
    return _xdg(variables, "XDG_DATA_HOME", ".local/share")


def _local_app_data(variables: Mapping[str, str]) -> Path:
    local = variables.get("LOCALAPPDATA")
    return Path(local) if local else _home() / "AppData" / "Local"


def _xdg(variables: Mapping[str, str], name: str, default: str) -> Path:
    # XDG Base Directory Specification: a relative path is invalid and to be ignored.
    value = variables.get(name, "")
    return Path(value) if value.startswith("/") else _home() / default
