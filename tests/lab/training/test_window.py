"""A run hears windows as long as its recipe says, when it learns and when it is checked."""

from pathlib import Path

import pytest
from speech_folder import make_speech_folder

from softspoken.backbones import WhisperBackbone
from softspoken.prompts import load_prompts
from softspoken_lab.studies.recipes import read_any_recipe, run_recipe

RECIPE = """
steps = 1
mixtures_per_batch = 1
development_mixtures = 2
window = "{window}"
data = {{ speech = ["{speech}"], piece_s = [1.0, 3.0] }}
mixing = {{ max_s = 3.0 }}
prompts = {{ decoder = "none", encoder = {{ length = 2 }}, speaker = {{ dimension = 8 }} }}
"""


@pytest.mark.usefixtures("small_models")
@pytest.mark.parametrize(("window", "seconds"), [("audio", None), ("30s", 30.0)])
def test_windows_are_as_long_as_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: str, seconds: float | None
) -> None:
    heard, features = [], WhisperBackbone.features

    def noted(self, audio, window_s=None):
        heard.append(window_s)
        return features(self, audio, window_s)

    monkeypatch.setattr(WhisperBackbone, "features", noted)
    speech = make_speech_folder(tmp_path / "speech", talkers=40, utterances=1, seconds=1.2)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(window=window, speech=speech))
    result = run_recipe(read_any_recipe(recipe), tmp_path / "run")
    assert result is not None
    assert set(heard) == {seconds}
    assert load_prompts(result).info.window == window
