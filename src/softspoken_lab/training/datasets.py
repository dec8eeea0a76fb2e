"""What the studies' runs hear: a corpus's own mixtures, windows for everybody's words, or what the product draws."""

from functools import partial
from typing import Any

from softspoken.backbones import WhisperBackbone
from softspoken.data.batches import Batch
from softspoken.data.campplus_torch import TorchCamPlus
from softspoken.data.corpus import load_corpus
from softspoken.data.examples import MixtureDataset
from softspoken.data.manifest import read_noises
from softspoken.data.streaming import ShardedMixtures
from softspoken.speakers import SpeakerEmbedder
from softspoken.training import datasets
from softspoken.training.datasets import Source, development_batches, frames_of, scorer_for, texts_of
from softspoken_lab.training.config import StudyTrainConfig
from softspoken_lab.training.device_mixing import DeviceMixer
from softspoken_lab.training.drawn import DrawnMixtures, draw_batch
from softspoken_lab.training.fixed_mixtures import FixedMixtures, read_fixed_mixtures
from softspoken_lab.training.resident import make_resident
from softspoken_lab.training.vectors import read_vectors
from softspoken_lab.training.windows import WindowDataset, clips

DEVELOPMENT_WINDOWS = 64
LOSSES_WITH_CLEAN = ("states", "layers", "tokens")
"""Losses of the objective that need the target alone."""


def training_data(config: StudyTrainConfig, embedder: SpeakerEmbedder | None) -> MixtureDataset | ShardedMixtures:
    """Mixtures of the training talkers; windows for everybody's words where there is no embedder."""
    if embedder is None:
        corpus = load_corpus(config.data)
        shared = (corpus, texts_of(config, corpus), config.mixing, config.seed, config.items)
        noises = read_noises(config.data.noise)
        return WindowDataset(*shared, noises, pool=config.pool, batch=config.mixtures_per_batch)
    if config.data.mixtures is None:
        dataset = datasets.training_data(config, embedder)
        if config.data.voices is not None and isinstance(dataset, MixtureDataset):
            dataset.vectors |= read_vectors(config.data.voices)
        return dataset
    corpus = load_corpus(config.data)
    return FixedMixtures(
        config.data.mixtures,
        corpus,
        texts_of(config, corpus),
        embedder.embed,
        scorer_for(embedder, frames_of(config)),
        config.mixing,
        config.seed,
        config.items,
        put_aside=frozenset(load_corpus(config.data, development=True).speakers),
        need_clean=any(getattr(config.objective, name) > 0 for name in LOSSES_WITH_CLEAN),
        clips=config.prompts.enrolment is not None,
        pool=config.pool,
        batch=config.mixtures_per_batch,
    )


def training_source(
    config: StudyTrainConfig,
    dataset: MixtureDataset | ShardedMixtures,
    embedder: SpeakerEmbedder | None,
    backbone: WhisperBackbone,
) -> Source:
    """Batches made by the processor, or drawn there and made where the backbone is."""
    if not config.mix_on_device:
        return datasets.training_source(dataset, backbone)
    assert isinstance(embedder, TorchCamPlus)
    assert isinstance(dataset, MixtureDataset)
    table, resident = make_resident(dataset, embedder.embed_all, backbone.device, file=config.data.resident)
    frames = frames_of(config)
    drawn = partial(
        draw_batch,
        table=table,
        vocabulary=backbone.tokens,
        max_tokens=backbone.max_tokens // 2,
        window_s=frames.window_s,
        hop_s=frames.hop_s,
        clips=config.prompts.enrolment is not None,
    )
    return Source(DrawnMixtures(dataset), drawn, DeviceMixer(resident, embedder))


def development_data(
    config: StudyTrainConfig, embedder: SpeakerEmbedder | None, backbone: WhisperBackbone
) -> list[Batch]:
    """Batches of the talkers set aside; without an embedder clips with the words of the manifests."""
    if embedder is not None:
        return datasets.development_data(config, embedder, backbone)
    chosen = clips(load_corpus(config.data, development=True), DEVELOPMENT_WINDOWS)
    return development_batches([[clip] for clip in chosen], backbone)


def heard_mixtures(config: StudyTrainConfig) -> dict[str, Any] | None:
    """What a model card says of a corpus's own mixtures; None where mixtures are drawn."""
    if config.data.mixtures is None:
        return None
    fixed = read_fixed_mixtures(config.data.mixtures)
    talkers = {talker for mixture in fixed for talker in mixture.talkers}
    hours = round(sum(mixture.duration_s for mixture in fixed) / 3600, 2)
    return {"corpus": config.data.mixtures.parent.name, "talkers": len(talkers), "mixture_hours": hours}
