"""Mixtures for a target-speaker run: those that train, and those that show how far it is."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from softspoken.backbones import WhisperBackbone
from softspoken.data.batches import Batch, collate
from softspoken.data.channels import ChannelConfig
from softspoken.data.config import DataConfig, MixingConfig
from softspoken.data.corpus import Corpus, load_corpus
from softspoken.data.examples import Example, MixtureDataset, Scorer
from softspoken.data.manifest import read_noises, read_texts
from softspoken.data.streaming import ShardedMixtures
from softspoken.data.voices import VoiceCache
from softspoken.errors import DataError
from softspoken.prompts import FramePrompt
from softspoken.speakers import FrameScores, SpeakerEmbedder
from softspoken.training.config import TrainConfig
from softspoken.training.loop import TrainingBatch

DEVELOPMENT_BATCH = 16
DEVELOPMENT_POOL = 64
DEVELOPMENT_SEED = 99


def training_data(config: TrainConfig, embedder: SpeakerEmbedder) -> MixtureDataset | ShardedMixtures:
    """Mixtures of the training talkers; of speech in shards, as they are read."""
    noises, scorer = read_noises(config.data.noise), scorer_for(embedder, frames_of(config))
    voices = VoiceCache(embedder.name) if config.data.shards is None else None

    def make(corpus: Corpus, texts: Mapping[str, str], mixing: MixingConfig, seed: int, size: int) -> MixtureDataset:
        return MixtureDataset(
            *(corpus, texts, embedder.embed, scorer, mixing, seed, size, noises),
            clips=config.prompts.enrolment is not None,
            pool=config.pool,
            batch=config.mixtures_per_batch,
            voices=voices,
        )

    data, mixing, seed, items = config.data, config.mixing, config.seed, config.items
    if data.shards is not None:
        return ShardedMixtures(data.shards, data.speeds, mixing, make, seed, items, config.mixtures_per_batch)
    corpus = load_corpus(data)
    return make(corpus, texts_of(config, corpus), mixing, seed, items)


@dataclass(frozen=True)
class Source:
    """Where the loop gets its batches, and what makes of them what the objective hears."""

    dataset: Dataset[Any]
    collate: Callable[[list[Any]], TrainingBatch]
    rendered: Callable[[Any], Batch] = lambda batch: batch


def training_source(dataset: Dataset[Any], backbone: WhisperBackbone) -> Source:
    """Batches made by the processor."""
    longest = backbone.max_tokens // 2
    return Source(dataset, functools.partial(collate, vocabulary=backbone.tokens, max_tokens=longest))


def require_development(data: DataConfig) -> None:
    """Raise DataError when fewer than two talkers are put aside: what shows how far a run is are mixtures of two."""
    aside = load_corpus(data, development=True).speakers
    if len(aside) >= 2:
        return
    others = load_corpus(data.model_copy(update={"talkers": None, "hours": None, "speeds": (1.0,)})).speakers
    raise DataError(
        f"{'only one' if aside else 'none'} of your {len(aside) + len(others)} talkers is put aside for development "
        "(one in twelve is, by name), and two are needed; give about 50 talkers"
    )


def development_data(config: TrainConfig, embedder: SpeakerEmbedder, backbone: WhisperBackbone) -> list[Batch]:
    """Batches of pairs of targets in two-talker mixtures of the talkers set aside, overlap at least half; the same in
    every run."""
    corpus = load_corpus(config.data, development=True)
    return development_batches(_pairs(config, embedder, corpus, texts_of(config, corpus)), backbone)


def development_batches(examples: Sequence[list[Example]], backbone: WhisperBackbone) -> list[Batch]:
    """Examples that show how far a run is, in batches."""
    return [
        collate(list(examples[first : first + DEVELOPMENT_BATCH]), backbone.tokens, backbone.max_tokens // 2)
        for first in range(0, len(examples), DEVELOPMENT_BATCH)
    ]


def _pairs(
    config: TrainConfig, embedder: SpeakerEmbedder, corpus: Corpus, texts: Mapping[str, str]
) -> list[list[Example]]:
    never = ("curriculum", "silent_probability", "noise_probability", "timestamp_probability")
    fixed: dict[str, object] = {"talkers": {2: 1.0}, "overlap": (0.5, 1.0), "channels": ChannelConfig()}
    mixing = config.mixing.model_copy(update=fixed | dict.fromkeys(never, 0.0))
    dataset = MixtureDataset(
        corpus,
        texts,
        embedder.embed,
        scorer_for(embedder, frames_of(config)),
        mixing,
        DEVELOPMENT_SEED,
        10**6,
        clips=config.prompts.enrolment is not None,
        pool=DEVELOPMENT_POOL,
        batch=DEVELOPMENT_BATCH,
    )
    pairs = (group for group in (dataset[index] for index in range(10**6)) if len(group) == 2)
    return [next(pairs) for _ in range(config.development_mixtures)]


def scorer_for(embedder: SpeakerEmbedder, frames: FramePrompt) -> Scorer:
    """Frame scores exactly as they are made when transcribing."""

    def score(audio: np.ndarray, voices: np.ndarray) -> np.ndarray:
        return FrameScores.measure(embedder, audio, frames.window_s, frames.hop_s).against(voices)

    return score


def frames_of(config: TrainConfig) -> FramePrompt:
    """The frame prompts, or what would be theirs."""
    return config.prompts.frames if config.prompts.frames is not None else FramePrompt()


def texts_of(config: TrainConfig, corpus: Corpus) -> dict[str, str]:
    """What is said in each piece, by its id."""
    if config.data.texts is not None:
        return read_texts(config.data.texts)
    return {piece.original_id: piece.text for piece in corpus.pieces if piece.text.strip()}
