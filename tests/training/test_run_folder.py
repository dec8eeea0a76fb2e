"""What a run's folder says about itself, and which recipes may go on in it. No training: states are written by hand."""

import json
import os
import socket
import tomllib
from pathlib import Path

import pytest
import torch

from softspoken.errors import ConfigError
from softspoken.training import run_folder
from softspoken.training.config import TrainConfig
from softspoken.training.loop import STATE
from softspoken.training.recipes import recipe_text
from softspoken.training.run_folder import (
    begin_run,
    check_same_run,
    describe_environment,
    differences,
    finish_run,
    finished,
    read_config,
)
from softspoken.training.state import Progress, save_state
from softspoken_lab.studies.recipes import recipe_of

CONFIG = TrainConfig(steps=10, seed=3)


def trained(folder: Path, step: int, seconds: float = 0.0) -> Path:
    """A state as the loop would have left it after `step` steps."""
    module = torch.nn.Linear(2, 2)
    save_state(folder / STATE, module, torch.optim.AdamW(module.parameters()), Progress(step=step, seconds=seconds))
    return folder


def changed(**values: object) -> TrainConfig:
    return TrainConfig.model_validate({**CONFIG.model_dump(), **values})


def test_a_run_keeps_its_recipe_configuration_and_environment(tmp_path: Path) -> None:
    text = "steps = 10\n# why\nseed = 3\n"
    begin_run(CONFIG, tmp_path / "run", text)
    assert (tmp_path / "run" / "recipe.toml").read_text() == text
    assert read_config(tmp_path / "run", TrainConfig.model_validate) == CONFIG.model_dump(mode="json")
    (start,) = json.loads((tmp_path / "run" / "environment.json").read_text())["starts"]
    assert start["from_step"] == 0
    assert start["packages"]["torch"] == torch.__version__
    assert start["cpu"]["cores"] >= 1
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_the_environment_names_no_person_machine_or_place(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(describe_environment())
    private = [socket.gethostname(), str(Path.home()), str(Path.cwd()), os.environ.get("USER", "")]
    assert [word for word in private if len(word) > 3 and word in text] == []


def test_an_environment_is_noted_again_only_when_it_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin_run(CONFIG, trained(tmp_path, 0))
    begin_run(CONFIG, trained(tmp_path, 4))
    assert len(json.loads((tmp_path / "environment.json").read_text())["starts"]) == 1
    monkeypatch.setattr(run_folder, "describe_environment", lambda: {"python": "4.0"})
    begin_run(CONFIG, trained(tmp_path, 6))
    starts = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert [start["from_step"] for start in starts] == [0, 6]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"seed": 4}, "seed"),
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"prompts": {"encoder": {"length": 3}}}, "prompts.encoder.length"),
        ({"task": "noise", "prompts": "none"}, "task"),
    ],
)
def test_another_recipe_is_refused_in_one_line(tmp_path: Path, values: dict[str, object], key: str) -> None:
    begin_run(CONFIG, tmp_path)
    trained(tmp_path, 4)
    before = (tmp_path / "config.json").read_text()
    other = recipe_of(values) if "task" in values else changed(**values)
    with pytest.raises(ConfigError, match="another recipe") as caught:
        begin_run(other, tmp_path)
    assert "\n" not in str(caught.value)
    assert key in str(caught.value) or "more" in str(caught.value)
    assert (tmp_path / "config.json").read_text() == before


def test_more_steps_and_other_watching_may_go_on(tmp_path: Path) -> None:
    begin_run(CONFIG, tmp_path)
    trained(tmp_path, 4)
    begin_run(changed(steps=20, validate_every=3, save_every=2, workers=1), tmp_path)
    assert read_config(tmp_path, TrainConfig.model_validate)["steps"] == 20
    with pytest.raises(ConfigError, match="has done 4 steps, 3 are asked for"):
        begin_run(changed(steps=3), tmp_path)


def test_where_nothing_was_trained_any_recipe_may_start(tmp_path: Path) -> None:
    begin_run(CONFIG, tmp_path)
    begin_run(changed(seed=9), tmp_path)
    assert read_config(tmp_path, TrainConfig.model_validate)["seed"] == 9


def test_a_configuration_of_before_an_option_existed_goes_on(tmp_path: Path) -> None:
    """Its default is what the run was trained with."""
    begin_run(CONFIG, tmp_path)
    trained(tmp_path, 4)
    known = json.loads((tmp_path / "config.json").read_text())
    del known["accumulation"], known["mixing"]
    (tmp_path / "config.json").write_text(json.dumps(known))
    check_same_run(CONFIG, tmp_path)


def test_a_run_is_finished_when_it_says_so_after_all_its_steps(tmp_path: Path) -> None:
    begin_run(CONFIG, tmp_path)
    trained(tmp_path, 10)
    assert not finished(CONFIG, tmp_path)
    finish_run(tmp_path, tmp_path / "prompt")
    assert finished(CONFIG, tmp_path)
    assert not finished(changed(steps=20), tmp_path)


def test_a_run_by_the_clock_is_finished_when_its_time_is_up_after_the_steps_it_made(tmp_path: Path) -> None:
    timed = changed(minutes=0.5)
    begin_run(timed, tmp_path)
    finish_run(trained(tmp_path, 4, seconds=31.0), tmp_path / "prompt")
    assert json.loads((tmp_path / "result.json").read_text())["steps"] == 4
    assert finished(timed, tmp_path)
    assert not finished(changed(minutes=1.0), tmp_path)
    assert not finished(CONFIG, tmp_path)


def test_differences_are_named_by_their_keys() -> None:
    one = {"a": 1, "b": {"c": 1, "d": [1, 2]}, "e": None}
    assert differences(one, {"a": 1, "b": {"c": 2, "d": [1, 2]}}) == ["b.c"]
    assert differences(one, {"a": 1, "b": None}) == ["b"]
    assert differences(one, one) == []


def test_a_recipe_is_kept_with_those_that_it_extends(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("steps = 10\n\nseed = 3\n")
    (tmp_path / "top.toml").write_text('extends = "base.toml"\nseed = 4\n')
    text = recipe_text(tmp_path / "top.toml")
    assert tomllib.loads(text) == {"extends": "base.toml", "seed": 4}
    assert "# base.toml:\n# steps = 10\n#\n# seed = 3\n" in text


def test_a_row_is_kept_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[rows.one]\nseed = 3\n")
    (tmp_path / "study.toml").write_text('[base]\nextends = "other.toml:one"\n[rows.two]\nsteps = 7\n')
    text = recipe_text(tmp_path / "study.toml:two")
    assert tomllib.loads(text) == {"extends": "study.toml:two"}
    assert "# study.toml:\n# [base]\n" in text
    assert "# steps = 7\n" in text
    assert "# # other.toml:one:\n# # [rows.one]\n# # seed = 3\n" in text
