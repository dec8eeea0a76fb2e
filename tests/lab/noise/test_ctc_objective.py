from itertools import groupby, product

import pytest
import torch

from softspoken_lab.noise.training import ctc


def test_loss_sums_the_probability_of_every_path() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(1, 4, 3).log_softmax(dim=-1)
    label = [1, 2]
    paths = (path for path in product(range(3), repeat=4) if [s for s, _ in groupby(path) if s] == label)
    total = sum(log_probs[0, range(4), path].sum().exp() for path in paths)
    loss = ctc(log_probs, torch.tensor([4]), torch.tensor([label]), torch.tensor([2]))
    assert loss.item() == pytest.approx(-torch.as_tensor(total).log().item() / 2, rel=1e-5)


def test_neither_padding_nor_a_label_that_does_not_fit_matters() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(2, 6, 4).log_softmax(dim=-1).to(torch.bfloat16).requires_grad_()
    labels, counts = torch.tensor([[1, 2, 3], [2, 2, 2]]), torch.tensor([2, 3])
    loss = ctc(log_probs, torch.tensor([4, 4]), labels, counts)
    loss.backward()
    assert log_probs.grad is not None
    assert loss.dtype == torch.float32
    assert log_probs.grad[0, :4].abs().sum() > 0
    assert log_probs.grad[0, 4:].abs().sum() == 0
    # '2 2 2' needs five frames.
    assert log_probs.grad[1].abs().sum() == 0
    alone = ctc(log_probs[:1, :4], torch.tensor([4]), labels[:1, :2], counts[:1])
    assert loss.item() == pytest.approx(alone.item() / 2, rel=1e-3)
