"""`chonkle new`: begin a codec."""

import json
import shlex
from pathlib import Path

import click

from chonkle.cli.output import print_lines
from chonkle.errors import BuildError
from chonkle_toolchain.project import Project, default_codec_id, write_project
from chonkle_toolchain.recipe import Language, read_recipe
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.shipped import shipped


@click.command(short_help="Begin a codec in C or Rust.")
@click.argument("name")
@click.option(
    "--lang", required=True, type=click.Choice(["c", "rust"]), help="What it is written in."
)
@click.option(
    "--codec-id", metavar="ID", help="What the codec does; NAME without `-c` or `-rs` if left out."
)
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where its folder goes; the current folder if left out.",
)
def new(name: str, lang: Language, codec_id: str | None, into: Path) -> None:
    """Begin a codec: write a folder NAME with one that works, to be changed into yours.

    It has a small filter with a parameter, a golden vector, and a pipeline that runs it. NAME is
    the name of the implementation, such as `zlib-rs`.

    \b
    Exit codes:
      1  the folder is not empty, or chonkle ships an implementation NAME of the codec

    \b
    Examples:
      chonkle new delta-rs --lang rust
      chonkle new delta-c --lang c --codec-id my-delta

    \b
    See also:
      `chonkle build`, `chonkle test`, and docs/guides/write-a-codec.md.
    """
    project = Project(name, lang, codec_id or default_codec_id(name, lang))
    if shipped(project.codec_id, name):
        raise BuildError(
            f"chonkle ships the implementation `{name}` of the codec `{project.codec_id}` itself",
            expected="another name, or another --codec-id",
        )
    folder = write_project(project, into=into, sdk=sdk_folder())
    displayed = shlex.quote(folder.as_posix())
    built = json.dumps(f"{folder.as_posix()}/codec/{read_recipe(folder).artifact('core')}")
    python = f'import chonkle; print(chonkle.codec({built}).encode(b"abc"))'
    print_lines(
        *f"""\
{displayed}: the codec `{project.codec_id}` in {project.language_name}
  its transform is {displayed}/{project.source}

next:
  chonkle build {displayed}
  chonkle test {displayed}
  chonkle verify {displayed}
  chonkle run {displayed}/pipeline.json --codec-store {displayed}/codec \\
      --override {project.codec_id}={project.implementation} \\
      --direction encode --input bytes={displayed}/README.md --output bytes=encoded.bin
  python -c {shlex.quote(python)}""".split("\n")
    )
