"""Requests of several people at once: each gets what it gets alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from voices import PitchEmbedder, voice

from softspoken.decoding import DecodingOptions, Request, TargetSpeakerTranscriber, WindowOptions, transcribe_together
from softspoken.engines import TorchEngine
from softspoken.errors import AudioError, ConfigError, SpeakerNotFound
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import load_prompts, save_prompts
from softspoken.speakers import EnrolmentStore

EMBEDDER = PitchEmbedder()
BACKBONE = tiny_backbone(5)
ENGINE = TorchEngine(BACKBONE)
LOW, HIGH = 300.0, 900.0
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=12, windows=WindowOptions(longest_s=3.0, search_s=1.0))
VOICE = SpeakerPrompt(dimension=EMBEDDER.dimension)
CONFIGS = {
    "deep": PromptConfig(encoder=StackPrompt(length=2), decoder=StackPrompt(length=3), speaker=VOICE),
    "keyed": PromptConfig(
        encoder=StackPrompt(length=4),
        decoder=None,
        speaker=VOICE.model_copy(update={"into": "frames"}),
        frames=FramePrompt(keyed=3),
    ),
    # The same vectors for every voice: only the activity is their own.
    "frames": PromptConfig(encoder=StackPrompt(length=3), decoder=None, speaker=None, frames=FramePrompt()),
    "shifted": PromptConfig(
        encoder=StackPrompt(length=2, depth="input"), decoder=None, speaker=VOICE, placement="shifted"
    ),
}


@pytest.fixture
def transcribers(tmp_path: Path) -> dict[str, TargetSpeakerTranscriber]:
    """Several prompts on one engine."""
    store = EnrolmentStore(tmp_path / "voices.db")
    store.enrol("ada", [voice(4.0, LOW)], EMBEDDER)
    store.enrol("ben", [voice(4.0, HIGH)], EMBEDDER)
    made = {}
    for index, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(index)
        prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
        with torch.no_grad():
            for parameter in prompts.parameters():
                parameter.normal_(std=0.5)
        facts = {"timestamps": name != "keyed"}
        save_prompts(prompts, tmp_path / name, backbone=BACKBONE, embedder=EMBEDDER.name, **facts)
        made[name] = TargetSpeakerTranscriber(ENGINE, load_prompts(tmp_path / name, BACKBONE), EMBEDDER, store)
    return made


def recording(seconds: float, pitch: float) -> np.ndarray:
    return voice(seconds, pitch).astype(np.float32)


def test_each_gets_what_it_gets_alone(transcribers: dict[str, TargetSpeakerTranscriber]) -> None:
    asked = [
        ("deep", 2.0, "ada"),
        ("keyed", 7.0, "ben"),
        ("shifted", 3.5, "ada"),
        ("deep", 5.0, "ben"),
        ("frames", 3.0, "ben"),
    ]
    requests = [Request(transcribers[name], recording(seconds, LOW), who) for name, seconds, who in asked]
    together = transcribe_together(requests, QUICK)
    for request, transcript in zip(requests, together, strict=True):
        alone = request.transcriber.transcribe(request.audio, request.speaker, QUICK)
        assert transcript.text == alone.text
        assert [segment.tokens for segment in transcript.segments] == [segment.tokens for segment in alone.segments]
        assert (transcript.speaker, transcript.duration_s) == (alone.speaker, alone.duration_s)
        assert len(transcript.windows) == len(alone.windows)
    assert len({transcript.text for transcript in together}) > 1


def test_one_batch_where_the_audio_stands_alike(
    transcribers: dict[str, TargetSpeakerTranscriber], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    encode_frames = ENGINE.encode_frames

    def counted(entered, prompts, activity):  # type: ignore[no-untyped-def]
        batches.append(entered.rows)
        return encode_frames(entered, prompts, activity)

    monkeypatch.setattr(ENGINE, "encode_frames", counted)
    deep = transcribers["deep"]
    transcribe_together([Request(deep, recording(2.0, LOW), who) for who in ("ada", "ben", "ada")], QUICK)
    assert batches == [3]


def test_nothing_asked_and_what_cannot_be(transcribers: dict[str, TargetSpeakerTranscriber], tmp_path: Path) -> None:
    assert transcribe_together([]) == []
    deep = transcribers["deep"]
    prompts = load_prompts(tmp_path / "deep", BACKBONE)
    other = TargetSpeakerTranscriber(TorchEngine(BACKBONE), prompts, EMBEDDER, deep.store)
    audio = recording(2.0, LOW)
    with pytest.raises(ConfigError, match="one engine"):
        transcribe_together([Request(deep, audio, "ada"), Request(other, audio, "ada")], QUICK)
    with pytest.raises(SpeakerNotFound):
        transcribe_together([Request(deep, audio, "ada"), Request(deep, audio, "nobody")], QUICK)
    with pytest.raises(AudioError):
        transcribe_together([Request(deep, audio, "ada"), Request(deep, audio[:0], "ada")], QUICK)
