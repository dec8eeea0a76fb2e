"""The three functions of an engine as OpenVINO models, with weights in float32 or int8.

One encoder for each kind of frame prompt, because what is added to frames is a computation of its own; prompt rows and
cache columns are inputs of any length, so every prompt of a backbone shares the same files.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import config
from torch import Tensor, nn

from softspoken.backbones import WhisperBackbone
from softspoken.engines.network import DecoderNetwork, EncoderNetwork
from softspoken.prompts.frames import Bank, FrameRows

FrameKind = Literal["none", "plain", "keyed", "refined"]
FRAME_NAMES = ("rest", "active")
BANK_NAMES = ("keys", "values", "gate", "bias", "by_activity")
SMALLEST_QUANTISED = 1 << 12
"""Weights with fewer numbers stay in float32."""
FIRST_STATE = 3
"""Inputs of the decoder before its cache: vectors and two masks."""
Part = tuple[nn.Module, tuple[Tensor, ...]]
"""A function of tensors, and inputs for it."""

_TRACING = threading.Lock()


def kind_of(frames: FrameRows | None) -> FrameKind:
    """The kind of encoder that runs these frame prompts."""
    if frames is None:
        return "none"
    if frames.bank is None:
        return "plain"
    return "keyed" if frames.bank.readout is None else "refined"


def frame_tensors(frames: FrameRows | None) -> tuple[Tensor, ...]:
    """The inputs that an encoder of this kind takes behind the activity."""
    if frames is None:
        return ()
    found = [frames.rest, frames.active]
    if frames.bank is not None:
        found += [getattr(frames.bank, name) for name in BANK_NAMES]
        found += [] if frames.bank.readout is None else [frames.bank.readout]
    return tuple(found)


def _frames_of(tensors: tuple[Tensor, ...]) -> FrameRows | None:
    if not tensors:
        return None
    rest, active, *bank = tensors
    return FrameRows(rest, active, Bank(*bank) if bank else None)


class _Frontend(nn.Module):
    def __init__(self, backbone: WhisperBackbone) -> None:
        super().__init__()
        self.module = backbone.frontend

    def forward(self, mel: Tensor, valid: Tensor) -> Tensor:
        return self.module.frames(mel, valid)


class _Encoder(nn.Module):
    def __init__(self, backbone: WhisperBackbone) -> None:
        super().__init__()
        self.network = EncoderNetwork(backbone)

    def forward(self, audio: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        rows, rest = others[:6], others[6:]
        activity = rest[0] if rest else None
        found: tuple[Tensor, ...] = self.network(audio, *rows, activity, _frames_of(rest[1:]))
        return found


class _Decoder(nn.Module):
    def __init__(self, backbone: WhisperBackbone) -> None:
        super().__init__()
        self.network = DecoderNetwork(backbone)

    def forward(self, hidden: Tensor, mask: Tensor, cross_mask: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        half = len(states) // 2
        logits, written = self.network(hidden, mask, cross_mask, states[:half], states[half:])
        return (logits, *written)


def _frontend_part(backbone: WhisperBackbone) -> Part:
    """(mel, valid) -> frames."""
    mels = int(backbone.config.num_mel_bins)
    return _Frontend(backbone), (torch.randn(2, mels, 20), torch.ones(2, 1, 20))


def _encoder_part(backbone: WhisperBackbone, kind: FrameKind) -> Part:
    """The inputs of `EncoderNetwork.forward`, its frame prompts as `frame_tensors` -> k1, v1, k2, v2, ..."""
    stack = backbone.stacks["encoder"]
    layers, width, batch, time, shallow, rows, rank = len(stack.layers), stack.width, 2, 11, 3, 9, 5
    given = [torch.randn(batch, time, width), torch.randn(batch, shallow, width)]
    given += [torch.randn(layers, batch, rows, width), torch.randn(layers, batch, rows, width)]
    given += [torch.randn(batch, rows, width), torch.ones(batch, shallow + time + rows, 1)]
    given += [torch.zeros(batch, 1, 1, shallow + time + rows)]
    if kind != "none":
        given += [torch.rand(batch, time), torch.randn(layers, batch, width), torch.randn(layers, batch, width)]
    if kind in ("keyed", "refined"):
        given += [torch.randn(layers, batch, width, rank), torch.randn(layers, batch, rank, width)]
        given += [torch.randn(layers, batch, rank) for _ in range(4 if kind == "refined" else 3)]
    return _Encoder(backbone), tuple(given)


def _decoder_part(backbone: WhisperBackbone) -> Part:
    """(hidden, mask, cross mask, cache ..., cross ...) -> scores, new columns ..."""
    stack = backbone.stacks["decoder"]
    layers, width, heads = len(stack.layers), stack.width, int(backbone.config.decoder_attention_heads)
    rows, new, columns, states = 2, 3, 5, 7
    cache = [torch.randn(rows, heads, columns, width // heads) for _ in range(2 * layers)]
    each = width // heads
    cross = [torch.randn(rows, heads, *size) for _ in range(layers) for size in ((each, states), (states, each))]
    masks = torch.zeros(rows, 1, new, columns + new), torch.zeros(rows, 1, 1, states)
    return _Decoder(backbone), (torch.randn(rows, new, width), *masks, *cache, *cross)


def parts(backbone: WhisperBackbone) -> dict[str, Callable[[], Part]]:
    """The functions that an engine runs, by name, each with inputs to trace it with; all sizes there are free but the
    backbone's own."""
    kinds: tuple[FrameKind, ...] = ("none", "plain", "keyed", "refined")
    return {
        "frontend": partial(_frontend_part, backbone),
        **{f"encoder-{kind}": partial(_encoder_part, backbone, kind) for kind in kinds},
        "decoder": partial(_decoder_part, backbone),
    }


