"""CAM++ as a graph: "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking"
(arXiv 2303.00332, section 2).

Normalisations are folded into the products beside them. Behind the head, windows lie side by side in the last but one
axis, so that every layer is one product over all of them. The numbers are those of the published network.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as op

from softspoken.speakers.campplus import BANDS, BLOCKS, SEGMENT, STRIDE
from softspoken.speakers.checkpoint import Arrays
from softspoken.speakers.graphs import constant, convolution, integers

_FOLDED = 320
_EPSILON = 1e-5


def window_graph(weights: Arrays, windows: int, frames: int, largest: Mapping[str, float] | None = None) -> Any:
    """Centred log mel [windows, frames, 80] to vectors [windows, 192], not scaled to length one.

    `largest`: by product, the largest input that its 8 bits stand for; None: no product is in int8.
    """
    mel = op.parameter([windows, frames, BANDS], openvino.Type.f32)
    network = _Network(weights, {} if largest is None else largest)
    positions = -(-frames // STRIDE)
    mean, spread = context_weights(positions, positions)
    network.context = constant(mean), constant(spread)
    if positions <= SEGMENT:
        network.context = None
    x = network.positions(mel)
    middle = op.reduce_mean(x, integers(3), True)
    away = op.subtract(x, middle)
    variance = op.reduce_sum(op.multiply(away, away), integers(3), True)
    vectors = network.vectors(middle, op.multiply(variance, constant(1 / (positions - 1))))
    return openvino.Model([vectors], [mel], "CAM++ over windows")


def recording_graph(weights: Arrays) -> Any:
    """The same over recordings of any length, filled up with zeros to one that need not be new.

    Inputs: centred log mel [B, T, 80], and what `recording_inputs` makes besides.
    """
    free = openvino.Type.f32
    mel, frames = op.parameter([-1, -1, BANDS], free), op.parameter([1, 1, 1, -1], free)
    inside = op.parameter([1, 1, 1, -1], free)
    mean, spread = op.parameter([-1, -1], free), op.parameter([-1, -1], free)
    network = _Network(weights, {})
    network.frames, network.inside, network.context = frames, inside, (mean, spread)
    x = network.positions(mel)
    count = op.reduce_sum(inside, integers(3), True)
    middle = op.divide(op.reduce_sum(op.multiply(x, inside), integers(3), True), count)
    away = op.multiply(op.subtract(x, middle), inside)
    variance = op.reduce_sum(op.multiply(away, away), integers(3), True)
    vectors = network.vectors(middle, op.divide(variance, op.subtract(count, constant(1.0))))
    return openvino.Model([vectors], [mel, frames, inside, mean, spread], "CAM++")


def recording_inputs(mel: np.ndarray, frames: int) -> tuple[np.ndarray, ...]:
    """Inputs of `recording_graph` for centred log mel [B, T, 80], filled up to `frames`."""
    positions, known = -(-frames // STRIDE), -(-mel.shape[1] // STRIDE)
    filled = np.zeros((len(mel), frames, BANDS), np.float32)
    filled[:, : mel.shape[1]] = mel
    spans = ((frames, mel.shape[1]), (positions, known))
    ones = [(np.arange(size) < inside).astype(np.float32) for size, inside in spans]
    return (filled, *(row[None, None, None] for row in ones), *context_weights(positions, known))


def context_weights(positions: int, known: int) -> tuple[np.ndarray, np.ndarray]:
    """What makes of positions the context of each segment (section 2.2), [P, segments], and spreads it, [segments, P].

    The context is the mean of the whole plus that of the segment, both of the `known` positions.
    """
    inside = np.arange(positions) < known
    numbers = np.arange(-(-positions // SEGMENT))[:, None]
    spread = (np.arange(positions) // SEGMENT == numbers).astype(np.float32)
    segments = spread * inside
    mean = segments / np.maximum(segments.sum(axis=1, keepdims=True), 1) + inside / known
    return np.ascontiguousarray(mean.T, np.float32), spread


class _Network:
    """Parts of the graph, by the names of the published checkpoints."""

    def __init__(self, weights: Arrays, largest: Mapping[str, float]) -> None:
        self._weights, self._largest = weights, largest
        self.frames: Any = None
        self.inside: Any = None
        """1 for what belongs to the recording, 0 for what fills it up: frames, and positions. None: all belongs."""
        self.context: tuple[Any, Any] | None = None
        """See `context_weights`; None: all is one segment."""

    def positions(self, mel: Any) -> Any:
        """Log mel [B, T, 80] to what is pooled, [1, C, B, P]."""
        x = op.transpose(self._head(mel), integers(1, 0, 2))
        x = op.unsqueeze(x, integers(0))
        scale, shift = self._norm("xvector.tdnn.nonlinear.batchnorm")
        weight = self._weights["xvector.tdnn.linear.weight"] * scale[:, None, None]
        x = op.relu(self._shifted(self._convolved("xvector.tdnn", x, weight, stride=STRIDE, padding=2), shift))
        for number, (count, dilation) in enumerate(BLOCKS, 1):
            for layer in range(1, count + 1):
                x = op.concat([x, self._layer(f"xvector.block{number}.tdnnd{layer}", x, dilation)], 1)
            name = f"xvector.transit{number}"
            x = self._normed(f"{name}.nonlinear.batchnorm", x)
            x = self._convolved(name, x, self._weights[f"{name}.linear.weight"])
        return self._normed("xvector.out_nonlinear.batchnorm", x)

    def vectors(self, mean: Any, variance: Any) -> Any:
        """Moments over time [1, C, B, 1] to vectors [B, 192]."""
        pooled = op.squeeze(op.concat([mean, op.sqrt(variance)], 1), integers(0, 3))
        scale, shift = self._norm("xvector.dense.nonlinear.batchnorm")
        weight = self._weights["xvector.dense.linear.weight"][..., 0] * scale[:, None]
        return op.add(op.matmul(pooled, constant(weight), True, True), constant(shift))

    def _head(self, mel: Any) -> Any:
        """Two-dimensional convolutions in front; they fold the bands eightfold, [B, 320, T]."""
        x = op.unsqueeze(op.transpose(mel, integers(0, 2, 1)), integers(1))
        x = self._cut(op.relu(self._planes("head.conv1", "head.bn1", x, 1)), self.frames)
        for layer in ("head.layer1", "head.layer2"):
            for number, stride in enumerate((2, 1)):
                x = self._residual(f"{layer}.{number}", x, stride)
        x = self._cut(op.relu(self._planes("head.conv2", "head.bn2", x, 2)), self.frames)
        return op.reshape(x, integers(0, _FOLDED, -1), True)

    def _residual(self, name: str, x: Any, stride: int) -> Any:
        inner = op.relu(self._planes(f"{name}.conv1", f"{name}.bn1", x, stride))
        inner = self._planes(f"{name}.conv2", f"{name}.bn2", self._cut(inner, self.frames), 1)
        if stride > 1:
            x = self._planes(f"{name}.shortcut.0", f"{name}.shortcut.1", x, stride)
        return self._cut(op.relu(op.add(inner, x)), self.frames)

    def _planes(self, name: str, norm: str, x: Any, stride: int) -> Any:
        """A convolution over bands and frames, and the normalisation behind it."""
        scale, shift = self._norm(norm)
        weight = self._weights[f"{name}.weight"] * scale[:, None, None, None]
        edge = weight.shape[2] // 2
        y = convolution(x, weight, (stride, 1), (edge, edge), largest=self._largest.get(name), name=name)
        return op.add(y, constant(shift[None, :, None, None]))

    def _layer(self, name: str, x: Any, dilation: int) -> Any:
        """A convolution, masked by what the whole recording and the segment around say (section 2.2)."""
        scale, shift = self._norm(f"{name}.nonlinear2.batchnorm")
        narrow = self._weights[f"{name}.linear1.weight"] * scale[:, None, None]
        y = self._convolved(f"{name}.linear1", self._normed(f"{name}.nonlinear1.batchnorm", x), narrow)
        y = self._cut(op.relu(self._shifted(y, shift)), self.inside)
        mask = f"{name}.cam_layer"
        weight, bias = self._weights[f"{mask}.linear1.weight"], self._weights[f"{mask}.linear1.bias"]
        if self.context is None:
            # Whole and segment are the same.
            context, weight = op.reduce_mean(y, integers(3), True), 2 * weight
        else:
            context = op.matmul(y, self.context[0], False, False)
        said = op.relu(self._shifted(self._convolved(f"{mask}.linear1", context, weight), bias))
        said = self._convolved(f"{mask}.linear2", said, self._weights[f"{mask}.linear2.weight"])
        said = op.sigmoid(self._shifted(said, self._weights[f"{mask}.linear2.bias"]))
        if self.context is not None:
            said = op.matmul(said, self.context[1], False, False)
        local = self._weights[f"{mask}.linear_local.weight"]
        name = f"{mask}.linear_local"
        return op.multiply(self._convolved(name, y, local, padding=dilation, dilation=dilation), said)

    def _convolved(
        self, name: str, x: Any, weight: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1
    ) -> Any:
        """Over time, of every window by itself."""
        largest = self._largest.get(name)
        return convolution(x, weight[:, :, None], (1, stride), (0, padding), (1, dilation), largest, name)

    def _cut(self, x: Any, inside: Any) -> Any:
        return x if inside is None else op.multiply(x, inside)

    def _shifted(self, x: Any, shift: np.ndarray) -> Any:
        return op.add(x, constant(shift[None, :, None, None]))

    def _normed(self, name: str, x: Any) -> Any:
        scale, shift = self._norm(name)
        return op.relu(self._shifted(op.multiply(x, constant(scale[None, :, None, None])), shift))

    def _norm(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """What a normalisation multiplies with and adds."""
        scale: np.ndarray = 1 / np.sqrt(self._weights[f"{name}.running_var"] + _EPSILON)
        shift = -self._weights[f"{name}.running_mean"] * scale
        if f"{name}.weight" not in self._weights:
            return scale, shift
        weight = self._weights[f"{name}.weight"]
        return weight * scale, weight * shift + self._weights[f"{name}.bias"]
