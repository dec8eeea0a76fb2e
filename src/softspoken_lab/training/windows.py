"""Windows in which everything that is said is wanted: one talker, or several one after the other."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus
from softspoken.data.examples import Example, MixtureDataset
from softspoken.data.levels import scale_to
from softspoken.data.mixing import Mixture, Track, render

_NOBODY = np.zeros(0, np.float32)
"""The voice of a prompt that follows none."""
_TOUCHING_S = 1e-6


class WindowDataset(MixtureDataset):
    """Item i is the i-th window of a seed, one example; now and then without anybody, whose transcript is empty."""

    def __init__(
        self,
        corpus: Corpus,
        texts: Mapping[str, str],
        config: MixingConfig,
        seed: int,
        size: int,
        noises: list[tuple[str, float]] | None = None,
        pool: int = 1,
        batch: int = 1,
    ) -> None:
        """`texts`, `pool`, `batch`: as in `MixtureDataset`; `config.silent_probability`: how often nobody speaks."""
        super().__init__(
            corpus, texts, lambda _: _NOBODY, _no_scores, config, seed, size, noises, pool=pool, batch=batch
        )

    def usable(self, mixture: Mixture) -> bool:
        """Every talker's words are known, and nobody speaks at the same time as another."""
        tracks = _in_order(mixture)
        apart = all(
            track.offset_s + track.piece.duration_s <= following.offset_s + _TOUCHING_S
            for track, following in pairwise(tracks)
        )
        return apart and all(track.piece.original_id in self.texts for track in tracks)

    def examples(self, mixture: Mixture, rng: np.random.Generator) -> list[Example]:
        """The window as one example."""
        audio, tracks = render(mixture, self.corpus)
        clean = tracks.sum(axis=0)
        if rng.random() < self.config.silent_probability:
            noise = scale_to(audio - clean, 10 ** (mixture.level_dbfs / 10)).astype(np.float32)
            noise = noise / max(float(np.abs(noise).max()), 1.0)
            return [Example(noise, np.zeros_like(noise), _NOBODY, _NOBODY, "", "", rng.random() < 0.5)]
        said = _in_order(mixture)
        text = " ".join(self.texts[track.piece.original_id].strip() for track in said)
        # One pair of timestamps says nothing of where the first talker ends.
        stamped = rng.random() < self.config.timestamp_probability and len(said) == 1
        return [Example(audio, clean, _NOBODY, _NOBODY, text, said[0].piece.speaker, stamped)]


def clips(corpus: Corpus, most: int, shortest_s: float = 0.0) -> list[Example]:
    """Up to `most` of a corpus's pieces as they are, of all lengths, the shortest first.

    They say what the manifests say, where a corpus does not itself doubt it.
    """
    known = [piece for piece in corpus.pieces if piece.verified and piece.text.strip()]
    pieces = sorted((p for p in known if p.duration_s >= shortest_s), key=lambda piece: (piece.duration_s, piece.id))
    chosen = np.unique(np.linspace(0, len(pieces) - 1, min(most, len(pieces))).round().astype(int))
    found = []
    for piece in (pieces[index] for index in chosen):
        audio = corpus.audio(piece)
        found.append(Example(audio, audio, _NOBODY, _NOBODY, piece.text, piece.speaker, False))
    return found


def short_speech(corpus: Corpus, count: int, longest_s: float) -> list[np.ndarray]:
    """The first `longest_s` seconds at most of `count` pieces (16 kHz), of talkers as different as the corpus has."""
    chosen = np.linspace(0, len(corpus.speakers) - 1, count).round().astype(int)
    pieces = [corpus.by_speaker[corpus.speakers[index]][0] for index in chosen]
    return [corpus.audio(piece)[: round(longest_s * SAMPLE_RATE_HZ)] for piece in pieces]


def _in_order(mixture: Mixture) -> list[Track]:
    return sorted(mixture.tracks, key=lambda track: track.offset_s)


def _no_scores(audio: np.ndarray, voices: np.ndarray) -> np.ndarray:
    return np.zeros((voices.shape[0], 0), np.float32)
