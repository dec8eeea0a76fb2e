"""Speech in noise to text: batches, long recordings, prompts left out, times."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from tiny import tiny_backbone, tone
from tiny_recognizer import ENCODERS, encoder_named, new_recognizer
from tiny_ssl import tiny_encoder

from softspoken.audio import SAMPLE_RATE_HZ, write_wav
from softspoken.backbones import Backbone
from softspoken.decoding.formats import to_srt
from softspoken.errors import AudioError, ConfigError, PromptError, PromptMismatch
from softspoken.prompts import PromptConfig
from softspoken_lab.noise import recognizer as recognizer_module
from softspoken_lab.noise.characters import BLANK, SPACE, Characters
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.folder import load_recognizer, save_recognizer
from softspoken_lab.noise.recognizer import (
    NoiseRobustRecognizer,
    RecognizerOptions,
    similar,
    timed_words,
)
from softspoken_lab.noise.search import BeamOptions, BeamSearch, greedy

CHARACTERS = Characters()
SECONDS = (0.9, 0.3, 2.1, 0.6)


def sounds() -> list[np.ndarray]:
    return [tone(seconds, seed) for seed, seconds in enumerate(SECONDS)]


def stored(folder: Path, backbone: Backbone, prompts: PromptConfig | None = None, seed: int = 1) -> Path:
    save_recognizer(
        new_recognizer(backbone, prompts, seed), folder, backbone=backbone, characters=CHARACTERS, training={}
    )
    return folder


def made(
    folder: Path, backbone: Backbone, prompts: PromptConfig | None = None, **options: float
) -> NoiseRobustRecognizer:
    chosen = RecognizerOptions(**options)  # type: ignore[arg-type]
    return NoiseRobustRecognizer.load(stored(folder, backbone, prompts), backbone, options=chosen)


@pytest.fixture
def recognizer(tmp_path: Path) -> NoiseRobustRecognizer:
    return made(tmp_path / "recognizer", tiny_backbone(), noise_prompts(4))


# Recordings in, texts out


@pytest.mark.parametrize("name", ENCODERS)
def test_batches_write_what_single_recordings_do(tmp_path: Path, name: str) -> None:
    """In the caller's order, whatever runs together."""
    recognizer = made(tmp_path / "r", encoder_named(name), noise_prompts(4))
    texts = recognizer.transcribe(sounds())
    assert texts == [recognizer.transcribe(sound) for sound in sounds()]
    assert len(set(texts)) == len(SECONDS)
    assert all(texts)
    alone = made(tmp_path / "again", encoder_named(name), noise_prompts(4), batch_s=0.5)
    assert alone.transcribe(sounds()) == texts
    assert recognizer.transcribe([]) == []


def test_it_writes_what_the_model_and_greedy_search_say(recognizer: NoiseRobustRecognizer) -> None:
    sound = tone(0.9)
    with torch.no_grad():
        log_probs, lengths = recognizer.model(recognizer.backbone, recognizer.backbone.features([sound]))
    assert [recognizer.transcribe(sound)] == greedy(log_probs, lengths, CHARACTERS)


def test_files_and_samples_are_the_same(tmp_path: Path, recognizer: NoiseRobustRecognizer) -> None:
    write_wav(tmp_path / "a.wav", tone(0.9))
    from softspoken.audio import load_audio

    samples = load_audio(tmp_path / "a.wav")
    text = recognizer.transcribe(samples)
    assert recognizer.transcribe(tmp_path / "a.wav") == text
    assert recognizer.transcribe(str(tmp_path / "a.wav")) == text
    assert recognizer.transcribe([tmp_path / "a.wav", tmp_path / "a.wav"]) == [text, text]


def test_prompts_can_be_left_out(tmp_path: Path) -> None:
    """Without prompts it writes what a frozen baseline with the same head does."""
    backbone = tiny_backbone()
    recognizer = made(tmp_path / "r", backbone, noise_prompts(4))
    baseline = made(tmp_path / "frozen", backbone)
    without = recognizer.transcribe(sounds(), prompts="none")
    assert without != recognizer.transcribe(sounds())
    assert baseline.prompts is None
    assert without == baseline.transcribe(sounds()) == baseline.transcribe(sounds(), prompts="none")


