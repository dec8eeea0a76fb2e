"""Whisper of any size, frozen, on transformers' own blocks.

The blocks are transformers' `WhisperEncoderLayer` and `WhisperDecoderLayer`, called one after the other, because
transformers' own encoder takes only 30 s windows and knows no padding mask. Radford et al., "Robust speech recognition
via large-scale weak supervision" (2022), section 2.2.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache, EncoderDecoderCache, WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperDecoderLayer

from softspoken.backbones.base import Backbone, Encoded, Features, Stack, valid_positions
from softspoken.backbones.checkpoints import StoredWhisper
from softspoken.backbones.features import (
    FRAME_RATE_HZ,
    HOP,
    INPUTS_PER_FRAME,
    MAX_WINDOW_S,
    WINDOW,
    mel_filters,
    window_samples,
)
from softspoken.backbones.frontend import Frontend
from softspoken.backbones.tokens import WhisperTokens
from softspoken.backbones.weights import StackName, StoredWeights, WhisperConfig
from softspoken.errors import BackboneError
from softspoken.waveforms import Waveforms

Cache = Any
"""transformers' `EncoderDecoderCache`, which carries no types."""
_CACHE_ARGUMENT = "cache" if "cache" in inspect.signature(WhisperDecoderLayer.forward).parameters else "past_key_values"
"""Of a decoder layer; the older name ends with transformers 5.40."""


