"""Every recipe in the repository can be read, and nothing in it is for tests only."""

from pathlib import Path

import pytest

from softspoken.errors import ConfigError
from softspoken.training.config import read_recipe

FOUND = sorted((Path(__file__).resolve().parents[2] / "recipes").rglob("*.toml"))
# Studies, and what they share, train nothing themselves; tests/runs/test_study.py reads them.
STUDIES = [
    path for path in FOUND if "noise-study" in path.read_text(encoding="utf-8") or path.stem.startswith("common")
]
RECIPES = [path for path in FOUND if path not in STUDIES]


def test_there_are_recipes() -> None:
    assert RECIPES
    assert STUDIES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read(path: Path) -> None:
    config = read_recipe(path)
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert not any("test" in str(part) for part in config.data.speech)


def test_a_study_says_how_it_is_run() -> None:
    path = next(path for path in STUDIES if path.stem == "table1-small")
    with pytest.raises(ConfigError, match=r"softspoken analyse study .*table1-small\.toml"):
        read_recipe(path)
