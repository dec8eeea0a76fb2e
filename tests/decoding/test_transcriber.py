"""The transcriber on a random small backbone and random prompts: its text is gibberish, its behaviour is not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ, write_wav
from softspoken.data.channels import Telephone
from softspoken.decoding import (
    DecodingOptions,
    Journal,
    PlainTranscriber,
    Segment,
    TargetSpeakerTranscriber,
    Transcript,
    WindowOptions,
    presence,
)
from softspoken.decoding.conditioning import activity, score_voices, told_apart
from softspoken.decoding.search import DecodedWindow
from softspoken.engines import Precision, TorchEngine
from softspoken.errors import AudioError, ConfigError, EnrolmentError, PromptMismatch, SpeakerNotFound
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts, save_prompts
from softspoken.prompts.config import EnrolmentPrompt
from softspoken.prompts.silence import SilenceModel
from softspoken.speakers import EnrolmentStore, RecentWindows
from softspoken.speakers.enrolment import enrol

EMBEDDER = PitchEmbedder()
BACKBONE = tiny_backbone(5)
ENGINE = TorchEngine(BACKBONE)
LOW, HIGH = 300.0, 900.0
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=12, windows=WindowOptions(longest_s=3.0, search_s=1.0))
CONFIG = PromptConfig(
    encoder=StackPrompt(length=2),
    decoder=StackPrompt(length=2),
    speaker=SpeakerPrompt(dimension=EMBEDDER.dimension),
    frames=FramePrompt(),
)


def loaded(folder: Path, config: PromptConfig = CONFIG, **facts: object) -> LoadedPrompts:
    torch.manual_seed(0)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.normal_(std=0.5)
    save_prompts(prompts, folder, backbone=BACKBONE, embedder=EMBEDDER.name, **facts)
    return load_prompts(folder, BACKBONE)


@pytest.fixture
def store(tmp_path: Path) -> EnrolmentStore:
    store = EnrolmentStore(tmp_path / "voices.db")
    store.enrol("ada", [voice(4.0, LOW)], EMBEDDER)
    store.enrol("ben", [voice(4.0, HIGH)], EMBEDDER)
    return store


@pytest.fixture
def transcriber(tmp_path: Path, store: EnrolmentStore) -> TargetSpeakerTranscriber:
    return TargetSpeakerTranscriber(ENGINE, loaded(tmp_path / "prompt"), EMBEDDER, store)


def recording() -> np.ndarray:
    """Ada, then Ben, 7.5 s in all."""
    return np.concatenate([voice(4.0, LOW, 1), voice(3.5, HIGH, 2)])


def test_a_voice_may_be_given_in_every_way(
    transcriber: TargetSpeakerTranscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = voice(4.0, LOW)
    write_wav(tmp_path / "clip.wav", clip)
    audio = recording()
    named = transcriber.transcribe(audio, "ada", QUICK)
    assert named.speaker == "ada"
    assert named.segments
    by_clip = transcriber.transcribe(audio, clip, QUICK)
    assert by_clip.text == named.text
    assert transcriber.transcribe(audio, enrol("x", [clip], EMBEDDER), QUICK).text == named.text
    for given in (tmp_path / "clip.wav", str(tmp_path / "clip.wav")):
        assert transcriber.transcribe(audio, given, QUICK).duration_s == 7.5
    # A name wins over a file of that name.
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "ada", voice(4.0, HIGH))
    assert transcriber.voice("ada").vector == pytest.approx(transcriber.voice(clip).vector)


def test_a_path_is_the_same_voice_as_its_text(transcriber: TargetSpeakerTranscriber, tmp_path: Path) -> None:
    """Also one whose clip sounds like two."""
    for name, clip in (("ben", voice(4.0, HIGH)), ("both", recording())):
        write_wav(tmp_path / f"{name}.wav", clip)
        by_path, by_text = (transcriber.voice(given(tmp_path / f"{name}.wav")) for given in (Path, str))
        assert (by_path.name, by_path.warnings) == (by_text.name, by_text.warnings)
        assert by_path.name == name


def test_voices_of_one_name_are_told_apart_in_a_conversation(transcriber: TargetSpeakerTranscriber) -> None:
    clips = [voice(4.0, LOW), voice(4.0, HIGH)]
    found = transcriber.transcribe_conversation(voice(2.0, LOW), [*clips, "ada"], QUICK)
    assert found.speakers == ("speaker 1", "speaker 2", "ada")
    assert {one.speaker for one in found.segments} <= set(found.speakers)
    taken = [
        replace(transcriber.voice(given), name=name) for given, name in (("ada", "a"), ("ben", "a"), ("ben", "a 1"))
    ]
    assert len({one.name for one in told_apart(taken)}) == 3


def test_the_voice_matters(transcriber: TargetSpeakerTranscriber) -> None:
    ada, ben = transcriber.transcribe_many(recording(), ["ada", "ben"], QUICK)
    assert ada.text != ben.text


def test_many_voices_and_batches_are_single_ones(transcriber: TargetSpeakerTranscriber) -> None:
    audio = recording()
    many = transcriber.transcribe_many(audio, ["ada", "ben", voice(4.0, 500.0)], QUICK)
    singly = QUICK.model_copy(update={"windows": QUICK.windows.model_copy(update={"batch": 1})})
    for transcript, speaker in zip(many, ["ada", "ben", voice(4.0, 500.0)], strict=True):
        alone = transcriber.transcribe(audio, speaker, singly)
        assert [(s.start_s, s.end_s, s.tokens) for s in alone.segments] == [
            (s.start_s, s.end_s, s.tokens) for s in transcript.segments
        ]
        assert alone.presence == transcript.presence
        assert list(transcriber.stream(audio, speaker, QUICK)) == pytest.approx(list(alone.segments))
    assert transcriber.transcribe_many(audio, []) == []


def test_a_conversation_is_what_each_voice_says_but_for_what_two_claim(
    transcriber: TargetSpeakerTranscriber, tmp_path: Path
) -> None:
    audio, names = recording(), ["ada", "ben"]
    timed = QUICK.model_copy(update={"words": True})
    many = transcriber.transcribe_many(audio, names, timed)
    told: list[Segment] = []
    found = transcriber.transcribe_conversation(audio, names, timed, on_segment=told.append)
    assert found.speakers == ("ada", "ben")
    assert found.duration_s == 7.5
    claimed = {word for one in many for segment in one.segments for word in segment.words}
    kept = {word for segment in found.segments for word in segment.words}
    assert kept
    assert kept <= claimed
    # The one of two voices who is likelier keeps what both wrote.
    assert {word.text.strip(".,").lower() for word in kept} == {word.text.strip(".,").lower() for word in claimed}
    assert sorted(told, key=lambda one: (one.start_s, one.end_s)) == list(found.segments)
    bare = transcriber.transcribe_conversation(audio, names, QUICK)
    assert [replace(segment, words=()) for segment in found.segments] == list(bare.segments)
    journal = Journal(tmp_path / "journal", "key")
    transcriber.transcribe_conversation(audio, names, QUICK, journal=journal)
    resumed = Journal(tmp_path / "journal", "key", resume=True)
    assert resumed.steps
    assert transcriber.transcribe_conversation(audio, names, QUICK, journal=resumed) == bare


@pytest.mark.parametrize(("precision", "asked"), [("float32", 0), ("bfloat16", 1)])
def test_listening_is_rounded_as_the_engine_is(tmp_path: Path, precision: Precision, asked: int) -> None:
    """What says where the voice sounds may be rounded with the rest; the voice itself never is."""
    roundings = []

    class Noting(PitchEmbedder):
        def rounding(self) -> PitchEmbedder:
            roundings.append(PitchEmbedder())
            return roundings[-1]

    engine = TorchEngine(tiny_backbone(5), precision)
    given = Noting()
    transcriber = TargetSpeakerTranscriber(engine, loaded(tmp_path / "prompt"), given)
    found = transcriber.transcribe(recording(), voice(4.0, LOW), QUICK)
    assert len(roundings) == asked
    assert transcriber.embedder is given
    assert found.presence > 0.5


def test_segments_come_in_order_and_lie_in_the_recording(transcriber: TargetSpeakerTranscriber) -> None:
    transcript = transcriber.transcribe(recording(), "ada", QUICK)
    starts = [segment.start_s for segment in transcript.segments]
    assert starts == sorted(starts)
    assert all(0.0 <= s.start_s <= s.end_s <= transcript.duration_s for s in transcript.segments)
    assert transcript.duration_s == 7.5


def test_a_stream_reads_no_further_than_it_must(transcriber: TargetSpeakerTranscriber, tmp_path: Path) -> None:
    heard = 0

    class Counting(PitchEmbedder):
        def embed(self, audio: np.ndarray) -> np.ndarray:
            nonlocal heard
            heard += 1
            return super().embed(audio)

    transcriber.embedder = Counting()
    write_wav(tmp_path / "long.wav", np.tile(voice(3.0, LOW, 3), 20))
    segments = transcriber.stream(tmp_path / "long.wav", "ada", QUICK)
    next(segments)
    first = heard
    assert len(list(segments)) > 10
    assert heard > 10 * first


def test_a_silent_target_gives_nothing_and_says_how_present_it_was(tmp_path: Path, store: EnrolmentStore) -> None:
    """A silence model that goes by presence alone: the target speaks from 0.9 on."""
    model = SilenceModel(weights={"presence": 40.0}, bias=-36.0, threshold=0.5)
    following = TargetSpeakerTranscriber(ENGINE, loaded(tmp_path / "prompt", silence=model), EMBEDDER, store)
    only_ada = voice(5.0, LOW, 4)
    ada, ben = following.transcribe_many(only_ada, ["ada", "ben"], QUICK)
    assert ada.text
    assert ben.text == ""
    assert ben.segments == ()
    assert ada.presence is not None
    assert ben.presence is not None
    assert ada.presence > 0.9 > ben.presence
    # Windows in which the target is silent are passed over; the others are not.
    late = following.transcribe(np.concatenate([voice(6.0, HIGH, 5), only_ada]), "ada", QUICK)
    assert late.segments
    assert min(segment.start_s for segment in late.segments) > 2.0


def test_the_backbone_is_plain_again_afterwards(transcriber: TargetSpeakerTranscriber) -> None:
    audio = recording()
    before = PlainTranscriber(ENGINE).transcribe(audio, options=QUICK)
    transcriber.transcribe(audio, "ada", QUICK)
    assert transcriber.transcribe_plain(audio, QUICK) == before
    next(transcriber.stream(audio, "ada", QUICK))
    assert PlainTranscriber(ENGINE).transcribe(audio, options=QUICK) == before


@pytest.mark.parametrize(("begins_s", "lasts_s"), [(2.2, 3.0), (2.7, 3.0), (3.8, 4.0), (3.9, 4.2), (3.8, 5.0)])
def test_a_last_sentence_that_stays_open_is_heard_once(
    begins_s: float, lasts_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small backbone hears 4 s at once."""
    tokens, heard = BACKBONE.tokens, []

    def decoded(encoded, options, window_s, seeds) -> list[DecodedWindow]:
        heard.append(window_s)
        one, two = (tokens.encode(text) for text in (" one", " two"))
        first = (tokens.timestamp(0.0), *one, tokens.timestamp(2.0), tokens.timestamp(begins_s), *two)
        written = first if len(heard) == 1 else (tokens.timestamp(0.0), *two, tokens.timestamp(window_s[0]))
        return [DecodedWindow(written, tokens.decode(written), -0.2, 0.1, 0.0, 1.0, looped=False, silent=False)]

    monkeypatch.setattr("softspoken.decoding.plain.decode_batch", decoded)
    found = PlainTranscriber(ENGINE).transcribe(voice(lasts_s))
    assert found.text == "one two"
    assert found.segments[-1].start_s == pytest.approx(begins_s)
    assert found.duration_s == pytest.approx(lasts_s)


