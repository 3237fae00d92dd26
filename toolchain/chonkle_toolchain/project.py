"""A new codec: a folder with everything to build and test it.

Its files come from `templates`: from `common`, and from the folder of its language, with words such
as `{{implementation}}` filled in.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from chonkle.errors import BuildError
from chonkle.names import CODEC_NAME_RULE, is_codec_name
from chonkle_toolchain.build_folder import claim_build_folder
from chonkle_toolchain.documents import writing
from chonkle_toolchain.recipe import Language
from chonkle_toolchain.sdk import place_sdk

# By language: the suffix of implementations, the source, and the name in messages.
_SUFFIXES: dict[Language, str] = {"c": "-c", "rust": "-rs"}
_SOURCES: dict[Language, str] = {"c": "src/codec.c", "rust": "src/lib.rs"}
_LANGUAGES: dict[Language, str] = {"c": "C", "rust": "Rust"}
_NOT_IN_CRATES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Project:
    """A codec to be written.

    Attributes:
        implementation: its name, and its folder's.
        language: the language.
        codec_id: what it does.
    """

    implementation: str
    language: Language
    codec_id: str

    def __post_init__(self) -> None:
        for what, name in (("name", self.implementation), ("codec id", self.codec_id)):
            if not is_codec_name(name):
                raise BuildError(f"bad {what} `{name}`", expected=CODEC_NAME_RULE)

    @property
    def language_name(self) -> str:
        """The language's usual name."""
        return _LANGUAGES[self.language]

    @property
    def source(self) -> str:
        """The path of its transform, relative to its folder."""
        return _SOURCES[self.language]

    @property
    def words(self) -> dict[str, str]:
        """The words of templates, and what replaces them."""
        return {
            "implementation": self.implementation,
            "codec_id": self.codec_id,
            "language": self.language_name,
            "source": self.source,
            # Cargo allows fewer characters, no digit at the start and no keyword.
            "crate": f"codec-{_NOT_IN_CRATES.sub('-', self.implementation)}",
        }


def default_codec_id(implementation: str, language: Language) -> str:
    """Give the codec id that an implementation's name suggests: `zlib` for `zlib-rs`."""
    return implementation.removesuffix(_SUFFIXES[language]) or implementation


def write_project(project: Project, *, into: Path, sdk: Path) -> Path:
    """Write a new codec's folder, whole or not at all.

    Args:
        project: the codec.
        into: the parent of its folder.
        sdk: the SDK, copied into it for editors.

    Returns:
        The codec's folder.

    Raises:
        BuildError: when the folder has files already, or cannot be written.
    """
    folder = into / project.implementation
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BuildError(f"`{folder}` is there already, and no folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise BuildError(f"`{folder}` is there already, with something in it")
    # A temporary folder is private; the one inside it has the usual mode.
    with (
        writing(folder),
        TemporaryDirectory(dir=into, prefix=f".{project.implementation[:32]}.") as temporary,
    ):
        made = Path(temporary) / "project"
        for kind in ("common", project.language):
            for path, text in _templates(files(__package__) / "templates" / kind):
                target = made / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(_filled(text, project.words), encoding="utf-8", newline="\n")
        claim_build_folder(made / "build")
        place_sdk(sdk, made / "build" / "sdk")
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    return folder


def _filled(template: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        template = template.replace(f"{{{{{word}}}}}", value)
    return template


def _templates(folder: Traversable) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in folder.iterdir():
        if entry.is_file():
            yield PurePosixPath(entry.name), entry.read_text(encoding="utf-8")
        else:
            for path, text in _templates(entry):
                yield entry.name / path, text
