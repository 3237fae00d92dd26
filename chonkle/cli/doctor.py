"""`chonkle doctor`: what is in effect here, and what is wrong."""

import logging
import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import click

from chonkle.backends.base import Limits
from chonkle.backends.native import native_codec_ids, refusal
from chonkle.cache.directory import CacheDirectory
from chonkle.cache.layers import CacheConfig
from chonkle.cache.survey import (
    Machine,
    Totals,
    check_directory,
    directories,
    layer_name,
    survey,
)
from chonkle.cli.help import VARIABLES
from chonkle.cli.output import (
    Line,
    format_entries,
    format_size,
    print_json,
    print_lines,
    terminal_width,
)
from chonkle.cli.progress import progress
from chonkle.cli.style import Style, Styled
from chonkle.errors import ChonkleError, os_error_text, printable
from chonkle.oci.access import RegistryAccess
from chonkle.oci.credentials import Login
from chonkle.policy import Policy
from chonkle.resolver import DEFAULT_PREFERENCE, Resolver
from chonkle.settings import (
    ZARR_OPTION,
    ZARR_OPTIONS,
    ZARR_PIPELINE,
    ZARR_PIPELINE_VALUE,
    Given,
    examine,
    variables_set,
)
from chonkle.storage.files import UntrustedError
from chonkle.storage.store import CodecStore, bundled_store
from chonkle.version import __version__
from chonkle.wasmtime_version import TESTED, is_tested, wasmtime_version

type State = Literal["ok", "note", "wrong"]

_STATES: dict[State, Style] = {"ok": "good", "note": "warning", "wrong": "error"}
_NAME_WIDTH = 18
_VALUE_COLUMN = 2 + len("wrong") + 2 + _NAME_WIDTH + 1
# Optional libraries, and the extra that installs each.
_EXTRAS = {
    "numpy": "native",
    "numcodecs": "native",
    "zarr": "zarr",
    "distributed": "dask",
    "async-tiff": "tiff",
    "cryptography": "attest",
}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?")
_BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")
_ONLINE_TIMEOUT_S = 10.0
_ANSWER_MAX_BYTES = 1 << 16
_SERVER_ERROR = 500
# How similar a name is to one that was meant, as `difflib` measures it.
_MISSPELT = 0.85


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    section: str  # what it belongs to
    name: str
    state: State
    value: str  # what was found
    hint: str = ""  # what to do where something is wrong


