"""A codec's recipe: the `codec.toml` and `signature.json` in its folder."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chonkle.errors import BuildError, SignatureError
from chonkle.formats.signature import DIRECTIONS, Signature, parse_signature
from chonkle.formats.values import encode_scalar
from chonkle_toolchain.abi import Abi
from chonkle_toolchain.documents import read_document, read_toml
from chonkle_toolchain.signature_fields import require_known_fields

Language = Literal["c", "rust"]

RECIPE_FILE = "codec.toml"
SIGNATURE_FILE = "signature.json"
CARGO_FILE = "Cargo.toml"
CARGO_LOCK_FILE = "Cargo.lock"
SDK_CRATE = "chonkle-codec"

_FIELDS = {
    "c": {"language", "sources", "include", "flags", "stack_size_bytes"},
    "rust": {"language", "include", "c_in_crates", "stack_size_bytes"},
}
_STACK_SIZE_BYTES = 256 * 1024
_STACK_SIZE_MAX_BYTES = 1 << 30
_STACK_UNIT = 16
# Not sources: tests, documents, and what builds leave.
_NO_SOURCES = frozenset({
    "vectors", "tests", "README.md", "CHANGELOG.md", "LICENSE", "target", "build", "codec",
})  # fmt: skip
# Other files at the top of a codec's folder may be notes or test data.
_SOURCES_AT_TOP = frozenset({SIGNATURE_FILE, CARGO_FILE, CARGO_LOCK_FILE})
_SOURCE_ENDINGS = (".c", ".h", ".inc", ".rs")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one codec is built, and its signature.

    Attributes:
        folder: the codec's folder.
        language: the language.
        signature: the signature.
        sources: C files to compile, relative to the folder; empty for Rust.
        include: C header folders, relative to the folder; those beside it are shared by several
            codecs. For Rust, its build script passes them to the C compiler.
        crates: for Rust, all crates outside the folder that it is built from, relative to it,
            without the SDK's; they are shared by several codecs.
        flags: further flags for the C compiler.
        c_in_crates: whether a dependency of the Rust codec compiles C.
        stack_size_bytes: the guest's stack.
    """

    folder: Path
    language: Language
    signature: Signature
    sources: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    crates: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    c_in_crates: bool = False
    stack_size_bytes: int = _STACK_SIZE_BYTES

    @property
    def name(self) -> str:
        """The implementation's name, and the folder's."""
        return self.signature.implementation

    @property
    def defaults(self) -> str:
        """The defaults of scalar ports for the SDK: lines of `name text`."""
        ports = {**self.signature.outputs, **self.signature.inputs}
        return "".join(
            f"{name} {encode_scalar(port.default).decode()}\n"
            for name, port in ports.items()
            if not port.required and port.default is not None
        )

    @property
    def shared(self) -> tuple[str, ...]:
        """The folders of headers and crates outside the codec's own."""
        headers = (name for name in self.include if _lies_outside(self.folder, name))
        return (*headers, *self.crates)

    def files(self) -> Iterator[Path]:
        """Give the files that a build may read, shared ones included.

        Of the codec's own folder: what Cargo and the toolchain read at its top, C and Rust files,
        and everything in folders of sources.

        Yields:
            Paths relative to the folder.
        """
        for path in source_files(self.folder):
            name = path.as_posix()
            is_source = name in {*_SOURCES_AT_TOP, *self.sources} or name.endswith(_SOURCE_ENDINGS)
            if len(path.parts) > 1 or is_source:
                yield path
        for folder in self.shared:
            yield from (Path(folder, path) for path in source_files(self.folder / folder))

    def artifact(self, abi: Abi) -> str:
        """The path of the built file, relative to the output folder, with `/` between."""
        return f"{self.signature.codec_id}/{self.signature.label}.{abi}.wasm"


def is_codec_folder(path: Path) -> bool:
    """Tell whether a folder is a codec's own, and not one of codecs."""
    return (path / RECIPE_FILE).exists()


