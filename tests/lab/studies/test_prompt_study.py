"""A study of target-speaker runs on small backbones: what is missing is made, what is there is kept, and it goes on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from typer.testing import CliRunner
from voices import PitchEmbedder, voice

from softspoken.audio import write_audio
from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.runner import Method
from softspoken.training.recipes import read_recipe
from softspoken_lab.cli.main import app
from softspoken_lab.studies import scoring
from softspoken_lab.studies.compare import compare_runs
from softspoken_lab.studies.noise_study_config import read_study
from softspoken_lab.studies.prompt_study import compare_study, run_folder, run_study
from softspoken_lab.studies.prompt_study_config import PromptStudyConfig, read_prompt_study
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.studies.scoring import Scored, ScoringStopped, TestManifest, score
from softspoken_lab.training.config import StudyTrainConfig

RECIPE = """
mixtures_per_batch = 1
development_mixtures = 2
validate_every = 1
save_every = 1
learning_rate = 0.01
warmup_steps = 1
data = {{ speech = ["{manifest}"], piece_s = [1.0, 3.0] }}
mixing = {{ max_s = 3.0 }}
prompts = {{ decoder = {{ length = 2 }}, speaker = {{ dimension = 8 }} }}
"""
STUDY = """
task = "target-speaker-study"
seeds = [0, 1]
baseline = "two"
rivals = ["none"]
[tests]
dev = "{tests}"
[base]
extends = "shared.toml"
[rows.one]
seeds = [0]
steps = 2
prompts.encoder.length = 1
[rows.two]
extends = "one"
prompts.encoder.length = 2
"""
STUDIES = sorted((Path(__file__).parents[3] / "recipes" / "target-speaker").glob("study*.toml"))
ITEMS = 6
RUNS = (("one", 0), ("two", 0), ("two", 1))
"""In the order in which the study makes them."""


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_names_rows_that_are_there(path: Path) -> None:
    """Each another configuration: two alike would be one row with a seed twice."""
    study = read_prompt_study(path)
    configs = [read_any_recipe(row.recipe) for row in study.rows.values()]
    assert all(isinstance(config, StudyTrainConfig) for config in configs)
    assert len({config.model_dump_json() for config in configs}) == len(configs)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four spoken items of two talkers and two silent ones."""
    folder = tmp_path / "dev"
    folder.mkdir()
    write_audio(folder / "a.flac", voice(1.5))
    rows = [
        {"id": f"i{n}", "audio": "a.flac", "enrolment": "a.flac", "text": "GOOD DAY" * (n < 4), "target": f"t{n % 2}"}
        for n in range(ITEMS)
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "manifest.jsonl"


@pytest.fixture
def study(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    speech = make_speech_folder(tmp_path / "speech", talkers=40, utterances=2, seconds=1.2)
    (tmp_path / "shared.toml").write_text(RECIPE.format(manifest=speech))
    for room in ("run", "checkpoint"):
        monkeypatch.setattr(f"softspoken_lab.training.{room}.load_backbone", lambda reference: tiny_backbone())
    monkeypatch.setattr("softspoken.training.run.load_learning_embedder", lambda *given: PitchEmbedder())
    monkeypatch.setattr("softspoken_lab.training.checkpoint.load_embedder", lambda reference: PitchEmbedder())
    # Searching on the development mixtures takes most of so short a run.
    monkeypatch.setattr("softspoken.training.run.development_wer", lambda *given: {"wer": 0.5})
    monkeypatch.setattr(scoring, "PART_ITEMS", 4)
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace("{tests}", str(manifest)))
    return path


def fixed(text: str, calls: list[str] | None = None) -> Method:
    """Writes the same for every item."""

    def transcribe(item: object) -> Transcript:
        if calls is not None:
            calls.append(str(item))
        return Transcript((Segment(0.0, 1.0, text),) if text else ())

    return Method("fixed", transcribe)


def by_name(name: str) -> Method:
    return fixed("good day" if name == "none" else "good")


def nothing(line: str) -> None:
    pass


def test_one_command_makes_the_table_and_makes_nothing_twice(study: Path, tmp_path: Path, monkeypatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "softspoken_lab.studies.systems.StudySystems.method", lambda self, name: asked.append(name) or by_name(name)
    )
    command = ["study", str(study), "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"]
    assert [(row["name"], row["seeds"]) for row in rows] == [("one", [0]), ("two", [0, 1]), ("none", [])]
    assert rows[2]["tests"]["dev"]["wer"] == 0.0
    assert rows[2]["trained_parameters"] is None
    assert rows[0]["tests"]["dev"]["difference"] is not None
    assert rows[1]["tests"]["dev"]["difference"] is None
    assert (tmp_path / "out" / "curve.svg").is_file()
    assert "| two | 2 |" in ran.stdout
    assert asked == ["none", *(f"run:{run_folder(tmp_path / 'out', *run)}@best" for run in RUNS)]
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*") if path.is_file()}
    monkeypatch.setattr("softspoken_lab.studies.prompt_study.run_training", None)
    assert CliRunner().invoke(app, command).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_a_study_that_is_stopped_goes_on_to_the_same_end(study: Path, tmp_path: Path) -> None:
    """Each start does one thing: a part of a scoring, or a step of a training."""
    config = read_prompt_study(study).narrowed(["one", "none"], ())
    starts = 1
    while not run_study(config, tmp_path / "parts", by_name, nothing, stop_after_s=0.0):
        starts += 1
        assert starts <= 6
    assert starts == 6
    assert run_study(config, tmp_path / "whole", by_name, nothing)
    parts, whole = (compare_study(config, tmp_path / name) for name in ("parts", "whole"))
    assert [row.cells["dev"].wer for row in parts.rows] == [row.cells["dev"].wer for row in whole.rows]
    losses = [
        [json.loads(line)["loss"] for line in (run_folder(tmp_path / name, "one", 0) / "log.jsonl").open()]
        for name in ("parts", "whole")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2


def test_only_some_rows_and_seeds(study: Path, tmp_path: Path) -> None:
    config = read_prompt_study(study).narrowed(["one"], (5,))
    assert run_study(config, tmp_path / "out", by_name, nothing)
    assert (run_folder(tmp_path / "out", "one", 5) / "result.json").is_file()
    assert not (tmp_path / "out" / "runs" / "two").exists()
    found = compare_study(config, tmp_path / "out")
    assert [(row.name, row.group.seeds) for row in found.rows] == [("one", (5,))]
    with pytest.raises(ConfigError, match="no row 'three'"):
        config.narrowed(["three"], ())


def test_a_row_whose_recipe_changed_is_refused_before_anything_is_trained(study: Path, tmp_path: Path) -> None:
    config = read_prompt_study(study)
    assert run_study(config.narrowed(["two"], (0,)), tmp_path / "out", by_name, nothing)
    study.write_text(study.read_text().replace('extends = "one"', 'extends = "one"\nlearning_rate = 0.02'))
    with pytest.raises(ConfigError, match=r"another recipe: learning_rate"):
        run_study(config, tmp_path / "out", by_name, nothing)
    assert not (tmp_path / "out" / "runs" / "one").exists()


def test_more_steps_go_on_and_are_scored_again(study: Path, tmp_path: Path) -> None:
    config = read_prompt_study(study).narrowed(["one"], ())
    assert run_study(config, tmp_path / "out", by_name, nothing)
    study.write_text(study.read_text().replace("steps = 2", "steps = 3"))
    assert run_study(config, tmp_path / "out", by_name, nothing)
    log = (run_folder(tmp_path / "out", "one", 0) / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [1, 2, 3]
    assert compare_runs([run_folder(tmp_path / "out", "one", 0)]).notes == (
        "rows of one seed: the intervals are over the test alone and say nothing of another training",
    )


def test_the_first_seed_of_every_row_comes_first() -> None:
    rows = {"a": {"recipe": "a.toml"}, "b": {"recipe": "b.toml", "seeds": [7]}}
    config = PromptStudyConfig.model_validate({"rows": rows, "seeds": [0, 1], "tests": {"t": "m.jsonl"}})
    assert config.runs() == [(0, "a"), (7, "b"), (1, "a")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("baseline = ", "baseline = 'three' #"), "no row or rival 'three'"),
        (("[0, 1]", "[0, 0]"), "the same one twice"),
        (("rows.two", 'rows."../two"'), "cannot be the name of a folder"),
        (('rivals = ["none"]', 'rivals = ["one"]'), "both a row and a rival"),
        (("task =", "tusk ="), "tusk"),
        (("[rows.one]\nseeds = [0]", "[rows.one]\nseeds = 0"), "rows.one.seeds"),
        (("[base]", "[base]\n[rows]\nthree = 3"), "row 'three' of .* is not a table"),
        (("target-speaker-study", "noise-study"), "softspoken-lab analyse study"),
        (("target-speaker-study", "noise"), "softspoken-lab train"),
    ],
)
def test_a_study_that_cannot_be_is_told_in_one_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace(*change))
    with pytest.raises(ConfigError, match=said) as caught:
        read_prompt_study(path)
    assert "\n" not in str(caught.value)


