"""Windows in which everybody's words are wanted: one example each, said in order, now and then nobody."""

from pathlib import Path

import numpy as np
import pytest
from speech_folder import make_speech_folder

from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus, cut_into_pieces
from softspoken.data.manifest import read_manifest
from softspoken_lab.training.windows import WindowDataset, clips, short_speech


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(cut_into_pieces(read_manifest(make_speech_folder(tmp_path, seconds=1.2)), 1.0, 9.0))


def windows(corpus: Corpus, silent: float = 0.0, **mixing: object) -> WindowDataset:
    texts = {piece.id: piece.id for piece in corpus.pieces}
    given = {"talkers": {1: 0.5, 2: 0.5}, "overlap": (-0.3, 0.0), "max_s": 4.0, "noise_probability": 0.0, **mixing}
    return WindowDataset(corpus, texts, MixingConfig(silent_probability=silent, **given), seed=3, size=40)


def test_everybody_is_written_in_the_order_of_speaking(corpus: Corpus) -> None:
    dataset = windows(corpus)
    lengths = {piece.id: piece.duration_s for piece in corpus.pieces}
    several = 0
    for index in range(len(dataset)):
        (example,) = dataset[index]
        mixture, _ = dataset._drawn(index)
        tracks = sorted(mixture.tracks, key=lambda track: track.offset_s)
        assert example.text.split() == [track.piece.id for track in tracks]
        assert sum(lengths[name] for name in example.text.split()) <= example.audio.size / 16_000 + 1e-6
        # Without noise, what is clean is what is heard.
        np.testing.assert_allclose(example.clean, example.audio, atol=1e-6)
        assert not (example.timestamps and len(tracks) > 1)
        several += len(tracks) > 1
    assert 5 < several < 35


def test_talkers_who_would_overlap_are_drawn_again(corpus: Corpus) -> None:
    # Two of 1.2 s do not fit one after the other.
    dataset = windows(corpus, max_s=2.0)
    assert all(len(dataset[index][0].text.split()) == 1 for index in range(20))


def test_nobody_speaks_now_and_then(corpus: Corpus) -> None:
    noise = corpus.pieces[0].path
    dataset = WindowDataset(
        corpus,
        {piece.id: "words" for piece in corpus.pieces},
        MixingConfig(talkers={1: 1.0}, silent_probability=0.5, noise_probability=1.0),
        seed=1,
        size=40,
        noises=[(noise, 1.2)],
    )
    found = [dataset[index][0] for index in range(40)]
    silent = [example for example in found if not example.text]
    assert 10 < len(silent) < 30
    for example in silent:
        assert not example.clean.any()
        assert 0 < np.abs(example.audio).max() <= 1.0


def test_the_same_index_gives_the_same_window(corpus: Corpus) -> None:
    one, other = windows(corpus, silent=0.3)[7][0], windows(corpus, silent=0.3)[7][0]
    assert one.text == other.text
    np.testing.assert_array_equal(one.audio, other.audio)


def test_clips_are_of_all_lengths_and_say_what_the_manifest_says(corpus: Corpus) -> None:
    found = clips(corpus, 5)
    assert len(found) == 5
    assert [example.audio.size for example in found] == sorted(example.audio.size for example in found)
    assert {example.text for example in found} <= {piece.text for piece in corpus.pieces}
    assert len(clips(corpus, 1000)) == len(corpus.pieces)


def test_short_speech_is_of_several_talkers(corpus: Corpus) -> None:
    found = short_speech(corpus, 3, 0.5)
    assert [clip.size for clip in found] == [8000] * 3
    assert not np.array_equal(found[0], found[1])
