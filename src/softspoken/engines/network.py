"""Whisper under compiled prompts, as plain functions of tensors; `openvino_graphs` is the same for OpenVINO.

The weights are the backbone's own modules. Prompt rows that are overwritten before every layer are no queries here,
only keys and values (see `prompts.compiled`); the order of the encoder's states is [count][audio][rows], which
attention does not care about. Exactly `Backbone.encode` and `decode` under `inject`, to rounding.

Shapes: B batch, L layers, H heads, E = D / H, T audio frames, F shallow vectors, N overwritten rows, S = F + T + N
states, R rows being written, U new tokens, C columns of the cache, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from softspoken.backbones.whisper import WhisperBackbone
from softspoken.prompts.modules import added_by
from softspoken.prompts.rows import FrameRows

Block = Any
"""transformers' `WhisperEncoderLayer` or `WhisperDecoderLayer`, which carry no types."""


class EncoderNetwork(nn.Module):
    """Audio frames (positions added) to the keys and values that the decoder looks up, layer by layer."""

    def __init__(self, backbone: WhisperBackbone) -> None:
        super().__init__()
        stack = backbone.stacks["encoder"]
        self.layers: Block = stack.layers
        self.norm = stack.norm
        decoder_blocks: Block = backbone.stacks["decoder"].layers
        self.cross: Block = nn.ModuleList([block.encoder_attn for block in decoder_blocks])
        self.heads = int(backbone.config.encoder_attention_heads)
        self.cross_heads = int(backbone.config.decoder_attention_heads)

    def forward(
        self,
        audio: Float[Tensor, "B T D"],
        shallow: Float[Tensor, "B F D"],
        keys: Float[Tensor, "L B N D"],
        values: Float[Tensor, "L B N D"],
        last: Float[Tensor, "B N D"],
        heard: Float[Tensor, "B S 1"],
        mask: Float[Tensor, "B 1 1 S"],
        activity: Float[Tensor, "B T"] | None = None,
        frames: FrameRows | None = None,
    ) -> tuple[Tensor, ...]:
        """Keys (B, H, E, S) and values (B, H, S, E) of each decoder layer's cross-attention: k1, v1, k2, v2, ...

        `heard`: 0 for states that the decoder sees nothing of, else 1. `mask`: added to the scores of all S.
        """
        count = shallow.shape[1]
        hidden = torch.cat([shallow, audio], dim=1)
        final = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            if frames is not None:
                assert activity is not None
                heard_frames = hidden[:, count:]
                added = added_by(frames, index, heard_frames, activity)
                hidden = torch.cat([hidden[:, :count], heard_frames + added], dim=1)
            if index == final:
                hidden = torch.cat([hidden, last], dim=1)
                hidden = _encoder_layer(layer, hidden, None, None, mask, self.heads)
            else:
                hidden = _encoder_layer(layer, hidden, keys[index], values[index], mask, self.heads)
        states = self.norm(hidden) * heard
        found: list[Tensor] = []
        for attention in self.cross:
            found += [
                _split(attention.k_proj(states), self.cross_heads).transpose(2, 3),
                _split(attention.v_proj(states), self.cross_heads),
            ]
        return tuple(found)


def _encoder_layer(
    layer: Block,
    hidden: Float[Tensor, "B Q D"],
    keys: Float[Tensor, "B N D"] | None,
    values: Float[Tensor, "B N D"] | None,
    mask: Float[Tensor, "B 1 1 S"],
    heads: int,
) -> Float[Tensor, "B Q D"]:
    """transformers' `WhisperEncoderLayer` with further keys and values that ask nothing themselves."""
    attention = layer.self_attn
    normed = layer.self_attn_layer_norm(hidden)
    query, key, value = attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)
    if keys is not None and values is not None:
        key, value = torch.cat([key, keys], dim=1), torch.cat([value, values], dim=1)
    mixed = functional.scaled_dot_product_attention(
        _split(query, heads), _split(key, heads), _split(value, heads), attn_mask=mask
    )
    hidden = hidden + attention.out_proj(_merged(mixed))
    return hidden + _feed_forward(layer, hidden)


def _feed_forward(layer: Block, hidden: Tensor) -> Tensor:
    inner = functional.gelu(layer.fc1(layer.final_layer_norm(hidden)))
    changed: Tensor = layer.fc2(inner)
    return changed


def _split(states: Float[Tensor, "B T D"], heads: int) -> Float[Tensor, "B H T E"]:
    batch, time, width = states.shape
    return states.view(batch, time, heads, width // heads).transpose(1, 2)


def _merged(states: Float[Tensor, "B H T E"]) -> Float[Tensor, "B T D"]:
    return states.transpose(1, 2).flatten(2)


class DecoderNetwork(nn.Module):
    """One pass of the decoder: new vectors (tokens embedded, positions added) on top of a cache."""

    def __init__(self, backbone: WhisperBackbone) -> None:
        super().__init__()
        stack = backbone.stacks["decoder"]
        self.layers: Block = stack.layers
        self.norm = stack.norm
        self.project: Any = backbone.module.proj_out
        self.heads = int(backbone.config.decoder_attention_heads)

    def forward(
        self,
        hidden: Float[Tensor, "R U D"],
        mask: Float[Tensor, "R 1 U _"],
        cross_mask: Float[Tensor, "R 1 1 S"],
        past: Sequence[Float[Tensor, "R H C E"]],
        cross: Sequence[Float[Tensor, "_ H _ _"]],
        looked: list[Float[Tensor, "R H U S"]] | None = None,
    ) -> tuple[Float[Tensor, "R U V"], tuple[Tensor, ...]]:
        """Scores of the tokens that may follow each of the U, and their keys and values (R, H, U, E): k1, v1, k2, ...

        `mask` is added to the scores of the C + U columns, `cross_mask` to those of the S encoder states. `looked`: a
        list that gets what the heads of each layer look at in the audio.
        """
        written: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            attention = layer.self_attn
            normed = layer.self_attn_layer_norm(hidden)
            written += [_split(attention.k_proj(normed), self.heads), _split(attention.v_proj(normed), self.heads)]
            key = torch.cat([past[2 * index], written[-2]], dim=2)
            value = torch.cat([past[2 * index + 1], written[-1]], dim=2)
            query = _split(attention.q_proj(normed), self.heads)
            mixed = _weigh(query, key.transpose(2, 3), mask) @ value
            hidden = hidden + attention.out_proj(_merged(mixed))
            over = layer.encoder_attn
            query = _split(over.q_proj(layer.encoder_attn_layer_norm(hidden)), self.heads)
            weights = _weigh(query, cross[2 * index], cross_mask)
            if looked is not None:
                looked.append(weights)
            hidden = hidden + over.out_proj(_merged(weights @ cross[2 * index + 1]))
            hidden = hidden + _feed_forward(layer, hidden)
        logits: Tensor = self.project(self.norm(hidden))
        return logits, tuple(written)


def _weigh(query: Float[Tensor, "R H U E"], keys: Float[Tensor, "_ H E C"], mask: Tensor) -> Float[Tensor, "R H U C"]:
    """What a few queries attend to, written out: nothing as large as the keys is copied, turned or scaled. Keys of one
    row are those of all."""
    scores: Tensor = (query * query.shape[-1] ** -0.5) @ keys + mask
    weights: Tensor = scores.softmax(-1)
    return weights
