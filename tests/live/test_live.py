"""Live transcription over a made stream: a schedule says which word sounds when, and what an attempt hears of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from tiny import TinyTokenizer

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.tokens import WhisperTokens
from softspoken.decoding.result import Word as TimedWord
from softspoken.decoding.search import DecodedWindow
from softspoken.live import Confirmed, LiveEvent, LiveOptions, LiveTranscriber, Pace, Partial, Said
from softspoken.live.rows import LiveRow
from softspoken.live.words import agreed, heard_words
from softspoken.speakers.silero import CHUNK

TOKENS = WhisperTokens(TinyTokenizer(), TinyTokenizer().size)
BEGIN = TOKENS.timestamp_begin
Word = tuple[str, float, float]


def loud(audio: np.ndarray) -> np.ndarray:
    """A detector of what is not silent."""
    found: np.ndarray = (np.abs(audio).reshape(-1, CHUNK).max(axis=1) > 0).astype(np.float32)
    return found


@dataclass
class ScheduledRows:
    """Hears every word that is whole in a window, and a mangled one at its end."""

    schedule: dict[str | None, list[Word]]
    tokens: WhisperTokens = TOKENS
    rows: list[LiveRow] = field(default_factory=list)
    sentences: bool = True
    cost: list[float] = field(default_factory=lambda: [0.0])
    clock: list[float] = field(default_factory=lambda: [0.0])

    @property
    def names(self) -> Sequence[str | None]:
        return list(self.schedule)

    def decode(self, rows: Sequence[LiveRow]) -> list[DecodedWindow | None]:
        self.rows += rows
        self.clock[0] += self.cost[0]
        return [self._heard(row) for row in rows]

    def forget(self, before: int) -> None:
        pass

    def _heard(self, row: LiveRow) -> DecodedWindow | None:
        first_s, size_s = row.first / SAMPLE_RATE_HZ, row.audio.size / SAMPLE_RATE_HZ
        words = [
            (text, start_s - first_s, end_s - first_s)
            for text, start_s, end_s in self.schedule[self.names[row.line]]
            if start_s >= first_s - 0.05 and start_s < first_s + size_s
        ]
        if not words:
            return None
        written: list[int] = [BEGIN]
        pieces: list[list[TimedWord]] = [[]]
        for text, start_s, end_s in words:
            mangled = f"{text[:1]}{len(self.rows)}" if end_s > size_s else text
            pieces[-1].append(TimedWord(start_s, min(end_s, size_s), mangled, 1.0))
            written += TOKENS.encode(f" {mangled}")
            if end_s > size_s:
                break
            if self.sentences and text.endswith("."):
                pieces.append([])
            if self.sentences and text.endswith("."):
                written += [TOKENS.timestamp(end_s)] * 2
        if written[-1] >= BEGIN and len(written) > 1:
            written.pop()
        assert written[: len(row.prefix)] == list(row.prefix)
        text = TOKENS.decode(written)
        timed = tuple(tuple(piece) for piece in pieces if piece)
        return DecodedWindow(tuple(written), text, -0.1, 0.0, 0.0, 1.0, looped=False, silent=False, words=timed)


def stream(schedule: dict[str | None, list[Word]], seconds: float) -> np.ndarray:
    audio = np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)
    for words in schedule.values():
        for _, start_s, end_s in words:
            audio[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)] = 0.1
    return audio


def spoken(text: str, start_s: float, word_s: float = 0.4) -> list[Word]:
    return [
        (word, round(start_s + number * word_s, 3), round(start_s + (number + 1) * word_s, 3))
        for number, word in enumerate(text.split())
    ]


def run(rows: ScheduledRows, audio: np.ndarray, block_s: float = 0.1, **options: float) -> list[LiveEvent]:
    live = LiveTranscriber(rows, LiveOptions(**options), loud, clock=lambda: rows.clock[0])  # type: ignore[arg-type]
    size = round(block_s * SAMPLE_RATE_HZ)
    events: list[LiveEvent] = []
    for place in range(0, audio.size, size):
        events += live.feed(audio[place : place + size])
        assert live._held.size <= 21 * SAMPLE_RATE_HZ + size
    assert live.position_s == pytest.approx(audio.size / SAMPLE_RATE_HZ)
    return events + live.finish()


def confirmed(events: Sequence[LiveEvent], speaker: str | None = None) -> str:
    return " ".join(one.text for one in events if isinstance(one, Confirmed) and one.speaker == speaker)


TALK = "one two three. four five six seven eight. nine ten eleven twelve thirteen fourteen. fifteen sixteen"


@pytest.mark.parametrize("block_s", [0.02, 0.1, 0.75, 30.0])
@pytest.mark.parametrize("sentences", [True, False])
@pytest.mark.parametrize("long", [1, 5])
def test_every_word_is_confirmed_once_whatever_the_blocks(block_s: float, sentences: bool, long: int) -> None:
    text = " ".join([TALK] * long)
    schedule: dict[str | None, list[Word]] = {None: spoken(text, 1.0)}
    rows = ScheduledRows(schedule, sentences=sentences)
    events = run(rows, stream(schedule, 2.0 + 0.4 * len(text.split())), block_s)
    # A cut without a pause may fall into a word.
    missing = len(text.split()) - len(confirmed(events).split())
    assert 0 <= missing <= (0 if sentences and block_s < 1 else long)
    assert " ".join(one.text for one in events if isinstance(one, Said)) == confirmed(events)
    assert max(row.audio.size for row in rows.rows) <= 15.7 * SAMPLE_RATE_HZ
    times = [(one.start_s, one.end_s) for one in events if isinstance(one, Confirmed)]
    assert times == sorted(times)


def test_a_partial_is_what_stands_behind_the_confirmed_words_and_ends_empty() -> None:
    schedule: dict[str | None, list[Word]] = {None: spoken("one two three four five six", 0.5)}
    events = run(ScheduledRows(schedule), stream(schedule, 4.5))
    partials = [one.text for one in events if isinstance(one, Partial)]
    assert partials[-1] == ""
    assert any(partials)
    # What two attempts do not agree on is never confirmed.
    assert confirmed(events) == "one two three four five six"


def test_words_are_confirmed_while_the_talk_goes_on() -> None:
    schedule: dict[str | None, list[Word]] = {None: spoken(TALK, 0.5)}
    audio = stream(schedule, 8.0)
    live = LiveTranscriber(ScheduledRows(schedule), LiveOptions(), loud, clock=lambda: 0.0)
    late: list[float] = []
    for place in range(0, audio.size, 1600):
        for one in live.feed(audio[place : place + 1600]):
            if isinstance(one, Confirmed):
                said = confirmed([one]).split()
                late += [live.position_s - end_s for text, _, end_s in schedule[None] if text in said]
    assert np.median(late) < 2 * LiveOptions().step_s
    assert max(late) < 3 * LiveOptions().step_s


def test_nothing_is_decoded_in_silence() -> None:
    rows = ScheduledRows({None: []})
    assert run(rows, np.zeros(60 * SAMPLE_RATE_HZ, np.float32)) == []
    assert rows.rows == []


def test_a_pause_ends_the_stretch() -> None:
    schedule: dict[str | None, list[Word]] = {None: [*spoken("one two three", 0.5), *spoken("four five", 4.0)]}
    events = run(ScheduledRows(schedule), stream(schedule, 6.0))
    said = [one for one in events if isinstance(one, Said)]
    assert [one.text for one in said] == ["one two three", "four five"]
    assert said[0].end_s < 2.5 < said[1].start_s


def test_two_voices_have_their_own_words() -> None:
    schedule: dict[str | None, list[Word]] = {
        "ada": spoken("one two three four", 0.5),
        "ben": spoken("five six seven eight", 1.3),
    }
    events = run(ScheduledRows(schedule), stream(schedule, 4.0))
    assert confirmed(events, "ada") == "one two three four"
    assert confirmed(events, "ben") == "five six seven eight"


def test_a_voice_that_is_silent_in_others_talk_costs_short_windows() -> None:
    schedule: dict[str | None, list[Word]] = {"ada": [], "ben": spoken(" ".join([TALK] * 3), 0.5)}
    rows = ScheduledRows(schedule)
    events = run(rows, stream(schedule, 22.0))
    assert confirmed(events, "ada") == ""
    assert max(row.audio.size for row in rows.rows if row.line == 0) <= 4.8 * SAMPLE_RATE_HZ


def test_a_slow_machine_makes_fewer_attempts_and_says_so() -> None:
    schedule: dict[str | None, list[Word]] = {None: spoken(" ".join([TALK] * 4), 0.5)}
    audio = stream(schedule, 28.0)
    fast, slow = ScheduledRows(schedule), ScheduledRows(schedule, cost=[2.0])
    paces = [one for one in run(fast, audio) if isinstance(one, Pace)]
    assert paces == []
    slower = run(slow, audio)
    assert max(one.step_s for one in slower if isinstance(one, Pace)) > 2.0
    assert len(slow.rows) < len(fast.rows) / 2
    # It loses nothing by that.
    assert len(confirmed(slower).split()) >= len(confirmed(run(fast, audio)).split()) - 2


def test_what_comes_late_comes_as_fewer_attempts() -> None:
    schedule: dict[str | None, list[Word]] = {None: spoken(TALK, 0.5)}
    steady, stalled = ScheduledRows(schedule), ScheduledRows(schedule)
    run(steady, stream(schedule, 8.0))
    run(stalled, stream(schedule, 8.0), block_s=8.0)
    assert len(stalled.rows) <= 2 < len(steady.rows)


def test_agreement_ignores_case_and_punctuation() -> None:
    assert agreed(["Hello", "there."], ["hello,", "there", "you"]) == 2
    assert agreed(["hello", "their"], ["hello", "there"]) == 1
    assert agreed([], ["hello"]) == 0
    assert agreed(["—"], ["-"]) == 0


def test_words_know_their_tokens_and_their_sentences_end() -> None:
    ids = (BEGIN + 50, *TOKENS.encode(" one three"), BEGIN + 150, BEGIN + 150, *TOKENS.encode(" five"))
    times = ((TimedWord(1.0, 1.5, "one", 1.0), TimedWord(1.5, 2.9, "three", 1.0)), (TimedWord(3.0, 4.0, "five", 1.0),))
    found = DecodedWindow(ids, "", -0.1, 0.0, 0.0, 1.0, looped=False, silent=False, words=times)
    words = heard_words(found, TOKENS, "en")
    assert [(word.text, word.start_s, word.closes_s) for word in words] == [
        ("one", 1.0, None),
        ("three", 1.5, 3.0),
        ("five", 3.0, None),
    ]
    assert [TOKENS.decode(ids[: word.end]).split()[-1] for word in words] == ["one", "three", "five"]