def find_recipes(codec_src: Path, *, names: Iterable[str] = ()) -> dict[str, Recipe]:
    """Read a codec's recipe, or those of the codecs in a folder.

    Args:
        codec_src: a codec's folder, or a folder with one folder for each codec.
        names: which codecs; all when empty. The recipes of others are not read.

    Returns:
        The recipes by name, sorted.

    Raises:
        BuildError: when there is no such folder, no codec of a name, or a recipe is bad.
    """
    if not codec_src.is_dir():
        raise BuildError(f"no folder `{codec_src}`")
    wanted = sorted({*names})
    if is_codec_folder(codec_src):
        recipe = read_recipe(codec_src)
        _require_names(wanted, [recipe.name])
        return {recipe.name: recipe}
    folders = {path.parent.name: path.parent for path in codec_src.glob(f"*/{RECIPE_FILE}")}
    if not folders:
        raise BuildError(
            f"no codec in `{codec_src}`",
            expected=f"{RECIPE_FILE} in it, or in folders in it",
            hint="`chonkle new` begins one",
        )
    _require_names(wanted, sorted(folders))
    return {name: _read_named(folders[name]) for name in wanted or sorted(folders)}


def _require_names(wanted: Iterable[str], there: Sequence[str]) -> None:
    for name in wanted:
        if name not in there:
            raise BuildError(f"no codec `{name}`", expected=f"one of {', '.join(there)}")


def _read_named(folder: Path) -> Recipe:
    """Read the recipe of a codec, and require that its folder has its name."""
    recipe = read_recipe(folder)
    if recipe.name != folder.name:
        raise BuildError(
            f"{folder / SIGNATURE_FILE}: `implementation` differs from the folder's name",
            expected=f"`{folder.name}`",
            got=f"`{recipe.name}`",
        )
    return recipe


def read_recipe(folder: Path) -> Recipe:
    """Read one codec's recipe.

    Args:
        folder: the codec's folder.

    Raises:
        BuildError: when a file is missing or malformed, or the codec cannot be built.
    """
    path = folder / RECIPE_FILE
    document = read_toml(path)
    language = document.get("language")
    if language not in ("c", "rust"):
        raise BuildError(f"{path}: bad `language`", expected='"c" or "rust"', got=repr(language))
    unknown = sorted(document.keys() - _FIELDS[language])
    if unknown:
        raise BuildError(
            f"{path}: unknown field `{unknown[0]}`",
            expected=f"any of {', '.join(sorted(_FIELDS[language]))}",
        )
    recipe = Recipe(
        folder=folder,
        language=language,
        signature=read_signature(folder),
        sources=_texts(document, "sources", path),
        include=_texts(document, "include", path),
        crates=_crates(folder) if language == "rust" else (),
        flags=_texts(document, "flags", path),
        c_in_crates=_flag(document, "c_in_crates", path),
        stack_size_bytes=_stack_size(document, path),
    )
    _check_files(recipe, path)
    return recipe


def require_data(signature: Signature, *, what: str) -> None:
    """Require inputs and outputs in a signature, without which a codec cannot be tested.

    Args:
        signature: the signature.
        what: its origin, for messages.

    Raises:
        SignatureError: when it has no input, no output, or no output in either direction.
    """
    for side, form in (("inputs", "encoded"), ("outputs", "decoded")):
        if not getattr(signature, side):
            raise SignatureError(
                f"{what}: `{side}` is empty", expected=f"the ports of the {form} form"
            )
    if not any(map(signature.output_ports, DIRECTIONS)):
        raise SignatureError(
            f"{what}: no output in either direction",
            expected="an output that exists when decoding, or an input of data when encoding",
        )


def require_cargo_lock(recipe: Recipe) -> None:
    """Require that a codec in Rust has a lock of its crates.

    Cargo writes one only where it finds the SDK's crate, so a build first puts a copy there.

    Args:
        recipe: the codec.

    Raises:
        BuildError: when there is none.
    """
    if recipe.language == "rust" and not (recipe.folder / CARGO_LOCK_FILE).is_file():
        raise BuildError(
            f"{recipe.folder}: no file `{CARGO_LOCK_FILE}`",
            hint=f"`cargo generate-lockfile` in {recipe.folder}, and commit it",
        )


