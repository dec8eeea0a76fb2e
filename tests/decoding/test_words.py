"""Words with times: their text, their order, and that they are where the attention and the sound are."""

import json
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_backbone, tone

from softspoken.backbones.tokens import WhisperTokens
from softspoken.data.corpus import is_development_talker
from softspoken.decoding import DecodingOptions, PlainTranscriber, PromptedTranscriber, Transcript, WindowOptions
from softspoken.decoding.result import joined
from softspoken.decoding.words import FRAME, FRAME_S, align, loudness, token_fit, word_groups
from softspoken.engines import load_engine
from softspoken.prompts.short import short_window_prompts

BACKBONE = tiny_backbone(5)
TOKENS = BACKBONE.tokens
ENGINE = load_engine(BACKBONE, "torch")
QUICK = DecodingOptions(
    temperatures=(0.0,), max_tokens=30, words=True, windows=WindowOptions(longest_s=3.0, search_s=1.0)
)


def texts(groups: list[list[int]], tokens: WhisperTokens = TOKENS) -> list[str]:
    return [tokens.decode(group).strip() for group in groups]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" one two", ["one", "two"]),
        (" Yes, it's well-known.", ["Yes,", "it's", "well-known."]),
        (" - a -- b !", ["- a --", "b !"]),
        ("one", ["one"]),
        (" ...", ["..."]),
        (" caf\u00e9 \u4e00", ["caf\u00e9", "\u4e00"]),
    ],
)
def test_words_are_what_spaces_part_with_their_punctuation(text: str, words: list[str]) -> None:
    ids = TOKENS.encode(text)
    groups = word_groups(ids, TOKENS)
    assert [token for group in groups for token in group] == ids
    assert texts(groups) == words


def test_without_spaces_a_character_is_a_word() -> None:
    groups = word_groups(TOKENS.encode("\u4e00\u4e8c\u3002\u4e09"), TOKENS, "zh")
    assert texts(groups) == ["\u4e00", "\u4e8c\u3002", "\u4e09"]


def test_bytes_that_are_no_character_stay_with_a_word() -> None:
    ids = [*TOKENS.encode(" a"), 0xE4, 0xB8]
    assert word_groups(ids, TOKENS) == [ids]
    assert word_groups([0xE4], TOKENS) == [[0xE4]]


def test_a_window_full_of_words_has_a_time_for_each() -> None:
    """More tokens and pauses than a byte counts."""
    fit = np.repeat(np.eye(100, dtype=np.float32), 3, axis=1)
    spans = align(fit, [1] * 100, np.ones(300, np.float32))
    assert [start_s for start_s, _ in spans] == pytest.approx([3 * FRAME_S * word for word in range(100)])


@pytest.mark.parametrize("late", [5, 0, -3])
def test_words_are_where_the_attention_and_the_sound_are(late: int) -> None:
    """Two words of two tokens, a pause of 0.6 s between them."""
    places = [(20, 30), (30, 45), (75, 90), (90, 100)]
    frames = 130
    weights = np.full((3, 4, frames + 10), 1e-4, np.float32)
    loud = np.zeros(frames, np.float32)
    for token, (first, last) in enumerate(places):
        weights[:, token, first + late : last + late] = 1.0
        loud[first:last] = 0.9
    spans = align(token_fit(weights, frames, late), [2, 2], loud)
    wanted = [(20 * FRAME_S, 45 * FRAME_S), (75 * FRAME_S, 100 * FRAME_S)]
    np.testing.assert_allclose(spans, wanted, atol=2 * FRAME_S)


def test_more_tokens_than_frames_share_the_time() -> None:
    spans = align(np.zeros((6, 3), np.float32), [2, 2, 2], np.ones(3, np.float32))
    assert len(spans) == 3
    assert all(0.0 <= start <= end <= 3 * FRAME_S + 1e-9 for start, end in spans)


def test_loudness_tells_sound_from_silence() -> None:
    audio = np.concatenate([tone(0.5), np.zeros(8000, np.float32), tone(0.5)])
    found = loudness(audio, audio.size // FRAME)
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    assert found[2:23].min() > 0.5 > found[27:48].max()
    assert loudness(np.zeros(5 * FRAME, np.float32), 5).max() == 0.0


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_audio_has_a_loudness_for_each_frame(frames: int) -> None:
    assert loudness(tone(frames * FRAME_S), frames).shape == (frames,)


def whole(transcript: Transcript) -> None:
    """What holds of every transcript with words."""
    for segment in transcript.segments:
        last = 0.0
        assert joined([word.text for word in segment.words], "en").split() == segment.text.split()
        assert segment.words[0].start_s == segment.start_s
        assert segment.words[-1].end_s == segment.end_s
        for word in segment.words:
            assert last <= word.start_s <= word.end_s <= transcript.duration_s + FRAME_S
            assert 0.0 <= word.probability <= 1.0
            last = word.end_s


@pytest.mark.parametrize("timestamps", [True, False])
def test_words_are_the_text_in_order(timestamps: bool, tmp_path: Path) -> None:
    options = QUICK.model_copy(update={"timestamps": timestamps})
    without = options.model_copy(update={"words": False})
    for one in (PlainTranscriber(ENGINE), PromptedTranscriber(ENGINE, short_window_prompts(ENGINE))):
        found = one.transcribe(tone(5.5, 3), options=options)
        assert found.segments
        whole(found)
        # The text does not depend on who asks for words.
        assert [segment.text for segment in one.transcribe(tone(5.5, 3), options=without).segments] == [
            segment.text for segment in found.segments
        ]


@pytest.mark.embedded
@pytest.mark.shared_data
def test_times_are_those_of_forced_alignments(shared_data: Path) -> None:
    """On clean speech of talkers who were set aside: a median error of 60 ms at most, a 90th percentile of 150."""
    speech = shared_data / "speech"
    lines = map(json.loads, (speech / "manifest.jsonl").read_text("utf-8").splitlines())
    aside = [
        line
        for line in lines
        if line["corpus"].startswith("librispeech_train")
        and line.get("words")
        and is_development_talker(line["corpus"], line["speaker"])
    ][:4]
    transcriber = PromptedTranscriber.from_pretrained()
    errors: list[float] = []
    for line in aside:
        found = transcriber.transcribe(speech / line["path"], options=DecodingOptions(words=True))
        heard = [word for segment in found.segments for word in segment.words]
        mine, theirs = (
            [bare(text) for text in texts] for texts in ([w.text for w in heard], [w[0] for w in line["words"]])
        )
        for one, other, size in SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks():
            for at in range(size):
                word, (_, start_s, end_s) = heard[one + at], line["words"][other + at]
                errors += [abs(word.start_s - start_s), abs(word.end_s - end_s)]
    assert len(errors) > 100
    assert np.median(errors) < 0.06
    assert np.quantile(errors, 0.9) < 0.15


def bare(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())
