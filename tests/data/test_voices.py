"""Embeddings of training speech, kept for the next run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from speech_folder import make_speech_folder
from voices import PitchEmbedder

from softspoken.data.config import DataConfig, MixingConfig
from softspoken.data.corpus import Corpus, load_corpus
from softspoken.data.examples import MixtureDataset
from softspoken.data.voices import VoiceCache


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return load_corpus(DataConfig(speech=(make_speech_folder(tmp_path / "speech"),)))


def test_a_kept_voice_is_found_again_by_another_run(corpus: Corpus, tmp_path: Path) -> None:
    piece, vector = corpus.pieces[0], np.array([0.6, 0.8], np.float32)
    cache = VoiceCache("made", tmp_path)
    assert cache.get(piece) is None
    cache.put(piece, vector)
    cache.save()
    np.testing.assert_array_equal(VoiceCache("made", tmp_path).get(piece), vector)
    assert VoiceCache("made", tmp_path).get(replace(piece, speed=1.1)) is None
    assert VoiceCache("other", tmp_path).get(piece) is None


def test_two_runs_that_write_at_once_keep_what_both_found(corpus: Corpus, tmp_path: Path) -> None:
    one, other = VoiceCache("made", tmp_path), VoiceCache("made", tmp_path)
    for cache, piece in zip((one, other), corpus.pieces, strict=False):
        cache.put(piece, np.ones(2, np.float32))
        cache.save()
    assert len(VoiceCache("made", tmp_path)) == 2


def test_a_changed_recording_is_another_voice(corpus: Corpus, tmp_path: Path) -> None:
    piece = corpus.pieces[0]
    cache = VoiceCache("made", tmp_path)
    cache.put(piece, np.ones(2, np.float32))
    cache.save()
    with Path(piece.path).open("ab") as file:
        file.write(b"more")
    assert VoiceCache("made", tmp_path).get(piece) is None


def test_a_damaged_cache_only_costs_time(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "made.safetensors").write_bytes(b"nonsense")
    assert len(VoiceCache("made", tmp_path)) == 0


def test_examples_are_the_same_with_and_without_it(corpus: Corpus, tmp_path: Path) -> None:
    embedder = PitchEmbedder()

    def drawn(voices: VoiceCache | None) -> list:
        def scorer(audio: np.ndarray, vectors: np.ndarray) -> np.ndarray:
            return np.zeros((len(vectors), 4), np.float32)

        texts = {piece.id: piece.text for piece in corpus.pieces}
        return MixtureDataset(corpus, texts, embedder.embed, scorer, MixingConfig(), 0, 4, voices=voices)[1]

    cache = VoiceCache("made", tmp_path)
    for without, first, again in zip(drawn(None), drawn(cache), drawn(cache), strict=True):
        np.testing.assert_array_equal(without.voice, first.voice)
        np.testing.assert_array_equal(without.voice, again.voice)
