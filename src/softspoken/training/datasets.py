"""Mixtures for a target-speaker run: those that train, and those that show how far it is."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from softspoken.backbones import WhisperBackbone
from softspoken.data.batches import Batch, collate
from softspoken.data.campplus_torch import TorchCamPlus
from softspoken.data.channels import ChannelConfig
from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus, load_corpus
from softspoken.data.device_mixing import DeviceMixer
from softspoken.data.drawn import DrawnMixtures, draw_batch
from softspoken.data.examples import Example, MixtureDataset, Scorer
from softspoken.data.fixed_mixtures import FixedMixtures
from softspoken.data.manifest import read_noises, read_texts
from softspoken.data.resident import make_resident
from softspoken.data.streaming import ShardedMixtures
from softspoken.data.voices import VoiceCache, read_vectors
from softspoken.data.windows import WindowDataset, clips
from softspoken.prompts import FramePrompt
from softspoken.speakers import FrameScores, SpeakerEmbedder
from softspoken.training.config import TrainConfig
from softspoken.training.loop import TrainingBatch

DEVELOPMENT_BATCH = 16
DEVELOPMENT_POOL = 64
DEVELOPMENT_SEED = 99
DEVELOPMENT_WINDOWS = 64
LOSSES_WITH_CLEAN = ("states", "layers", "tokens")
"""Losses of the objective that need the target alone."""


def training_data(config: TrainConfig, embedder: SpeakerEmbedder) -> MixtureDataset | ShardedMixtures:
    """Mixtures of the training talkers: drawn, or a corpus's own where the recipe names them."""
    if config.data.shards is not None:
        return _streamed(config, embedder)
    corpus = load_corpus(config.data)
    texts = _texts(config, corpus)
    scorer, clips = scorer_for(embedder, _frames(config)), config.prompts.enrolment is not None
    size = config.steps * config.accumulation * config.mixtures_per_batch
    shared = (corpus, texts, embedder.embed, scorer, config.mixing, config.seed, size)
    if config.data.mixtures is not None:
        return FixedMixtures(
            config.data.mixtures,
            *shared,
            put_aside=frozenset(load_corpus(config.data, development=True).speakers),
            need_clean=any(getattr(config.objective, name) > 0 for name in LOSSES_WITH_CLEAN),
            clips=clips,
            pool=config.pool,
            batch=config.mixtures_per_batch,
        )
    return MixtureDataset(
        *shared,
        read_noises(config.data.noise),
        clips=clips,
        pool=config.pool,
        batch=config.mixtures_per_batch,
        voices=VoiceCache(embedder.name),
        vectors=read_vectors(config.data.voices) if config.data.voices is not None else {},
    )


def _streamed(config: TrainConfig, embedder: SpeakerEmbedder) -> ShardedMixtures:
    """Mixtures of speech that is read from shards as they are drawn."""
    assert config.data.shards is not None
    noises, scorer = read_noises(config.data.noise), scorer_for(embedder, _frames(config))

    def make(corpus: Corpus, texts: Mapping[str, str], mixing: MixingConfig, seed: int, size: int) -> MixtureDataset:
        return MixtureDataset(
            *(corpus, texts, embedder.embed, scorer, mixing, seed, size, noises),
            clips=config.prompts.enrolment is not None,
            pool=config.pool,
            batch=config.mixtures_per_batch,
        )

    data = config.data
    return ShardedMixtures(
        config.data.shards, data.speeds, config.mixing, make, config.seed, config.items, config.mixtures_per_batch
    )


@dataclass(frozen=True)
class Source:
    """Where the loop gets its batches, and what makes of them what the objective hears."""

    dataset: Dataset[Any]
    collate: Callable[[list[Any]], TrainingBatch]
    rendered: Callable[[Any], Batch]


def training_source(
    config: TrainConfig,
    dataset: MixtureDataset | ShardedMixtures,
    embedder: SpeakerEmbedder | None,
    backbone: WhisperBackbone,
) -> Source:
    """Batches made by the processor, or drawn there and made where the backbone is."""
    longest = backbone.max_tokens // 2
    if not config.mix_on_device:
        together = functools.partial(collate, vocabulary=backbone.tokens, max_tokens=longest)
        return Source(dataset, together, lambda batch: batch)
    assert isinstance(embedder, TorchCamPlus)
    assert isinstance(dataset, MixtureDataset)
    table, resident = make_resident(dataset, embedder.embed_all, backbone.device, file=config.data.resident)
    drawn = functools.partial(
        draw_batch,
        table=table,
        vocabulary=backbone.tokens,
        max_tokens=longest,
        window_s=_frames(config).window_s,
        hop_s=_frames(config).hop_s,
        clips=config.prompts.enrolment is not None,
    )
    return Source(DrawnMixtures(dataset), drawn, DeviceMixer(resident, embedder))


def development_data(config: TrainConfig, embedder: SpeakerEmbedder | None, backbone: WhisperBackbone) -> list[Batch]:
    """Batches of the talkers set aside, the same in every run.

    Pairs of targets in two-talker mixtures, overlap at least half; without an embedder clips with the words of the
    manifests.
    """
    corpus, groups = load_corpus(config.data, development=True), DEVELOPMENT_BATCH
    if embedder is None:
        chosen = [[clip] for clip in clips(corpus, DEVELOPMENT_WINDOWS)]
    else:
        chosen = _pairs(config, embedder, corpus, _texts(config, corpus))
    return [
        collate(chosen[first : first + groups], backbone.tokens, backbone.max_tokens // 2)
        for first in range(0, len(chosen), groups)
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
        scorer_for(embedder, _frames(config)),
        mixing,
        DEVELOPMENT_SEED,
        10**6,
        clips=config.prompts.enrolment is not None,
        pool=DEVELOPMENT_POOL,
        batch=DEVELOPMENT_BATCH,
    )
    pairs = (group for group in (dataset[index] for index in range(10**6)) if len(group) == 2)
    return [next(pairs) for _ in range(config.development_mixtures)]


def window_data(config: TrainConfig) -> WindowDataset:
    """Windows of the training talkers in which everybody's words are wanted."""
    corpus = load_corpus(config.data)
    return WindowDataset(
        corpus,
        _texts(config, corpus),
        config.mixing,
        config.seed,
        config.items,
        read_noises(config.data.noise),
        pool=config.pool,
        batch=config.mixtures_per_batch,
    )


def scorer_for(embedder: SpeakerEmbedder, frames: FramePrompt) -> Scorer:
    """Frame scores exactly as they are made when transcribing."""

    def score(audio: np.ndarray, voices: np.ndarray) -> np.ndarray:
        return FrameScores.measure(embedder, audio, (frames.window_s,), frames.hop_s).against(voices)

    return score


def _frames(config: TrainConfig) -> FramePrompt:
    return config.prompts.frames if config.prompts.frames is not None else FramePrompt()


def _texts(config: TrainConfig, corpus: Corpus) -> dict[str, str]:
    if config.data.texts is not None:
        return read_texts(config.data.texts)
    return {piece.original_id: piece.text for piece in corpus.pieces if piece.text.strip()}