def test_a_beam_search_in_place_of_greedy(recognizer: NoiseRobustRecognizer) -> None:
    search = BeamSearch(CHARACTERS, BeamOptions(width=4))
    log_probs, lengths = recognizer.log_probs(sounds())
    assert recognizer.transcribe(sounds(), search=search) == search.decode(log_probs, lengths)
    with pytest.raises(ConfigError, match="a search over 3 symbols"):
        recognizer.transcribe(sounds(), search=BeamSearch(Characters(("-", "|", "A"))))


# Long recordings


def spoken(seconds: float, pauses_s: tuple[float, ...]) -> Float[np.ndarray, " N"]:
    """Sound with stretches of silence of 0.4 s."""
    audio = tone(seconds, 5)
    for pause_s in pauses_s:
        start = round(pause_s * SAMPLE_RATE_HZ)
        audio[start : start + round(0.4 * SAMPLE_RATE_HZ)] = 0
    return audio


@pytest.mark.parametrize("name", ["whisper", "hubert, post"])
def test_a_long_recording_is_its_windows_cut_at_pauses(tmp_path: Path, name: str) -> None:
    """The tiny Whisper has positions for 4 s; other encoders keep to the options."""
    recognizer = made(tmp_path / "r", encoder_named(name), noise_prompts(4), longest_s=3.5, search_s=2.0)
    long = spoken(8.0, (2.4, 5.3))
    cuts = [0, round(2.6 * SAMPLE_RATE_HZ), round(5.5 * SAMPLE_RATE_HZ), long.size]
    (transcript,) = recognizer.recognize([long])
    assert transcript.duration_s == 8.0
    starts = [segment.start_s for segment in transcript.segments]
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert transcript.segments[-1].end_s <= 8.0
    # Where in a pause it is cut is not said here: the parts are looked at as they are decoded.
    seen: list[np.ndarray] = []
    real = recognizer.log_probs

    def spy(audio: list[np.ndarray], prompts: str = "own") -> object:
        seen.extend(audio)
        return real(audio, prompts)  # type: ignore[arg-type]

    recognizer.log_probs = spy  # type: ignore[method-assign, assignment]
    joined = recognizer.transcribe(long)
    assert sum(part.size for part in seen) == long.size
    assert len(seen) == 3
    lengths = sorted(part.size for part in seen)
    assert lengths == pytest.approx(sorted(np.diff(cuts)), abs=0.25 * SAMPLE_RATE_HZ)
    ordered = sorted(seen, key=lambda part: _place_of(part, long))
    assert np.array_equal(np.concatenate(ordered), long)
    assert joined == " ".join(recognizer.transcribe(ordered))


