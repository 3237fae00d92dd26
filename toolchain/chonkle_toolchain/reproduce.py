"""Building codecs twice from clean, to check that their bytes depend on the fingerprint alone.

The two builds run at the same time. They share the compilers and Cargo's downloads:

    first/          codec-src, build, zig, codec           the environment of this process
    second/.../     the same; toolchain with the SDK,      another time zone, locale, umask and
                    cargo and tmp at other paths           number of jobs, and variables for
                                                           other builds
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.abi import ABIS, Abi
from chonkle_toolchain.build import Folders
from chonkle_toolchain.build_folder import claim_build_folder
from chonkle_toolchain.codecs_lock import Built, read_lock
from chonkle_toolchain.difference import first_difference
from chonkle_toolchain.recipe import RECIPE_FILE, Recipe, find_recipes
from chonkle_toolchain.sdk import SDK_PARTS
from chonkle_toolchain.staging import stage_codec
from chonkle_toolchain.tools import Tools, tools_for

# With a space, a dollar and a letter that is not ASCII, as users' folders may have.
_SECOND = Path("second", "somewhere $else", "étage")
_SECOND_UMASK = 0o077
_SAME_UMASK = -1
_ELSEWHERE = {
    "TZ": "Pacific/Kiritimati",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "1",
    "CARGO_BUILD_JOBS": "1",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "RUSTFLAGS": "-Cdebug-assertions=on",
    "CFLAGS": "-O0 -DELSEWHERE",
    "SOURCE_DATE_EPOCH": "1",
}


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The outcome of building one codec twice.

    Attributes:
        name: its implementation.
        differences: where bytes differ; one clause for each artifact.
        note: why it was not compared with the existing files, or empty.
    """

    name: str
    differences: tuple[str, ...]
    note: str


def reproduce(
    folders: Folders,
    *,
    tools: Tools,
    names: Iterable[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[Reproduction]:
    """Build codecs twice, and compare both outputs with each other and with the existing files.

    Existing files are compared if the same tools built them. When anything differs, both builds
    stay in `reproduce` in the build root.

    Args:
        folders: the codecs and their existing files. Only the build root changes.
        tools: the compilers.
        names: which codecs; all when empty.
        say: told the output of both builds.

    Returns:
        The outcomes, sorted by name.

    Raises:
        BuildError: when a recipe is bad, a tool is missing, or a codec does not build.
    """
    recipes = find_recipes(folders.codec_src, names=names).values()
    tools.need({name for recipe in recipes for name in tools_for(recipe)})
    claim_build_folder(folders.build_dir)
    kept = folders.build_dir / "reproduce"
    kept.mkdir(parents=True, exist_ok=True)
    parent = Path(tempfile.mkdtemp(dir=kept.resolve()))
    roots = parent / "first", parent / _SECOND
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, parent, ignore_errors=True)
        for root in roots:
            for recipe in recipes:
                _copy_codec(recipe, root / "codec-src" / recipe.name)
        _build_both(*roots, folders.sdk, say)
        one, other = (root / "codec" for root in roots)
        found = [compare_builds(recipe.name, one, other, folders.output) for recipe in recipes]
        if any(reproduction.differences for reproduction in found):
            cleanup.pop_all()
    return found


def compare_builds(name: str, first: Path, second: Path, output: Path) -> Reproduction:
    """Compare two builds of a codec, and the existing files.

    Args:
        name: the codec.
        first: the output folder of one build.
        second: that of the other.
        output: that of the existing files.

    Raises:
        BuildError: when a lock cannot be read.
    """
    one, other = (read_lock(folder).codecs[name] for folder in (first, second))
    bytes_of_one = _artifacts(first, one)
    differences = [
        *_differences("the two builds", bytes_of_one, _artifacts(second, other)),
        *(
            f"the two builds: {change}"
            for change in other.fingerprint.changes_since(one.fingerprint)
        ),
    ]
    there = read_lock(output).codecs.get(name)
    if there is None:
        note = f"not compared with {output}, where it was never built"
    elif tools := one.fingerprint.tools_since(there.fingerprint):
        note = f"not compared with {output}, built with other tools: {', '.join(tools)}"
    else:
        note = ""
        differences += _differences(str(output), bytes_of_one, _artifacts(output, there))
        differences += (
            f"{output}: {change}" for change in one.fingerprint.changes_since(there.fingerprint)
        )
    return Reproduction(name, tuple(differences), note)


def _copy_codec(recipe: Recipe, target: Path) -> None:
    stage_codec(recipe, target)
    shutil.copy(recipe.folder / RECIPE_FILE, target / RECIPE_FILE)
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(recipe.folder / "vectors", target / "vectors")


def _build_both(first: Path, second: Path, sdk: Path, say: Callable[[str], None]) -> None:
    with ThreadPoolExecutor() as readers, contextlib.ExitStack() as stack:
        running = {
            "first": _started(first, {}, umask=_SAME_UMASK),
            "second": _started(second, _elsewhere(second, sdk), umask=_SECOND_UMASK),
        }
        for process in running.values():
            # Also when the other build fails first.
            stack.enter_context(process)
            stack.callback(process.terminate)
        said = {
            which: readers.submit(_relay, process, which, say) for which, process in running.items()
        }
        for which, process in running.items():
            said[which].result()
            if process.wait():
                raise BuildError(f"the {which} of the two builds failed")


def _started(root: Path, changes: Mapping[str, str], *, umask: int) -> subprocess.Popen[str]:
    command: list[str | Path] = [
        # Without `-P`, modules in the current folder would be taken for installed ones.
        *(sys.executable, "-P", "-m", "chonkle", "build", root / "codec-src"),
        *("--output", root / "codec", "--build-dir", root / "build"),
    ]
    # With one cache for both, the second build would get what the first one compiled.
    zig = {f"ZIG_{kind}_CACHE_DIR": str(root / "zig" / kind) for kind in ("GLOBAL", "LOCAL")}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **zig, **changes},
        umask=umask,
    )


