"""Long utterances cut in their pauses, and the texts of their parts judged together."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from voices import voice

from softspoken.audio import write_audio
from softspoken.cli.data import judged
from softspoken.data import pauses
from softspoken.data.config import DataConfig
from softspoken.data.corpus import Piece, load_corpus
from softspoken.data.pauses import SHORTEST_PIECE_S, cut_at_pauses


class Loudness:
    """A detector to whom everything that sounds is speech."""

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        chunks = audio.reshape(-1, pauses.CHUNK)
        return (np.abs(chunks).max(axis=1) > 1e-3).astype(np.float32)


@pytest.fixture(autouse=True)
def loudness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pauses, "SileroDetector", Loudness)
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(tmp_path / "cache"))


def said(*seconds: float) -> np.ndarray:
    """Speech of so many seconds, with pauses of so many between: speech, pause, speech, ..."""
    parts = [voice(s, 150.0) if place % 2 == 0 else np.zeros(round(s * 16000)) for place, s in enumerate(seconds)]
    return np.concatenate(parts).astype(np.float32)


def test_the_longest_pause_is_where_a_recording_is_cut() -> None:
    spans = cut_at_pauses(said(4, 0.3, 4, 0.8, 4), 10.0)
    assert [round(edge, 1) for edge in np.ravel(spans)] == [0.0, 8.7, 8.7, 13.1]


def test_parts_are_the_whole_recording_and_none_is_too_short_or_too_long() -> None:
    audio = said(2, 0.9, 4, 0.3, 5, 0.3, 6, 0.3, 4)
    spans = cut_at_pauses(audio, 9.0)
    assert spans[0][0] == 0.0
    assert spans[-1][1] == pytest.approx(audio.size / 16000)
    assert all(one[1] == following[0] for one, following in pairwise(spans))
    assert all(SHORTEST_PIECE_S <= end - start <= 9.0 for start, end in spans)


def test_speech_without_a_pause_stays_whole() -> None:
    assert len(cut_at_pauses(said(14), 9.0)) == 1


def test_a_corpus_cuts_what_is_too_long_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(tmp_path / "long.flac", said(5, 0.5, 6))
    row = {"id": "long", "path": "long.flac", "speaker": "a", "corpus": "made", "text": "ONE TWO", "duration_s": 11.5}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n")
    config = DataConfig(speech=(tmp_path / "m.jsonl",), piece_s=(2.0, 9.0))
    first = load_corpus(config).pieces
    assert [round(piece.duration_s, 1) for piece in first] == [5.2, 6.3]
    assert {piece.utterance_text for piece in first} == {"ONE TWO"}
    assert not any(piece.text for piece in first)
    # The second time nobody listens.
    monkeypatch.setattr(pauses, "cut_at_pauses", None)
    assert load_corpus(config).pieces == first


def part(number: int, text: str = "", whole: str = "") -> Piece:
    return Piece(f"u-{number}", "made:a", "u.flac", float(number), 1.0, text, utterance_text=whole)


def test_parts_of_an_utterance_are_judged_together_once_all_are_heard() -> None:
    parts = [part(1, whole="one two three four"), part(0, whole="one two three four")]
    assert judged(parts, {"u-0": "One two"}, 0.25) == {}
    assert judged(parts, {"u-0": "One two", "u-1": "three, four."}, 0.25) == {"u-0": "One two", "u-1": "three, four."}
    assert judged(parts, {"u-0": "One", "u-1": "five four"}, 0.25) == {"u-0": "", "u-1": ""}


def test_a_piece_whose_words_are_unknown_keeps_what_is_heard() -> None:
    assert judged([part(0)], {"u-0": "Hello."}, 0.25) == {"u-0": "Hello."}
    assert judged([part(0, text="GOODBYE")], {"u-0": "Hello."}, 0.25) == {"u-0": ""}
