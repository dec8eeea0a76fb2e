"""Every recipe in the repository can be read, and nothing in it is for tests only."""

from pathlib import Path

import pytest

from softspoken.training.config import read_recipe

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").rglob("*.toml"))


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read(path: Path) -> None:
    config = read_recipe(path)
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert not any("test" in str(part) for part in config.data.speech)
