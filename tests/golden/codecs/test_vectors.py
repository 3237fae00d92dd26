"""The shipped codecs against their golden vectors, core module and component."""

from pathlib import Path

import pytest
from chonkle_toolchain.abi import Abi
from chonkle_toolchain.recipe import find_recipes
from chonkle_toolchain.vectors import read_vectors, verify

ROOT = Path(__file__).parents[3]
RECIPES = find_recipes(ROOT / "codec-src")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("abi", ["core", "component"])
def test_every_vector(name: str, abi: Abi) -> None:
    recipe = RECIPES[name]
    wasm = (ROOT / "codec" / recipe.artifact(abi)).read_bytes()
    assert verify(recipe, wasm) == sum(len(v.directions) for v in read_vectors(recipe)) > 0


@pytest.mark.parametrize("name", RECIPES)
def test_every_vector_names_its_maker(name: str) -> None:
    assert all(vector.made_by for vector in read_vectors(RECIPES[name]))