def test_plain_streams_what_it_transcribes(tmp_path: Path) -> None:
    audio = np.tile(recording(), 2)
    transcript = PlainTranscriber(ENGINE).transcribe(audio, options=QUICK)
    assert transcript.segments == tuple(PlainTranscriber(ENGINE).stream(audio, options=QUICK))
    assert transcript.duration_s == 15.0
    assert transcript.presence is None
    starts = [segment.start_s for segment in transcript.segments]
    assert starts == sorted(starts)
    untimed = PlainTranscriber(ENGINE).transcribe(audio, options=QUICK.model_copy(update={"timestamps": False}))
    # The tiny backbone hears 4 s at a time.
    assert {segment.start_s % 4.0 for segment in untimed.segments} == {0.0}


@pytest.mark.parametrize(
    "config",
    [
        CONFIG.model_copy(update={"frames": None}),
        CONFIG.model_copy(update={"speaker": None}),
        CONFIG.model_copy(update={"placement": "shifted"}),
    ],
    ids=["no frames", "frames only", "shifted"],
)
@pytest.mark.parametrize("window", ["audio", "30s"])
def test_every_kind_of_prompt_runs(tmp_path: Path, store: EnrolmentStore, config: PromptConfig, window: str) -> None:
    prompts = loaded(tmp_path / "prompt", config, window=window, timestamps=False)
    following = TargetSpeakerTranscriber(ENGINE, prompts, EMBEDDER, store)
    transcript = following.transcribe(recording(), "ada", QUICK)
    # Without timestamps a window is one segment.
    assert transcript.segments
    assert all(s.end_s - s.start_s <= 4.0 for s in transcript.segments)


