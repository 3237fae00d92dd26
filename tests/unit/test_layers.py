"""The layers of `chonkle`: imports go down, third-party packages stay where they are listed.

`docs/concepts/architecture.md` draws the layers.

An import inside a function or under `TYPE_CHECKING` counts like any other: it is a dependency all
the same. `chonkle/__init__.py` stands above everything and nothing imports from it.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a module, or every module of a package, may import.

    Args:
        layer: anything of a lower layer may be imported.
        beside: modules and packages of the same layer that may be imported as well. Modules of
            one package may always import each other's layer.
        third_party: the packages from elsewhere that may be imported.
        never: modules and packages that may not be imported although they are lower.
        environment: whether the environment may be read.
        computed: whether modules may be imported by a name that is computed at run time.
    """

    layer: int
    beside: tuple[str, ...] = ()
    third_party: frozenset[str] = frozenset()
    never: tuple[str, ...] = ()
    environment: bool = False
    computed: bool = False


def rule(layer: int, *third_party: str, beside: str = "", never: str = "") -> Rule:
    """Write a rule briefly: `beside` and `never` are names below `chonkle`, with spaces between."""
    return Rule(
        layer=layer,
        third_party=frozenset(third_party),
        beside=tuple(f"chonkle.{name}" for name in beside.split()),
        never=tuple(f"chonkle.{name}" for name in never.split()),
    )


