import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from softspoken.errors import ConfigError
from softspoken_lab.noise.head import Bidirectional, CTCHead, HeadConfig, joined_frames, spec_augment_mask

WIDTH, STATES, VOCABULARY = 12, 3, 7
SMALL = HeadConfig(projection=10, hidden=8)
LENGTHS = torch.tensor([9, 30, 1, 17])


def small_head(config: HeadConfig = SMALL) -> CTCHead:
    torch.manual_seed(0)
    return CTCHead(config, WIDTH, STATES, VOCABULARY).eval()


def random_states(rows: int = len(LENGTHS), frames: int = 30) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(rows, frames, WIDTH) for _ in range(STATES)]


def test_every_frame_has_a_distribution() -> None:
    log_probs, steps = small_head()(random_states(), LENGTHS)
    assert torch.equal(steps, LENGTHS)
    assert log_probs.shape == (4, 30, VOCABULARY)
    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(4, 30))


@pytest.mark.parametrize("joined", [1, 2, 4])
def test_a_padded_row_gives_what_it_gives_alone(joined: int) -> None:
    head, states = small_head(SMALL.model_copy(update={"joined": joined})), random_states()
    together, steps = head(states, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, (size,) = head([state[row : row + 1, :length] for state in states], torch.tensor([length]))
        assert size == steps[row] == alone.shape[1]
        torch.testing.assert_close(together[row, :size], alone[0], atol=1e-5, rtol=1e-5)


def test_joined_frames_stand_side_by_side_with_zeros_behind_a_rows_end() -> None:
    frames = torch.arange(1.0, 11.0).reshape(1, 5, 2).repeat(2, 1, 1)
    found, steps = joined_frames(frames, torch.tensor([5, 3]), 2)
    assert steps.tolist() == [3, 2]
    assert found[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]
    assert found[1].tolist() == [[1, 2, 3, 4], [5, 6, 0, 0], [0, 0, 0, 0]]


def test_what_stands_in_the_padding_reaches_no_valid_frame() -> None:
    head, states = small_head(), [state.requires_grad_() for state in random_states()]
    log_probs, _ = head(states, LENGTHS)
    sum(log_probs[row, :length].square().sum() for row, length in enumerate(LENGTHS.tolist())).backward()
    for state in states:
        assert state.grad is not None
        for row, length in enumerate(LENGTHS.tolist()):
            assert state.grad[row, :length].abs().sum() > 0
            assert state.grad[row, length:].abs().sum() == 0


def test_both_directions_equal_torchs_packed_lstm() -> None:
    torch.manual_seed(2)
    ours, theirs = Bidirectional(5, 4), nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    theirs.load_state_dict(
        dict(ours.ahead.state_dict()) | {f"{name}_reverse": value for name, value in ours.back.state_dict().items()}
    )
    rows = torch.randn(4, 30, 5)
    packed = pack_padded_sequence(rows, LENGTHS, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(theirs(packed)[0], batch_first=True)[0]
    found = ours(rows, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found[row, :length], expected[row, :length])


def test_every_weight_learns() -> None:
    head = small_head().train()
    head(random_states(), LENGTHS)[0][..., 0].sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_states_weigh_the_same_at_first_and_by_their_softmax_later() -> None:
    head, states = small_head(), random_states()
    torch.testing.assert_close(head.summed(states), torch.stack(states).mean(dim=0))
    assert head.weights is not None
    head.weights.data = torch.tensor([0.0, 60.0, 0.0])
    torch.testing.assert_close(head.summed(states), states[1])


def test_the_last_state_alone() -> None:
    head, states = small_head(HeadConfig(states="last", projection=10, hidden=8)), random_states()
    torch.testing.assert_close(head(states, LENGTHS)[0], head(states[-1:], LENGTHS)[0])
    assert "weights" not in head.state_dict()


def test_a_wrong_number_of_states_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 hidden states for a head that weighs 3"):
        small_head()(random_states()[1:], LENGTHS)


def test_masks_are_drawn_while_training_only_and_by_torchs_generator() -> None:
    head, states = small_head(HeadConfig(projection=10, hidden=8, dropout=0.0)), random_states()
    assert torch.equal(head(states, LENGTHS)[0], head(states, LENGTHS)[0])
    head.train()

    def seeded(seed: int) -> Tensor:
        torch.manual_seed(seed)
        log_probs: Tensor = head(states, LENGTHS)[0]
        return log_probs

    assert torch.equal(seeded(3), seeded(3))
    assert not torch.equal(seeded(3), seeded(4))


def test_time_masks_stay_in_their_rows_and_leave_something() -> None:
    config = HeadConfig(feature_masks=0)
    lengths = torch.tensor([2, 10, 50, 400])
    torch.manual_seed(0)
    masks = torch.stack([spec_augment_mask(lengths, (400, 6), config)[..., 0] for _ in range(300)])
    hidden = masks.sum(dim=-1)
    for row, length in enumerate(lengths.tolist()):
        assert masks[:, row, length:].sum() == 0
        widest = min(40, int(0.2 * length))
        assert hidden[:, row].max() <= 2 * widest
        if widest:
            # Every frame is hidden some time, the first and the last too, and widths reach both of their ends.
            assert hidden[:, row].max() > widest
            assert hidden[:, row].min() <= widest * 0.2
    assert masks[:, 1, :10].any(dim=0).all()


def test_feature_masks_are_bands_that_every_frame_shares() -> None:
    config = HeadConfig(time_masks=0, feature_masks=1, feature_mask_max=50)
    torch.manual_seed(0)
    masks = spec_augment_mask(torch.full((200,), 5), (5, 768), config)
    assert (masks == masks[:, :1]).all()
    band = masks[:, 0].int()
    assert band.sum(dim=-1).max() == 50
    # One band: at most one place where it begins and one where it ends.
    assert band.diff(dim=-1).abs().sum(dim=-1).max() <= 2
    assert band.sum(dim=-1).float().mean() == pytest.approx(25, abs=3)
    assert not spec_augment_mask(LENGTHS, (30, 4), HeadConfig(time_masks=0, feature_masks=0)).any()


def test_autocast_gives_nearly_the_same_in_float32() -> None:
    head, states = small_head(), random_states()
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = head(states, LENGTHS)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, head(states, LENGTHS)[0], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "values", [{"layers": 0}, {"hidden": 0}, {"dropout": 1.0}, {"mask_share": 1.5}, {"states": "first"}, {"width": 3}]
)
def test_impossible_sizes_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HeadConfig.model_validate(values)