def test_options_of_the_caller_stand(transcriber: TargetSpeakerTranscriber) -> None:
    assert transcriber.resolved(None).start == "any"
    assert transcriber.resolved(DecodingOptions(start="speech")).start == "speech"
    assert not transcriber.resolved(DecodingOptions(timestamps=False)).timestamps


def test_what_cannot_be_is_refused(
    transcriber: TargetSpeakerTranscriber, tmp_path: Path, store: EnrolmentStore
) -> None:
    audio = recording()
    with pytest.raises(SpeakerNotFound, match="eve"):
        transcriber.transcribe(audio, "eve")
    with pytest.raises(SpeakerNotFound):
        transcriber.stream(audio, "eve")
    with pytest.raises(AudioError):
        transcriber.transcribe(audio, np.zeros(4 * SAMPLE_RATE_HZ, np.float32))
    with pytest.raises(AudioError, match="shape"):
        transcriber.transcribe(audio, np.zeros((2, 64_000, 1), np.float32))
    with pytest.raises(AudioError):
        transcriber.transcribe(tmp_path / "missing.wav", "ada")
    with pytest.raises(PromptMismatch):
        TargetSpeakerTranscriber(TorchEngine(tiny_backbone(6)), load_prompts(tmp_path / "prompt"), EMBEDDER, store)
    foreign = enrol("x", [voice(4.0)], EMBEDDER)
    object.__setattr__(foreign, "embedder", "other")
    with pytest.raises(EnrolmentError, match="other"):
        transcriber.transcribe(audio, foreign)
    noise = loaded(tmp_path / "noise", task="noise")
    with pytest.raises(ConfigError, match="target-speaker"):
        TargetSpeakerTranscriber(ENGINE, noise, EMBEDDER, store)


