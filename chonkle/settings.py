"""Settings from the environment: the only file that reads it.

| variable | meaning |
|---|---|
| `CHONKLE_CACHE_DIR` | directory of the AOT cache |
| `CHONKLE_CACHE_SYSTEM` | directory of an AOT cache that is read before it and never written |
| `CHONKLE_CACHE_KEY` | key that authenticates what is in the caches: 64 hexadecimal digits |
| `CHONKLE_CACHE_KEY_FILE` | file that holds that key, with mode 0600 |
| `CHONKLE_CACHE_MAX_SIZE` | what the AOT cache is trimmed to: `2G` (default), `500M` |
| `CHONKLE_CODEC_STORE` | directory of installed codecs |
| `CHONKLE_FORCE_DOWNLOAD` | `1`: fetch from sources even what is installed |
| `CHONKLE_OFFLINE` | `1`: never ask a server |
| `CHONKLE_REGISTRY` | the registry that the next two are for, `host[:port]` |
| `CHONKLE_REGISTRY_USERNAME` | user name there, instead of docker's credentials |
| `CHONKLE_REGISTRY_PASSWORD` | that user's password or token |
| `CHONKLE_POLICY` | file of a policy: which keys may sign which codecs |
| `CHONKLE_AOT` | `auto` (default), `only` (never compile) or `off` (keep nothing) |
| `CHONKLE_COMPILE_TIMEOUT` | seconds that compiling a codec may take: `120` (default) |
| `CHONKLE_COMPILE_MEMORY` | memory that compiling a codec may take: `3G` (default) |
| `CHONKLE_CALLS` | `prepared` (default) or `public`: how guests are called |
| `CHONKLE_COMPONENT` | `flatten` (default) or `fallback`: how components are run |
| `DOCKER_CONFIG` | directory of docker's `config.json`, which has credentials for registries |
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

from chonkle.cache.layers import SIZE_MAX_BYTES, CacheConfig, Mode
from chonkle.cache.record import Authenticator
from chonkle.errors import CacheError, ChonkleError, FetchError, LimitError
from chonkle.formats.values import format_value
from chonkle.limits import CompileLimits
from chonkle.oci.access import RegistryAccess
from chonkle.storage.files import read_secret

if TYPE_CHECKING:
    from chonkle.policy import Policy

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)
_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_KEY_FILE_MAX_BYTES = 1024
# What zarr-python reads for `chonkle.zarr`: its options, and what puts its pipeline in place.
ZARR_OPTION = "ZARR_CHONKLE"
ZARR_OPTIONS = (
    "ZARR_CHONKLE__BACKEND",
    "ZARR_CHONKLE__LOCATIONS",
    "ZARR_CHONKLE__MEMORY_BYTES",
    "ZARR_CHONKLE__SOURCES",
    "ZARR_CHONKLE__STRICT",
    "ZARR_CHONKLE__THREADS",
    "ZARR_CHONKLE__TIMEOUT_S",
)
ZARR_PIPELINE, ZARR_PIPELINE_VALUE = "ZARR_CODEC_PIPELINE__PATH", "chonkle.zarr.CodecPipeline"
# The variables whose values may be shown.
_SHOWN = frozenset(
    {
        *ZARR_OPTIONS,
        ZARR_PIPELINE,
        *("CHONKLE_CACHE_DIR", "CHONKLE_CACHE_SYSTEM", "CHONKLE_CACHE_KEY_FILE"),
        *("CHONKLE_CACHE_MAX_SIZE", "CHONKLE_CODEC_STORE", "CHONKLE_FORCE_DOWNLOAD"),
        *("CHONKLE_OFFLINE", "CHONKLE_REGISTRY", "CHONKLE_REGISTRY_USERNAME", "CHONKLE_POLICY"),
        *("CHONKLE_AOT", "CHONKLE_COMPILE_TIMEOUT", "CHONKLE_COMPILE_MEMORY", "CHONKLE_CALLS"),
        "CHONKLE_COMPONENT",
    }
)
# What the values of a switch may be, in lower case.
BOOLEANS = {
    "": False,
    "0": False,
    "false": False,
    "no": False,
    "1": True,
    "true": True,
    "yes": True,
}


class Given(TypedDict, total=False):
    """Settings that a caller gives, each instead of what the environment says; see `Settings`.

    A cache may be given as its directory; None keeps no native code.
    """

    cache: CacheConfig | str | Path | None
    codec_store: str | Path
    force_download: bool
    prepared_calls: bool
    flatten_components: bool
    access: RegistryAccess
    compile_limits: CompileLimits | None
    policy: str | Path | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a runtime.

    Attributes:
        cache: the AOT cache.
        codec_store: directory of installed codecs.
        force_download: fetch from sources even what is installed.
        prepared_calls: call guests through wasmtime's C API, where that works.
        flatten_components: run components as fast as core modules, where that can be done.
        access: how registries and other servers may be asked.
        compile_limits: what compiling a codec may take that is not shipped with chonkle, in a
            process of its own; None compiles in this process, without limits.
        policy: file of a policy; None for none.
    """

    cache: CacheConfig
    codec_store: Path
    force_download: bool = False
    prepared_calls: bool = True
    flatten_components: bool = True
    access: RegistryAccess = field(default_factory=RegistryAccess)
    compile_limits: CompileLimits | None = field(default_factory=CompileLimits)
    policy: Path | None = None

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **given: Unpack[Given]
    ) -> "Settings":
        """Read the settings.

        Args:
            environment: variables; the process's own when left out.
            given: settings whose variables are not read.

        Raises:
            ChonkleError: when a variable has a value that it cannot have.
        """
        variables = os.environ if environment is None else environment
        values: dict[str, Any] = dict(given)
        for name, read in _READERS.items():
            if name not in values:
                values[name] = read(variables)
        cache, policy = values["cache"], values["policy"]
        if not isinstance(cache, CacheConfig):
            values["cache"] = CacheConfig(None if cache is None else Path(cache))
        values["codec_store"] = Path(values["codec_store"])
        values["policy"] = None if policy is None else Path(policy)
        return cls(**values)

    def read_policy(self) -> "Policy | None":
        """Read the policy, if there is one.

        Raises:
            PolicyError: when it cannot be read, or is wrong.
        """
        if self.policy is None:
            return None
        # Late: most runs have no policy.
        from chonkle.policy import Policy  # noqa: PLC0415

        return Policy.read(self.policy)


