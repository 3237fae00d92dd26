"""What compilers say that sources include."""

from pathlib import Path

import pytest
from chonkle_toolchain.inclusions import listed_files, require_no_variables, require_own_crates

from chonkle.errors import BuildError


def test_names_in_a_list_of_the_c_compiler_are_read_as_they_are() -> None:
    rule = "source: /a\\ b/é\\#x/a.c \\\n  ../h\\ $$h.h /c:/d.h\n"
    assert listed_files(rule) == ["/a b/é#x/a.c", "../h $h.h", "/c:/d.h"]


def test_a_crate_that_includes_what_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    own, module = tmp_path / "a b: c", tmp_path / "m.wasm"

    def lists(*paths: Path) -> None:
        names = " ".join(str(path).replace(" ", "\\ ") for path in (module, *paths))
        module.with_suffix(".d").write_text(names.replace("m.wasm", "m.wasm:"))

    lists(own / "lib.rs", own / "x.bin")
    require_own_crates(module, folders=(own,), what="compiling")
    lists(own / "lib.rs", own / ".." / "x y.bin")
    with pytest.raises(BuildError, match=r"^compiling: a crate includes `.*/x y\.bin`, which is "):
        require_own_crates(module, folders=(own,), what="compiling")


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    return tmp_path / "some_crate-0123.d"


HERE = {"HERE": "a \\ b\nc"}


def test_a_variable_that_is_here_and_taken_in_is_refused(listing: Path) -> None:
    listing.write_text("x: y\n\n# env-dep:HERE=a \\\\ b\\nc\n")
    with pytest.raises(BuildError) as caught:
        require_no_variables([listing], environment=HERE, what="compiling")
    said = str(caught.value)
    assert said.startswith("compiling: the crate `some_crate` takes in the variable `HERE`")
    assert said.endswith("; hint: unset HERE for the build, or do not ask for it")


@pytest.mark.parametrize("line", ["HERE=set by a build script", "HERE", "ELSEWHERE=a"])
def test_a_variable_that_is_not_of_this_machine_may_be_taken_in(line: str, listing: Path) -> None:
    listing.write_text(f"x: y\n\n# env-dep:{line}\n")
    require_no_variables([listing], environment=HERE, what="compiling")
