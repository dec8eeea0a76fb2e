"""Every recipe in the repository can be read, and nothing in it is for tests only."""

from pathlib import Path

import pytest

from softspoken.errors import ConfigError
from softspoken.recipes import STUDY_COMMANDS, read_recipe
from softspoken.training.config import TrainConfig

FOUND = sorted((Path(__file__).resolve().parents[2] / "recipes").rglob("*.toml"))
# Studies, and what they share, train nothing themselves; the tests of studies in tests/runs read them.
STUDIES = [
    path
    for path in FOUND
    if any(task in path.read_text(encoding="utf-8") for task in STUDY_COMMANDS) or path.stem.startswith("common")
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
    with pytest.raises(ConfigError, match=r"softspoken-lab analyse study .*table1-small\.toml"):
        read_recipe(path)


def test_a_recipe_may_extend_another_and_say_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        'steps = 7\n[prompts]\nplacement = "shifted"\nencoder = { length = 4, depth = "deep" }\n'
        '[method]\nkind = "lora"\nrank = 2\n'
    )
    above = tmp_path / "above.toml"
    above.write_text('extends = "base.toml"\n[prompts]\nencoder = { length = 9 }\n[method]\nkind = "full"\n')
    config = read_recipe(above)
    assert isinstance(config, TrainConfig)
    assert (config.steps, config.prompts.placement, config.method.kind) == (7, "shifted", "full")
    assert config.prompts.encoder is not None
    assert (config.prompts.encoder.length, config.prompts.encoder.depth) == (9, "deep")


@pytest.mark.parametrize(("base", "said"), [("absent.toml", "not beside it"), ("above.toml", "extends itself")])
def test_a_recipe_that_extends_nothing_or_itself_is_refused(tmp_path: Path, base: str, said: str) -> None:
    above = tmp_path / "above.toml"
    above.write_text(f'extends = "{base}"\n')
    with pytest.raises(ConfigError, match=said):
        read_recipe(above)
