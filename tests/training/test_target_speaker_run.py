"""A whole run on a small backbone: recipe to prompt folder, stopped and gone on with, exported, taught."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import debug_launcher
from accelerate.state import AcceleratorState
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from typer.testing import CliRunner

from softspoken.cli.main import app
from softspoken.data.manifest import read_texts
from softspoken.errors import ConfigError, DataError
from softspoken.prompts import LoadedPrompts, load_prompts

RECIPE = """
steps = 4
mixtures_per_batch = 2
development_mixtures = 4
validate_every = 2
save_every = 1
learning_rate = 0.01
warmup_steps = 1

[data]
speech = ["{manifest}"]
piece_s = [1.0, 3.0]
speeds = [0.9, 1.0]

[mixing]
max_s = 3.0

[objective]
states = 0.5

[prompts]
encoder = {{ length = 2 }}
decoder = {{ length = 2 }}
speaker = {{ dimension = 8, into = "frames" }}
frames = {{ keyed = 3, window_s = 0.4, hop_s = 0.2 }}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the speech, and the run of the recipe as soon as a test has asked for it."""
    folder = tmp_path_factory.mktemp("shared")
    make_speech_folder(folder / "speech", talkers=40, utterances=2, seconds=1.2)
    return folder


@pytest.fixture
def recipe(tmp_path: Path, shared: Path, small_models: None) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(manifest=shared / "speech" / "manifest.jsonl"))
    return path


def test_vectors_of_another_size_are_refused_before_anything_is_mixed(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace("dimension = 8", "dimension = 16"))
    refused = CliRunner().invoke(app, ["prompt", "train", str(recipe), "--out", str(tmp_path / "run")])
    assert "'prompts.speaker.dimension' is 16, but 'campplus' makes vectors of 8; set it to 8" in str(refused.exception)


@pytest.mark.parametrize("talkers", [2, 10])
def test_too_few_talkers_to_put_aside_are_refused_before_a_model_is_loaded(
    talkers: int, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make_speech_folder(tmp_path / "speech", talkers, utterances=1, seconds=1.2)
    recipe.write_text(RECIPE.format(manifest=manifest))
    monkeypatch.setattr("softspoken.training.run.load_backbone", lambda reference: pytest.fail("loaded"))
    refused = CliRunner().invoke(app, ["prompt", "train", str(recipe), "--out", str(tmp_path / "run")])
    assert isinstance(refused.exception, DataError)
    assert f"of your {talkers} talkers is put aside" in str(refused.exception)
    assert "give about 50 talkers" in str(refused.exception)


@pytest.fixture
def few(recipe: Path, tmp_path: Path) -> Path:
    """The same recipe for fewer talkers."""
    manifest = make_speech_folder(tmp_path / "speech", talkers=24, utterances=2, seconds=1.2)
    recipe.write_text(RECIPE.format(manifest=manifest))
    return recipe


@pytest.fixture
def run(recipe: Path, shared: Path, tmp_path: Path) -> Path:
    """What the recipe trains, a copy for each test."""
    if not (shared / "run").exists():
        ran = CliRunner().invoke(app, ["prompt", "train", str(recipe), "--out", str(shared / "run")])
        assert ran.exit_code == 0, ran.output
    return Path(shutil.copytree(shared / "run", tmp_path / "run"))


def test_a_recipe_becomes_a_prompt_folder(run: Path) -> None:
    loaded = load_prompts(run / "prompt", tiny_backbone())
    assert loaded.info.prompts.frames.keyed == 3
    assert loaded.info.training["mixtures"] == 2 * loaded.info.training["steps"]
    # Talkers at another speed are no further talkers, and those put aside have not trained.
    assert 20 < loaded.info.training["talkers"] < 40
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {"valid/gap", "valid/wer", "valid/score"} <= lines[1].keys()


def trained_together(command: list[str]) -> None:
    """One process of a run."""
    torch.set_num_threads(1)
    AcceleratorState._reset_state(reset_partial_state=True)
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output


def test_two_processes_make_the_prompt_that_one_makes(recipe: Path, run: Path, tmp_path: Path) -> None:
    command = ["prompt", "train", str(recipe), "--out", str(tmp_path / "together")]
    debug_launcher(trained_together, (command,), num_processes=2)
    alone, together = (load_prompts(folder / "prompt") for folder in (run, tmp_path / "together"))
    others = together.prompts.state_dict()
    assert all(torch.allclose(value, others[name], atol=1e-4) for name, value in alone.prompts.state_dict().items())
    assert {**alone.info.training, "hours": 0} == {**together.info.training, "hours": 0}


def test_a_run_trains_from_shards(few: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "shards", str(tmp_path / "run")
    packing = ["data", "shard", str(few), str(folder), "--size", "10", "--format", "opus"]
    packed = CliRunner().invoke(app, packing)
    assert packed.exit_code == 0, packed.exception
    few.write_text(few.read_text() + f'[data.shards]\nfolders = ["{folder}"]\nheld = 2\nmixtures = 4\n')
    ran = CliRunner().invoke(app, ["prompt", "train", str(few), "--out", out])
    assert ran.exit_code == 0, ran.exception
    assert load_prompts(f"{out}/prompt", tiny_backbone()).info.training["shards"] == ["shards"]


def test_a_run_stopped_in_time_goes_on(recipe: Path, tmp_path: Path) -> None:
    command = ["prompt", "train", str(recipe), "--out", str(tmp_path / "run")]
    stopped = CliRunner().invoke(app, [*command, "--stop-after-s", "0"])
    assert stopped.exit_code == 0
    assert "to continue" in stopped.output
    assert not (tmp_path / "run" / "prompt").exists()
    assert CliRunner().invoke(app, command).exit_code == 0
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]


def test_a_run_may_begin_where_another_ended(run: Path, tmp_path: Path) -> None:
    on = tmp_path / "on.toml"
    on.write_text(f'extends = "recipe.toml"\nstart = "{run}"\nsteps = 1\nlearning_rate = 1e-9\n')
    assert CliRunner().invoke(app, ["prompt", "train", str(on), "--out", str(tmp_path / "on")]).exit_code == 0
    stored = [load_prompts(folder / "prompt") for folder in (run, tmp_path / "on")]
    before, after = (one.prompts.state_dict() for one in stored)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    earlier, later = (one.info.training for one in stored)
    assert "before" not in earlier
    assert later["before"] == {what: earlier[what] for what in ("mixtures", "steps", "hours", "seed")}
    run.rename(tmp_path / "moved")
    export = ["prompt", "export", str(tmp_path / "on"), "--out", str(tmp_path / "alone")]
    assert CliRunner().invoke(app, export).exit_code == 0
    # Noted when it began, so it is known although the first run is gone.
    assert load_prompts(tmp_path / "alone").info.training["before"] == later["before"]
    (tmp_path / "on" / "facts.json").unlink()
    assert CliRunner().invoke(app, [*export[:-1], str(tmp_path / "unknown")]).exit_code == 0
    assert load_prompts(tmp_path / "unknown").info.training["before"] == "another run or prompt"
    (tmp_path / "moved").rename(run)
    on.write_text(f'extends = "recipe.toml"\nstart = "{run}"\n[prompts]\nencoder = {{ length = 3 }}\n')
    refused = CliRunner().invoke(app, ["prompt", "train", str(on), "--out", str(tmp_path / "other")])
    assert isinstance(refused.exception, ConfigError)
    assert "other 'prompts'" in str(refused.exception)


def gone_on(run: Path, folder: Path, added: str = "") -> tuple[LoadedPrompts, LoadedPrompts]:
    """What the recipe trains, alone in `folder/given`, and what comes of going on from it (in `on.toml`)."""
    on = folder / "on.toml"
    (run / "prompt").rename(folder / "given")
    on.write_text(f'extends = "recipe.toml"\nstart = "{folder / "given"}"\nsteps = 1\nlearning_rate = 1e-9\n{added}')
    done = CliRunner().invoke(app, ["prompt", "train", str(on), "--out", str(folder / "on")])
    assert done.exit_code == 0, done.exception
    return load_prompts(folder / "given"), load_prompts(folder / "on" / "prompt")


def test_a_run_may_begin_with_a_stored_prompt(run: Path, tmp_path: Path) -> None:
    given, after = gone_on(run, tmp_path)
    numbers = given.prompts.state_dict()
    assert all(torch.allclose(value, numbers[name], atol=1e-6) for name, value in after.prompts.state_dict().items())
    before = {what: given.info.training[what] for what in ("mixtures", "steps", "hours", "seed")}
    assert after.info.training["before"] == before
    # Another prompt of that name, as when the package ships a new one, changes nothing of what was done.
    shutil.rmtree(tmp_path / "given")
    shutil.copytree(tmp_path / "on" / "prompt", tmp_path / "given")
    again = ["prompt", "export", str(tmp_path / "on"), "--out", str(tmp_path / "again")]
    assert CliRunner().invoke(app, again).exit_code == 0
    assert load_prompts(tmp_path / "again").info.training == after.info.training
    other = tmp_path / "other.toml"
    other.write_text('extends = "on.toml"\n[prompts]\nencoder = { length = 3 }\n')
    refused = CliRunner().invoke(app, ["prompt", "train", str(other), "--out", str(tmp_path / "other")])
    assert isinstance(refused.exception, ConfigError)
    assert "other 'prompts' than this run (encoder: length:" in str(refused.exception)


def test_a_stored_prompt_may_lack_what_the_recipe_adds(run: Path, tmp_path: Path) -> None:
    given, after = (
        one.prompts.state_dict() for one in gone_on(run, tmp_path, "[prompts]\nenrolment = { clip_s = 1.0 }\n")
    )
    assert {name.partition(".")[0] for name in after.keys() - given.keys()} == {"enrolment"}
    assert all(torch.allclose(value, after[name], atol=1e-6) for name, value in given.items())


def test_a_state_is_exported_at_half_the_size(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    row = {"method": "prompt", "wer": 0.5, "wer_low": 0.4, "wer_high": 0.6, "substitutions": 1, "deletions": 2}
    row |= {"insertions": 3, "words": 12, "rejection_rate": None, "difference": {"left": "out"}}
    (tmp_path / "street.json").write_text(json.dumps([row]))
    options = ["--state", "last", "--half", "--results", str(tmp_path / "street.json")]
    done = CliRunner().invoke(app, ["prompt", "export", str(run), "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    loaded = load_prompts(out, tiny_backbone())
    assert loaded.info.training["steps"] == 4
    assert [(each["test set"], each["wer"]) for each in loaded.info.results] == [("street", 0.5)]
    whole = run / "prompt" / "prompts.safetensors"
    assert (out / "prompts.safetensors").stat().st_size < 0.9 * whole.stat().st_size


def test_nothing_to_export_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["prompt", "export", str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, ConfigError)
    assert "train first" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_backbone_teaches_texts_and_goes_on_where_it_was(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "texts.jsonl"
    # The small backbone writes gibberish and hears at most 4 s: every text that is far from the transcript is rejected.
    command = ["data", "teach", str(few), "--out", str(out)]
    assert CliRunner().invoke(app, command).exit_code == 0
    texts = read_texts(out, rejected=True)
    assert len(texts) == 48
    assert read_texts(out) == {}
    kept = {**texts, "s0-0-0": "Kept as it is."}
    out.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in kept.items()))
    assert CliRunner().invoke(app, command).exit_code == 0
    assert read_texts(out) == {"s0-0-0": "Kept as it is."}