def _relay(process: subprocess.Popen[str], which: str, say: Callable[[str], None]) -> None:
    """Pass on the output of a build until it ends."""
    for line in process.stdout or ():
        say(f"{which}: {line.rstrip()}")


def _elsewhere(root: Path, sdk: Path) -> dict[str, str]:
    """Put what a build needs beside it, and give the environment for it."""
    package = Path(__file__).parent
    toolchain = root / "toolchain"
    ignored = shutil.ignore_patterns("__pycache__", "sdk", "target")
    shutil.copytree(package, toolchain / package.name, ignore=ignored)
    for part in SDK_PARTS:
        shutil.copytree(sdk / part, toolchain / package.name / "sdk" / part, ignore=ignored)
    downloads = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()
    downloads.mkdir(parents=True, exist_ok=True)
    (root / "cargo").symlink_to(downloads, target_is_directory=True)
    (root / "tmp").mkdir()
    (root / "include").mkdir()
    (root / "include" / "stdint.h").write_text("#error a header for other builds\n")
    paths = [str(toolchain), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **_ELSEWHERE,
        "CARGO_HOME": str(root / "cargo"),
        "CARGO_TARGET_DIR": str(root / "target"),
        "CPATH": str(root / "include"),
        "PYTHONPATH": os.pathsep.join(paths),
        "TMPDIR": str(root / "tmp"),
    }


def _artifacts(folder: Path, built: Built) -> dict[Abi, bytes]:
    files = {abi: folder / built.artifact(abi).file for abi in ABIS}
    return {abi: file.read_bytes() if file.exists() else b"" for abi, file in files.items()}


def _differences(where: str, one: Mapping[Abi, bytes], other: Mapping[Abi, bytes]) -> Iterator[str]:
    for abi in ABIS:
        if difference := first_difference(one[abi], other[abi]):
            yield f"{where}: {abi} differs {difference}"