def _place_of(part: np.ndarray, whole: np.ndarray) -> int:
    """Where a stretch begins in a recording: its first half second occurs once."""
    head = part[: SAMPLE_RATE_HZ // 2]
    candidates = np.flatnonzero(whole[: whole.size - head.size + 1] == head[0])
    return int(next(place for place in candidates if np.array_equal(whole[place : place + head.size], head)))


@pytest.mark.parametrize("placement", ["appended", "unshifted", "shifted"])
def test_windows_fit_the_encoder_wherever_prompts_stand(tmp_path: Path, placement: str) -> None:
    """Shifted prompts take some of the positions; 12 s through positions for 4 s."""
    config = PromptConfig.model_validate(noise_prompts(30).model_dump() | {"placement": placement})
    recognizer = made(tmp_path / "r", tiny_backbone(), config)
    (transcript,) = recognizer.recognize([tone(12.0)])
    assert transcript.duration_s == 12.0
    assert transcript.segments[-1].end_s > 10.0


def test_windows_of_all_recordings_run_in_pools(
    recognizer: NoiseRobustRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pools of one window or of many, texts and their order stay."""
    recordings = [tone(9.0, 1), tone(0.5, 2), tone(6.0, 3)]
    expected = recognizer.recognize(recordings)
    assert [transcript.duration_s for transcript in expected] == [9.0, 0.5, 6.0]
    recognizer.options = RecognizerOptions(batch_s=1.0)
    monkeypatch.setattr(recognizer_module, "_POOL_BATCHES", 1)
    assert recognizer.recognize(recordings) == expected


def test_memory_does_not_grow_with_the_recording(recognizer: NoiseRobustRecognizer) -> None:
    """Windows are decoded while the recording is still being read."""
    recognizer.options = RecognizerOptions(batch_s=1.0)
    read, decoded = 0, []
    real = recognizer_module.audio_blocks

    def counted(audio: object) -> Iterator[np.ndarray]:
        nonlocal read
        for block in real(audio):  # type: ignore[arg-type]
            read += block.size
            yield block

    run = recognizer.log_probs

    def spy(audio: list[np.ndarray], prompts: str = "own") -> object:
        decoded.append(read)
        return run(audio, prompts)  # type: ignore[arg-type]

    recognizer.log_probs = spy  # type: ignore[method-assign, assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognizer_module, "audio_blocks", counted)
        recognizer.transcribe(tone(60.0))
    assert decoded[0] < 30 * SAMPLE_RATE_HZ
    assert read == 60 * SAMPLE_RATE_HZ


def test_similar_lengths_run_together() -> None:
    durations_s = [1.0, 9.0, 2.0, 8.0, 30.0, 1.5]
    batches = list(similar(durations_s, 18.0))
    assert sorted(index for batch in batches for index in batch) == list(range(6))
    assert batches == [[4], [1, 3], [2, 5, 0]]
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(durations_s[index] for index in batch) <= 18.0


# Times


def path_of(written: str) -> torch.Tensor:
    """A path by its symbols: '-' is the blank, ' ' the space."""
    ids = {"-": BLANK, " ": CHARACTERS.symbols.index(SPACE)}
    return torch.tensor(
        [ids.get(letter, CHARACTERS.symbols.index(letter) if letter.isalpha() else 0) for letter in written]
    )


def test_words_have_the_times_of_their_letters() -> None:
    words = timed_words(path_of("--HH-I   --TT-O-OO--"), CHARACTERS, offset_s=10.0, frame_s=0.02)
    assert [(word.text, round(word.start_s, 3), round(word.end_s, 3)) for word in words] == [
        ("HI", 10.04, 10.12),
        ("TOO", 10.22, 10.36),
    ]
    assert timed_words(path_of("-- --"), CHARACTERS) == []


def test_timed_words_are_the_greedy_text() -> None:
    generator = torch.Generator().manual_seed(0)
    # Few symbols, so that repetitions, blanks and spaces meet in every way.
    log_probs = torch.randn(40, 30, CHARACTERS.size, generator=generator).log_softmax(dim=-1)
    log_probs[:, :, 5:] = -50.0
    lengths = torch.full((40,), 30)
    texts = greedy(log_probs, lengths, CHARACTERS)
    assert len(set(texts)) == 40
    for row, text in zip(log_probs.argmax(dim=-1), texts, strict=True):
        words = timed_words(row, CHARACTERS)
        assert " ".join(word.text for word in words) == text
        edges = [edge for word in words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        assert all(word.end_s > word.start_s for word in words)


def test_segments_end_at_pauses(recognizer: NoiseRobustRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of blanks between words ends a segment, a tenth does not; times count from the recording's start."""
    path = path_of("--A-" + "-" * 5 + " B--" + "-" * 50 + " C ---")

    def heard(audio: list[np.ndarray], prompts: str) -> tuple[torch.Tensor, torch.Tensor]:
        log_probs = torch.full((len(audio), path.numel(), CHARACTERS.size), -20.0)
        log_probs[:, torch.arange(path.numel()), path] = 0.0
        return log_probs, torch.full((len(audio),), path.numel())

    monkeypatch.setattr(recognizer, "log_probs", heard)
    (transcript,) = recognizer.recognize([tone(2.0)])
    found = [(segment.text, segment.start_s, segment.end_s) for segment in transcript.segments]
    assert found == [("A B", 0.04, 0.22), ("C", 1.28, 1.3)]
    assert transcript.text == "A B C"
    assert "00:00:01,280 --> 00:00:01,300\nC" in to_srt(transcript)
    (searched,) = recognizer.recognize([tone(2.0)], search=BeamSearch(CHARACTERS))
    assert [(segment.text, segment.start_s, segment.end_s) for segment in searched.segments] == [("A B C", 0.04, 1.3)]
    # The encoder hears silence behind the audio; no time is beyond its end.
    (short,) = recognizer.recognize([tone(1.29)])
    assert max(segment.end_s for segment in short.segments) == 1.29


# Loading, and what is refused


def test_loading_finds_the_backbone_by_its_stored_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone()
    folder = stored(tmp_path / "r", backbone, noise_prompts(4))
    asked: list[tuple[str, ...]] = []

    def load(*reference: str) -> Backbone:
        asked.append(reference)
        return backbone

    monkeypatch.setattr(recognizer_module, "load_encoder", load)
    loaded = NoiseRobustRecognizer.load(folder)
    assert loaded.backbone is backbone
    assert loaded.characters == CHARACTERS
    assert NoiseRobustRecognizer.load(folder, "elsewhere", "cpu", "float32").backbone is backbone
    assert asked == [("tiny-0", "cpu", "float32"), ("elsewhere", "cpu", "float32")]


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "r", tiny_backbone())
    with pytest.raises(PromptMismatch, match="load backbone 'tiny-0'"):
        NoiseRobustRecognizer.load(folder, tiny_backbone(seed=4))
    with pytest.raises(PromptMismatch, match="load backbone 'tiny-0'"):
        NoiseRobustRecognizer(load_recognizer(folder), tiny_encoder())
    with pytest.raises(PromptError, match="no recogniser in"):
        NoiseRobustRecognizer.load(tmp_path / "nothing", tiny_backbone())


def test_a_half_precision_backbone_writes_nearly_the_same(tmp_path: Path) -> None:
    folder = stored(tmp_path / "r", tiny_backbone(), noise_prompts(4))
    whole = NoiseRobustRecognizer.load(folder, tiny_backbone())
    half = NoiseRobustRecognizer.load(folder, tiny_backbone().to("cpu", torch.bfloat16))
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}
    one, lengths = whole.log_probs([tone(0.9)])
    other, _ = half.log_probs([tone(0.9)])
    valid = slice(0, int(lengths[0]))
    assert (one[0, valid].argmax(dim=-1) == other[0, valid].argmax(dim=-1)).float().mean() > 0.7


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.zeros(100, np.float32), "recording 2 of 2 has 100 samples.*at least 0.1 s"),
        (np.zeros(0, np.float32), "recording 2 of 2 has 0 samples"),
        (np.full(8000, np.nan, np.float32), "NaN"),
        (np.zeros((2, 3, 8000), np.float32), "shape"),
        ("nowhere.wav", "nowhere.wav"),
    ],
)
def test_recordings_that_cannot_be_used(recognizer: NoiseRobustRecognizer, audio: np.ndarray | str, said: str) -> None:
    with pytest.raises(AudioError, match=said) as caught:
        recognizer.recognize([tone(0.5), audio])
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="is one recording"):
        recognizer.recognize("nowhere.wav")


def test_silence_is_no_error(recognizer: NoiseRobustRecognizer) -> None:
    """A program that listens hands over what it hears."""
    (transcript,) = recognizer.recognize([np.zeros(16_000, np.float32)])
    assert transcript.duration_s == 1.0


@pytest.mark.parametrize("values", [{"longest_s": 31.0}, {"batch_s": 0.0}, {"pause_s": -1.0}, {"colour": 1.0}])
def test_impossible_options(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        RecognizerOptions(**values)  # type: ignore[arg-type]
