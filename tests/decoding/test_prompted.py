"""Everybody's words under a prompt, on a random small backbone: its text is gibberish, its behaviour is not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone, tone

from softspoken.audio import write_wav
from softspoken.decoding import DecodedWindow, DecodingOptions, PromptedTranscriber, WindowOptions
from softspoken.decoding.longform import Window
from softspoken.engines import load_engine
from softspoken.errors import AudioError, ConfigError, PromptMismatch
from softspoken.prompts import PromptConfig, SoftPrompts, StackPrompt
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts, save_prompts
from softspoken.prompts.short import short_window_prompts

BACKBONE = tiny_backbone(5)
ENGINE = load_engine(BACKBONE, "torch")
CONFIG = PromptConfig(encoder=StackPrompt(length=3), decoder=None, speaker=None)
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=12, windows=WindowOptions(longest_s=3.0, search_s=1.0))


def loaded(folder: Path, **facts: object) -> LoadedPrompts:
    torch.manual_seed(0)
    prompts = SoftPrompts(CONFIG, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        prompts.get_parameter("stacks.encoder.vectors").normal_(std=2.0)
    save_prompts(prompts, folder, backbone=BACKBONE, **{"task": "transcription", **facts})
    return load_prompts(folder, BACKBONE)


@pytest.fixture
def transcriber(tmp_path: Path) -> PromptedTranscriber:
    return PromptedTranscriber(ENGINE, loaded(tmp_path / "prompt"))


def test_files_and_samples_streamed_and_whole_are_the_same(transcriber: PromptedTranscriber, tmp_path: Path) -> None:
    audio = tone(7.5)
    whole = transcriber.transcribe(audio, options=QUICK)
    assert whole.segments
    assert whole.duration_s == 7.5
    assert all(0.0 <= segment.start_s <= segment.end_s <= 7.5 for segment in whole.segments)
    streamed = list(transcriber.stream(audio, options=QUICK))
    assert [segment.text for segment in streamed] == [segment.text for segment in whole.segments]
    write_wav(tmp_path / "tone.wav", audio)
    assert transcriber.transcribe(tmp_path / "tone.wav", options=QUICK).duration_s == 7.5


def test_how_many_windows_run_together_changes_nothing(transcriber: PromptedTranscriber) -> None:
    audio = tone(8.0, 3)
    texts = {
        transcriber.transcribe(
            audio, options=QUICK.model_copy(update={"windows": QUICK.windows.model_copy(update={"batch": batch})})
        ).text
        for batch in (1, 2, 5)
    }
    assert len(texts) == 1


def test_the_prompt_is_heard(transcriber: PromptedTranscriber, tmp_path: Path) -> None:
    stored = load_prompts(tmp_path / "prompt")
    other = LoadedPrompts({name: -part for name, part in stored.tensors.items()}, stored.info)
    audio = tone(3.0, 4)
    changed = PromptedTranscriber(ENGINE, other).transcribe(audio, options=QUICK)
    assert changed.text != transcriber.transcribe(audio, options=QUICK).text


def test_an_engine_writes_the_same(transcriber: PromptedTranscriber, tmp_path: Path) -> None:
    fast = PromptedTranscriber(load_engine(BACKBONE, "openvino"), load_prompts(tmp_path / "prompt"))
    audio = tone(5.0, 6)
    assert fast.transcribe(audio, options=QUICK).text == transcriber.transcribe(audio, options=QUICK).text


@pytest.mark.parametrize(("behind", "heard"), [("speech", 2), ("silence", 1)])
def test_what_a_window_leaves_out_is_heard_again(
    transcriber: PromptedTranscriber, monkeypatch: pytest.MonkeyPatch, behind: str, heard: int
) -> None:
    """Whisper may end a window after its first sentence; what is loud behind it is another window."""
    begin, tokens = BACKBONE.tokens.timestamp_begin, BACKBONE.tokens
    asked: list[tuple[float, float]] = []

    def ended_early(windows: list[Window], options: DecodingOptions, number: int) -> list[DecodedWindow]:
        asked.extend((window.start_s, window.duration_s) for window in windows)
        # A word from 0 to 1 s, and the end.
        written = (begin, *tokens.encode(" a"), begin + 50)
        return [DecodedWindow(written, " a", -0.1, 0.0, 0.0, 1.0, looped=False, silent=False) for _ in windows]

    monkeypatch.setattr(transcriber, "_decode", ended_early)
    audio = tone(3.0)
    if behind == "silence":
        audio[16_000:] *= 0.01
    transcript = transcriber.transcribe(audio, options=QUICK)
    assert asked == [(0.0, 3.0), (1.0, 2.0)][:heard]
    assert [(one.start_s, one.end_s) for one in transcript.segments] == [(0.0, 1.0), (1.0, 2.0)][:heard]


def test_without_timestamps_a_window_is_a_segment(transcriber: PromptedTranscriber) -> None:
    options = QUICK.model_copy(update={"timestamps": False})
    assert len(transcriber.transcribe(tone(2.0), options=options).segments) <= 1


def test_what_cannot_be_used(transcriber: PromptedTranscriber, tmp_path: Path) -> None:
    with pytest.raises(AudioError):
        transcriber.transcribe(tmp_path / "missing.wav")
    with pytest.raises(AudioError):
        transcriber.transcribe(np.zeros((2, 16_000, 1), np.float32))
    with pytest.raises(PromptMismatch):
        PromptedTranscriber(load_engine(tiny_backbone(6), "openvino"), load_prompts(tmp_path / "prompt"))
    with pytest.raises(PromptMismatch):
        PromptedTranscriber(load_engine(tiny_backbone(6), "torch"), load_prompts(tmp_path / "prompt"))
    with pytest.raises(ConfigError, match="trained for 'noise', expected 'transcription'"):
        PromptedTranscriber(ENGINE, loaded(tmp_path / "noise", task="noise"))


def test_short_is_read_off_any_backbone() -> None:
    made = PromptedTranscriber(ENGINE, short_window_prompts(ENGINE))
    assert (made.info.task, made.info.window, made.info.backbone.name) == ("transcription", "audio", BACKBONE.name)
    assert made.transcribe(tone(5.0), options=QUICK).duration_s == 5.0
    other = short_window_prompts(load_engine(tiny_backbone(6), "openvino")).prompts
    mine = short_window_prompts(ENGINE).prompts
    vectors = "stacks.encoder.vectors"
    assert not torch.allclose(other.get_parameter(vectors), mine.get_parameter(vectors))


def test_short_holds_the_end_of_a_silent_window() -> None:
    silence = [np.zeros(16_000, np.float32)]
    states = BACKBONE.encode_layers(BACKBONE.features(silence, 30.0)).states[:-1]
    vectors = short_window_prompts(ENGINE).prompts.get_parameter("stacks.encoder.vectors")
    torch.testing.assert_close(vectors[:, -1], torch.stack([layer[0, -1] for layer in states]))


@pytest.mark.embedded
def test_short_makes_a_short_window_enough() -> None:
    """Without it, the frozen model writes on and on behind the end of the audio."""
    jiwer = pytest.importorskip("jiwer")
    from softspoken.decoding import decode_batch
    from softspoken.demo import load_recordings
    from softspoken.demo.recordings import read_clip

    prompted = PromptedTranscriber.from_pretrained()
    engine = prompted.engine
    voices = load_recordings().voices[3:]
    texts = [bare(voice.text) for voice in voices]
    clips = [read_clip(voice.enrolment) for voice in voices]
    heard = [bare(prompted.transcribe(clip).text) for clip in clips]
    assert jiwer.wer(texts, heard) < 0.1
    greedy = DecodingOptions(temperatures=(0.0,), repeat_limit=None, timestamps=False)
    plain = [decode_batch(engine.encode(engine.features([clip])), greedy, window_s=[12.0])[0].text for clip in clips]
    assert jiwer.wer(texts, [bare(text) for text in plain]) > 2 * jiwer.wer(texts, heard)


def bare(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ")