def test_presence_is_the_best_second() -> None:
    scores = np.full(200, 0.4, np.float32)
    assert presence(scores) == pytest.approx(0.4)
    scores[100:150] = 0.9
    assert presence(scores) == pytest.approx(0.9, abs=1e-5)
    # A spike is not a voice.
    scores = np.full(200, 0.4, np.float32)
    scores[50] = 1.0
    assert presence(scores) < 0.42
    assert presence(scores[:10]) == pytest.approx(0.4)


def test_activity_follows_the_scores_and_is_nothing_behind_the_end() -> None:
    ada = enrol("ada", [voice(4.0, LOW)], EMBEDDER)
    target = score_voices(EMBEDDER, np.concatenate([voice(3.0, LOW, 1), voice(3.0, HIGH, 1)]), ada.vector[None])
    active = activity([target.scores[0], target.scores[0][:40]], FramePrompt())
    assert active.shape == (2, 300)
    assert float(active[0, :100].min()) > 0.9
    assert float(active[0, 200:].max()) < 0.1
    assert float(active[1, 40:].max()) == 0.0


def test_one_window_is_as_like_as_it_is_however_long_it_is() -> None:
    vectors = np.stack([EMBEDDER.embed(voice(4.0, pitch)) for pitch in (LOW, HIGH)])
    audio = voice(9.0, LOW)
    for window_s in (2.0, 4.0, 8.0):
        heard = score_voices(EMBEDDER, audio, vectors, FramePrompt(window_s=window_s))
        assert heard.likeness[0] > 0.95 > heard.likeness[1]