# The longest entry that is the module, or a package it is in, decides.
RULES: Mapping[str, Rule] = {
    "chonkle.version": rule(0),
    "chonkle.wasmtime_version": rule(0, "wasmtime"),
    "chonkle.closing": rule(0),
    "chonkle.locking": rule(0),
    "chonkle.errors": rule(0),
    "chonkle.limits": rule(0, beside="errors"),
    "chonkle.names": rule(0, beside="errors"),
    "chonkle.digest": rule(0, "blake3", beside="errors names"),
    "chonkle.formats": rule(1),
    "chonkle.dag": rule(1, beside="formats"),
    "chonkle.oci.address": rule(1, beside="formats"),
    "chonkle.oci.model": rule(1, beside="formats"),
    "chonkle.storage.files": rule(2, "filelock"),
    "chonkle.storage.kept": rule(2),
    "chonkle.storage.codec_files": rule(2),
    "chonkle.storage.store": rule(2),
    # Records are sealed, artifacts are hashed while they are read, and entries are keyed.
    "chonkle.cache.record": rule(2, "blake3"),
    "chonkle.cache.entry_files": rule(2, beside="storage"),
    "chonkle.cache.directory": rule(2, "blake3", beside="storage"),
    "chonkle.cache.layers": rule(2),
    "chonkle.cache.compilers": rule(2, "wasmtime", beside="engine"),
    "chonkle.cache.trimming": rule(2),
    # An engine's fingerprint says whether an entry is of use here.
    "chonkle.cache.survey": rule(2, beside="engine storage"),
    "chonkle.cache.integrity": rule(2, "wasmtime", beside="engine"),
    "chonkle.cache.archive": rule(2),
    "chonkle.cache.bundle": rule(2, "blake3", beside="storage"),
    "chonkle.cache.compiling": rule(2, beside="engine storage"),
    "chonkle.cache.child": rule(2, beside="engine"),
    # A program needs some variables of the environment to start at all; they are no settings.
    "chonkle.cache.child_process": replace(rule(2), environment=True),
    "chonkle.cache.aot": rule(2, "blake3", "wasmtime", beside="engine"),
    "chonkle.engine": rule(2, "wasmtime"),
    "chonkle.oci.repository": rule(1, beside="formats"),
    "chonkle.oci.access": rule(3),
    "chonkle.oci.pem": rule(3),
    "chonkle.oci.attestation": rule(3),
    # What computes signatures; the rest of chonkle imports these two only where a key is used.
    "chonkle.oci.keys": rule(3, "cryptography"),
    "chonkle.oci.private_keys": rule(3, "cryptography", "nacl"),
    "chonkle.oci.credentials": rule(3),
    "chonkle.oci.layout": rule(3),
    "chonkle.oci.places": rule(3),
    "chonkle.oci.pull": rule(3),
    "chonkle.oci.transport": rule(3, "requests", "urllib3"),
    "chonkle.oci.authorization": rule(3, "requests"),
    "chonkle.oci.registry": rule(3, "requests"),
    "chonkle.oci.artifact": rule(3),
    "chonkle.fetch": rule(3, beside="oci"),
    "chonkle.allowed_sources": rule(3, beside="fetch"),
    "chonkle.evidence": rule(3, beside="oci"),
    "chonkle.policy": rule(3, beside="evidence oci"),
    "chonkle.policy_check": rule(3, beside="evidence policy oci"),
    "chonkle.backends.base": rule(4, never="cache storage engine oci fetch"),
    "chonkle.backends.wasm": rule(4, "wasmtime", never="oci fetch"),
    "chonkle.backends.wasm.unchecked_calls": rule(
        4, "wasmtime", never="cache storage engine oci fetch"
    ),
    "chonkle.backends.wasm.thread_stack": rule(4, never="cache storage oci fetch"),
    "chonkle.backends.native": rule(4, "numcodecs", "numpy"),
    # The resolver picks a file and never opens it; the executor runs whatever it was given.
    "chonkle.inventory": rule(5, never="backends.wasm"),
    "chonkle.resolver": rule(5, beside="inventory lock settings", never="backends.wasm"),
    # It reads the URIs of sources, and fetches nothing.
    "chonkle.lock": rule(5, "tomli_w", never="backends cache engine oci"),
    "chonkle.arguments": rule(5, never="cache storage engine oci fetch backends"),
    "chonkle.executor": rule(
        5, beside="arguments", never="cache storage engine oci fetch backends.wasm backends.native"
    ),
    "chonkle.installing": rule(5),
    "chonkle.settings": Rule(layer=5, environment=True),
    "chonkle.runtime": rule(5, beside="resolver settings"),
    "chonkle.pickles": rule(6),
    "chonkle.pipeline": rule(6, beside="pickles"),
    "chonkle.arrays": rule(5, "numpy", beside="arguments"),
    "chonkle.codecs": rule(6, beside="pickles pipeline"),
    "chonkle.zarr_files": rule(6, beside="codecs"),
    "chonkle.zarr": rule(7, "numcodecs", "numpy", "zarr"),
    "chonkle.dask": rule(7, "distributed", "zarr", beside="zarr"),
    "chonkle.tiff": rule(7, "async_tiff"),
    # A command is imported when it is used, by the name in a table.
    "chonkle.__main__": rule(6, beside="cli"),
    # They read and write `.npy` files.
    "chonkle.cli.chunks": rule(6, "click", "numpy", beside="codecs zarr_files"),
    # The variables of a shell are no settings.
    "chonkle.cli.completion": replace(rule(6, "click"), environment=True),
    # It must not read the settings: the help needs colours too.
    "chonkle.cli.style": replace(rule(6, "click"), environment=True),
    "chonkle.cli": replace(rule(6, "click", beside="pipeline codecs zarr_files"), computed=True),
}
# The façade: its version and what it re-exports, late. Modules below import from where a thing is
# made.
FACADE = Rule(layer=8, computed=True)

# What the build side may use of the runtime: its lowest layers, the registry client to publish
# with, what opens and calls codecs, to verify them, and where a user's data go.
BUILD_SIDE_USES = (
    "chonkle.errors",
    "chonkle.names",
    "chonkle.digest",
    "chonkle.formats",
    "chonkle.dag",
    "chonkle.storage",
    "chonkle.engine",
    "chonkle.wasmtime_version",
    "chonkle.oci",
    "chonkle.evidence",
    "chonkle.policy",
    "chonkle.closing",
    "chonkle.limits",
    # It compiles codecs as the runtime does.
    "chonkle.cache",
    "chonkle.backends",
    "chonkle.resolver",
    "chonkle.runtime",
    "chonkle.pipeline",
    "chonkle.settings",
    # How a command prints, how it ends that was told to, how it is told of registries, and the
    # options that both sides have.
    "chonkle.cli.access",
    "chonkle.cli.output",
    "chonkle.cli.progress",
    "chonkle.cli.signals",
    "chonkle.cli.style",
    "chonkle.cli.options",
)

