"""The bench of attacks, with random weights: every prompt is scored on the same items, beside the sound one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from voices import PitchEmbedder, voice

from softspoken.audio import write_wav
from softspoken.demo.health import Signs
from softspoken.engines import TorchEngine
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt, save_prompts
from softspoken.scoring.text import TextNormalizer
from softspoken_lab.analysis import attack_bench
from softspoken_lab.analysis.attack_bench import AttackBench, AttackRow, words_of_others
from softspoken_lab.analysis.attacks import Setting

BACKBONE = tiny_backbone(5)
SPEAKER = SpeakerPrompt(dimension=PitchEmbedder.dimension)
CONFIG = PromptConfig(
    encoder=StackPrompt(length=3), decoder=StackPrompt(length=2), speaker=SPEAKER, frames=FramePrompt()
)


def stored(folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    prompts = SoftPrompts(CONFIG, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    save_prompts(prompts, folder, backbone=BACKBONE, embedder=PitchEmbedder.name)
    return str(folder)


def quick_check(recordings: object, patient: Any) -> dict[str, Signs]:
    """In place of the doctor's, which takes long with a model that writes gibberish."""
    audio = voice(1.0)
    (said,) = patient.transcribe_many(audio, [patient.voice(voice(2.0, 400.0))])
    plain = patient.transcribe_plain(audio).text
    assert patient.transcribe_plain(audio).text == plain
    return {"one": Signs(mixed_words=100, mixed_errors=len(said.text), plain_errors=1000)}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = []
    for number in range(8):
        write_wav(tmp_path / f"{number}.wav", voice(2.0 + 0.1 * number, 200.0 + 40 * number, seed=number))
        row = {"id": str(number), "audio": f"{number // 2 * 2}.wav", "enrolment": f"{number}.wav"}
        rows.append(json.dumps(row | {"text": "" if number == 1 else f"words of number {number}"}))
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(rows))
    return path


def test_rows_are_of_the_same_items(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack_bench, "examine", quick_check)
    monkeypatch.setattr(attack_bench, "load_embedder", lambda reference: PitchEmbedder())
    monkeypatch.setattr(attack_bench, "load_engine", lambda *_, **__: TorchEngine(BACKBONE))
    monkeypatch.setattr(attack_bench, "load_backbone", lambda reference: BACKBONE)
    told: list[AttackRow] = []
    bench = AttackBench(stored(tmp_path / "sound", 0), manifest)
    other = stored(tmp_path / "other", 1)
    settings = [Setting("signs", 0.0), Setting("other", 1.0), Setting("gradient", 0.5)]
    rows = bench.rows(settings, told.append, other, [other])
    assert told == rows
    assert [row.name for row in rows] == ["none", "signs", "other", "gradient", other]
    sound, same, theirs, _, itself = rows
    # Two of the eight are left: the gradient has the last six that speak.
    assert {(row.score.utterances, row.score.silent) for row in rows} == {(1, 1)}
    assert sound.cost.wer == 0.0
    assert sound.compared == ()
    assert (same.score, same.signs) == (sound.score, sound.signs)
    assert (theirs.score, theirs.signs) == (itself.score, itself.signs)
    assert json.dumps(theirs.as_json())


def test_words_of_others_are_wrong_ones_that_somebody_says() -> None:
    normalize = TextNormalizer()
    others = ["the invoice is due", "in May"]
    assert words_of_others("The design review", "the design review", others, normalize) == 0
    assert words_of_others("The invoice review in June", "the design review", others, normalize) == 2
    # What both say is the target's as often as the target says it.
    assert words_of_others("the the invoice", "the design", others, normalize) == 2
    assert words_of_others("due May May", "", others, normalize) == 2