def test_scores_over_a_telephone_are_moved_to_where_they_lie_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ada = enrol("ada", [voice(4.0, LOW)], EMBEDDER).vector[None]
    hiss = np.random.default_rng(0).normal(0, 0.05, 48000).astype(np.float32)
    wide, narrow = voice(3.0, LOW, 1) + hiss, Telephone(0.0, 3400.0).apply(voice(3.0, LOW, 1) + hiss)
    before = [score_voices(EMBEDDER, each, ada).scores for each in (wide, narrow)]
    monkeypatch.setattr(PitchEmbedder, "over_telephone", {(True, False): (1.5, 0.0), (True, True): (1.25, -0.25)})
    for embedder in (EMBEDDER, RecentWindows(EMBEDDER)):
        assert score_voices(embedder, wide, ada).scores == pytest.approx(before[0])
        assert score_voices(embedder, narrow, ada).scores == pytest.approx(1.5 * before[1])
        moved = score_voices(embedder, narrow, ada, enrolled_by_telephone=[True])
        assert moved.scores == pytest.approx(1.25 * before[1] - 0.25)
        assert moved.presence == (pytest.approx(presence(moved.scores[0])),)
        trained_on_it = FramePrompt(by_telephone=True)
        assert score_voices(embedder, narrow, ada, trained_on_it).scores == pytest.approx(before[1])
        # Clips over a line are nothing that a prompt is trained with.
        assert score_voices(embedder, narrow, ada, trained_on_it, [True]).scores == pytest.approx(moved.scores)


@pytest.fixture
def clips(shared_data: Path) -> Iterator[list[tuple[Path, str]]]:
    import json

    lines = (shared_data / "speech" / "manifest.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    chosen = [r for r in rows if r["corpus"] == "librispeech_train-clean-100" and 8 < r["duration_s"] < 12][:3]
    return [(shared_data / "speech" / row["path"], row["text"]) for row in chosen]


@pytest.mark.embedded
def test_the_embedded_backbone_hears_clean_speech(clips: list[tuple[Path, str]]) -> None:
    jiwer = pytest.importorskip("jiwer")
    from softspoken.audio import load_audio
    from softspoken.engines import load_engine

    engine = load_engine("tiny.en")
    heard: list[Transcript] = [PlainTranscriber(engine).transcribe(path) for path, _ in clips]

    def bare(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum() or c == " ")

    assert jiwer.wer([bare(text) for _, text in clips], [bare(t.text) for t in heard]) < 0.2
    for transcript in heard:
        times = [time for s in transcript.segments for time in (s.start_s, s.end_s)]
        assert times == sorted(times)
        assert times[-1] <= transcript.duration_s
    # The same speech, long: the windows' seams lose little.
    audio = np.concatenate([load_audio(path) for path, _ in clips] * 2)
    text = " ".join(bare(text) for _, text in clips * 2)
    assert jiwer.wer(text, bare(PlainTranscriber(engine).transcribe(audio).text)) < 0.25


def test_a_prompt_that_hears_the_clip_needs_one(tmp_path: Path, store: EnrolmentStore) -> None:
    hears = PromptConfig(
        encoder=StackPrompt(length=2), decoder=None, speaker=None, enrolment=EnrolmentPrompt(clip_s=1.0)
    )
    hearing = TargetSpeakerTranscriber(ENGINE, loaded(tmp_path / "hears", hears), EMBEDDER, store)
    recording = voice(2.0, LOW)
    clips = [voice(4.0, LOW), voice(4.0, HIGH)]
    one, two = hearing.transcribe_many(recording, clips, QUICK)
    assert hearing.transcribe(recording, clips[0], QUICK).text == one.text
    assert one.text != two.text
    assert hearing.transcribe(recording, "ada", QUICK).text == one.text
    store.enrol("ada", [clips[0]], EMBEDDER, replace=True, keep_clip=False)
    with pytest.raises(EnrolmentError, match="of 'ada' only the embedding is stored"):
        hearing.transcribe(recording, "ada", QUICK)