# What reads or changes the environment, as attributes of `os` and `os.path`.
ENVIRONMENT = frozenset(
    {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv", "expandvars"}
)


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: its dotted name, whether it is a package's `__init__`, and its tree."""

    name: str
    is_package: bool
    tree: ast.Module


def modules_under(root: Path, package: str) -> dict[str, Module]:
    """Parse every Python file of a package.

    Args:
        root: the folder that holds the package's folder.
        package: the package's name.

    Returns:
        The modules by dotted name; a package is named without `__init__`.
    """
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        found[name] = Module(name, is_package, tree)
    return found


def is_within(module: str, prefix: str) -> bool:
    """Tell whether a dotted name is another one or lies below it."""
    return module == prefix or module.startswith(f"{prefix}.")


def rule_of(module: Module, rules: Mapping[str, Rule]) -> Rule | None:
    """Find the rule of a module, or none if the table does not have it."""
    if module.name.count(".") == 0:
        return FACADE
    listed = [entry for entry in rules if is_within(module.name, entry)]
    if listed:
        return rules[max(listed, key=len)]
    below = [rules[entry].layer for entry in rules if is_within(entry, module.name)]
    if module.is_package and below:
        # Importing any module of a package runs its `__init__`: it is as low as the lowest.
        return Rule(layer=min(below))
    return None


def imports_of(module: Module, known: Mapping[str, Module]) -> Iterator[tuple[int, str]]:
    """Give every import of a module, wherever it stands.

    Args:
        module: the module to read.
        known: all modules, to tell `from package import module` from `from module import name`.

    Yields:
        The line and the dotted name of what is imported; an empty name where a module is imported
        by a name computed at run time.
    """
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(names=names, level=level):
                base = node.module or ""
                if level:
                    parents = package.split(".")
                    base = ".".join([*parents[: len(parents) - level + 1], *base.split(".")])
                    base = base.rstrip(".")
                for alias in names:
                    inner = f"{base}.{alias.name}"
                    yield node.lineno, inner if inner in known else base
            case ast.Call(func=ast.Name(id="__import__" | "import_module"), args=arguments) | (
                ast.Call(func=ast.Attribute(attr="import_module"), args=arguments)
            ):
                match arguments:
                    case [ast.Constant(value=str(name)), *_]:
                        yield node.lineno, name
                    case _:
                        yield node.lineno, ""


def environment_uses_of(module: Module) -> Iterator[int]:
    """Give the lines where a module reads or changes the environment."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(attr=attribute) if attribute in ENVIRONMENT:
                yield node.lineno
            case ast.ImportFrom(module="os" | "os.path" | "posixpath", names=names):
                if any(alias.name in ENVIRONMENT for alias in names):
                    yield node.lineno


def violations(root: Path, package: str, rules: Mapping[str, Rule]) -> list[str]:
    """Check a package against its layers.

    Args:
        root: the folder that holds the package's folder.
        package: the package's name.
        rules: what each module may import.

    Returns:
        One line for each import that is not allowed and each module that has no rule.
    """
    known = modules_under(root, package)
    found = []
    for module in known.values():
        own = rule_of(module, rules)
        if own is None:
            found.append(f"{module.name}: in no layer; hint: list it in {Path(__file__).name}")
            continue
        for line, target in imports_of(module, known):
            problem = _problem(module.name, own, target, known, rules)
            if problem:
                found.append(f"{module.name}:{line}: {problem}")
        if not own.environment:
            found.extend(
                f"{module.name}:{line}: the environment is read in settings only"
                for line in environment_uses_of(module)
            )
    return found


def _problem(
    importer: str, own: Rule, target: str, known: Mapping[str, Module], rules: Mapping[str, Rule]
) -> str | None:
    """Say what is wrong with one import, if anything."""
    top = target.partition(".")[0]
    problem: str | None = None
    if not target:
        if not own.computed:
            problem = "imports a module by a name that is not written here"
    elif top != importer.partition(".")[0]:
        if top not in sys.stdlib_module_names and top not in own.third_party:
            problem = f"third-party `{top}` is not for this module"
    elif target not in known:
        problem = f"imports `{target}`, which does not exist"
    else:
        problem = _problem_inside(importer, own, known[target], rule_of(known[target], rules))
    return problem


def _problem_inside(importer: str, own: Rule, target: Module, other: Rule | None) -> str | None:
    """Say what is wrong with an import of one of the package's own modules, if anything."""
    if other is None:
        return None  # reported where that module stands
    if other.layer > own.layer:
        return f"imports upward, from L{own.layer} to `{target.name}` of L{other.layer}"
    if any(is_within(target.name, prefix) for prefix in own.never):
        return f"imports `{target.name}`, which its rule excludes"
    in_one_package = importer.split(".")[:2] == target.name.split(".")[:2]
    beside = in_one_package or any(is_within(target.name, prefix) for prefix in own.beside)
    if other.layer == own.layer and not beside:
        return f"imports sideways, `{target.name}` is of L{own.layer} too"
    return None


def test_every_entry_is_a_module_that_exists() -> None:
    for name in RULES:
        path = ROOT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_every_import_of_chonkle_goes_down() -> None:
    assert violations(ROOT, "chonkle", RULES) == []


def build_side_violations(root: Path, package: str, allowed: tuple[str, ...]) -> list[str]:
    """Check that the build side imports only those parts of the runtime that it may use."""
    runtime = allowed[0].partition(".")[0]
    return [
        f"{module.name}:{line}: imports `{target}`, which is the runtime's own affair"
        for module in modules_under(root, package).values()
        for line, target in imports_of(module, dict.fromkeys(allowed, module))
        if is_within(target, runtime) and not any(is_within(target, name) for name in allowed)
    ]


def test_the_build_side_uses_only_the_lowest_layers() -> None:
    assert build_side_violations(ROOT / "toolchain", "chonkle_toolchain", BUILD_SIDE_USES) == []


def test_a_build_side_that_uses_more_is_found(tmp_path: Path) -> None:
    (tmp_path / "builder").mkdir()
    (tmp_path / "builder/ok.py").write_text("from fake import words\nimport fake_too, fake.words.a")
    (tmp_path / "builder/bad.py").write_text("from fake.run import go\nfrom fake import go")
    assert build_side_violations(tmp_path, "builder", ("fake.words",)) == [
        "builder.bad:1: imports `fake.run`, which is the runtime's own affair",
        "builder.bad:2: imports `fake`, which is the runtime's own affair",
    ]


FAKE_RULES: Mapping[str, Rule] = {
    "fake.words": Rule(layer=0),
    "fake.hash": Rule(layer=0, third_party=frozenset({"blake3"})),
    "fake.paper": Rule(layer=1),
    "fake.paper.stamped": Rule(layer=1, third_party=frozenset({"blake3"})),
    "fake.shelf.low": Rule(layer=1),
    "fake.shelf.high": Rule(layer=3),
    "fake.graph": Rule(layer=1, beside=("fake.paper",)),
    "fake.run": Rule(layer=2, never=("fake.hash",)),
    "fake.settings": Rule(layer=3, environment=True),
}
FAKE_TREE = {
    "__init__.py": "from importlib import import_module\nimport_module(input())\nimport fake.run",
    "words.py": "import json\nfrom os import path",
    "hash.py": "from blake3 import blake3",
    "paper/__init__.py": "",
    "paper/letter.py": "from fake.paper.stamped import seal\nfrom . import stamped",
    "paper/stamped.py": "import blake3\nimport fake.words",
    "shelf/__init__.py": "",
    "shelf/low.py": "from ..words import plain",
    "shelf/high.py": "from fake.shelf import low\nfrom fake.run import go",
    "graph.py": "from fake.paper.letter import Letter",
    "run.py": "def go():\n    from fake.graph import Graph",
    "settings.py": "import os\nhome = os.environ['HOME']",
}


def fake_tree(root: Path, changed: Mapping[str, str]) -> Path:
    for name, source in {**FAKE_TREE, **changed}.items():
        path = root / "fake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return root


def test_a_tree_that_keeps_the_rules_has_no_violations(tmp_path: Path) -> None:
    assert violations(fake_tree(tmp_path, {}), "fake", FAKE_RULES) == []


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        pytest.param("words.py", "import fake.run", "words:1: imports upward", id="plain-import"),
        pytest.param("words.py", "from fake import run", "words:1: imports upward", id="from"),
        pytest.param("words.py", "from .run import go", "words:1: imports upward", id="relative"),
        pytest.param("words.py", "from fake import go", "words:1: imports upward", id="façade"),
        pytest.param(
            "words.py", "def f():\n    import fake.run", "words:2: imports upward", id="in-function"
        ),
        pytest.param(
            "words.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fake.run import go",
            "words:3: imports upward",
            id="type-checking",
        ),
        pytest.param(
            "words.py",
            "import importlib\nimportlib.import_module('fake.run')",
            "words:2: imports upward",
            id="import_module",
        ),
        pytest.param(
            "words.py", "__import__('fake.run')", "words:1: imports upward", id="__import__"
        ),
        pytest.param(
            "words.py",
            "from importlib import import_module\nimport_module('fa' + 'ke.run')",
            "words:2: imports a module by a name that is not written here",
            id="computed-name",
        ),
        pytest.param("words.py", "import fake.hash", "words:1: imports sideways", id="sideways"),
        pytest.param(
            "paper/letter.py", "import fake.graph", "letter:1: imports sideways", id="not-beside"
        ),
        pytest.param(
            "shelf/__init__.py",
            "from fake.shelf.high import top",
            "shelf:1: imports upward, from L1",
            id="package-is-as-low-as-its-lowest",
        ),
        pytest.param(
            "shelf/low.py", "from . import high", "low:1: imports upward", id="up-within-package"
        ),
        pytest.param("run.py", "import fake.hash", "run:1: imports `fake.hash`", id="never"),
        pytest.param("run.py", "import fake.gone", "`fake.gone`, which does not", id="missing"),
        pytest.param("words.py", "import click", "words:1: third-party `click`", id="third-party"),
        pytest.param(
            "paper/letter.py", "import blake3", "letter:1: third-party `blake3`", id="only-sibling"
        ),
        pytest.param(
            "words.py", "def f():\n    import numpy.fft", "third-party `numpy`", id="late-import"
        ),
        pytest.param("new.py", "", "fake.new: in no layer", id="unlisted-module"),
        pytest.param("box/__init__.py", "", "fake.box: in no layer", id="unlisted-package"),
        pytest.param("run.py", "import os\nos.getenv('A')", "run:2: the environment", id="getenv"),
        pytest.param("run.py", "import os as o\no.environ", "run:2: the environment", id="environ"),
        pytest.param("run.py", "from os import environ", "run:1: the environment", id="from-os"),
    ],
)
def test_each_violation_is_found(tmp_path: Path, name: str, source: str, expected: str) -> None:
    found = violations(fake_tree(tmp_path, {name: source}), "fake", FAKE_RULES)
    assert len(found) == 1
    assert expected in found[0]


def test_every_module_named_in_a_rule_is_in_the_table() -> None:
    named = {name for rule in RULES.values() for name in (*rule.beside, *rule.never)}
    unknown = {name for name in named if not any(is_within(entry, name) for entry in RULES)}
    assert unknown == set()
