"""The convolutions in front of Whisper's encoder, fast on processors and GPUs."""

from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.backbones.base import valid_positions


class Frontend(nn.Module):
    """The two convolutions before the encoder: (B, M, T) at 100 Hz to (B, T/2, D) at 50 Hz, no positions yet."""

    def __init__(self, conv1: nn.Module, conv2: nn.Module) -> None:
        super().__init__()
        self.conv1 = conv1
        self.conv2 = conv2

    def forward(
        self, mel: Float[Tensor, "B M T"], lengths: Int[Tensor, "B"]
    ) -> tuple[Float[Tensor, "B T2 D"], Int[Tensor, "B"]]:
        return self.frames(mel, valid_positions(lengths, mel.shape[-1])[:, None, :]), (lengths + 1) // 2

    def frames(self, mel: Float[Tensor, "B M T"], valid: Shaped[Tensor, "B 1 T"]) -> Float[Tensor, "B T2 D"]:
        """A function of tensors alone; `valid` is 0 or false behind each row's end."""
        # Zeroing there is what the convolution's own padding does for a single row.
        hidden = F.gelu(convolved(self.conv1, mel * valid)) * valid
        return F.gelu(convolved(self.conv2, hidden)).transpose(1, 2)


def convolved(convolution: nn.Module, audio: Float[Tensor, "B C T"]) -> Float[Tensor, "B D _"]:
    """`convolution(audio)`; on a GPU as one matrix product, which needs no plan.

    There cuDNN plans a convolution anew for every size of a batch, and in training nearly every batch has a size of its
    own.
    """
    found: Tensor
    if not audio.is_cuda or not isinstance(convolution, nn.Conv1d):
        found = convolution(audio)
        return found
    return as_product(convolution, audio)


def as_product(convolution: nn.Conv1d, audio: Float[Tensor, "B C T"]) -> Float[Tensor, "B D _"]:
    """`convolution(audio)` as one matrix product."""
    assert not isinstance(convolution.padding, str)
    (size,), (stride,), (padding,) = convolution.kernel_size, convolution.stride, convolution.padding
    seen = F.pad(audio, (padding, padding)).unfold(2, size, stride).transpose(1, 2).flatten(2)
    return F.linear(seen, convolution.weight.flatten(1), convolution.bias).transpose(1, 2)