def variables_now() -> dict[str, str]:
    """Give a copy of the process's variables, to see later whether one changed."""
    return dict(os.environ)


def examine(environment: Mapping[str, str] | None = None) -> tuple[Given, list[ChonkleError]]:
    """Read every setting that can be read, and give the errors of the others.

    Args:
        environment: variables; the process's own when left out.
    """
    variables = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    failures: list[ChonkleError] = []
    for name, read in _READERS.items():
        try:
            values[name] = read(variables)
        except ChonkleError as failure:
            failures.append(failure)
    return cast("Given", values), failures


def variables_set(environment: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Give the variables of chonkle that are set, also those of `chonkle.zarr`, with their values.

    Args:
        environment: variables; the process's own when left out.

    Returns:
        The values by name; None for a secret, and for an unknown variable, which may be one too.
    """
    variables = os.environ if environment is None else environment
    return {
        name: variables[name] if name in _SHOWN else None
        for name in sorted(variables)
        if name.startswith(("CHONKLE_", ZARR_OPTION, ZARR_PIPELINE)) and variables[name]
    }


def _boolean(variables: Mapping[str, str], name: str) -> bool:
    text = variables.get(name, "").lower()
    if text not in BOOLEANS:
        raise ChonkleError(f"bad {name}", expected="`1` or `0`", got=format_value(text))
    return BOOLEANS[text]


def _access(variables: Mapping[str, str]) -> RegistryAccess:
    registry = variables.get("CHONKLE_REGISTRY", "")
    user = variables.get("CHONKLE_REGISTRY_USERNAME", "")
    password = variables.get("CHONKLE_REGISTRY_PASSWORD", "")
    if (user or password) and not (registry and user and password):
        raise ChonkleError(
            "credentials for a registry are incomplete",
            expected="CHONKLE_REGISTRY, CHONKLE_REGISTRY_USERNAME and CHONKLE_REGISTRY_PASSWORD",
            hint="any registry could ask for credentials that are not for one",
        )
    try:
        return RegistryAccess(
            docker_config=_docker_config(variables),
            registry=registry,
            username=user,
            password=password,
            offline=_boolean(variables, "CHONKLE_OFFLINE"),
        )
    except FetchError as failure:
        raise failure.within("CHONKLE_REGISTRY") from failure


def _cache(variables: Mapping[str, str]) -> CacheConfig:
    root = variables.get("CHONKLE_CACHE_DIR")
    system = variables.get("CHONKLE_CACHE_SYSTEM")
    size = variables.get("CHONKLE_CACHE_MAX_SIZE")
    return CacheConfig(
        Path(root) if root else _cache_home(variables) / "chonkle",
        system=Path(system) if system else None,
        mode=cast("Mode", _choice(variables, "CHONKLE_AOT", ("auto", "only", "off"))),
        authenticator=_authenticator(variables),
        size_max_bytes=parse_size(size, what="CHONKLE_CACHE_MAX_SIZE") if size else SIZE_MAX_BYTES,
    )


def read_compile_limits(variables: Mapping[str, str] = os.environ) -> CompileLimits:
    """Read what compiling a codec may take.

    Raises:
        ChonkleError: when a variable has a value that it cannot have.
    """
    limits = CompileLimits()
    seconds = variables.get("CHONKLE_COMPILE_TIMEOUT")
    if seconds:
        try:
            limits = replace(limits, timeout_s=float(seconds))
        except ValueError as failure:
            raise ChonkleError(
                "bad CHONKLE_COMPILE_TIMEOUT",
                expected="a number of seconds as `60` or `2.5`",
                got=format_value(seconds),
            ) from failure
    size = variables.get("CHONKLE_COMPILE_MEMORY")
    if size:
        size_bytes = parse_size(size, what="CHONKLE_COMPILE_MEMORY")
        try:
            limits = replace(limits, memory_bytes=size_bytes)
        except LimitError as failure:
            raise failure.within("CHONKLE_COMPILE_MEMORY") from failure
    return limits


def _authenticator(variables: Mapping[str, str]) -> Authenticator:
    key, path = variables.get("CHONKLE_CACHE_KEY"), variables.get("CHONKLE_CACHE_KEY_FILE")
    if key:
        return Authenticator.from_hex(key, what="CHONKLE_CACHE_KEY")
    if not path:
        return Authenticator()
    try:
        text = read_secret(Path(path), size_max=_KEY_FILE_MAX_BYTES)
    except OSError as failure:
        raise CacheError(
            f"CHONKLE_CACHE_KEY_FILE: {failure.strerror or failure}",
            expected="a file of your own, not a link, that only you can read (mode 0600)",
            got=f"`{path}`",
        ) from failure
    return Authenticator.from_hex(text.decode(errors="replace"), what="CHONKLE_CACHE_KEY_FILE")


def parse_size(text: str, *, what: str) -> int:
    """Read a number of bytes, which may end in K, M, G or T for powers of 1024.

    Raises:
        ChonkleError: when it is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ChonkleError(
            f"bad {what}", expected="a number of bytes as `500M` or `2G`", got=format_value(text)
        )
    number, unit = match.groups()
    return int(number) << _SHIFTS[unit.upper()]


def _choice(variables: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Read a variable that has a few values, the first of which is the default."""
    value = variables.get(name, "") or choices[0]
    if value not in choices:
        allowed = ", ".join(f"`{choice}`" for choice in choices)
        raise ChonkleError(f"bad {name}", expected=allowed, got=format_value(value))
    return value


def _docker_config(variables: Mapping[str, str]) -> Path | None:
    directory = variables.get("DOCKER_CONFIG")
    if directory:
        return Path(directory)
    try:
        return _home() / ".docker"
    except ChonkleError:
        return None  # no user to log in as


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


def data_home(variables: Mapping[str, str]) -> Path:
    """Give the directory of a user's data.

    Raises:
        ChonkleError: when the user has no home.
    """
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


def _codec_store(variables: Mapping[str, str]) -> Path:
    directory = variables.get("CHONKLE_CODEC_STORE")
    return Path(directory) if directory else data_home(variables) / "chonkle" / "codecs"


# Of each setting: how its variables are read.
_READERS: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "cache": _cache,
    "codec_store": _codec_store,
    "force_download": lambda variables: _boolean(variables, "CHONKLE_FORCE_DOWNLOAD"),
    "prepared_calls": lambda variables: (
        _choice(variables, "CHONKLE_CALLS", ("prepared", "public")) == "prepared"
    ),
    "flatten_components": lambda variables: (
        _choice(variables, "CHONKLE_COMPONENT", ("flatten", "fallback")) == "flatten"
    ),
    "access": _access,
    "compile_limits": read_compile_limits,
    "policy": lambda variables: variables.get("CHONKLE_POLICY") or None,
}