@click.command
@click.option("--online", is_flag=True, help="Also ask the configured registries for an answer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, online: bool, as_json: bool) -> None:
    """Show what chonkle uses here, and what is wrong with it.

    Python and libraries, wasmtime, the cache, the codec store, native codecs, registries, the
    policy, and the variables of the environment. Nothing is changed, and without --online no server
    is asked. Passwords and keys are never printed.

    \b
    Exit codes:
      0  nothing is wrong
      1  something is wrong

    \b
    Environment:
      CACHE CHONKLE_CODEC_STORE CHONKLE_CALLS CHONKLE_COMPONENT CHONKLE_POLICY CHONKLE_OFFLINE
      REGISTRY

    \b
    Examples:
      chonkle doctor
      chonkle doctor --online
      chonkle doctor --json

    \b
    See also:
      `chonkle cache info`, `chonkle codecs`, `chonkle tools` for compilers, and
      docs/reference/environment.md.
    """
    given, failures = examine()
    access = given.get("access")
    findings: list[Finding] = []
    with progress("examining"):
        findings += _python()
        findings += _wasmtime(given)
        findings += _cache(given.get("cache"))
        findings += _codecs(given.get("codec_store"))
        if access is not None:
            findings += _registries(access, is_online=online)
        findings += _policy(given)
        findings += _environment(failures)
    wrong = sum(each.state == "wrong" for each in findings)
    if as_json:
        print_json({"is_well": not wrong, "findings": [asdict(each) for each in findings]})
    else:
        print_lines(*_lines(findings), "")
        count = "nothing is" if not wrong else f"{wrong} thing{'s are' if wrong > 1 else ' is'}"
        print_lines((Styled(f"{count} wrong", "error" if wrong else "good"),), err=True)
    if wrong:
        sys.exit(1)


def _python() -> Iterator[Finding]:
    section = "Python"
    place = Path(__file__).parent.parent
    yield Finding(section, "chonkle", "ok", f"{__version__} in {place}")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding(section, "Python", "ok", f"{python} on {sys.platform}-{platform.machine()}")
    bounds = _bounds()
    for name in ("click", "blake3", "filelock", "requests", *_EXTRAS, "chonkle-toolchain"):
        try:
            found = version(name)
        except PackageNotFoundError:
            extra = _EXTRAS.get(name)
            what = f"the extra `{extra}` of chonkle" if extra else name
            text = f"not installed; to have it, install {what}"
            # It may be there without its metadata, but then nothing tells its version.
            yield Finding(section, name, "ok", text)
            continue
        wanted = bounds.get(name, "")
        if _is_within(found, wanted):
            yield Finding(section, name, "ok", found)
        else:
            hint = f"`pip install '{name}{wanted}'`"
            yield Finding(section, name, "wrong", f"{found}, expected {wanted}", hint)


def _bounds() -> dict[str, str]:
    """Give the versions of each library that chonkle allows, such as `>=3.4,<3.5`."""
    try:
        requirements = requires("chonkle") or []
    except PackageNotFoundError:
        return {}
    found = (_REQUIREMENT.match(each) for each in requirements)
    return {each[1].lower(): each[2].replace(" ", "") for each in found if each and each[2]}


def _is_within(found: str, bounds: str) -> bool:
    """Tell whether a version is within bounds; only the numbers of its release count."""

    def numbers(text: str) -> list[int]:
        return [int(each) for each in re.match(r"[0-9.]*", text)[0].split(".") if each]  # type: ignore[index]

    own = numbers(found)
    return all(
        own >= numbers(bound) if sign == ">=" else own < numbers(bound)
        for sign, bound in _BOUND.findall(bounds)
    )


def _wasmtime(given: Given) -> Iterator[Finding]:
    section = "wasmtime"
    tested = f"tested: {TESTED[0]} to {TESTED[-1]}"
    state: State = "ok" if is_tested() else "note"
    hint = "" if is_tested() else "install a tested version, or a newer chonkle"
    yield Finding(section, "version", state, f"{wasmtime_version()}, {tested}", hint)
    yield _calls(section, is_prepared=given.get("prepared_calls", True))
    if given.get("flatten_components", True):
        yield Finding(section, "components", "ok", "flattened, as fast as core modules")
    else:
        yield Finding(
            section,
            "components",
            "note",
            "through wasmtime's own support, which is slow",
            "unset CHONKLE_COMPONENT",
        )
    for kind in ("core", "component"):
        try:
            _try_codec(kind)
        except ChonkleError as failure:
            yield Finding(section, f"a {kind} codec", "wrong", str(failure))
        else:
            yield Finding(section, f"a {kind} codec", "ok", "compiled in memory, and run")


def _calls(section: str, *, is_prepared: bool) -> Finding:
    # Late: it brings ctypes and wasmtime with it.
    from chonkle.backends.wasm.unchecked_calls import (  # noqa: PLC0415
        PreparedCalls,
        open_calls,
    )

    slow = "through the public API, which costs 50 microseconds a call"
    if not is_prepared:
        return Finding(section, "calls", "note", slow, "unset CHONKLE_CALLS")
    if not is_tested():
        return Finding(section, "calls", "note", slow, "see `version`")
    with _quiet():
        try:
            calls = open_calls()
        except ChonkleError as failure:
            return Finding(section, "calls", "wrong", str(failure))
    if isinstance(calls, PreparedCalls):
        return Finding(section, "calls", "ok", "prepared, through the C API")
    return Finding(section, "calls", "note", slow, "the C API does not work as expected here")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings out of the report, which says the same."""
    logger = logging.getLogger("chonkle")
    handler, propagates = logging.NullHandler(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def _try_codec(kind: str) -> None:
    """Run a shipped codec, without the cache.

    Raises:
        ChonkleError: when it does not work.
    """
    # Late: it brings wasmtime with it.
    from chonkle.runtime import Runtime  # noqa: PLC0415

    store = bundled_store().root
    resolver = Resolver(codec_store=store, preference=[kind])
    data = b"chonkle"
    with _quiet(), Runtime(cache=None, codec_store=store, policy=None) as runtime:
        found = resolver.completed(runtime.settings).survey("identity")
        codec = runtime.open(found.codecs[0], Limits())
        if bytes(codec.call("decode", {"bytes": data})["bytes"]) != data:
            raise ChonkleError("a codec gave other bytes than it got")


def _cache(config: CacheConfig | str | Path | None) -> Iterator[Finding]:
    section = "cache"
    if not isinstance(config, CacheConfig):
        yield Finding(section, "place", "note", "unknown, see `environment`")
        return
    modes = {"auto": "reads and writes", "only": "never compiles", "off": "keeps nothing"}
    state: State = "ok" if config.mode == "auto" else "note"
    hint = "" if config.mode == "auto" else "unset CHONKLE_AOT"
    yield Finding(section, "mode", state, f"{config.mode}: {modes[config.mode]}", hint)
    is_keyed = config.authenticator.is_keyed
    key = "configured" if is_keyed else "none: entries are not authenticated"
    yield Finding(section, "key", "ok", key)
    if config.mode == "off":
        return
    machine = Machine.here()
    for directory in directories(config):
        yield from _layer(section, directory, machine, config)


def _layer(
    section: str, directory: CacheDirectory, machine: Machine, config: CacheConfig
) -> Iterator[Finding]:
    name = layer_name(directory)
    own = "set CHONKLE_CACHE_DIR to a directory of your own"
    hint = "unset CHONKLE_CACHE_SYSTEM, or ask its owner" if directory.is_system else own
    try:
        check_directory(directory)
        if not directory.exists():
            missing = "is not there" if directory.is_system else "will be made at the first use"
            state: State = "wrong" if directory.is_system else "ok"
            yield Finding(
                section, name, state, f"{directory.root} {missing}", hint * (state != "ok")
            )
        else:
            totals = Totals.of(survey(directory, machine))
            size = format_size(totals.size_bytes)
            limit = "" if directory.is_system else f" of {format_size(config.size_max_bytes)}"
            yield Finding(section, name, "ok", str(directory.root))
            text = f"{format_entries(totals.entries)}, {size}{limit}"
            yield Finding(section, f"{name} entries", "ok", text)
            if totals.stale:
                text = f"{totals.stale} of another wasmtime or engine, which are not used"
                yield Finding(section, f"{name} stale", "ok", text)
            if totals.invalid:
                remove = "" if directory.is_system else "`chonkle cache verify --remove`"
                text = f"{totals.invalid} that failed a check, which are not used"
                yield Finding(section, f"{name} invalid", "wrong", text, remove or hint)
    except UntrustedError as reason:
        yield Finding(section, name, "wrong", f"not used: {reason}", hint)
    except OSError as failure:
        yield Finding(section, name, "wrong", os_error_text(failure), hint)
    else:
        if not directory.is_system and config.mode == "auto":
            yield _writable(section, directory.root, hint)


def _writable(section: str, root: Path, hint: str) -> Finding:
    """Tell whether files can be made in a directory, or it can be made."""
    existing = next(each for each in (root, *root.absolute().parents) if each.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Finding(section, "writable", "ok", "yes")
    return Finding(section, "writable", "wrong", f"{existing} is not writable", hint)


def _codecs(store: str | Path | None) -> Iterator[Finding]:
    section = "codecs"
    order = ", ".join(DEFAULT_PREFERENCE)
    yield Finding(section, "preference", "ok", f"{order}, unless an option says otherwise")
    shipped, bad_shipped = bundled_store().survey()
    text = f"{len({each.signature.codec_id for each in shipped})} in {bundled_store().root}"
    if bad_shipped or not shipped:
        yield Finding(section, "shipped", "wrong", text, "install chonkle again")
    else:
        yield Finding(section, "shipped", "ok", text)
    refused = {each: refusal(each) for each in native_codec_ids()}
    missing = [f"`{each}`" for each, problem in refused.items() if problem is not None]
    text = f"{len(refused) - len(missing)} of {len(refused)}"
    if 0 < len(missing) < len(refused):
        text += f", without {', '.join(missing)}"
    yield Finding(section, "native", "ok", text)
    if store is None:
        yield Finding(section, "store", "note", "unknown, see `environment`")
        return
    yield from _store(section, CodecStore(Path(store)))


def _store(section: str, store: CodecStore) -> Iterator[Finding]:
    if not store.root.exists():
        yield Finding(section, "store", "ok", f"{store.root} will be made at the first use")
        return
    try:
        installed, bad_files = store.survey()
    except ChonkleError as failure:
        hint = "set CHONKLE_CODEC_STORE to a directory"
        yield Finding(section, "store", "wrong", str(failure), hint)
        return
    yield Finding(section, "store", "ok", f"{store.root}, {len(installed)} installed")
    for bad in bad_files:
        yield Finding(section, "bad file", "wrong", str(bad.failure), f"remove {bad.path}")


def _registries(access: RegistryAccess, *, is_online: bool) -> Iterator[Finding]:
    section = "registries"
    is_offline = "yes: no server is asked" if access.offline else "no"
    yield Finding(section, "offline", "note" if access.offline else "ok", is_offline)
    if access.registry:
        found = f"{access.registry}, {'with' if access.username else 'without'} credentials"
        yield Finding(section, "environment", "ok", found)
    login = Login(access.docker_config)
    names: list[str] = []
    try:
        names = login.registries()
    except ChonkleError as failure:
        hint = "repair the file, or set DOCKER_CONFIG"
        yield Finding(section, "docker", "wrong", str(failure), hint)
    else:
        place = access.docker_config
        text = f"credentials for {', '.join(names)}" if names else f"no credentials in {place}"
        yield Finding(section, "docker", "ok", text)
    if is_online and not access.offline:
        for name in dict.fromkeys((*filter(None, [access.registry]), *names)):
            yield _asked(section, name, access)


def _asked(section: str, registry: str, access: RegistryAccess) -> Finding:
    # Late: requests takes a quarter of a second to import.
    from chonkle.oci.address import Address, Host  # noqa: PLC0415
    from chonkle.oci.transport import Bounds, Transport  # noqa: PLC0415

    base = Address.of_registry(Host.parse(registry), plain=True if access.insecure else None)
    bounds = Bounds(total_s=_ONLINE_TIMEOUT_S, tries=1)
    hint = "check the name, the network and the proxy"
    try:
        with Transport(
            base, what=registry, bounds=bounds, ca_file=access.ca_file, without_tls=access.insecure
        ) as transport:
            status = transport.request("GET", base, size_max=_ANSWER_MAX_BYTES).status_code
    except ChonkleError as failure:
        return Finding(section, registry, "wrong", str(failure), hint)
    if status >= _SERVER_ERROR:
        return Finding(section, registry, "wrong", f"the server answered {status}", "try later")
    return Finding(section, registry, "ok", "answers")


def _policy(given: Given) -> Iterator[Finding]:
    section = "policy"
    path = given.get("policy")
    if path is None:
        yield Finding(section, "file", "ok", "none: codecs need no signature")
        return
    try:
        policy = Policy.read(Path(path))
    except ChonkleError as failure:
        yield Finding(section, "file", "wrong", str(failure), "repair it, or unset CHONKLE_POLICY")
        return
    yield Finding(section, "file", "ok", str(path))
    trusted = ", ".join(policy.trusted) or "nothing"
    keys = ", ".join(policy.keys) or "none"
    yield Finding(section, "rules", "ok", f"{len(policy.rules)}; otherwise {policy.default}")
    yield Finding(section, "unsigned", "ok", f"{trusted} may be used without a signature")
    yield Finding(section, "keys", "ok", keys)
    now = policy.now()
    for rule in policy.rules:
        wrong = rule.when(now)
        if wrong:
            yield Finding(section, str(rule), "note", wrong)


def _environment(failures: Sequence[ChonkleError]) -> Iterator[Finding]:
    section = "environment"
    for failure in failures:
        yield Finding(
            section, "setting", "wrong", str(failure), "see docs/reference/environment.md"
        )
    variables = variables_set()
    known = (*VARIABLES, *ZARR_OPTIONS, ZARR_PIPELINE)
    for name, value in variables.items():
        if name in known:
            yield Finding(section, name, "ok", "set" if value is None else value)
            continue
        # Another program may have variables with such names; only a misspelt one is wrong.
        similar = get_close_matches(name, known, n=1, cutoff=_MISSPELT)
        hint = f"did you mean {similar[0]}?" if similar else ""
        state: State = "wrong" if similar or name.startswith(ZARR_OPTION) else "note"
        yield Finding(section, name, state, "no variable of chonkle", hint)
    is_put_in_place = variables.get(ZARR_PIPELINE) == ZARR_PIPELINE_VALUE
    if not is_put_in_place and any(name.startswith(ZARR_OPTION) for name in variables):
        text = "options are set that apply only in programs that call `chonkle.zarr.use`"
        hint = f"set {ZARR_PIPELINE}={ZARR_PIPELINE_VALUE} for all that read Zarr"
        yield Finding(section, "Zarr", "note", text, hint)
    if not variables:
        yield Finding(section, "variables", "ok", "none is set")


def _lines(findings: Sequence[Finding]) -> Iterator[Line]:
    """Format findings, at most as wide as the terminal where words allow it."""
    section = ""
    for each in findings:
        if each.section != section:
            if section:
                yield ""
            section = each.section
            yield Styled(section, "heading")
        first, *more = _wrapped(each.value) or [""]
        name = f"{printable(each.name):<{_NAME_WIDTH}}"
        state = Styled(each.state, _STATES[each.state])
        gap = " " * (len("wrong") - len(each.state))
        if len(name) > _NAME_WIDTH:
            yield ("  ", state, f"{gap}  {name}")
            more = [first, *more]
        else:
            yield ("  ", state, f"{gap}  {name} {first}")
        yield from (" " * _VALUE_COLUMN + line for line in more)
        if each.hint:
            hint, *more = _wrapped(each.hint, less=len("hint: "))
            yield (" " * _VALUE_COLUMN, Styled("hint:", "hint"), f" {hint}")
            yield from (" " * (_VALUE_COLUMN + len("hint: ")) + line for line in more)


def _wrapped(text: str, *, less: int = 0) -> list[str]:
    import textwrap  # noqa: PLC0415 - JSON does without it

    width = max(terminal_width() - _VALUE_COLUMN - less, 20)
    return textwrap.wrap(printable(text), width, break_long_words=False, break_on_hyphens=False)
