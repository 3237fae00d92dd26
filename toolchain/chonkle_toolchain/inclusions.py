"""What C sources include: nothing that the fingerprint does not name."""

import re
from collections.abc import Sequence
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.environment import build_environment
from chonkle_toolchain.process import run

# In the list, which is a rule of a makefile, what is read stands behind this.
_TARGET = "source"
_NAME = re.compile(r"(?:\\.|[^\\\s])+")
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
        path = where / name
        if not any(path.resolve().is_relative_to(folder) for folder in folders):
            raise BuildError(
                f"{what}: `{source.name}` includes `{path}`, which is no source of the codec",
                hint="put it into the codec's folder, or into one beside it that `include` names",
            )


def listed_files(rule: str) -> list[str]:
    """Read which files a rule for make names, as clang writes it.

    Args:
        rule: the rule, for the target that is asked for here.
    """
    _, _, names = rule.replace("\\\n", " ").partition(f"{_TARGET}:")
    return [_ESCAPED.sub(r"\1\2", name) for name in _NAME.findall(names)]
