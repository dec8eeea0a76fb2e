"""HuBERT, WavLM and wav2vec 2.0, frozen, on transformers' own blocks.

The blocks are called one after the other, so that a row of a padded batch gives what the file alone gives. That is more
than attention masks: the base models normalise their first convolution over time, and their convolutional positions
look past a row's end.

Baevski et al., "wav2vec 2.0" (2020), section 2; Hsu et al., "HuBERT" (2021), section II; Chen et al., "WavLM" (2022),
section III.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.backbones.base import Backbone, Encoded, Features, Stack, valid_positions
from softspoken.backbones.features import SAMPLE_RATE_HZ
from softspoken.backbones.whisper import padding_mask
from softspoken.errors import AudioError

SSLKind = Literal["hubert", "wavlm", "wav2vec2"]
_VARIANCE_FLOOR = 1e-7
"""Added to the variance of a waveform that is normalised, as the models were trained."""

# WavLM's attention takes its padding mask only as booleans beside a bias in floating point; the result is right.
warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask is deprecated")


class SSLFrontend(nn.Module):
    """Convolutions over the waveform, and the projection to the model's width: 16 kHz to 50 Hz, no positions yet."""

    def __init__(self, extractor: Any, projection: nn.Module, kernels: Sequence[int], strides: Sequence[int]):
        super().__init__()
        self.convolutions = extractor.conv_layers
        self.projection = projection
        self.kernels = tuple(kernels)
        self.strides = tuple(strides)

    @property
    def window(self) -> int:
        """Samples that one frame is made of; less audio gives no frame."""
        samples = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, samples: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
        """Frames that come out of so many samples."""
        lengths = samples
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            lengths = (lengths - kernel) // stride + 1
        return lengths

    def forward(
        self, values: Float[Tensor, "B 1 N"], lengths: Int[Tensor, "B"]
    ) -> tuple[Float[Tensor, "B T D"], Int[Tensor, "B"]]:
        hidden = values
        for layer, kernel, stride in zip(self.convolutions, self.kernels, self.strides, strict=True):
            # No convolution is padded: a row's valid outputs are made of its valid inputs alone.
            lengths = (lengths - kernel) // stride + 1
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                hidden = layer.activation(_normalise_over_time(norm, layer.conv(hidden), lengths))
            else:
                hidden = layer(hidden)
        projected = self.projection(hidden.transpose(1, 2))
        # wav2vec 2.0 and WavLM also give the features before the projection.
        return (projected[0] if isinstance(projected, tuple) else projected), lengths


def _normalise_over_time(
    norm: nn.GroupNorm, hidden: Float[Tensor, "B C T"], lengths: Int[Tensor, "B"]
) -> Float[Tensor, "B C T"]:
    """Group norm of each row over its own valid frames; zero behind them."""
    size = hidden.shape[2]
    counts = lengths.tolist()
    if all(count >= size for count in counts):
        whole: Tensor = norm(hidden)
        return whole
    rows = [norm(hidden[row : row + 1, :, :count]) for row, count in enumerate(counts)]
    return torch.cat([F.pad(row, (0, size - row.shape[2])) for row in rows])


