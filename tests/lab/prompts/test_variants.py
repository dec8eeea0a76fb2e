"""Other prompts made of prompts: fewer, none, others, several sets in one batch."""

from collections.abc import Sequence

import pytest
import torch
from tiny import tiny_backbone, tone
from tiny_recognizer import ENCODERS, encoder_named, new_prompts, new_recognizer

from softspoken.backbones import WhisperBackbone
from softspoken.errors import ConfigError, PromptMismatch
from softspoken.prompts import PromptConfig, PromptRows, SpeakerPrompt, StackPrompt, inject
from softspoken.prompts.config import Depth
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.model import prompted_states
from softspoken_lab.prompts.variants import (
    as_sets,
    leave_one_out,
    repeated,
    vectors_of,
    with_vectors,
)

SETS = ([0, 1, 2, 3], [1, 2, 3], [3], [], [2, 0])


def keep(rows: PromptRows, indices: Sequence[int]) -> PromptRows | None:
    return with_vectors(rows, vectors_of(rows)[:, list(indices)])


def keep_each(rows: PromptRows, sets: Sequence[Sequence[int]]) -> PromptRows:
    return as_sets(rows, [vectors_of(rows)[:, list(indices)] for indices in sets])


def rows_of(backbone: WhisperBackbone, config: PromptConfig) -> PromptRows:
    rows = new_prompts(backbone, config)()
    assert isinstance(rows, PromptRows)
    return rows


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("depth", ["input", "deep"])
@torch.no_grad()
def test_sets_in_one_batch_equal_one_after_the_other(name: str, depth: Depth) -> None:
    """Sets of different sizes, on recordings of different lengths."""
    backbone = encoder_named(name)
    model = new_recognizer(backbone, noise_prompts(4, depth))
    rows = model.rows()
    assert rows is not None
    features = backbone.features([tone(0.7, 1), tone(0.4, 2)])
    together, lengths = model.under_each(keep_each(rows, SETS), backbone, features)
    assert together.shape[:2] == (len(SETS), 2)
    for number, indices in enumerate(SETS):
        alone, own_lengths = model.under(keep(rows, indices), backbone, features)
        assert torch.equal(lengths, own_lengths)
        for row, length in enumerate(lengths.tolist()):
            torch.testing.assert_close(together[number, row, :length], alone[row, :length], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("placement", ["unshifted", "appended"])
@torch.no_grad()
def test_the_same_sets_in_front_of_the_audio(placement: str) -> None:
    backbone = tiny_backbone()
    config = PromptConfig.model_validate(noise_prompts(4, "deep").model_dump() | {"placement": placement})
    model = new_recognizer(backbone, config)
    rows = model.rows()
    assert rows is not None
    features = backbone.features([tone(0.9, 1), tone(0.4, 2)])
    together, lengths = model.under_each(keep_each(rows, SETS), backbone, features)
    for number, indices in enumerate(SETS):
        alone, _ = model.under(keep(rows, indices), backbone, features)
        for row, length in enumerate(lengths.tolist()):
            torch.testing.assert_close(together[number, row, :length], alone[row, :length], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_only_empty_sets_are_the_frozen_network() -> None:
    backbone = tiny_backbone()
    model = new_recognizer(backbone, noise_prompts(4))
    rows = model.rows()
    assert rows is not None
    features = backbone.features([tone(0.5)])
    without, _ = model.under(None, backbone, features)
    emptied, _ = model.under_each(keep_each(rows, [[], []]), backbone, features)
    torch.testing.assert_close(emptied, torch.stack([without, without]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
@torch.no_grad()
def test_every_vector_counts(name: str) -> None:
    """Else the comparisons above would hold for prompts that nobody hears."""
    backbone = encoder_named(name)
    model = new_recognizer(backbone, noise_prompts(4))
    rows = model.rows()
    assert rows is not None
    found, lengths = model.under_each(keep_each(rows, leave_one_out(4)), backbone, backbone.features([tone(0.5)]))
    valid = found[:, 0, : int(lengths[0])]
    apart = torch.cdist(valid.flatten(1), valid.flatten(1))
    assert (apart + torch.eye(5)).min() > 1e-3


def test_keep_and_with_vectors(backbone: WhisperBackbone) -> None:
    rows = rows_of(backbone, noise_prompts(4, "deep"))
    vectors = vectors_of(rows)
    assert vectors.shape == (2, 4, 32)
    kept = keep(rows, [3, 1])
    assert kept is not None
    assert torch.equal(vectors_of(kept), vectors[:, [3, 1]])
    assert kept.placement == rows.placement
    assert keep(rows, []) is None
    assert with_vectors(rows, None) is None
    other = with_vectors(rows, vectors + 1)
    assert other is not None
    assert torch.equal(vectors_of(other), vectors + 1)
    assert torch.equal(vectors_of(rows), vectors)


def test_what_is_left_when_one_stack_loses_its_vectors(backbone: WhisperBackbone) -> None:
    part = StackPrompt(length=3)
    both = rows_of(backbone, PromptConfig(encoder=part, decoder=part, speaker=None))
    left = with_vectors(both, None, "encoder")
    assert left is not None
    assert left.encoder is None
    assert left.decoder is not None
    config = PromptConfig(encoder=part, decoder=None, speaker=SpeakerPrompt(dimension=8))
    voiced = new_prompts(backbone, config)(torch.ones(1, 8))
    left = with_vectors(voiced, None, "encoder")
    assert left is not None
    assert left.encoder is not None
    assert left.encoder.slots == 1
    with torch.no_grad(), inject(backbone, left):
        features = backbone.features([tone(0.5)])
        assert int(backbone.encode(features).lengths[0]) == int(features.lengths[0]) // 2 + 1


def test_repeating_goes_set_by_set(backbone: WhisperBackbone) -> None:
    rows = keep_each(rows_of(backbone, noise_prompts(4)), [[0, 1], [2]])
    part, twice = rows.encoder, repeated(rows, 2).encoder
    assert part is not None
    assert twice is not None
    assert twice.counts is not None
    assert twice.counts.tolist() == [2, 2, 1, 1]
    assert torch.equal(twice.rows[:, [0, 2]], part.rows)
    assert torch.equal(twice.rows[:, [1, 3]], part.rows)


def test_leave_one_out_names_everything_first() -> None:
    assert leave_one_out(3) == [[0, 1, 2], [1, 2], [0, 2], [0, 1]]


def test_what_cannot_be_is_refused_in_one_line(backbone: WhisperBackbone) -> None:
    rows = rows_of(backbone, noise_prompts(4))
    with pytest.raises(ConfigError, match="no decoder vectors"):
        vectors_of(rows, "decoder")
    with pytest.raises(ConfigError, match="2 sets of encoder prompts"):
        keep(keep_each(rows, [[0], [1]]), [0])
    with pytest.raises(PromptMismatch, match="2 sets of prompts for a batch of 3; give one a row"):
        prompted_states(backbone, backbone.features([tone(0.3)] * 3), keep_each(rows, [[0], [1]]))