def source_files(folder: Path) -> Iterator[Path]:
    """Give the files of a folder with sources.

    Hidden files, golden vectors, other tests, documents and what builds leave are no sources.

    Args:
        folder: the folder.

    Yields:
        Paths relative to it, sorted.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not hidden and relative.parts[0] not in _NO_SOURCES:
            yield relative


def read_signature(folder: Path) -> Signature:
    """Read a codec's signature.

    Args:
        folder: the codec's folder.

    Raises:
        BuildError: when the file is missing or malformed, or has no version.
    """
    path = folder / SIGNATURE_FILE
    try:
        signature = parse_signature(read_document(path), what=str(path))
        require_data(signature, what=str(path))
        require_known_fields(signature, what=str(path))
    except SignatureError as failure:
        raise BuildError(str(failure)) from failure
    if not signature.version:
        raise BuildError(f"{path}: no `version`", expected="a semantic version such as `1.0.0`")
    return signature


def _texts(document: Mapping[str, object], name: str, path: Path) -> tuple[str, ...]:
    value = document.get(name, [])
    if not isinstance(value, list) or not all(map(_is_plain, value)):
        raise BuildError(
            f"{path}: bad `{name}`",
            expected="a list of texts, none of them empty or with control characters",
            got=repr(value),
        )
    return tuple(value)


def _is_plain(text: object) -> bool:
    return isinstance(text, str) and text.isprintable() and bool(text)


def _crates(folder: Path) -> tuple[str, ...]:
    """Find all crates outside the folder that the one in it is built from."""
    found = ["."]
    for crate in found:
        # The loop visits what it adds.
        found += sorted({*_dependencies(folder, crate)} - {*found})
    return tuple(found[1:])


def _dependencies(folder: Path, crate: str) -> Iterator[str]:
    manifest = folder / crate / "Cargo.toml"
    if not manifest.exists():
        return
    document = read_toml(manifest)
    for table in ("dependencies", "build-dependencies"):
        # Cargo reports other errors in them.
        dependencies = document.get(table)
        for name, dependency in dependencies.items() if isinstance(dependencies, dict) else ():
            path = dependency.get("path") if isinstance(dependency, dict) else None
            if name != SDK_CRATE and isinstance(path, str) and path.isprintable():
                other = Path(os.path.normpath(Path(crate, path))).as_posix()
                if _lies_outside(folder, other):
                    yield other


def _lies_outside(folder: Path, name: str) -> bool:
    root = folder.resolve()
    return not (root / name).resolve().is_relative_to(root)


def _flag(document: Mapping[str, object], name: str, path: Path) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise BuildError(f"{path}: bad `{name}`", expected="true or false", got=repr(value))
    return value


def _stack_size(document: Mapping[str, object], path: Path) -> int:
    value = document.get("stack_size_bytes", _STACK_SIZE_BYTES)
    sizes = range(_STACK_UNIT, _STACK_SIZE_MAX_BYTES + 1, _STACK_UNIT)
    if isinstance(value, int) and not isinstance(value, bool) and value in sizes:
        return value
    raise BuildError(
        f"{path}: bad `stack_size_bytes`",
        expected=f"a multiple of {_STACK_UNIT}, from {_STACK_UNIT} to {_STACK_SIZE_MAX_BYTES}",
        got=repr(value),
    )


def _check_files(recipe: Recipe, path: Path) -> None:
    if recipe.language == "c" and not recipe.sources:
        raise BuildError(f"{path}: no `sources`", expected="the C files to compile")
    needed = recipe.sources if recipe.language == "c" else (CARGO_FILE,)
    root = recipe.folder.resolve()
    for name in needed:
        found = (root / name).resolve()
        if not found.is_relative_to(root):
            raise BuildError(f"{path}: `{name}` lies outside of the codec's folder")
        if not found.is_file():
            raise BuildError(f"{path}: no file `{name}` in the codec's folder")
    for name in (*recipe.include, *recipe.crates):
        found = (root / name).resolve()
        if root.parent not in found.parents:
            raise BuildError(f"{path}: `{name}` lies neither in the codec's folder nor beside it")
        if not found.is_dir():
            raise BuildError(f"{path}: no folder `{name}`, relative to the codec's")
