"""A study from its recipe: what is missing is made, what is there is kept, and every shipped recipe is whole."""

from pathlib import Path

import pytest

from softspoken.errors import ConfigError
from softspoken.runs.study_config import read_study
from softspoken.training.config import NoiseTrainConfig, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes" / "noise"
STUDIES = sorted(path for path in RECIPES.glob("*.toml") if "noise-study" in path.read_text())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_names_models_that_are_there(path: Path) -> None:
    study = read_study(path)
    assert study.subject in study.models
    for recipe in study.models.values():
        config = read_recipe(recipe)
        assert isinstance(config, NoiseTrainConfig)
        assert (config.backbone == "tiny.en") == path.stem.endswith("-small")
    assert read_recipe(study.models[study.baseline]).prompts is None
    assert read_recipe(study.models[study.subject]).prompts is not None


def test_every_table_and_figure_has_a_study_of_each_size() -> None:
    names = {path.stem for path in STUDIES}
    wanted = {"table1", "table2", "table3", "table4", "figure1", "figure2", "figure3", "report"}
    assert wanted | {f"{name}-small" for name in wanted} <= names


@pytest.mark.parametrize("path", [path for path in STUDIES if path.stem.endswith("-small")], ids=lambda path: path.stem)
def test_no_small_study_learns_from_what_is_for_testing(path: Path) -> None:
    """Roles are read off talkers who were put aside, and models train on the training split (as every recipe does)."""
    study = read_study(path)
    assert study.sets[study.clean].split == "development"
    assert study.sets["noisy"].split == "test"
    assert study.sets["noisy"].noise.split == "test"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = ", "not TOML"),
        ('models = { a = "a.toml" }\nsubject = "b"\nclean = "c"\n[sets.c]\nspeech = "m.jsonl"', "no model 'b'"),
        ('models = { a = "a.toml" }\nsubject = "a"\nclean = "d"\n[sets.c]\nspeech = "m.jsonl"', "no set 'd'"),
        (
            'stages = ["table 9"]\nmodels = { a = "a.toml" }\nsubject = "a"\nclean = "c"\n[sets.c]\nspeech = "m"',
            "stages",
        ),
        ('common = "nowhere.toml"', "no study at"),
    ],
)
def test_a_study_that_cannot_be_says_so_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_study(path)
    assert "\n" not in str(caught.value)
