"""Nearer goals than the target's words: states between layers, and overlaps that grow."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_mixtures import EMBEDDER, small_mixtures
from tiny import LAYERS, WIDTH, tiny_backbone

from softspoken.data.batches import collate
from softspoken.data.examples import MixtureDataset
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt
from softspoken.training.config import ObjectiveConfig
from softspoken.training.objective import TargetSpeakerObjective


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MixtureDataset:
    return small_mixtures(tmp_path_factory.mktemp("speech"))


def test_denser_goals_are_zero_where_the_target_is_heard_alone(data: MixtureDataset) -> None:
    """Untrained prompts that change nothing, on a mixture of one talker: the learner hears what the teacher hears."""
    backbone = tiny_backbone()
    voice = SpeakerPrompt(dimension=EMBEDDER.dimension, into="frames")
    still = PromptConfig(encoder=None, decoder=None, speaker=voice, frames=FramePrompt(keyed=2))
    prompts = SoftPrompts(still, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    batch = collate([data[0]], backbone.tokens, 20)
    alone = replace(batch, audio=batch.clean)
    weights = ObjectiveConfig(states=1.0, layers=1.0)
    objective = TargetSpeakerObjective(backbone, still, weights)
    parts, mixed = objective(prompts, alone), objective(prompts, batch)
    assert parts["states"].item() == pytest.approx(0.0, abs=1e-6)
    assert parts["layers"].item() == pytest.approx(0.0, abs=1e-6)
    assert float(mixed["layers"].detach()) > 1e-3


def test_a_curriculum_begins_without_overlap_and_ends_with_all_of_it(tmp_path: Path) -> None:
    growing = small_mixtures(tmp_path, overlap=(1.0, 1.0), curriculum=0.5)

    def overlap_s(index: int) -> float:
        mixture, _ = growing._drawn(index)
        first, second = sorted(mixture.tracks, key=lambda track: track.offset_s)
        return first.offset_s + first.piece.duration_s - second.offset_s

    assert overlap_s(0) == pytest.approx(0.0, abs=0.05)
    assert 0.4 < overlap_s(50) < 0.8
    assert all(overlap_s(index) > 1.1 for index in (100, 150, 199))
