"""Decoding under injected prompts, on transformers' own cache: what engines are compared with."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import EncoderDecoderCache

from softspoken.backbones import Encoded, WhisperBackbone


@dataclass(frozen=True)
class Prefill:
    """What the forced start leaves behind, for all B windows. Every attempt branches from it, so prompts and the
    encoder's keys and values are computed once."""

    backbone: WhisperBackbone
    encoded: Encoded
    cache: EncoderDecoderCache
    logits: Float[Tensor, "B V"]
    """Scores of the first free token."""
    no_speech: Float[Tensor, "B"]
    """Probability of the no-speech token, at the start-of-transcript position."""

    @property
    def positions(self) -> int:
        """Decoder positions taken: prompt slots and start tokens."""
        return int(self.cache.get_seq_length())

    def live(self, windows: Sequence[int]) -> "LiveRows":
        """Rows to write on with, each belonging to a window."""
        return LiveRows(self, windows)


@torch.no_grad()
def prefill(backbone: WhisperBackbone, encoded: Encoded, start: Sequence[int]) -> Prefill:
    """Run the forced start tokens, under whatever prompts the caller has injected."""
    cache = backbone.new_cache()
    rows = encoded.states.shape[0]
    tokens = torch.tensor([list(start)] * rows, device=encoded.states.device)
    logits = backbone.decode(tokens, encoded, cache).float()
    place = list(start).index(backbone.tokens.start_of_transcript)
    no_speech = logits[:, place].softmax(-1)[:, backbone.tokens.no_speech]
    return Prefill(backbone, encoded, cache, logits[:, -1], no_speech)


class LiveRows:
    """Rows still being written, each belonging to a window of the prefill; rows of one window share its audio."""

    def __init__(self, prefilled: Prefill, windows: Sequence[int]) -> None:
        self._prefilled = prefilled
        self._windows: list[int] = []
        self.cache = _shallow(prefilled.cache)
        if list(windows) != list(range(prefilled.logits.shape[0])):
            self.cache.self_attention_cache.batch_select_indices(self._index(windows))
        self._share_audio(windows)

    @torch.no_grad()
    def step(self, tokens: Sequence[int]) -> Float[Tensor, "R V"]:
        """Append one token a row; the scores of the next."""
        column = torch.tensor(list(tokens), device=self._lengths.device)[:, None]
        logits = self._prefilled.backbone.decode(column, self._encoded, self.cache)
        return logits[:, -1].float()

    def keep(self, rows: Sequence[int], windows: Sequence[int]) -> None:
        """Go on with these rows (dropped, reordered or repeated), which belong to these windows."""
        if list(rows) != list(range(len(self._windows))):
            self.cache.self_attention_cache.batch_select_indices(self._index(rows))
        # The audio's keys and values are by far the larger part and move only when a window is done.
        if list(windows) != self._windows:
            self._share_audio(windows)

    def _index(self, rows: Sequence[int]) -> Int[Tensor, "R"]:
        return torch.tensor(list(rows), dtype=torch.long, device=self._prefilled.logits.device)

    def _share_audio(self, windows: Sequence[int]) -> None:
        self._windows = list(windows)
        encoded = self._prefilled.encoded
        index = self._index(windows)
        self._lengths = encoded.lengths[index]
        # With a filled cache the decoder asks the states for their shape alone.
        shape = (len(self._windows), *encoded.states.shape[1:])
        self._encoded = Encoded(encoded.states[:1, :1, :1].expand(shape), self._lengths)
        own = self.cache.cross_attention_cache.layers
        for layer, whole in zip(own, self._prefilled.cache.cross_attention_cache.layers, strict=True):
            layer.keys = _rows_of(whole.keys, self._windows, index)
            layer.values = _rows_of(whole.values, self._windows, index)


def _rows_of(whole: Tensor, windows: list[int], index: Tensor) -> Tensor:
    if windows == list(range(whole.shape[0])):
        return whole
    if len(set(windows)) == 1:
        # Beams of a single window: one copy, seen by all.
        return whole[windows[0] : windows[0] + 1].expand(len(windows), *whole.shape[1:])
    return whole.index_select(0, index)


def _shallow(cache: EncoderDecoderCache) -> EncoderDecoderCache:
    """Another cache on the same tensors; appending to it makes new ones and leaves the first alone."""
    branch = copy.copy(cache)
    branch.is_updated = dict(cache.is_updated)
    for name in ("self_attention_cache", "cross_attention_cache"):
        part = copy.copy(getattr(cache, name))
        part.layers = [copy.copy(layer) for layer in part.layers]
        setattr(branch, name, part)
    return branch
