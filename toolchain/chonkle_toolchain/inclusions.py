"""What sources include: nothing that the fingerprint does not name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.environment import build_environment
from chonkle_toolchain.process import run

# In the list, which is a rule of a makefile, what is read stands behind this.
_TARGET = "source"
_NAME = re.compile(r"(?:\\.|[^\\\s])+")
_VARIABLE = "# env-dep:"
_ESCAPED = re.compile(r"\\([ #])|\$(\$)")


def demand_own_inclusions(
    source: Path, *, command: Sequence[str], folders: Sequence[Path], listing: Path, what: str
) -> None:
    """Demand that a C source includes and embeds files of some folders only, and of the compiler's.

    Args:
        source: the source.
        command: how to run the compiler, with all flags but those that name sources and outputs.
        folders: the folders.
        listing: a file for the compiler to write what it reads to.
        what: what is being done, for messages.

    Raises:
        BuildError: naming a file that it reads elsewhere.
        ToolError: when the compiler finds fault with what it reads.
    """
    # Nothing is compiled for this, and `-MM` leaves out the compiler's own headers.
    asked = ("-E", "-MM", "-MT", _TARGET, "-MF", str(listing), str(source))
    where = source.parent
    run([*command, *asked], what=what, cwd=where, environment=build_environment())
    for name in listed_files(listing.read_text("utf-8", errors="surrogateescape")):
        _demand_own(where / name, f"{what}: `{source.name}` includes", folders)


def demand_own_crates(module: Path, *, folders: Sequence[Path], what: str) -> None:
    """Demand that crates include files of some folders only.

    Args:
        module: what Cargo made of them, beside which it lists what they read; but for those that
            come from registries, which the lock of crates names.
        folders: the folders.
        what: what is being done, for messages.

    Raises:
        BuildError: naming a file that they read elsewhere.
    """
    listing = module.with_suffix(".d").read_text("utf-8", errors="surrogateescape")
    _, _, names = listing.partition(": ")
    for name in _NAME.findall(names):
        _demand_own(Path(name.replace("\\ ", " ")), f"{what}: a crate includes", folders)


def demand_no_variables(
    listings: Iterable[Path], *, environment: Mapping[str, str], what: str
) -> None:
    """Demand that no crate takes in a variable that this machine happens to have.

    Args:
        listings: what rustc wrote of the crates.
        environment: the variables, but for those that Cargo sets.
        what: what is being done, for messages.

    Raises:
        BuildError: naming a variable that one takes in.
    """
    # With the value: a build script may have set the variable to something else.
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


def _demand_own(path: Path, reads: str, folders: Sequence[Path]) -> None:
    if not any(path.resolve().is_relative_to(folder) for folder in folders):
        raise BuildError(
            f"{reads} `{path}`, which is no source of the codec",
            hint="put it into the codec's folder, or into one beside it that the codec shares",
        )


def listed_files(rule: str) -> list[str]:
    """Read which files a rule for make names, as clang writes it.

    Args:
        rule: the rule, for the target that is asked for here.
    """
    _, _, names = rule.replace("\\\n", " ").partition(f"{_TARGET}:")
    return [_ESCAPED.sub(r"\1\2", name) for name in _NAME.findall(names)]
