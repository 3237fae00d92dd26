"""Options that several commands share."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chonkle.allowed_sources import AllowedSources
from chonkle.backends.base import BACKENDS, Limits
from chonkle.cli.access import access_of, server_options, together
from chonkle.cli.output import print_lines
from chonkle.cli.usage import WrongUsage, checked_limits
from chonkle.errors import ChonkleError, ResolveError, StoreError, suggest
from chonkle.limits import CompileLimits
from chonkle.resolver import DEFAULT_PREFERENCE, Resolver
from chonkle.settings import Given, parse_size, read_compile_limits

if TYPE_CHECKING:
    from chonkle.runtime import Runtime

_AGE = re.compile(r"([0-9]{1,9})(min|h|d|w)")
_UNIT_SECONDS = {"min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Parsed[T](click.ParamType[T]):
    """An option's value that a function reads.

    Args of the constructor:
        read: reads the text; None means that it is wrong.
        form: what the text should be, for the message.
    """

    def __init__(self, read: Callable[[str], T | None], form: str) -> None:
        self.name = form
        self._read = read

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> T:
        """Read the text."""
        found = self._read(str(value))
        if found is None:
            self.fail(f"`{value}` is not {self.name}", param, ctx)
        return found


def _read_assignment(text: str) -> tuple[str, str] | None:
    name, _, value = text.partition("=")
    return (name, value) if name and value else None


def _read_size(text: str) -> int | None:
    try:
        return parse_size(text, what="size")
    except ChonkleError:
        return None


def _read_seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None


def _read_age(text: str) -> float | None:
    match = _AGE.fullmatch(text.strip())
    return int(match[1]) * _UNIT_SECONDS[match[2]] if match else None


SIZE = Parsed(_read_size, "a size such as 65536, 64KiB or 2GiB")
SECONDS = Parsed(_read_seconds, "a time in seconds such as 0.5 or 60")
AGE = Parsed(_read_age, "an age such as 45min, 12h, 30d or 8w")


def assignments[F: Callable[..., Any]](
    option: str, variable: str, *, form: str, text: str
) -> Callable[[F], F]:
    """Make a repeatable option of assignments, which `to_mapping` reads.

    Args:
        option: the option.
        variable: the command's argument that gets it.
        form: the two sides, such as `NAME=FILE`.
        text: the help.
    """
    return click.option(
        option,
        variable,
        multiple=True,
        metavar=form,
        type=Parsed(_read_assignment, f"of the form {form}"),
        help=f"{text} Repeatable.",
    )


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
        if not names:
            self.fail("names no backend", param, ctx)
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


def _checked_store(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,
    value: Path | None,
) -> Path | None:
    """Warn of a directory that does not exist: it may be new, but may also be mistyped."""
    if value is None or value.is_dir():
        return value
    if value.exists():
        raise StoreError(
            f"{param.opts[0]} {value}: not a directory",
            hint="name the directory that codecs are installed in",
        )
    print_lines(
        f"warning: {param.opts[0]} {value}: no such directory, so nothing is installed there; "
        "installing a codec makes it",
        err=True,
    )
    return value


codec_store_option = click.option(
    "--codec-store",
    type=click.Path(path_type=Path),
    callback=_checked_store,
    help="Directory of codecs, any folder of .wasm files, instead of CHONKLE_CODEC_STORE.",
)


def _preference_option(text: str) -> Callable[[Any], Any]:
    return click.option(
        "--preference",
        type=BackendList(),
        default=",".join(DEFAULT_PREFERENCE),
        show_default=True,
        metavar="LIST",
        help=text,
    )


preference_option = _preference_option(
    "The backends that may run codecs, best first. Others are not used."
)
_listed_preference_option = _preference_option(
    "The backends that may run codecs, best first. Others are not used. In a list, `native` runs "
    "the codecs whose type is `numcodecs`, and no others."
)

policy_option = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="File that says which keys may sign which codecs, instead of CHONKLE_POLICY.",
)

_choice_options = together(
    assignments(
        "--override", "overrides", form="ID=IMPL", text="Use this implementation of a codec."
    ),
    assignments(
        "--source",
        "force_sources",
        form="ID=URI",
        text="Fetch a codec and install it, in place of the same version of the implementation.",
    ),
    assignments(
        "--codec-path", "paths", form="ID=FILE", text="Use this wasm or pipeline file for a codec."
    ),
    server_options,
)

# How codecs are picked; `resolver_of` reads them.
resolver_options = together(codec_store_option, preference_option, policy_option, _choice_options)
# The same for codec lists.
listed_resolver_options = together(
    codec_store_option, _listed_preference_option, policy_option, _choice_options
)

# What `allowed_sources_of` reads.
allow_source_option = click.option(
    "--allow-source",
    "allowed_sources",
    multiple=True,
    metavar="PREFIX",
    help="Fetch codecs that the list names by `uri` from this URI, or from all that begin with it, "
    "up to a `/`. What is below the folder of the list needs none. Repeatable.",
)


def allowed_sources_of(options: Mapping[str, Any], *, folder: Path | None = None) -> AllowedSources:
    """Give the sources that data may name.

    Args:
        options: those of the command.
        folder: that of the file that names them, which may name what is below it.
    """
    return AllowedSources(options["allowed_sources"], "--allow-source", folder)


# Limits on compiling; `compile_limits_of` reads them.
compile_options = together(
    click.option(
        "--compile-timeout",
        type=SECONDS,
        metavar="SECONDS",
        help="Time that compiling a codec may take, instead of CHONKLE_COMPILE_TIMEOUT.  "
        "[default: 120]",
    ),
    click.option(
        "--compile-memory",
        type=SIZE,
        metavar="SIZE",
        help="Memory that compiling a codec may take, instead of CHONKLE_COMPILE_MEMORY.  "
        "[default: 3GiB]",
    ),
)


# Limits on running; `limits_of` reads them.
limit_options = together(
    click.option(
        "--memory-limit",
        type=SIZE,
        metavar="SIZE",
        help="Limit on the memory and on the output of a codec, such as 256MiB.  [default: 1GiB]",
    ),
    click.option(
        "--timeout",
        type=SECONDS,
        metavar="SECONDS",
        help="Stop a codec that runs longer. Slows codecs down: by a tenth to a third on 1 MB.",
    ),
)


def limits_of(options: Mapping[str, Any]) -> Limits:
    """Make limits of the options that `limit_options` added."""
    memory = options["memory_limit"]
    memory = Limits().memory_bytes if memory is None else memory
    with checked_limits():
        return Limits(memory_bytes=memory, output_bytes=memory, timeout_s=options["timeout"])


def compile_limits_of(options: Mapping[str, Any]) -> CompileLimits:
    """Make limits of the options that `compile_options` added, and of the environment."""
    given = {
        "timeout_s": options["compile_timeout"],
        "memory_bytes": options["compile_memory"],
    }
    limits = read_compile_limits()
    with checked_limits():
        return replace(limits, **{name: each for name, each in given.items() if each is not None})


def runtime_of(options: Mapping[str, Any]) -> "Runtime":
    """Make a runtime; the environment decides what a command's options leave out.

    Args:
        options: those of the command; `codec_store`, `policy`, `server_options` and
            `compile_options` count.
    """
    # Late: it brings wasmtime, which commands that run nothing do not need.
    from chonkle.runtime import Runtime  # noqa: PLC0415

    given = Given()
    if options.get("codec_store") is not None:
        given["codec_store"] = options["codec_store"]
    if options.get("policy") is not None:
        given["policy"] = options["policy"]
    if options.get("ca_file") is not None or options.get("insecure"):
        given["access"] = access_of(options)
    if "compile_timeout" in options:
        given["compile_limits"] = compile_limits_of(options)
    return Runtime(**given)


def check_used(resolver: Resolver, codec_ids: Collection[str]) -> None:
    """Refuse an option for a codec that the pipeline does not use, since it would do nothing.

    Raises:
        ResolveError: naming the option and the codec.
    """
    known = sorted(codec_ids)
    inventory = resolver.completed().inventory
    named = (
        ("--override", resolver.overrides),
        ("--source", resolver.force_sources),
        ("--codec-path", resolver.paths),
    )
    for option, codecs in named:
        for name in codecs:
            if name not in known and inventory.codec_id(name) not in map(inventory.codec_id, known):
                raise ResolveError(
                    f"{option} {name}: no step of the pipeline has that codec",
                    got=", ".join(f"`{each}`" for each in known),
                    hint=suggest(name, known),
                )


def resolver_of(options: dict[str, Any]) -> Resolver:
    """Make a resolver of `resolver_options`."""
    return Resolver(
        codec_store=options["codec_store"],
        preference=options["preference"],
        overrides=to_mapping(options["overrides"], "--override"),
        force_sources=to_mapping(options["force_sources"], "--source"),
        paths=to_mapping(options["paths"], "--codec-path"),
    )