class Positions(nn.Module):
    """Adds the positional embedding of positions `offset`, `offset + 1`, ..."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(
        self, hidden: Float[Tensor, "B T D"], lengths: Int[Tensor, "B"], offset: int = 0
    ) -> tuple[Float[Tensor, "B T D"], Int[Tensor, "B"]]:
        end = offset + hidden.shape[1]
        if end > self.embedding.num_embeddings:
            raise BackboneError(
                f"{end} positions asked for, the backbone has {self.embedding.num_embeddings}; "
                "use a shorter window or fewer tokens"
            )
        return hidden + self.embedding.weight[offset:end], lengths


class WhisperBackbone(Backbone):
    """A frozen Whisper: features, `encode`, `decode`, tokens."""

    frontend: Frontend
    inputs_per_frame = INPUTS_PER_FRAME
    rounded = False
    """Whether `round_weights` was called."""

    def __init__(self, model: WhisperForConditionalGeneration, tokenizer: Any, name: str, fingerprint: str) -> None:
        """`model`: transformers' Whisper; `tokenizer`: its `tokenizers.Tokenizer`; see `load_backbone`."""
        self._model = model
        self.name = name
        self.fingerprint = fingerprint
        self.config = model.config
        self.tokens = WhisperTokens(tokenizer, vocabulary_size=model.config.vocab_size)
        encoder, decoder = model.model.encoder, model.model.decoder
        width = model.config.d_model
        self.frontend = Frontend(encoder.conv1, encoder.conv2)
        self.stacks = {
            "encoder": Stack("encoder", Positions(encoder.embed_positions), encoder.layers, encoder.layer_norm, width),
            "decoder": Stack("decoder", Positions(decoder.embed_positions), decoder.layers, decoder.layer_norm, width),
        }
        self.freeze()

    @property
    def module(self) -> nn.Module:
        model: nn.Module = self._model
        return model

    @property
    def max_frames(self) -> int:
        """Encoder positions there are (1,500: 30 s)."""
        return int(self.config.max_source_positions)

    @property
    def max_tokens(self) -> int:
        """Decoder positions there are (448)."""
        return int(self.config.max_target_positions)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "WhisperBackbone":
        """Move, and cast if `dtype` is given, in place."""
        self._model.to(device=device, dtype=dtype)
        return self

    def round_weights(self, dtype: torch.dtype) -> None:
        """Round what enters matrix products, in place; norms and positions stay exact.

        For use under autocast of the same type, which would round the same numbers anew in every product.
        """
        for module in self._model.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(dtype)
        self.rounded = True

    def stored(self) -> StoredWhisper:
        """The same weights as arrays, for engines that run without PyTorch."""
        config = WhisperConfig(**{field.name: int(getattr(self.config, field.name)) for field in fields(WhisperConfig)})
        state = {name: tensor.detach().float().cpu() for name, tensor in self._model.state_dict().items()}
        state.pop("proj_out.weight", None)
        tokenizer = self.tokens.tokenizer
        return StoredWhisper(config, StoredWeights.of(state), tokenizer, self.name, self.fingerprint, "memory")

    def features(self, audio: Sequence[np.ndarray], window_s: float | Sequence[float | None] | None = None) -> Features:
        """Log-mel features, each row padded with silence to its bucket (or to `window_s` seconds, of all or by row)."""
        given = Waveforms.of(audio)
        limit = min(MAX_WINDOW_S, self.max_frames / FRAME_RATE_HZ)
        each = [window_s] * len(given) if window_s is None or isinstance(window_s, float | int) else window_s
        windows = [window_samples(size, own, limit) for size, own in zip(given.sizes, each, strict=True)]
        size = max(windows)
        # Where the model is: beside a GPU, spectrograms on the processor would take longer than the encoder.
        samples = given.samples[:, :size].to(self.device)
        lengths = torch.tensor([window // HOP for window in windows]).to(self.device)
        filters = torch.from_numpy(mel_filters(int(self.config.num_mel_bins))).to(self.device)
        mel = log_mel(F.pad(samples, (0, size - samples.shape[1])), lengths, filters)
        return Features(mel.to(self.dtype), lengths)

    def embed_audio(self, features: Features) -> Encoded:
        frames, lengths = self.frontend(features.values, features.lengths)
        return Encoded(*self.stacks["encoder"].entry(frames, lengths, 0))

    def layer_states(self, entered: Encoded) -> Iterator[Float[Tensor, "B T D"]]:
        stack = self.stacks["encoder"]
        hidden = entered.states
        mask = padding_mask(entered.lengths, hidden.shape[1], hidden.dtype)
        for index, layer in enumerate(stack.layers):
            hidden = layer(hidden, mask)
            yield stack.norm(hidden) if index + 1 == len(stack.layers) else hidden

    def new_cache(self) -> Cache:
        """An empty cache of keys and values for `decode`."""
        return EncoderDecoderCache(DynamicCache(), DynamicCache())

    def decode(
        self, tokens: Int[Tensor, "B U"], encoded: Encoded, cache: Cache | None = None
    ) -> Float[Tensor, "B U V"]:
        """Logits of the token after each of `tokens`. With a `cache`, `tokens` are those not seen by it yet."""
        return self.logits(self.decode_states(tokens, encoded, cache))

    def logits(self, states: Float[Tensor, "*n D"]) -> Float[Tensor, "*n V"]:
        """Decoder states to scores over the vocabulary."""
        projected: Tensor = self._model.proj_out(states)
        return projected

    def decode_states(
        self, tokens: Int[Tensor, "B U"], encoded: Encoded, cache: Cache | None = None
    ) -> Float[Tensor, "B U D"]:
        """`decode` without the projection to the vocabulary."""
        stack = self.stacks["decoder"]
        past = cache.get_seq_length() if cache is not None else 0
        embedded = self._model.model.decoder.embed_tokens(tokens)
        lengths = torch.full((tokens.shape[0],), tokens.shape[1], device=tokens.device)
        hidden, _ = stack.entry(embedded, lengths, past)
        causal = causal_mask(hidden.shape[1], past, hidden.dtype, hidden.device)
        over_audio = padding_mask(encoded.lengths, encoded.states.shape[1], hidden.dtype)
        for layer in stack.layers:
            hidden = layer(
                hidden,
                attention_mask=causal,
                encoder_hidden_states=encoded.states,
                encoder_attention_mask=over_audio,
                use_cache=cache is not None,
                **{_CACHE_ARGUMENT: cache},
            )
        # Rows that something put in front of the tokens are not the caller's business.
        states: Tensor = stack.norm(hidden)[:, -tokens.shape[1] :]
        return states

    @property
    def token_embedding(self) -> Float[Tensor, "V D"]:
        """The vectors of all tokens, without positions."""
        weight: Tensor = self._model.model.decoder.embed_tokens.weight
        return weight

    @property
    def positions(self) -> dict[StackName, Float[Tensor, "_ D"]]:
        """The positional embeddings of each stack."""
        model = self._model.model
        return {
            "encoder": model.encoder.embed_positions.weight,
            "decoder": model.decoder.embed_positions.weight,
        }

    @torch.no_grad()
    def first_positions(self, stack: StackName, count: int) -> np.ndarray:
        """The embeddings of a stack's first positions, for `prompts.compiled`."""
        return self.positions[stack][:count].float().cpu().numpy()

    @torch.no_grad()
    def opening(self) -> np.ndarray:
        """`decoder_opening`, for `prompts.compiled`."""
        return self.decoder_opening()[0, 0].float().cpu().numpy()

    @torch.no_grad()
    def keys_values(self, stack: StackName, layer: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a layer's self-attention makes of rows that enter it, for `prompts.compiled`; with whatever weights are
        attached to the modules now."""
        block: Any = self.stacks[stack].layers[layer]
        attention, norm = block.self_attn, block.self_attn_layer_norm
        normed = norm(torch.from_numpy(rows.copy()).to(self.device, norm.weight.dtype))
        normed = normed.to(attention.k_proj.weight.dtype)
        found = attention.k_proj(normed), attention.v_proj(normed)
        keys, values = (part.float().cpu().numpy() for part in found)
        return keys, values

    @torch.no_grad()
    def layer_inputs(self, audio: Sequence[np.ndarray], window_s: float) -> np.ndarray:
        """What enters each encoder layer (L, B, T, D) as arrays. Not to be called under a prompt."""
        states = self.encode_layers(self.features(audio, window_s)).states[:-1]
        return torch.stack(states).float().cpu().numpy()

    def decoder_opening(self) -> Float[Tensor, "1 1 D"]:
        """Of `<|startofprev|>`: Whisper expects earlier text behind it."""
        token = torch.tensor([[self.tokens.start_of_previous]], device=self.device)
        embedded: Tensor = self._model.model.decoder.embed_tokens(token)
        return embedded


def log_mel(
    waveforms: Float[Tensor, "B N"], lengths: Int[Tensor, "B"], filters: Float[Tensor, "M F"]
) -> Float[Tensor, "B M T"]:
    """Whisper's log-mel spectrogram (its section 2.2: 25 ms windows, 10 ms apart, scaled to about -1..1).

    Zeros behind each row's `lengths` frames. A row that is shorter than the longest must end in silence (12.5 ms), as
    `window_samples` sees to: then it gives what it would give alone.
    """
    window = torch.hann_window(WINDOW, device=waveforms.device)
    power = torch.stft(waveforms, WINDOW, HOP, window=window, return_complex=True)[..., :-1].abs() ** 2
    scale = (filters @ power).clamp(min=1e-10).log10()
    scale = torch.maximum(scale, scale.amax(dim=(1, 2), keepdim=True) - 8.0)
    return (scale + 4.0) / 4.0 * valid_positions(lengths, scale.shape[-1])[:, None]


def padding_mask(lengths: Int[Tensor, "B"], size: int, dtype: torch.dtype) -> Float[Tensor, "B 1 1 T"] | None:
    """Additive mask that hides positions behind each row's length; None where there is nothing to hide."""
    if bool((lengths >= size).all()):
        return None
    hidden = ~valid_positions(lengths, size)
    return torch.zeros(hidden.shape, dtype=dtype, device=lengths.device).masked_fill(hidden, torch.finfo(dtype).min)[
        :, None, None, :
    ]


def causal_mask(size: int, past: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "1 1 U K"] | None:
    """Additive mask: position i sees the `past` positions and those up to itself; None for a single position."""
    if size == 1:
        return None
    mask = torch.full((size, past + size), torch.finfo(dtype).min, dtype=dtype, device=device)
    return mask.triu(diagonal=past + 1)[None, None]
