"""`softspoken-lab noise`: what goes where, and what is refused."""

import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from speech_folder import make_speech_folder
from tiny import tiny_backbone, tone
from tiny_recognizer import new_recognizer
from typer.testing import CliRunner

from softspoken.audio import write_wav
from softspoken.errors import ConfigError, DataError, PromptError
from softspoken.prompts import PromptConfig
from softspoken_lab.cli.noise import Prompts, app, short_names, split_name
from softspoken_lab.noise import encoders
from softspoken_lab.noise import recognizer as recognizer_module
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.folder import save_recognizer
from softspoken_lab.noise.recognizer import NoiseRobustRecognizer

loads: list[str] = []


@pytest.fixture(autouse=True)
def tiny_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    loads.clear()

    def load(reference: str, *arguments: str) -> object:
        loads.append(reference)
        return tiny_backbone()

    monkeypatch.setattr(encoders, "load_encoder", load)
    monkeypatch.setattr(recognizer_module, "load_encoder", load)


def store(folder: Path, prompts: PromptConfig | None, seed: int = 1) -> Path:
    backbone = tiny_backbone()
    model = new_recognizer(backbone, prompts, seed)
    save_recognizer(model, folder, backbone=backbone, characters=Characters(), training={})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store(tmp_path / "runs" / "m4" / "recognizer", noise_prompts(4))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = make_speech_folder(tmp_path / "speech", talkers=2, utterances=2, seconds=0.8)
    path.write_text(path.read_text().replace('"train"', '"test"'))
    return path


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """Two utterances, each in two kinds of noise."""
    place = tmp_path / "noisy"
    place.mkdir()
    rows = []
    for number in range(4):
        name, kind = f"u{number // 2}", ("Car", "Babble")[number % 2]
        write_wav(place / f"{name}_{kind}_5db.wav", tone(0.7, number))
        rows.append(
            {
                "id": f"{name}_{kind}_5db",
                "source_id": name,
                "path": f"{name}_{kind}_5db.wav",
                "text": "ONE TWO",
                "speaker": "s",
                "noise_type": kind,
                "noise_id": "n",
                "snr_db": 5.0,
                "duration_s": 0.7,
            }
        )
    (place / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    write_wav(tmp_path / "a.wav", tone(0.9))
    return tmp_path / "a.wav"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


# transcribe


def test_words_go_to_stdout_and_talk_to_stderr(folder: Path, recording: Path) -> None:
    expected = NoiseRobustRecognizer.load(folder, tiny_backbone()).transcribe(recording)
    assert expected
    one = run("transcribe", recording, "--recognizer", folder)
    assert one.stdout == f"{expected}\n"
    two = run("transcribe", recording, recording, "--recognizer", folder)
    assert two.stdout == f"{expected}\n" * 2
    assert str(recording) in two.stderr


def test_json_has_times(folder: Path, recording: Path) -> None:
    lines = run("transcribe", recording, recording, "--recognizer", folder, "--json").stdout.splitlines()
    assert len(lines) == 2
    row = json.loads(lines[0])
    assert row.keys() == {"file", "text", "duration_s", "segments"}
    assert row["duration_s"] == 0.9
    assert " ".join(segment["text"] for segment in row["segments"]) == row["text"]
    assert all(0 <= segment["start_s"] < segment["end_s"] <= 0.9 for segment in row["segments"])


def test_without_prompts_and_with_a_beam(folder: Path, recording: Path) -> None:
    recognizer = NoiseRobustRecognizer.load(folder, tiny_backbone())
    own = run("transcribe", recording, "--recognizer", folder, "--prompts", "own").stdout
    none = run("transcribe", recording, "--recognizer", folder, "--prompts", "none").stdout
    assert own == run("transcribe", recording, "--recognizer", folder).stdout
    assert none == recognizer.transcribe(recording, prompts="none") + "\n" != own
    beam = run("transcribe", recording, "--recognizer", folder, "--beam", 3).stdout
    assert beam.strip()


def test_a_language_model_that_is_not_there(folder: Path, recording: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lm\.arpa"):
        run("transcribe", recording, "--recognizer", folder, "--lm", tmp_path / "lm.arpa")


def test_no_recogniser_is_an_expected_error(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no recogniser in"):
        run("transcribe", recording, "--recognizer", tmp_path / "none")


# evaluate


def test_one_table_of_recognisers_and_sets(folder: Path, manifest: Path, noisy: Path, tmp_path: Path) -> None:
    frozen = store(tmp_path / "runs" / "frozen" / "recognizer", None)
    out = tmp_path / "out.jsonl"
    shown = json.loads(
        run(
            "evaluate", frozen, folder, f"{folder}:none",
            "--data", f"clean={manifest}", "--data", f"noisy={noisy}", "--json", "--out", out,
        ).stdout
    )  # fmt: skip
    assert shown["against"] == "frozen"
    assert [(row["set"], row["system"], row["utterances"], row["sources"]) for row in shown["rows"]] == [
        ("clean", "frozen", 4, 4),
        ("clean", "m4", 4, 4),
        ("clean", "m4:none", 4, 4),
        ("noisy", "frozen", 4, 2),
        ("noisy", "m4", 4, 2),
        ("noisy", "m4:none", 4, 2),
    ]
    for row in shown["rows"]:
        assert row["wer_low"] <= row["wer"] <= row["wer_high"]
        assert ("difference" in row) == (row["system"] != "frozen")
    # The same random head on the same frozen encoder, whoever it was stored with.
    assert shown["rows"][2]["difference"] == {"wer": 0.0, "wer_low": 0.0, "wer_high": 0.0}
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(written) == 24
    texts = {system: [row["hypothesis"] for row in written if row["system"] == system] for system in ("frozen", "m4")}
    assert texts["frozen"] != texts["m4"]
    # One backbone for all three.
    assert loads == ["tiny-0"]


def test_rows_by_kind_of_noise(folder: Path, noisy: Path) -> None:
    rows = json.loads(run("evaluate", folder, "--data", f"noisy={noisy}", "--by", "type", "--json").stdout)["rows"]
    assert [(row["condition"], row["utterances"]) for row in rows] == [("Babble", 2), ("Car", 2)]
    rows = json.loads(run("evaluate", folder, "--data", f"noisy={noisy}", "--by", "snr", "--json").stdout)["rows"]
    assert [(row["condition"], row["utterances"]) for row in rows] == [("5 dB", 4)]


def test_the_table_fits_a_narrow_terminal(folder: Path, noisy: Path) -> None:
    shown = run("evaluate", folder, f"{folder}:none", "--data", f"noisy={noisy}", "--by", "type").stdout
    assert "m4:none" in shown
    assert "Babble" in shown
    assert re.search(r"\+?-?\d+\.\d \[[+-]\d+\.\d, [+-]\d+\.\d\] +2", shown)
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_limit_takes_so_many_of_each_set(folder: Path, manifest: Path) -> None:
    rows = json.loads(run("evaluate", folder, "--data", f"x={manifest}", "--limit", 2, "--json").stdout)["rows"]
    assert rows[0]["utterances"] == 2


def test_what_is_refused(folder: Path, manifest: Path, tmp_path: Path) -> None:
    data = f"x={manifest}"
    for arguments, error, said in (
        ((folder, folder, "--data", data), ConfigError, "twice"),
        ((folder, "--data", manifest), ConfigError, "not NAME=PATH"),
        ((folder, "--data", data, "--data", data), ConfigError, "two sets are called 'x'"),
        ((tmp_path / "none", "--data", data), PromptError, "no recogniser"),
        ((folder, "--data", f"x={tmp_path / 'none.jsonl'}"), DataError, "no manifest"),
    ):
        with pytest.raises(error, match=said) as caught:
            run("evaluate", *arguments)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["runs/m20/recognizer"], ["m20"]),
        (["runs/m20/recognizer", "runs/frozen/recognizer"], ["m20", "frozen"]),
        (["m20", "m20:none"], ["m20", "m20:none"]),
        (["a/m20", "a/b/m20"], ["m20", "b/m20"]),
        (["a/x/m20", "a/y/m50", "a/y/m50:none"], ["x/m20", "y/m50", "y/m50:none"]),
        (["/a", "b"], ["//a", "b"]),
    ],
)
def test_recognisers_are_called_by_what_tells_them_apart(given: list[str], names: list[str]) -> None:
    assert short_names(given) == names
    assert len(set(names)) == len(names)


def test_a_folder_and_how_its_prompts_are_used() -> None:
    assert split_name("runs/m20:none") == ("runs/m20", Prompts.NONE)
    assert split_name("runs/m20:own") == ("runs/m20", Prompts.OWN)
    assert split_name("runs/m20") == ("runs/m20", Prompts.OWN)
    assert split_name("odd:name") == ("odd:name", Prompts.OWN)
