"""Mixtures of made talkers for training tests: drawn as in training, small enough for a second."""

from pathlib import Path

from speech_folder import make_speech_folder
from voices import PitchEmbedder

from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus, cut_into_pieces
from softspoken.data.examples import MixtureDataset
from softspoken.data.manifest import read_manifest
from softspoken.speakers import FrameScores

EMBEDDER = PitchEmbedder()


def small_mixtures(folder: Path, **mixing: object) -> MixtureDataset:
    """200 mixtures of two talkers of `folder`, where their speech is written to."""
    manifest = make_speech_folder(folder, seconds=1.2)
    corpus = Corpus(cut_into_pieces(read_manifest(manifest), 1.0, 9.0))

    def scorer(audio, voices):
        return FrameScores.measure(EMBEDDER, audio, 0.4, 0.2).against(voices)

    texts = {piece.id: piece.text.title() for piece in corpus.pieces}
    config = MixingConfig(talkers={2: 1.0}, max_s=3.0, silent_probability=0.0, **mixing)
    return MixtureDataset(corpus, texts, EMBEDDER.embed, scorer, config, seed=1, size=200)
