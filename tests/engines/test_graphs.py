"""Recorded steps, with a recorder that needs no GPU: it replays the function into the same outputs."""

from collections.abc import Callable

import torch
from torch import Tensor

from softspoken.engines.torch_engine import Outputs, StepGraphs


class Recorder:
    """Counts recordings and replays."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed = 0

    def __call__(self, step: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        self.recorded += 1
        logits, written = step()

        def replay() -> None:
            self.replayed += 1
            again, columns = step()
            logits.copy_(again)
            for part, new in zip(written, columns, strict=True):
                part.copy_(new)

        return replay, (logits, written)


def stepped(mask: Tensor, past: Tensor) -> Callable[[Tensor], Outputs]:
    return lambda hidden: ((hidden + mask).sum(-1, keepdim=True), (hidden * past,))


def test_the_same_tensors_are_recorded_once_and_give_the_same() -> None:
    recorder = Recorder()
    graphs = StepGraphs(recorder)
    mask, past = torch.zeros(2, 1, 4), torch.randn(2, 1, 4)
    kept = []
    for index in range(5):
        # Written in place from step to step, as a search does.
        mask[..., 0] = index
        hidden = torch.randn(2, 1, 4)
        found = graphs.run(stepped(mask, past), hidden, [mask, past])
        expected = stepped(mask, past)(hidden)
        torch.testing.assert_close(found, expected)
        kept.append((found, expected))
    assert (recorder.recorded, recorder.replayed) == (1, 4)
    # What an earlier step gave is not overwritten by a later one.
    for found, expected in kept:
        torch.testing.assert_close(found, expected)


def test_other_tensors_are_another_recording() -> None:
    recorder = Recorder()
    graphs = StepGraphs(recorder)
    mask = torch.zeros(2, 1, 4)
    for _ in range(2):
        past = torch.randn(2, 1, 4)
        for _ in range(3):
            hidden = torch.randn(2, 1, 4)
            found = graphs.run(stepped(mask, past), hidden, [mask, past])
            torch.testing.assert_close(found, stepped(mask, past)(hidden))
    assert recorder.recorded == 2
    fewer = torch.randn(1, 1, 4)
    torch.testing.assert_close(
        graphs.run(stepped(mask[:1], past[:1]), fewer, [mask[:1], past[:1]]), stepped(mask[:1], past[:1])(fewer)
    )
    assert recorder.recorded == 2
