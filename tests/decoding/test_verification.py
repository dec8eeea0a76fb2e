"""Voices that are not in a recording get no words; nobody who is there loses any."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding import DecodingOptions, Segment, TargetSpeakerTranscriber, WindowOptions, settlement
from softspoken.decoding.result import VoiceWindow, WindowEvidence
from softspoken.decoding.settlement import VERIFIED, Verification, needed_likeness
from softspoken.engines import TorchEngine
from softspoken.live.rows import LiveRow, VoicesRows
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import load_prompts, save_prompts
from softspoken.serve.backend import EngineBackend
from softspoken.serve.work import Wanted
from softspoken.speakers import EnrolmentStore

EMBEDDER = PitchEmbedder()
BACKBONE = tiny_backbone(5)
LOW, HIGH, OTHER = 300.0, 900.0, 1600.0
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=6, windows=WindowOptions(longest_s=3.0, search_s=1.0))
CONFIG = PromptConfig(
    encoder=StackPrompt(length=2), speaker=SpeakerPrompt(dimension=EMBEDDER.dimension), frames=FramePrompt()
)
LONG_S = 600.0


def window(at: int, likeness: float) -> VoiceWindow:
    """Ten seconds in which one segment is said."""
    start_s = 10.0 * at
    evidence = WindowEvidence(start_s, start_s + 10.0, likeness, likeness, -1.0, -0.5, {})
    return VoiceWindow((Segment(start_s, start_s + 5.0, f"segment {at}"),), evidence)


def told(likenesses: list[float], heard_s: float, *, insist: bool = False) -> tuple[list[str], list[str]]:
    """Texts as the recording passes, and at its end."""
    held = Verification(1, insist)
    passed = [one.text for at, likeness in enumerate(likenesses) for one in held.passed([window(at, likeness)])[0]]
    return passed, [one.text for one in held.rest(heard_s)[0]]


def test_more_is_asked_of_a_voice_the_longer_the_recording() -> None:
    lengths_s = np.geomspace(0.5, 36_000.0, 200)
    needed = [needed_likeness(length_s) for length_s in lengths_s]
    assert needed == sorted(needed)
    assert needed[0] == needed_likeness(14.0) == -1.0
    assert needed[-1] == needed_likeness(240.0) == VERIFIED


def test_words_are_held_back_until_the_voice_is_there_and_then_all_are_told_in_order() -> None:
    assert told([0.3, 0.4, 0.8, 0.1], LONG_S) == ([f"segment {at}" for at in range(4)], [])
    assert told([0.3, 0.4], LONG_S) == ([], [])
    # One who is never heard alone may still be there in a short recording.
    assert told([0.3, 0.4], 20.0) == ([], ["segment 0", "segment 1"])
    assert told([0.0], LONG_S, insist=True) == (["segment 0"], [])


def test_one_voice_does_not_vouch_for_another() -> None:
    held = Verification(2)
    both = held.passed([window(0, 0.8), window(0, 0.3)])
    assert [len(one) for one in both] == [1, 0]
    assert held.rest(LONG_S) == [(), ()]


def test_everybodys_words_are_nobodys() -> None:
    segment = Segment(0.0, 1.0, "word")
    assert Verification(1).passed([VoiceWindow((segment,))]) == [(segment,)]


@pytest.fixture
def transcriber(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TargetSpeakerTranscriber:
    """For which ten seconds are a long recording."""
    monkeypatch.setattr(settlement, "FOLLOWED_S", 0.5)
    torch.manual_seed(0)
    prompts = SoftPrompts(CONFIG, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.normal_(std=0.5)
    save_prompts(prompts, tmp_path / "prompt", backbone=BACKBONE, embedder=EMBEDDER.name)
    store = EnrolmentStore(tmp_path / "voices.db")
    for name, pitch_hz in (("ada", LOW), ("ben", HIGH), ("cleo", OTHER)):
        store.enrol(name, [voice(4.0, pitch_hz)], EMBEDDER)
    return TargetSpeakerTranscriber(TorchEngine(BACKBONE), load_prompts(tmp_path / "prompt", BACKBONE), EMBEDDER, store)


RECORDING = np.concatenate([voice(5.0, LOW, 1), voice(5.0, HIGH, 2)])
"""Of Ada and Ben."""


def test_a_stranger_has_no_words_and_one_line_says_why(
    transcriber: TargetSpeakerTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["ada", "ben", "cleo"]
    found = transcriber.transcribe_many(RECORDING, names, QUICK)
    monkeypatch.setattr(settlement, "FOLLOWED_S", 14.0)
    short = transcriber.transcribe_many(RECORDING, names, QUICK)
    assert [one.segments for one in found[:2]] == [one.segments for one in short[:2]]
    assert short[2].segments
    monkeypatch.setattr(settlement, "FOLLOWED_S", 0.5)
    assert found[2].segments == ()
    assert transcriber.transcribe(RECORDING, "cleo", QUICK.model_copy(update={"insist": True})).segments
    likeness = max(one.likeness for one in found[2].windows)
    assert likeness < VERIFIED
    assert f"likeness {likeness:.2f}, {VERIFIED:.2f} is needed" in transcriber.why_empty(found[2])


def test_every_way_tells_the_same(transcriber: TargetSpeakerTranscriber) -> None:
    """Ben's first windows are Ada's, in which he is not verified yet: what they hold is told later, and is not lost."""
    for name in ("ada", "ben", "cleo"):
        whole = transcriber.transcribe(RECORDING, name, QUICK)
        seen: list[Segment] = []
        transcriber.transcribe(RECORDING, name, QUICK, on_segment=seen.append)
        assert seen == list(whole.segments)
        # Windows one by one, not four at a time: sums come in another order.
        streamed = [(one.start_s, one.tokens) for one in transcriber.stream(RECORDING, name, QUICK)]
        assert streamed == [(one.start_s, one.tokens) for one in whole.segments]


def test_the_server_tells_the_same(transcriber: TargetSpeakerTranscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriber, "resolved", lambda options: QUICK.model_copy(update={"start": "any"}))
    voices = tuple(transcriber.store.get(name) for name in ("ada", "ben", "cleo"))
    backend = EngineBackend({"shipped": transcriber})
    for voice_ in voices:
        job = backend.start(Wanted(RECORDING, (voice_,)))
        said = []
        while (piece := job.next_piece()) is not None:
            assert not job.finished
            said += job.take(piece, backend.run([piece])[0])
        assert job.finished
        assert job.done_s == pytest.approx(10.0)
        whole = transcriber.transcribe(RECORDING, voice_)
        assert [(one.start_s, one.text) for one in said] == [(one.start_s, one.text) for one in whole.segments]
        starts_s = {window.start_s for window in whole.windows}
        assert {one.window_s for one in said} <= starts_s


def test_nothing_is_decoded_live_for_who_is_not_there(transcriber: TargetSpeakerTranscriber) -> None:
    voices = [transcriber.store.get(name) for name in ("ada", "cleo")]
    rows = VoicesRows(transcriber, voices, QUICK)
    late = 10 * SAMPLE_RATE_HZ
    asked = [LiveRow(line, late, RECORDING[: 3 * SAMPLE_RATE_HZ], ()) for line in (0, 1)]
    assert [found is None for found in rows.decode(asked)] == [False, True]
    # Once there, there for good.
    assert rows.decode([LiveRow(0, 2 * late, RECORDING[6 * SAMPLE_RATE_HZ : 9 * SAMPLE_RATE_HZ], ())]) != [None]
