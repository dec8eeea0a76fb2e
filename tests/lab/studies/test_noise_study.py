"""A study from its recipe: what is missing is made, what is there is kept, and every shipped recipe is whole."""

import csv
from pathlib import Path

import pytest
from noise_folder import make_noise_folder
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from typer.testing import CliRunner

from softspoken.errors import ConfigError
from softspoken_lab.cli.main import app
from softspoken_lab.noise.config import NoiseTrainConfig
from softspoken_lab.studies.noise_study_config import read_study
from softspoken_lab.studies.recipes import read_any_recipe

RECIPES = Path(__file__).parents[3] / "recipes" / "noise"
STUDIES = sorted(path for path in RECIPES.glob("*.toml") if "noise-study" in path.read_text())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_names_models_that_are_there(path: Path) -> None:
    study = read_study(path)
    assert study.subject in study.models
    assert study.parts
    for recipe in study.models.values():
        config = read_any_recipe(recipe)
        assert isinstance(config, NoiseTrainConfig)
        assert (config.backbone == "tiny.en") == (path.stem == "small")
    assert read_any_recipe(study.models[study.baseline]).prompts is None
    for one in (study, *(study.part(name) for name in study.parts)):
        assert read_any_recipe(one.models[one.subject]).prompts is not None


def test_every_table_and_figure_has_a_part_of_each_size() -> None:
    assert {path.stem for path in STUDIES} == {"small", "paper"}
    wanted = {"table1", "table2", "table3", "table4", "figure1", "figure2", "figure3"}
    assert all(wanted <= set(read_study(path).parts) for path in STUDIES)


def test_the_small_study_does_not_learn_from_what_is_for_testing() -> None:
    """Roles are read off talkers who were put aside, and models train on the training split (as every recipe does)."""
    study = read_study(RECIPES / "small.toml")
    assert study.sets[study.clean].split == "development"
    assert study.sets["noisy"].split == "test"
    assert study.sets["noisy"].noise.split == "test"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = ", "not TOML"),
        ('rows = { a = {} }\nsubject = "b"\nclean = "c"\n[sets.c]\nspeech = "m.jsonl"', "no model 'b'"),
        (
            'rows.a = {}\nsubject = "a"\nclean = "c"\nsets.c.speech = "m"\n'
            'parts.t = { subject = "e", stages = ["roles"] }',
            "no model 'e'",
        ),
        ('rows = { a = {} }\nsubject = "a"\nclean = "d"\n[sets.c]\nspeech = "m.jsonl"', "no set 'd'"),
        ('stages = ["table 9"]\nrows = { a = {} }\nsubject = "a"\nclean = "c"\n[sets.c]\nspeech = "m"', "stages"),
        ('rows = { a = "a.toml" }', r"row 'a' of .* is not a table"),
    ],
)
def test_a_study_that_cannot_be_says_so_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_study(path)
    assert "\n" not in str(caught.value)


STUDY = """
task = "noise-study"
baseline = "frozen"
subject = "some"
clean = "clean"
stages = ["frozen", "removal"]
[parts]
clusters = {{ stages = ["clusters"] }}
[sets]
clean = {{ speech = "{speech}", split = "development" }}
[sets.noisy]
speech = "{speech}"
split = "development"
noise = {{ path = "{noise}", split = "test", categories = ["car", "cafe"] }}
per_condition = 1
snr_db = [0.0, 10.0]
[base]
task = "noise"
steps = 2
utterances_per_batch = 4
pool = 8
validate_every = 1
save_every = 1
head = {{ projection = 8, layers = 1, hidden = 8 }}
data = {{ speech = ["{speech}"], noise = ["{noise}"], piece_s = [1.0, 3.0] }}
[rows]
frozen = {{ prompts = "none" }}
some = {{ prompts = {{ encoder = {{ length = 3 }} }} }}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    backbone = tiny_backbone()
    for room in ("softspoken_lab.noise.training", "softspoken_lab.report.inputs"):
        monkeypatch.setattr(f"{room}.load_encoder", lambda reference, device="cpu": backbone)
    places = {
        "speech": make_speech_folder(tmp_path / "speech", talkers=40, utterances=1, seconds=1.2),
        "noise": make_noise_folder(tmp_path / "noise", ("car", "cafe")),
    }
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(**places))
    return path


def test_a_study_makes_what_is_missing_and_keeps_what_is_there(study: Path, tmp_path: Path) -> None:
    command = ["analyse", "study", str(study), "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    page = (tmp_path / "out" / "study.html").read_text()
    assert "Table 3" in page
    assert "Table 4" not in page
    assert len(list((tmp_path / "out" / "sets" / "noisy").glob("*.wav"))) == 4
    rows = list(csv.DictReader((tmp_path / "out" / "study" / "table-3.csv").open()))
    assert {"frozen", "full", "none"} <= {row["condition"] for row in rows}
    assert {row["set"] for row in rows} == {"clean", "noisy"}
    made = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "out").rglob("*")
        if path.suffix in (".safetensors", ".wav")
    }
    assert CliRunner().invoke(app, command).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_a_study_refuses_models_and_sets_of_another(study: Path, tmp_path: Path) -> None:
    command = ["analyse", "study", str(study), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, command).exit_code == 0
    text = study.read_text()
    study.write_text(text.replace("snr_db = [0.0, 10.0]", "snr_db = [5.0]"))
    other_set = CliRunner().invoke(app, command).exception
    assert isinstance(other_set, ConfigError)
    assert "written for another study" in str(other_set)
    study.write_text(text.replace("length = 3", "length = 4"))
    other_model = CliRunner().invoke(app, command).exception
    assert isinstance(other_model, ConfigError)
    assert "trained by another recipe" in str(other_model)


def test_a_part_is_made_alone(study: Path, tmp_path: Path) -> None:
    study.write_text(study.read_text().replace("[parts]", '[parts]\nnone = { stages = ["removal"] }'))
    command = ["analyse", "study", str(study), "--out", str(tmp_path / "out"), "--only"]
    ran = CliRunner().invoke(app, [*command, "none"])
    assert ran.exit_code == 0, ran.output
    page = (tmp_path / "out" / "study-none.html").read_text()
    assert "Table 3" in page
    assert "Figure 2" not in page
    assert (tmp_path / "out" / "study-none" / "table-3.csv").is_file()
    unknown = CliRunner().invoke(app, [*command, "table9"]).exception
    assert isinstance(unknown, ConfigError)
    assert "no part 'table9' in the study; it has none, clusters" in str(unknown)
