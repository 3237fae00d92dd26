"""Options that several commands share."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chonkle.backends.base import BACKENDS
from chonkle.cli.usage import WrongUsage, checked_limits
from chonkle.dag.plan import Composite
from chonkle.errors import ChonkleError, ResolveError, StoreError, suggest
from chonkle.limits import CompileLimits
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime
from chonkle.settings import Given, parse_size, read_compile_limits

if TYPE_CHECKING:
    from chonkle.policy import Policy

_AGE = re.compile(r"([0-9]{1,9})(min|h|d|w)")
_SECONDS = {"min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Assignment(click.ParamType[tuple[str, str]]):
    """`NAME=VALUE`."""

    name = "assignment"

    def __init__(self, metavar: str) -> None:
        """Name the two sides, for the help."""
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


class Seconds(click.ParamType[float]):
    """A time that a codec may take."""

    name = "seconds"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Read a positive number."""
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self.fail(f"`{value}` is not a time in seconds such as 0.5 or 60", param, ctx)
        return seconds


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


class BackendList(click.ParamType[list[str]]):
    """Backends, best first, separated by commas."""

    name = "list"
    choices = BACKENDS

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> list[str]:
        """Split the list; each backend must be known."""
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        choice = click.Choice(self.choices)
        for name in names:
            choice.convert(name, param, ctx)
        return names


def to_mapping(pairs: tuple[tuple[str, str], ...], option: str) -> dict[str, str]:
    """Make a mapping of assignments; a name given twice is wrong usage."""
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise WrongUsage(f"{option} {twice} is given twice")
    return mapping


def _require_directory(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,
    value: Path | None,
) -> Path | None:
    """Refuse a directory that does not exist: its name is probably mistyped."""
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
    callback=_require_directory,
    help="Directory of installed codecs, instead of CHONKLE_CODEC_STORE.",
)

preference_option = click.option(
    "--preference",
    type=BackendList(),
    default="",
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
        type=Seconds(),
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


def compile_limits_of(options: Mapping[str, Any]) -> CompileLimits:
    """Make limits of the options that `compile_options` added, and of the environment."""
    given = {
        "timeout_s": options["compile_timeout"],
        "memory_bytes": options["compile_memory"],
    }
    limits = read_compile_limits()
    with checked_limits():
        return replace(limits, **{name: each for name, each in given.items() if each is not None})


def runtime_of(options: Mapping[str, Any]) -> Runtime:
    """Make a runtime; the environment decides what a command's options leave out.

    Args:
        options: those of the command, of which `codec_store`, `policy` and what `compile_options`
            added count.
    """
    given = Given()
    if options.get("codec_store") is not None:
        given["codec_store"] = options["codec_store"]
    if options.get("policy") is not None:
        given["policy"] = options["policy"]
    if "compile_timeout" in options:
        given["compile_limits"] = compile_limits_of(options)
    return Runtime(**given)


def resolver_options[F: Callable[..., Any]](command: F) -> F:
    """Add the options that say how codecs are picked; `resolver_of` reads them."""
    for option in reversed(_RESOLVER_OPTIONS):
        command = option(command)
    return command


def check_used(resolver: Resolver, composite: Composite) -> None:
    """Refuse an option for a codec that the pipeline does not use, since it would do nothing.

    Raises:
        ResolveError: naming the option and the codec.
    """
    known = sorted(composite.codec_ids())
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
                    got=", ".join(f"`{each}`" for each in known),
                    hint=suggest(codec_id, known),
                )


def resolver_of(options: dict[str, Any]) -> Resolver:
    """Make a resolver of the options that `resolver_options` added."""
    return Resolver(
        preference=options["preference"],
        overrides=to_mapping(options["overrides"], "--override"),
        force_sources=to_mapping(options["force_sources"], "--source"),
        paths=to_mapping(options["paths"], "--codec-path"),
    )


def read_policy(path: Path | None) -> "Policy | None":
    """Read what `--policy` was given."""
    if path is None:
        return None
    # Late: most runs have no policy.
    from chonkle.policy import Policy  # noqa: PLC0415

    return Policy.read(path)
