"""Requiring that sources include only files that the fingerprint covers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.environment import build_environment
from chonkle_toolchain.process import run

# The target of the makefile rule that lists the files.
_TARGET = "source"
_NAME = re.compile(r"(?:\\.|[^\\\s])+")
_VARIABLE = "# env-dep:"
_ESCAPED = re.compile(r"\\([ #])|\$(\$)")


def require_own_inclusions(
    source: Path, *, command: Sequence[str], folders: Sequence[Path], listing: Path, what: str
) -> None:
    """Require that a C source includes and embeds only files of some folders, and the compiler's.

    Args:
        source: the source.
        command: how to run the compiler, with all flags but those for sources and outputs.
        folders: the folders.
        listing: the file that the compiler lists the read files in.
        what: what is being done, for messages.

    Raises:
        BuildError: naming a file from elsewhere.
        ToolError: when the preprocessor fails.
    """
    # This compiles nothing, and `-MM` leaves out the compiler's own headers.
    asked = ("-E", "-MM", "-MT", _TARGET, "-MF", str(listing), str(source))
    where = source.parent
    run([*command, *asked], what=what, cwd=where, environment=build_environment())
    for name in listed_files(listing.read_text("utf-8", errors="surrogateescape")):
        _require_own(where / name, f"{what}: `{source.name}` includes", folders)


def require_own_crates(module: Path, *, folders: Sequence[Path], what: str) -> None:
    """Require that crates include only files of some folders.

    Args:
        module: Cargo's output, beside which it lists the files that the crates read, without crates
            from registries, which are in the lock of crates.
        folders: the folders.
        what: what is being done, for messages.

    Raises:
        BuildError: naming a file from elsewhere.
    """
    listing = module.with_suffix(".d").read_text("utf-8", errors="surrogateescape")
    _, _, names = listing.partition(": ")
    for name in _NAME.findall(names):
        _require_own(Path(name.replace("\\ ", " ")), f"{what}: a crate includes", folders)


def require_no_variables(
    listings: Iterable[Path], *, environment: Mapping[str, str], what: str
) -> None:
    """Require that no crate reads a variable of this machine.

    Args:
        listings: rustc's lists of what the crates read.
        environment: the variables, without those that Cargo sets.
        what: what is being done, for messages.

    Raises:
        BuildError: naming a variable that a crate reads.
    """
    # With the value: a build script may have set the variable to another one.
    here = {f"{name}={_as_rustc_writes(value)}": name for name, value in environment.items()}
    for listing in listings:
        crate = listing.stem.partition("-")[0]
        for line in listing.read_text("utf-8", errors="surrogateescape").split("\n"):
            if line.startswith(_VARIABLE) and line.removeprefix(_VARIABLE) in here:
                name = here[line.removeprefix(_VARIABLE)]
                raise BuildError(
                    f"{what}: the crate `{crate}` takes in the variable `{name}`",
                    expected="nothing that differs from machine to machine",
                    hint=f"unset {name} for the build, or do not ask for it",
                )


def _as_rustc_writes(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")


def _require_own(path: Path, reads: str, folders: Sequence[Path]) -> None:
    if not any(path.resolve().is_relative_to(folder) for folder in folders):
        raise BuildError(
            f"{reads} `{path}`, which is no source of the codec",
            hint="put it into the codec's folder, or into one beside it that the codec shares",
        )


def listed_files(rule: str) -> list[str]:
    """Read the files in a makefile rule that clang wrote.

    Args:
        rule: the rule, for the target above.
    """
    _, _, names = rule.replace("\\\n", " ").partition(f"{_TARGET}:")
    return [_ESCAPED.sub(r"\1\2", name) for name in _NAME.findall(names)]