class ConvPositions(nn.Module):
    """Silences what is behind a row's end and adds the convolutional positions; `norm` follows in post-norm models."""

    def __init__(self, convolution: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = norm

    def forward(
        self, hidden: Float[Tensor, "B T D"], lengths: Int[Tensor, "B"], offset: int = 0
    ) -> tuple[Float[Tensor, "B T D"], Int[Tensor, "B"]]:
        """Positions are relative: `offset` says nothing here."""
        valid = valid_positions(lengths, hidden.shape[1])
        hidden = hidden.masked_fill(~valid[:, :, None], 0)
        return self.norm(hidden + self._positions(hidden, valid)), lengths

    def _positions(self, hidden: Float[Tensor, "B T D"], valid: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        convolution: Any = self.convolution
        if getattr(convolution, "batch_norm", None) is None:
            added: Tensor = convolution(hidden)
            return added
        # Batch norm moves the zeros behind a row's end; a single file has the convolution's own zeros there.
        channels = convolution.batch_norm(hidden.transpose(1, 2)).masked_fill(~valid[:, None, :], 0)
        moved: Tensor = convolution.activation(convolution.padding(convolution.conv(channels))).transpose(1, 2)
        return moved


class SSLBackbone(Backbone):
    """A frozen self-supervised encoder: waveforms in, states of every layer out. It has no decoder.

    A pre-norm ("stable layer norm") model's last state is normalised, as its output is; the states before are not.
    """

    def __init__(self, model: Any, name: str, fingerprint: str, normalised: bool = True) -> None:
        """`model`: transformers' HubertModel, WavLMModel or Wav2Vec2Model; see `load_encoder`.

        `normalised`: whether it was trained on waveforms of zero mean and unit variance.
        """
        self._model = model
        self.name = name
        self.fingerprint = fingerprint
        self.normalised = normalised
        self.config = model.config
        self.kind: SSLKind = model.config.model_type
        self.frontend: SSLFrontend = SSLFrontend(
            model.feature_extractor, model.feature_projection, self.config.conv_kernel, self.config.conv_stride
        )
        encoder = model.encoder
        norms = (encoder.layer_norm, nn.Identity())
        before, after = reversed(norms) if self.config.do_stable_layer_norm else norms
        entry = ConvPositions(encoder.pos_conv_embed, before)
        self.stacks = {"encoder": Stack("encoder", entry, encoder.layers, after, self.config.hidden_size)}
        self.freeze()

    @property
    def module(self) -> nn.Module:
        model: nn.Module = self._model
        return model

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "SSLBackbone":
        """Move, and cast if `dtype` is given, in place."""
        self._model.to(device=device, dtype=dtype)
        return self

    def features(self, audio: Sequence[np.ndarray], window_s: float | None = None) -> Features:
        """Waveforms (B, 1, N samples), each normalised over its own samples if the model was trained so.

        `window_s=None`: each row is as long as its audio; else it is followed by silence up to that many seconds. There
        is no longest audio. Raises AudioError for none, for less than one frame and for more than the window.
        """
        if not audio:
            raise AudioError("no audio given; expected at least one waveform")
        rows = [self._prepared(waveform, window_s) for waveform in audio]
        lengths = torch.tensor([row.shape[0] for row in rows])
        size = int(lengths.max())
        values = torch.stack([F.pad(row, (0, size - row.shape[0])) for row in rows])[:, None]
        return Features(values.to(self.device, self.dtype), lengths.to(self.device))

    def _prepared(self, waveform: np.ndarray, window_s: float | None) -> Float[Tensor, "N"]:
        if waveform.ndim != 1:
            raise AudioError(f"audio of shape {waveform.shape}; expected a mono waveform (samples,)")
        size = waveform.size if window_s is None else round(window_s * SAMPLE_RATE_HZ)
        if waveform.size > size:
            seconds = waveform.size / SAMPLE_RATE_HZ
            raise AudioError(f"{seconds:.2f} s of audio for a window of {window_s:.2f} s; cut it into windows first")
        if waveform.size == 0 or size < self.frontend.window:
            shortest = self.frontend.window
            raise AudioError(
                f"{waveform.size} samples of audio, one frame of '{self.name}' needs {shortest} "
                f"({shortest / SAMPLE_RATE_HZ:.3f} s at 16 kHz); give longer audio, or leave this recording out"
            )
        if not np.isfinite(waveform).all():
            raise AudioError("audio with samples that are not finite; load it again, or leave this recording out")
        samples = waveform.astype(np.float32)
        if self.normalised:
            mean, variance = samples.mean(dtype=np.float64), samples.var(dtype=np.float64)
            samples = ((samples - mean) / math.sqrt(variance + _VARIANCE_FLOOR)).astype(np.float32)
        return F.pad(torch.from_numpy(samples), (0, size - samples.size))

    def embed_audio(self, features: Features) -> Encoded:
        frames, lengths = self.frontend(features.values, features.lengths)
        return Encoded(*self.stacks["encoder"].entry(frames, lengths, 0))

    def layer_states(self, entered: Encoded) -> Iterator[Float[Tensor, "B T D"]]:
        stack = self.stacks["encoder"]
        hidden, size = entered.states, entered.states.shape[1]
        mask = padding_mask(entered.lengths, size, hidden.dtype)
        # WavLM's blocks are told which positions are valid, and hand on what the first makes of their distances.
        valid = None if mask is None else valid_positions(entered.lengths, size)
        distances: Tensor | None = None
        for index, layer in enumerate(stack.layers):
            if self.kind == "wavlm":
                hidden, distances = layer(hidden, valid, distances)
            else:
                hidden = layer(hidden, mask)
            yield stack.norm(hidden) if index + 1 == len(stack.layers) else hidden
