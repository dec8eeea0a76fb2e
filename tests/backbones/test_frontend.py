"""The convolutions before Whisper's encoder."""

import pytest
import torch
from torch import nn

from softspoken.backbones.frontend import as_product


@pytest.mark.parametrize(("channels", "stride", "frames"), [(80, 1, 7), (16, 2, 8), (16, 2, 9), (3, 1, 1)])
def test_a_convolution_as_a_matrix_product(channels: int, stride: int, frames: int) -> None:
    torch.manual_seed(frames)
    convolution = nn.Conv1d(channels, 5, 3, stride=stride, padding=1)
    audio = torch.randn(2, channels, frames)
    torch.testing.assert_close(as_product(convolution, audio), convolution(audio), rtol=1e-4, atol=1e-5)