def test_other_commands_say_what_runs_a_study(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    for read in (read_recipe, read_study):
        with pytest.raises(ConfigError, match="softspoken-lab study"):
            read(path)


# Scoring


def scored(folder: Path, method: Callable[[], Method], **identity: object) -> Scored:
    return Scored(folder, identity, method)


def test_a_score_is_kept_for_its_state_and_made_again_for_another(tmp_path: Path, manifest: Path) -> None:
    test, calls = TestManifest.of(manifest), list[str]()
    path = score(scored(tmp_path, lambda: fixed("good", calls), state="best", state_digest="1"), test)
    assert path == tmp_path / "evaluations" / "dev.json"
    found = json.loads(path.read_text())
    assert (found["wer"], found["rejection_rate"], found["talkers"]["i1"]) == (0.5, 0.0, "t1")
    score(scored(tmp_path, lambda: fixed("good", calls), state="best", state_digest="1"), test)
    assert len(calls) == ITEMS
    score(scored(tmp_path, lambda: fixed("good day", calls), state="best", state_digest="2"), test)
    assert len(calls) == 2 * ITEMS
    assert json.loads(path.read_text())["wer"] == 0.0
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["dev.json", "dev.jsonl"]


def test_a_killed_scoring_goes_on_where_it_was(tmp_path: Path, manifest: Path, monkeypatch) -> None:
    monkeypatch.setattr(scoring, "PART_ITEMS", 2)
    test, calls = TestManifest.of(manifest), list[str]()
    system = scored(tmp_path, lambda: fixed("good", calls))
    with pytest.raises(ScoringStopped):
        score(system, test, stop=lambda: len(calls) >= 4)
    assert not (tmp_path / "evaluations" / "dev.json").exists()
    score(system, test)
    assert len(calls) == ITEMS
    lines = (tmp_path / "evaluations" / "dev.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"i{n}" for n in range(ITEMS)]


def test_parts_of_another_state_are_not_mixed_in(tmp_path: Path, manifest: Path, monkeypatch) -> None:
    monkeypatch.setattr(scoring, "PART_ITEMS", 2)
    test, calls = TestManifest.of(manifest), list[str]()
    with pytest.raises(ScoringStopped):
        score(scored(tmp_path, lambda: fixed("bad", calls), state_digest="1"), test, stop=lambda: len(calls) >= 4)
    score(scored(tmp_path, lambda: fixed("good day"), state_digest="2"), test)
    assert json.loads((tmp_path / "evaluations" / "dev.json").read_text())["wer"] == 0.0


def test_another_test_does_not_take_an_evaluations_place(tmp_path: Path, manifest: Path) -> None:
    score(scored(tmp_path, lambda: fixed("good")), TestManifest.of(manifest))
    with pytest.raises(ConfigError, match="of another limit; give the evaluation another --name"):
        score(scored(tmp_path, lambda: fixed("good")), TestManifest.of(manifest, "dev", limit=2))
    score(scored(tmp_path, lambda: fixed("good")), TestManifest.of(manifest, limit=2))
    assert (tmp_path / "evaluations" / "dev-first2.json").is_file()
    manifest.write_text(manifest.read_text().replace("GOOD", "BAD"))
    with pytest.raises(ConfigError, match="another manifest"):
        score(scored(tmp_path, lambda: fixed("good")), TestManifest.of(manifest))


def test_nothing_to_score_is_one_line(tmp_path: Path, manifest: Path) -> None:
    with pytest.raises(ConfigError, match="train it first"):
        Scored.run(tmp_path, "best", by_name)
    with pytest.raises(ConfigError, match="cannot name an evaluation"):
        TestManifest.of(manifest, "../up")
    with pytest.raises(DataError, match="no manifest"):
        score(scored(tmp_path, lambda: fixed("")), TestManifest.of(tmp_path / "nowhere.jsonl"))
