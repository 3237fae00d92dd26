"""Options that several commands share, and how their text is read."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chonkle.cli.access import access_of, server_options
from chonkle.dag.plan import Composite
from chonkle.errors import ChonkleError, ResolveError, StoreError
from chonkle.limits import CompileLimits
from chonkle.resolver import Resolver
from chonkle.settings import Settings, parse_size

if TYPE_CHECKING:
    from chonkle.policy import Policy

_AGE = re.compile(r"([0-9]{1,9})(min|h|d|w)")
_SECONDS = {"min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Assignment(click.ParamType[tuple[str, str]]):
    """`NAME=VALUE`."""

    name = "assignment"

    def __init__(self, metavar: str) -> None:
        """Describe the two sides for the help text."""
        self.metavar = metavar

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """Give the form that the help shows."""
        return self.metavar

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Split at the first `=`."""
        name, equals, text = str(value).partition("=")
        if not equals or not name or not text:
            self.fail(f"`{value}` is not of the form {self.metavar}", param, ctx)
        return name, text


class Size(click.ParamType[int]):
    """A number of bytes, such as `512MiB`."""

    name = "size"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Read a number with an optional unit; K, M, G and T are powers of 1024."""
        try:
            return parse_size(str(value), what="size")
        except ChonkleError:
            self.fail(f"`{value}` is not a size such as 65536, 64KiB or 2GiB", param, ctx)


class Age(click.ParamType[float]):
    """A number of seconds, such as `30d`."""

    name = "age"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Read a number with its unit."""
        match = _AGE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"`{value}` is not an age such as 45min, 12h, 30d or 8w", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


def to_mapping(pairs: tuple[tuple[str, str], ...], option: str) -> dict[str, str]:
    """Make a mapping of assignments; a name given twice is a usage error."""
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise click.UsageError(f"{option} {twice} is given twice")
    return mapping


def _demand_directory(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,
    value: Path | None,
) -> Path | None:
    """Refuse a directory that is not there: who names one has mistyped it, or expects it full."""
    if value is None or value.is_dir():
        return value
    if value.exists():
        wrong, hint = "not a directory", "name the directory that codecs are installed in"
    else:
        wrong, hint = "no such directory", "make it first if it is to be a new one"
    raise StoreError(f"{param.opts[0]} {value}: {wrong}", hint=hint)


codec_store_option = click.option(
    "--codec-store",
    type=click.Path(path_type=Path),
    callback=_demand_directory,
    help="Directory of installed codecs, instead of CHONKLE_CODEC_STORE.",
)

preference_option = click.option(
    "--preference",
    metavar="LIST",
    help="Backends, best first: native,core,component. Those left out come after.",
)

policy_option = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="File of a policy: who may sign what. Instead of CHONKLE_POLICY.",
)

_RESOLVER_OPTIONS = (
    codec_store_option,
    preference_option,
    policy_option,
    click.option(
        "--override",
        "overrides",
        multiple=True,
        type=Assignment("ID=IMPL"),
        help="Use this implementation of a codec. Repeatable.",
    ),
    click.option(
        "--source",
        "force_sources",
        multiple=True,
        type=Assignment("ID=URI"),
        help="Fetch a codec from here, whatever is installed. Repeatable.",
    ),
    click.option(
        "--codec-path",
        "paths",
        multiple=True,
        type=Assignment("ID=FILE"),
        help="Use this wasm or pipeline file for a codec. Repeatable.",
    ),
)


_COMPILE_OPTIONS = (
    click.option(
        "--compile-timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Time that compiling a codec may take, instead of CHONKLE_COMPILE_TIMEOUT.  "
        "[default: 120]",
    ),
    click.option(
        "--compile-memory",
        type=Size(),
        metavar="SIZE",
        help="Memory that compiling a codec may take, instead of CHONKLE_COMPILE_MEMORY.  "
        "[default: 3GiB]",
    ),
)


def compile_options[F: Callable[..., Any]](command: F) -> F:
    """Add the options that limit compiling; `compile_limits_of` reads them."""
    for option in reversed(_COMPILE_OPTIONS):
        command = option(command)
    return command


def compile_limits_of(options: Mapping[str, Any], settings: Settings) -> CompileLimits:
    """Make limits of the options that `compile_options` added, and of the settings."""
    limits = settings.compile_limits
    timeout_s, memory_bytes = options["compile_timeout"], options["compile_memory"]
    return CompileLimits(
        timeout_s=limits.timeout_s if timeout_s is None else timeout_s,
        memory_bytes=limits.memory_bytes if memory_bytes is None else memory_bytes,
    )


def resolver_options[F: Callable[..., Any]](command: F) -> F:
    """Add the options that say how codecs are picked; `resolver_of` reads them."""
    command = server_options(command)
    for option in reversed(_RESOLVER_OPTIONS):
        command = option(command)
    return command


def check_used(resolver: Resolver, composite: Composite) -> None:
    """Refuse an option that names a codec which the pipeline does not have: it would do nothing.

    Raises:
        ResolveError: naming the option and the codec.
    """
    known = composite.codec_ids()
    named = (
        ("--override", resolver.overrides),
        ("--source", resolver.force_sources),
        ("--codec-path", resolver.paths),
    )
    for option, codecs in named:
        for codec_id in codecs:
            if codec_id not in known:
                raise ResolveError(
                    f"{option} {codec_id}: no step of the pipeline has that codec",
                    got=", ".join(f"`{each}`" for each in sorted(known)),
                )


def to_preference(text: str | None) -> list[str]:
    """Split what `--preference` was given."""
    names = [name.strip() for name in (text or "").split(",")]
    return [name for name in names if name]


def resolver_of(options: dict[str, Any]) -> Resolver:
    """Make a resolver of the options that `resolver_options` added."""
    return Resolver(
        codec_store=options["codec_store"],
        preference=to_preference(options["preference"]),
        overrides=to_mapping(options["overrides"], "--override"),
        force_sources=to_mapping(options["force_sources"], "--source"),
        paths=to_mapping(options["paths"], "--codec-path"),
        policy=read_policy(options["policy"]),
        access=access_of(options),
    )


def read_policy(path: Path | None) -> "Policy | None":
    """Read what `--policy` was given."""
    if path is None:
        return None
    # Late: most runs have no policy.
    from chonkle.policy import Policy  # noqa: PLC0415

    return Policy.read(path)
