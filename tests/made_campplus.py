"""CAM++ module by module, with random weights: for tests that need no published ones."""

from collections import OrderedDict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from softspoken.data.campplus_network import BOTTLENECK, GROWTH
from softspoken.speakers.campplus import BANDS, BLOCKS, SEGMENT, STRIDE, WIDTH

_FIRST = 128


class Head(nn.Module):
    """Two-dimensional convolutions in front; they fold the bands eightfold."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(Residual(width, 2), Residual(width, 1))
        self.layer2 = nn.Sequential(Residual(width, 2), Residual(width, 1))
        self.conv2 = nn.Conv2d(width, width, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(width)

    def forward(self, mel: Float[Tensor, "B M T"]) -> Tensor:
        """To [B, C, T]."""
        x = self.bn1(self.conv1(mel[:, None])).relu()
        for part in (*self.layer1, *self.layer2):
            x = part(x)
        folded: Tensor = self.bn2(self.conv2(x)).relu().flatten(1, 2)
        return folded


class Residual(nn.Module):
    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width, width, 1, stride=(stride, 1), bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        summed: Tensor = (inner + self.shortcut(x)).relu()
        return summed


class CamPlusPlus(nn.Module):
    """Centred log mel frames to speaker vectors (not scaled to length one)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Head()
        parts: dict[str, nn.Module] = {"tdnn": _tdnn(32 * BANDS // 8, _FIRST)}
        channels = _FIRST
        for number, (count, dilation) in enumerate(BLOCKS, 1):
            layers = {f"tdnnd{n + 1}": _DenseLayer(channels + GROWTH * n, dilation) for n in range(count)}
            parts[f"block{number}"] = _Dense(OrderedDict(layers))
            channels += GROWTH * count
            halve = nn.Conv1d(channels, channels // 2, 1, bias=False)
            parts[f"transit{number}"] = _named(nonlinear=_normed(channels), linear=halve)
            channels //= 2
        parts["out_nonlinear"] = _normed(channels)
        vector = nn.Conv1d(2 * channels, WIDTH, 1, bias=False)
        parts["dense"] = _named(linear=vector, nonlinear=_named(batchnorm=nn.BatchNorm1d(WIDTH, affine=False)))
        self.xvector = _named(**parts)

    def forward(self, mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B S"]:
        """One vector a row: mean and deviation over time of what the blocks make of it."""
        positions = self.xvector[:-1](self.head(mel.transpose(1, 2)))
        pooled = torch.cat([positions.mean(dim=-1), positions.std(dim=-1)], dim=-1)
        vectors: Tensor = self.xvector[-1](pooled[..., None])
        return vectors[..., 0]


class _Dense(nn.Sequential):
    """Layers that each take the outputs of all layers before them."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = torch.cat([x, layer(x)], dim=1)
        return x


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _normed(channels)
        self.linear1 = nn.Conv1d(channels, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _normed(BOTTLENECK)
        self.cam_layer = _ContextMask(dilation)

    def forward(self, x: Tensor) -> Tensor:
        said: Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return said


class _ContextMask(nn.Module):
    """A convolution, masked by what the whole recording and the segment around say (section 2.2)."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x: Float[Tensor, "B C P"]) -> Float[Tensor, "B G P"]:
        segments = functional.avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True)
        context = x.mean(dim=-1, keepdim=True) + segments
        mask = self.linear2(self.linear1(context).relu()).sigmoid()
        masked: Tensor = self.linear_local(x) * mask.repeat_interleave(SEGMENT, dim=-1)[..., : x.shape[-1]]
        return masked


def _named(**parts: nn.Module) -> nn.Sequential:
    """Parts that run one after another, by name."""
    return nn.Sequential(OrderedDict(parts))


def _normed(channels: int) -> nn.Sequential:
    return _named(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU())


def _tdnn(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv1d(inputs, outputs, 5, stride=STRIDE, padding=2, bias=False)
    return _named(linear=convolution, nonlinear=_normed(outputs))


def made_network() -> CamPlusPlus:
    """Random weights whose normalisations do something."""
    torch.manual_seed(0)
    made = CamPlusPlus().eval()
    for part in made.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.get_buffer("running_mean"), std=0.1)
            nn.init.uniform_(part.get_buffer("running_var"), 0.5, 1.5)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
    return made


def made_weights() -> dict[str, np.ndarray]:
    """The same as arrays."""
    return weights_of(made_network())


def weights_of(network: CamPlusPlus) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
