"""The help of a command, in the order of a manual page.

A docstring may have sections: `\\b`, a title, indented lines. They come after the options, in the
order of `_SECTIONS`. `Environment` is a list of names, which are explained here. `Exit codes` has
only what differs from `_EXIT_CODES`.
"""

import re
from collections.abc import Iterable, Mapping

import click

from chonkle.cli.style import color_option, colored

_SECTIONS = ("Exit codes", "Environment", "Examples", "See also")
# Compiled only where a help is written.
_SECTION = rf"(?m)^\x08\n({'|'.join(_SECTIONS)}):\n((?: .*\n?)+)"
_EXIT_CODES = {
    "0": "success",
    "1": "a failure, which one line on standard error describes",
    "2": "wrong usage",
}

VARIABLES: Mapping[str, str] = {
    "CHONKLE_CACHE_DIR": "directory of the cache of native code",
    "CHONKLE_CACHE_SYSTEM": "directory of a cache that is read first and never written",
    "CHONKLE_AOT": "`auto`, `only` (never compile) or `off` (keep nothing)",
    "CHONKLE_CACHE_KEY": "key that authenticates the caches",
    "CHONKLE_CACHE_KEY_FILE": "file with that key",
    "CHONKLE_CACHE_MAX_SIZE": "size that the cache is trimmed to, such as `2G`",
    "CHONKLE_CODEC_STORE": "directory of installed codecs",
    "CHONKLE_COMPILE_TIMEOUT": "seconds that compiling a codec may take",
    "CHONKLE_COMPILE_MEMORY": "memory that compiling a codec may take",
    "CHONKLE_FORCE_DOWNLOAD": "`1`: fetch also what is installed or kept",
    "CHONKLE_OFFLINE": "`1`: ask no server",
    "CHONKLE_REGISTRY": "the registry that the next two are for",
    "CHONKLE_REGISTRY_USERNAME": "user name there",
    "CHONKLE_REGISTRY_PASSWORD": "password or token of that user",
    "CHONKLE_POLICY": "file that says which keys may sign which codecs",
    "CHONKLE_CALLS": "`prepared`, or `public`, which is slower",
    "CHONKLE_COMPONENT": "`flatten`, or `fallback`, which is slower",
    "DOCKER_CONFIG": "directory of docker's config.json, for credentials",
    "CHONKLE_KEY_PASSWORD": "password of the private key",
    "COSIGN_PASSWORD": "the same, if that is not set",
    "SOURCE_DATE_EPOCH": "date of what is published, in seconds since 1970",
    "SHELL": "the shell that completion is for",
    "XDG_DATA_HOME": "directory of a user's data, `~/.local/share`",
    "XDG_CONFIG_HOME": "directory of a user's configuration, `~/.config`",
    "ZDOTDIR": "directory of zsh's start-up files",
    "NO_COLOR": "if not empty: no colours",
    "FORCE_COLOR": "if not empty: colours also where there is no terminal",
}
# Names for several variables.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "CACHE": ("CHONKLE_CACHE_DIR", "CHONKLE_CACHE_SYSTEM", "CHONKLE_AOT", "CHONKLE_CACHE_KEY"),
    "COMPILING": ("CHONKLE_COMPILE_TIMEOUT", "CHONKLE_COMPILE_MEMORY"),
    "PICKING": ("CHONKLE_CODEC_STORE", "CHONKLE_POLICY", "CHONKLE_OFFLINE"),
    "REGISTRY": (
        "CHONKLE_REGISTRY",
        "CHONKLE_REGISTRY_USERNAME",
        "CHONKLE_REGISTRY_PASSWORD",
        "DOCKER_CONFIG",
    ),
}


class _Formatter(click.HelpFormatter):
    """Writes headings and names with their styles, and sections as such."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage."""
        start = len(self.buffer)
        super().write_usage(prog, args, prefix)
        written = "".join(self.buffer[start:])
        # Codes would count as text when it is wrapped.
        self.buffer[start:] = [written.replace("Usage:", colored("Usage:", "heading"), 1)]

    def write_heading(self, heading: str) -> None:
        """Write the title of a list."""
        self.write(f"{'':>{self.current_indent}}{colored(f'{heading}:', 'heading')}\n")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write a list of names with their explanations."""
        named = [(colored(name, "name"), text) for name, text in rows]
        super().write_dl(named, col_max, col_spacing)

    def write_text(self, text: str) -> None:
        """Write a text, or the sections after the options."""
        sections = dict(re.findall(_SECTION, text))
        if not sections:
            super().write_text(text)
            return
        indent, self.current_indent = self.current_indent, 0
        for number, title in enumerate(each for each in _SECTIONS if each in sections):
            if number:
                self.write_paragraph()
            self.write_heading(title)
            self.indent()
            self._write_section(title, sections[title].splitlines())
            self.dedent()
        self.current_indent = indent

    def _write_section(self, title: str, lines: list[str]) -> None:
        if title == "Exit codes":
            own = dict(line.split(maxsplit=1) for line in lines if " " in line.strip())
            self.write_dl(sorted({**_EXIT_CODES, **own}.items()))
            return
        words = " ".join(lines).split()
        names = [name for word in words for name in _GROUPS.get(word, (word,))]
        if title == "Environment" and VARIABLES.keys() >= {*names}:
            self.write_dl([(name, VARIABLES[name]) for name in names])
        elif title == "See also":
            super().write_text(" ".join(words))
        else:
            # Another distribution may explain its variables itself.
            self.write("".join(f"{line}\n" for line in lines))


class _Context(click.Context):
    formatter_class = _Formatter

    def make_formatter(self) -> click.HelpFormatter:
        """Give what writes the help, and put the sections of the command after its options."""
        command = self.command
        text = "\n\n".join(filter(None, (command.help, command.epilog)))
        sections = dict(re.findall(_SECTION, text))
        sections.setdefault("Exit codes", "  0  success\n")
        command.help = re.sub(_SECTION, "", text).strip()
        command.epilog = "\n".join(f"\b\n{title}:\n{lines}" for title, lines in sections.items())
        return super().make_formatter()


def adopt[C: click.Command](command: C) -> C:
    """Give a command, and those below it, the option `--color` and this kind of help."""
    if command.context_class is _Context:
        return command
    command.context_class = _Context
    # A command of another distribution may have one of its own.
    if not any("--color" in each.opts for each in command.params):
        command.params.append(color_option())
    if isinstance(command, click.Group):
        for each in command.commands.values():
            adopt(each)
    return command
