"""Where prompt rows and audio frames stand: every row of a batch as if it were alone."""

from itertools import product

import pytest
import torch
from torch import Tensor

from softspoken.prompts.config import Placement
from softspoken.prompts.layout import Layout
from softspoken_lab.noise.model import audio_frames

FRAMES, SLOTS = 6, 3
PLACEMENTS: tuple[Placement, ...] = ("unshifted", "appended")


def vectors(rows: int, count: int, first: float) -> Tensor:
    """Row r, number i is first + 100 * r + i, so that each says who it is."""
    values = first + 100.0 * torch.arange(rows)[:, None] + torch.arange(count)[None]
    return values[:, :, None].expand(-1, -1, 2).clone()


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every pair of an audio length and a number of prompts: frames, lengths, prompts, counts."""
    pairs = list(product((1, 4, FRAMES), range(SLOTS + 1)))
    lengths, counts = torch.tensor([pair[0] for pair in pairs]), torch.tensor([pair[1] for pair in pairs])
    return vectors(len(pairs), FRAMES, 0.0), lengths, vectors(len(pairs), SLOTS, 50.0), counts


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_valid_positions_are_those_of_the_row_alone(placement: Placement) -> None:
    frames, lengths, prompts, counts = batch()
    placed = Layout.of(placement, FRAMES, lengths, counts, SLOTS).place(frames, prompts)
    assert placed.shape == (len(lengths), FRAMES + SLOTS, 2)
    for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
        audio, own = frames[row, :length], prompts[row, :count]
        expected = torch.cat([audio, own] if placement == "appended" else [own, audio])
        assert torch.equal(placed[row, : length + count], expected)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_audio_is_found_again(placement: Placement) -> None:
    frames, lengths, prompts, counts = batch()
    placed = Layout.of(placement, FRAMES, lengths, counts, SLOTS).place(frames, prompts)
    found = audio_frames(placed, FRAMES, placement, counts)
    assert found.shape == frames.shape
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(found[row, :length], frames[row, :length])


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("first", [0, 1])
def test_overwriting_changes_the_prompts_from_the_first_on_and_nothing_else(placement: Placement, first: int) -> None:
    frames, lengths, prompts, counts = batch()
    # A voice that flows is in every row, so no row has fewer vectors than that.
    counts = counts.clamp(min=first)
    layout = Layout.of(placement, FRAMES, lengths, counts, SLOTS)
    placed = layout.place(frames, prompts)
    fresh = vectors(len(lengths), SLOTS - first, -50.0)
    changed = layout.overwrite(placed, fresh, first)
    for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
        start = length if placement == "appended" else 0
        expected = placed[row].clone()
        expected[start + first : start + count] = fresh[row, : count - first]
        assert torch.equal(changed[row], expected)
