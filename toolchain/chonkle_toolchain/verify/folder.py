"""Verifying files: one, those of a codec store, or those of an author's folder."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from chonkle.backends.base import Limits
from chonkle.errors import BuildError, ChonkleError
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, Kind
from chonkle.limits import CompileLimits
from chonkle.storage.files import read_file
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.abi import ABIS
from chonkle_toolchain.codecs_lock import LOCK_FILE, Artifact, Lock, read_lock
from chonkle_toolchain.direct_call import COMPILE_LIMITS, LIMITS
from chonkle_toolchain.fingerprint import vectors_digest
from chonkle_toolchain.recipe import RECIPE_FILE, Recipe, find_recipes
from chonkle_toolchain.vectors import Vector, read_vectors
from chonkle_toolchain.verify.checks import verify_wasm
from chonkle_toolchain.verify.report import (
    Check,
    CheckFailed,
    NotApplicable,
    Outcome,
    Report,
    carry_out,
)

_OTHER: Mapping[Kind, Kind] = {"core": "component", "component": "core"}
# The default output folder of `chonkle build`.
_BUILT = "codec"


def verify_file(
    path: Path,
    *,
    vectors: Sequence[Vector] = (),
    allowed_imports: Iterable[str] = (),
    limits: Limits = LIMITS,
    compile_limits: CompileLimits = COMPILE_LIMITS,
) -> Report:
    """Verify one file, and compare it with its other form if that is beside it.

    Args:
        path: the file; the other form of `NAME.core.wasm` is `NAME.component.wasm`.
        vectors: the codec's golden vectors.
        allowed_imports: what it may import; names, or patterns with `*`.
        limits: the limits of one call.
        compile_limits: the limits of compiling a codec.

    Raises:
        BuildError: when it cannot be read.
    """
    return verify_wasm(
        _read(path),
        file=str(path),
        vectors=vectors,
        allowed_imports=allowed_imports,
        partner=_partner_of(path),
        limits=limits,
        compile_limits=compile_limits,
    )


def verify_folder(
    folder: Path,
    *,
    codec_src: Path | None = None,
    allowed_imports: Iterable[str] = (),
    limits: Limits = LIMITS,
    compile_limits: CompileLimits = COMPILE_LIMITS,
    report: Callable[[Report], None] = lambda _: None,
) -> list[Report]:
    """Verify every codec in a folder.

    Args:
        folder: a codec store; or a codec's folder, or a folder with several of those, whose folder
            `codec` is verified.
        codec_src: for a codec store, the folder of the codecs' folders, with the golden vectors.
        allowed_imports: what they may import; names, or patterns with `*`.
        limits: the limits of one call.
        compile_limits: the limits of compiling a codec.
        report: told of each file as soon as it is done.

    Returns:
        A report on the folder, and one on each file.

    Raises:
        BuildError: when there is no codec, a recipe or a golden vector is malformed, or a folder
            cannot be read.
    """
    store, recipes = find_store(folder, codec_src)
    # Like the runtime, this follows links to folders.
    paths = [path for path in _visible(store, "*/*") if path.suffix == ".wasm"]
    if not paths:
        hint = f"`chonkle build {folder}` builds them" if store != folder else ""
        if _visible(store, "*.wasm"):
            hint = f"`chonkle verify {store.resolve().parent}` verifies the store that it is in"
        raise BuildError(
            f"no codec in `{store}`",
            expected="files such as `zlib/zlib-rs@1.0.0.core.wasm`",
            hint=hint,
        )
    # Before the first report, which the caller may print at once.
    vectors = {name: read_vectors(recipe) for name, recipe in recipes.items()}
    locked, lock_check = _read_locked_files(store, recipes)
    patterns = tuple(allowed_imports)
    reports = []

    def done(each: Report) -> None:
        report(each)
        reports.append(each)

    # A lock lists every file in the folders of codecs.
    others = _visible(store, "**/*.wasm") if locked is None else _visible(store, "**/*.wasm", "*/*")
    strays = [path.relative_to(store).as_posix() for path in others if path not in paths]
    done(_folder_report(store, lock_check, locked, recipes, strays))
    # Shared, so that the other form of a codec finds it compiled.
    with TemporaryDirectory(prefix="chonkle-verify-", ignore_cleanup_errors=True) as cache:
        for path in paths:
            place = _Place(store, path.relative_to(store).as_posix(), locked)
            done(
                _verify_in_place(
                    place,
                    vectors=vectors,
                    allowed_imports=patterns,
                    limits=limits,
                    compile_limits=compile_limits,
                    cache=Path(cache),
                )
            )
    return reports


def find_store(folder: Path, codec_src: Path | None = None) -> tuple[Path, dict[str, Recipe]]:
    """Find the codec store of a folder, and the codecs' own folders.

    Args:
        folder: a codec store, a codec's folder, or a folder with several of those.
        codec_src: for a codec store, the folder of the codecs' folders.

    Returns:
        The store, and the recipes by implementation.

    Raises:
        BuildError: when a recipe is malformed.
    """
    is_source = (folder / RECIPE_FILE).is_file() or any(folder.glob(f"*/{RECIPE_FILE}"))
    store, sources = (folder / _BUILT, folder) if is_source else (folder, codec_src)
    return store, {} if sources is None else find_recipes(sources)


@dataclass(frozen=True, slots=True)
class _Place:
    """A file in a store.

    Attributes:
        store: the folder.
        file: the file, relative to it, with `/` between.
        locked: the files in the lock; None without a lock.
    """

    store: Path
    file: str
    locked: Mapping[str, Artifact] | None


def _verify_in_place(
    place: _Place,
    *,
    vectors: Mapping[str, Sequence[Vector]],
    allowed_imports: tuple[str, ...],
    limits: Limits,
    compile_limits: CompileLimits,
    cache: Path,
) -> Report:
    path = place.store / place.file
    try:
        wasm = _read(path)
    except BuildError as failure:
        return Report(place.file, "", (Check("valid", "failed", str(failure)),))
    try:
        codec = WasmCodec.from_bytes(wasm, place.file)
    except ChonkleError:
        codec = None
    found = verify_wasm(
        wasm,
        file=place.file,
        vectors=() if codec is None else vectors.get(codec.signature.implementation, ()),
        allowed_imports=allowed_imports,
        partner=_partner_of(path),
        limits=limits,
        compile_limits=compile_limits,
        cache=cache,
    )
    checks = (
        carry_out("digest", lambda: _check_digest(place, wasm)),
        carry_out("place", lambda: _check_place(place, codec)),
    )
    return replace(found, checks=(*checks, *found.checks))


def _check_digest(place: _Place, wasm: bytes) -> str:
    if place.locked is None:
        raise NotApplicable(f"there is no {LOCK_FILE}")
    wanted = place.locked.get(place.file)
    if wanted is None:
        raise CheckFailed(f"{LOCK_FILE} does not list it")
    found = Artifact.of(place.file, wasm)
    if found != wanted:
        raise CheckFailed(
            f"other bytes than {LOCK_FILE} says",
            expected=f"{wanted.size_bytes} bytes with blake3 {wanted.blake3}",
            got=f"{found.size_bytes} bytes with blake3 {found.blake3}",
            hint="build it again, or take the file from where it was published",
        )
    return f"blake3 {found.blake3}"


def _check_place(place: _Place, codec: WasmCodec | None) -> str:
    if codec is None:
        raise NotApplicable("it has no valid signature")
    wanted = f"{codec.signature.codec_id}/{codec.file_name}"
    if place.file != wanted:
        raise CheckFailed("wrong place in the folder", expected=wanted, got=place.file)
    return wanted


def _folder_report(
    store: Path,
    lock_check: Check,
    locked: Mapping[str, Artifact] | None,
    recipes: Mapping[str, Recipe],
    strays: Sequence[str],
) -> Report:
    def check_files() -> str:
        if strays:
            raise CheckFailed(
                f"`{strays[0]}` is no codec, or not where one can be", expected="CODEC_ID/FILE.wasm"
            )
        wanted = {recipe.artifact(abi) for recipe in recipes.values() for abi in ABIS}
        missing = sorted(
            file for file in wanted | (locked or {}).keys() if not (store / file).is_file()
        )
        if missing:
            raise CheckFailed(f"`{missing[0]}` is not there", hint="`chonkle build` builds it")
        if locked is None and not recipes:
            raise NotApplicable("nothing says which files should be there")
        return f"{len(wanted | (locked or {}).keys())} files"

    return Report(str(store), "", (lock_check, carry_out("files", check_files)))


def _read_locked_files(
    store: Path, recipes: Mapping[str, Recipe]
) -> tuple[Mapping[str, Artifact] | None, Check]:
    """Read the files in the lock, and check the lock itself."""
    if not (store / LOCK_FILE).exists():
        outcome: Outcome = "failed" if recipes else "not applicable"
        return None, Check("lock", outcome, f"there is no {LOCK_FILE}")
    try:
        lock = read_lock(store)
    except BuildError as failure:
        # No file counts as locked.
        return {}, Check("lock", "failed", str(failure))
    locked = {
        built.artifact(abi).file: built.artifact(abi)
        for built in lock.codecs.values()
        for abi in ABIS
    }
    return locked, carry_out("lock", lambda: _check_lock(lock, recipes))


def _check_lock(lock: Lock, recipes: Mapping[str, Recipe]) -> str:
    """Require a consistent lock with the digests of the current golden vectors."""
    for name, built in lock.codecs.items():
        if built.build != built.fingerprint.digest:
            raise CheckFailed(
                f"what it says `{name}` was built from is not what its `build` is the digest of",
                hint="take the lock from where it was published, or `chonkle build`",
            )
        for abi in ABIS:
            wanted = f"{built.codec_id}/{name}@{built.version}.{abi}.wasm"
            if built.artifact(abi).file != wanted:
                raise CheckFailed(
                    f"the wrong {abi} file of `{name}`",
                    expected=wanted,
                    got=built.artifact(abi).file,
                )
    for name in sorted(lock.codecs.keys() & recipes.keys()):
        found, wanted = vectors_digest(recipes[name]), lock.codecs[name].vectors
        if found != wanted:
            raise CheckFailed(
                f"the golden vectors of `{name}` are not those that its files gave",
                expected=wanted or "none",
                got=found or "none",
                hint="take them from where they were, or `chonkle build`",
            )
    return f"{len(lock.codecs)} codec{'' if len(lock.codecs) == 1 else 's'}"


def _visible(store: Path, *patterns: str) -> list[Path]:
    """Give the paths that match one of the patterns and are not hidden, sorted."""
    found = {path for pattern in patterns for path in store.glob(pattern)}
    return sorted(path for path in found if not _is_hidden(path.relative_to(store)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _partner_of(path: Path) -> bytes | None:
    for kind, other in _OTHER.items():
        ending = f".{kind}.wasm"
        if path.name.endswith(ending):
            partner = path.with_name(f"{path.name.removesuffix(ending)}.{other}.wasm")
            return _read(partner) if partner.is_file() else None
    return None


def _read(path: Path) -> bytes:
    try:
        return read_file(path, size_max=SIZE_MAX_BYTES)
    except OSError as failure:
        raise BuildError(f"{path}: cannot be read: {failure.strerror}") from failure
