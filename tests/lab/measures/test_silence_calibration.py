"""Calibrating, measuring and probing a stored prompt, from recordings to the folder, on a random small backbone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from typer import Typer
from typer.testing import CliRunner
from voices import PitchEmbedder, voice

import softspoken.backbones
import softspoken.decoding.plain
import softspoken.decoding.transcriber
import softspoken_lab.measures.silence_fit
from softspoken.audio import write_wav
from softspoken.cli.prompt import app
from softspoken.decoding import DecodingOptions
from softspoken.errors import DataError
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, load_prompts, save_prompts
from softspoken_lab.cli.main import app as laboratory
from softspoken_lab.measures.hallucination import Sound, hallucinated_words
from softspoken_lab.measures.silence import measure_prompt
from softspoken_lab.measures.silence_fit import FitOptions, calibrate_prompt

EMBEDDER = PitchEmbedder()
BACKBONE = tiny_backbone(5)
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=6)
PITCHES = (300.0, 500.0, 900.0, 1400.0)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(softspoken.backbones, "load_backbone", lambda *_: BACKBONE)
    for room in (softspoken_lab.measures.silence_fit, softspoken.decoding.transcriber):
        monkeypatch.setattr(room, "load_embedder", lambda *_: EMBEDDER)
    for module in (softspoken.decoding.plain, softspoken.decoding.transcriber):
        # The gibberish of a random model fails every check, and would be tried at every temperature.
        monkeypatch.setattr(module, "DecodingOptions", lambda: QUICK)
    config = PromptConfig(speaker=SpeakerPrompt(dimension=EMBEDDER.dimension), frames=FramePrompt())
    torch.manual_seed(0)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    save_prompts(prompts, tmp_path / "prompt", backbone=BACKBONE, embedder=EMBEDDER.name, training={"steps": 3})
    return tmp_path / "prompt"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Every talker alone, asked for once by their own voice and once by another's."""
    rows = []
    for number, pitch in enumerate(PITCHES):
        write_wav(tmp_path / f"{number}.wav", voice(2.2, pitch, number))
        write_wav(tmp_path / f"enrol{number}.wav", voice(4.0, pitch, 10 + number))
    for number in range(len(PITCHES)):
        other = (number + 1) % len(PITCHES)
        for target, text in ((number, "good day"), (other, "")):
            row = {"id": f"{number}-{target}", "audio": f"{number}.wav", "enrolment": f"enrol{target}.wav"}
            rows.append({**row, "text": text, "target": f"talker {target}"})
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_calibrated_prompt_writes_for_those_who_speak_alone(stored: Path, manifest: Path, tmp_path: Path) -> None:
    before = load_prompts(stored).info
    fitted = calibrate_prompt(str(stored), [manifest], tmp_path / "new", FitOptions(0.0, ("presence",)))
    after = load_prompts(tmp_path / "new").info
    assert after == before.model_copy(update={"silence": fitted.model})
    assert (fitted.model.speaking, fitted.model.silent) == (4, 4)
    found, observations = measure_prompt(str(tmp_path / "new"), [manifest])
    assert found.false_rejection.value == 0.0
    assert found.rejection.value == fitted.model.rejection == 1.0
    assert found.detection is not None
    assert found.detection.area.value == 1.0
    assert all(one.wrote != one.silent for one in observations)


def test_what_was_observed_is_not_heard_again_but_another_prompt_is(
    stored: Path, manifest: Path, tmp_path: Path
) -> None:
    heard: list[int] = []

    def progress(items):  # type: ignore[no-untyped-def]
        heard.append(len(items))
        return items

    kept = tmp_path / "seen.jsonl"
    first = calibrate_prompt(str(stored), [manifest], tmp_path / "a", kept=kept, progress=progress)
    second = calibrate_prompt(str(stored), [manifest], tmp_path / "b", kept=kept, progress=progress)
    assert second == first
    with torch.no_grad():
        loaded = load_prompts(stored)
        next(loaded.prompts.parameters()).add_(1.0)
    save_prompts(loaded.prompts, tmp_path / "other", backbone=BACKBONE, embedder=EMBEDDER.name)
    calibrate_prompt(str(tmp_path / "other"), [manifest], tmp_path / "c", kept=kept, progress=progress)
    assert heard == [8, 0, 8]


def test_words_are_counted_for_both_systems_and_every_voice(stored: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_wav(tmp_path / f"v{number}.wav", voice(4.0, PITCHES[number]))
    sounds = [Sound("hum", "1", lambda: voice(2.0, 200.0)), Sound("silence", "1", lambda: np.zeros(32_000, np.float32))]
    rates = hallucinated_words(str(stored), [tmp_path / "v0.wav", tmp_path / "v1.wav"], sounds)
    assert [(rate.kind, rate.system) for rate in rates] == [
        ("hum", "plain"),
        ("hum", "prompt"),
        ("silence", "plain"),
        ("silence", "prompt"),
    ]
    assert [rate.minutes for rate in rates] == pytest.approx([2 / 60, 4 / 60] * 2)
    with pytest.raises(DataError, match="no voice"):
        hallucinated_words(str(stored), [], sounds)


def invoke(*arguments: object, command: Typer = app) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_commands_say_the_same(stored: Path, manifest: Path, tmp_path: Path) -> None:
    arguments = ("--out", stored, "--feature", "presence", "--false-rejection", 0.25, "--json")
    shown = json.loads(invoke("calibrate", stored, manifest, *arguments, command=laboratory))
    assert load_prompts(stored).info.silence is not None
    assert shown["model"]["weights"].keys() == {"presence"}
    assert shown["held_out"]["speaking"] == 4
    assert "speaking from probability" in invoke("info", stored)
    assert json.loads(invoke("info", stored, "--json"))["silence"] == shown["model"]
    items = tmp_path / "items.jsonl"
    row = json.loads(invoke("silence", stored, manifest, "--json", "--out", items, command=laboratory))
    assert row["rejection"]["value"] == 1.0
    assert row["score"]["talkers"] == 4
    assert len(items.read_text().splitlines()) == 8
