"""Building blocks of Whisper as operations of OpenVINO, on weights given by name.

Shapes: B batch, H heads, E = D / H, T frames, R rows being written, U new tokens, C columns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Node = Any
"""A node of a graph, which carries no types."""
SMALLEST_QUANTISED = 1 << 12
"""Weights with fewer numbers stay in float32."""
EPSILON = 1e-5
"""Of every layer normalisation."""


class Graph:
    """A graph under construction, with Whisper's building blocks on weights given by name."""

    def __init__(self, weights: Mapping[str, np.ndarray], int8: bool, heads: int, width: int) -> None:
        from openvino import opset13

        self.ops: Any = opset13
        self._weights, self._int8 = weights, int8
        self._heads, self._each = heads, width // heads
        self._inputs: list[Node] = []

    def input(self, *shape: int) -> Node:
        """An input in float32; -1: any size."""
        self._inputs.append(self.ops.parameter(list(shape), np.float32, name=f"input{len(self._inputs)}"))
        return self._inputs[-1]

    def model(self, outputs: list[Node], name: str) -> Any:
        from openvino import Model

        model = Model(outputs, self._inputs, name)
        for index, port in enumerate(model.inputs):
            port.get_tensor().set_names({f"input{index}"})
        return model

    def constant(self, values: np.ndarray | list[int] | float) -> Node:
        made = np.asarray(values, np.float32) if isinstance(values, float) else values
        return self.ops.constant(np.asarray(made, np.int64) if isinstance(made, list) else made)

    def weight(self, name: str) -> Node:
        """A weight of a matrix product, as int8 where that is wanted and worth it: the largest of a row is 127."""
        numbers = np.ascontiguousarray(self._weights[name], np.float32)
        if not self._int8 or numbers.ndim != 2 or numbers.size < SMALLEST_QUANTISED:
            return self.ops.constant(numbers)
        scale = np.maximum(np.abs(numbers).max(axis=1, keepdims=True), 1e-12) / np.float32(127)
        small = self.ops.constant(np.round(numbers / scale).astype(np.int8))
        return self.ops.multiply(self.ops.convert(small, "f32"), self.ops.constant(scale))

    def linear(self, name: str, states: Node) -> Node:
        product = self.ops.matmul(states, self.weight(f"{name}.weight"), False, True)
        bias = f"{name}.bias"
        return self.ops.add(product, self.constant(self._weights[bias])) if bias in self._weights else product

    def norm(self, name: str, states: Node) -> Node:
        """Layer normalisation; without a name that of the states alone."""
        normed = self.ops.mvn(states, self.constant([-1]), True, EPSILON, "INSIDE_SQRT")
        if not name:
            return normed
        scaled = self.ops.multiply(normed, self.constant(self._weights[f"{name}.weight"]))
        return self.ops.add(scaled, self.constant(self._weights[f"{name}.bias"]))

    def gelu(self, states: Node) -> Node:
        return self.ops.gelu(states, "erf")

    def feed_forward(self, layer: str, hidden: Node) -> Node:
        inner = self.gelu(self.linear(f"{layer}.fc1", self.norm(f"{layer}.final_layer_norm", hidden)))
        return self.ops.add(hidden, self.linear(f"{layer}.fc2", inner))

    def join(self, parts: list[Node], axis: int) -> Node:
        return self.ops.concat(parts, axis)

    def split(self, states: Node) -> Node:
        """(B, T, D) to (B, H, T, E)."""
        parted = self.ops.reshape(states, self.constant([0, 0, self._heads, self._each]), True)
        return self.ops.transpose(parted, self.constant([0, 2, 1, 3]))

    def merge(self, states: Node) -> Node:
        """(B, H, T, E) to (B, T, D)."""
        turned = self.ops.transpose(states, self.constant([0, 2, 1, 3]))
        return self.ops.reshape(turned, self.constant([0, 0, self._heads * self._each]), True)

    def layer_of(self, stacked: Node, index: int) -> Node:
        """(L, ...) to one layer's."""
        return self.ops.gather(stacked, self.ops.constant(np.int64(index)), self.constant([0]))

    def weigh(self, query: Node, keys: Node, mask: Node) -> Node:
        """What a few queries attend to, written out: nothing as large as the keys (R, H, E, C) is copied, turned or
        scaled. Keys of one row are those of all."""
        scaled = self.ops.multiply(query, self.constant(self._each**-0.5))
        return self.ops.softmax(self.ops.add(self.ops.matmul(scaled, keys, False, False), mask), -1)

    def mix(self, weights: Node, values: Node) -> Node:
        """What they get of it (R, U, D)."""
        return self.merge(self.ops.matmul(weights, values, False, False))