def openvino_model(part: Part) -> Any:
    """A part as an OpenVINO model, float32; its inputs are named by their numbers."""
    import openvino

    module, example = part
    with untyped(), torch.no_grad():
        model = openvino.convert_model(module.eval(), example_input=example)
    for index, port in enumerate(model.inputs):
        port.get_tensor().set_names({f"input{index}"})
    return model


@contextmanager
def untyped() -> Iterator[None]:
    """While something is traced: shape checks, where somebody has them on, would become operations of the model."""
    with _TRACING:
        checked, config.jaxtyping_disable = config.jaxtyping_disable, True
        try:
            yield
        finally:
            config.jaxtyping_disable = checked


def quantise(model: Any) -> Any:
    """Weights of matrix products as int8 with one scale an output channel, in place.

    The largest weight of a channel becomes 127. The runtime quantises what is multiplied with them as it comes.
    """
    from openvino import Type, opset13

    for product in [node for node in model.get_ops() if node.get_type_name() == "MatMul"]:
        weight = product.input_value(1).get_node()
        if weight.get_type_name() != "Constant" or weight.get_element_type() != Type.f32:
            continue
        numbers = weight.get_data()
        if numbers.ndim != 2 or numbers.size < SMALLEST_QUANTISED:
            continue
        channels = 1 if product.get_attributes()["transpose_b"] else 0
        scale = np.maximum(np.abs(numbers).max(axis=channels, keepdims=True), 1e-12).astype(np.float32) / 127
        small = opset13.constant(np.round(numbers / scale).astype(np.int8))
        restored = opset13.multiply(opset13.convert(small, "f32"), opset13.constant(scale))
        product.input(1).replace_source_output(restored.output(0))
    return model


def with_half_states(decoder: Any) -> Any:
    """The decoder's model, handed the audio's keys and values (the second half of its states) in bfloat16."""
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    prepared = PrePostProcessor(decoder)
    states = len(decoder.inputs) - FIRST_STATE
    for index in range(FIRST_STATE + states // 2, FIRST_STATE + states):
        prepared.input(index).tensor().set_element_type(Type.bf16)
    return prepared.build()
