"""Speaker encoders that need PyTorch (`pip install 'softspoken[train]'`): the voices of published prompts and studies.

GE2E: "Generalized End-to-End Loss for Speaker Verification" (arXiv 1710.10467, sections 2 and 3), weights from the
package `Resemblyzer`: 40 mel bands of power, an LSTM of three layers of 256, a linear layer, ReLU and the unit sphere.
Its vectors are therefore never negative: over 300 utterances of speechocean762 (training talkers) two strangers have a
mean cosine of 0.54 (95 % below 0.69), two utterances of one talker 0.82 (95 % above 0.73).

x-vector and ECAPA-TDNN through SpeechBrain (the extra `speechbrain`). The x-vector (512 dimensions) is what the
target-speaker Whisper paper (arXiv 2312.08079, section 3) conditions on. SpeechBrain builds a model by running the
recipe file of its repository: only the two repositories named here are used.
"""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from torch.nn import functional

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.cpu import multiplies_bfloat16
from softspoken.errors import BackboneError, MissingExtra
from softspoken.packages import PinnedPackage
from softspoken.speakers.base import (
    Seconds,
    SpeakerEmbedder,
    Vector,
    Vectors,
    Waveform,
    Windows,
    checked,
    unit,
    window_starts,
)
from softspoken.speakers.checkpoint import tensors_sha256
from softspoken.speakers.features import FRAME_SAMPLES, HOP_SAMPLES

PACKAGE = PinnedPackage("Resemblyzer", "0.1.4", "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f")
MEMBER = "resemblyzer/pretrained.pt"
TENSORS_SHA256 = "8a18c89b46ea3d83f3f3cd3617fbd65781b7226c90a4e3d2222b78552b2d1f54"

_BANDS, _WIDTH, _LAYERS = 40, 256, 3
_LEVEL_DBFS = -30.0
_PARTIAL_FRAMES, _PARTIAL_HOP_FRAMES = 160, 80
_FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
_BATCH = 128
# An hour is transformed in pieces of about a minute, so that its complex spectrum never stands in memory at once.
_BLOCK_FRAMES = 6000


class Ge2eNetwork(nn.Module):
    """Mel frames to unit vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_BANDS, _WIDTH, _LAYERS, batch_first=True)
        self.linear = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B S"]:
        _, (hidden, _) = self.lstm(mel.to(next(self.lstm.parameters()).dtype))
        return functional.normalize(self.linear(hidden[-1].to(mel.dtype)).relu(), dim=-1)


class Ge2eEmbedder(SpeakerEmbedder):
    """GE2E's speaker encoder, 256 dimensions.

    Windows with the LSTM in bfloat16 are 1.6 to 1.8 times as fast; cosines move by 0.001 (at most 0.011).
    """

    name = "ge2e"
    dimension = _WIDTH
    # Chosen and measured on the same training clips: of those with one talker 3 of 194 fall below; of those with two
    # talkers, half and half, 113 of 119 (LibriSpeech) and 61 of 79 (speechocean762).
    two_voices_below = 0.78

    def __init__(self, network: Ge2eNetwork, device: str = "cpu", windows: torch.dtype = torch.float32) -> None:
        """`windows`: what `embed_windows` computes in."""
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._for_windows = self.network
        if windows != torch.float32:
            self._for_windows = copy.deepcopy(self.network)
            self._for_windows.lstm.to(windows)

    @classmethod
    def load(cls, device: str = "cpu") -> "Ge2eEmbedder":
        """With the pinned weights. BackboneError when they cannot be had or are not the ones this code knows."""
        return cls(load_network(PACKAGE.file(MEMBER)), device)

    def rounding(self) -> SpeakerEmbedder:
        """With windows in bfloat16 on GPUs, and on processors that are faster in it."""
        return self._rounding

    @cached_property
    def _rounding(self) -> SpeakerEmbedder:
        fast = self.device.type == "cuda" or multiplies_bfloat16()
        return type(self)(self.network, str(self.device), torch.bfloat16) if fast else self

    @torch.inference_mode()
    def embed(self, audio: Waveform) -> Vector:
        """Mean of the unit vectors of partials of 1.6 s with half overlap, scaled to length one."""
        mel = self._mel(audio)
        starts = window_starts(len(mel), _PARTIAL_FRAMES, _PARTIAL_HOP_FRAMES)
        vectors = _partials(self.network, mel, _PARTIAL_FRAMES, starts)
        return functional.normalize(vectors.mean(dim=0), dim=0).cpu().numpy()

    @torch.inference_mode()
    def embed_windows(
        self, audio: Waveform, window_s: float = Windows.window_s, hop_s: float = Windows.hop_s
    ) -> tuple[Vectors, Seconds]:
        """As in the base class, but the spectrogram (and the level) is made once for all windows."""
        mel = self._mel(audio)
        window, hop = round(window_s * _FRAME_RATE_HZ), round(hop_s * _FRAME_RATE_HZ)
        starts = window_starts(len(mel), window, hop)
        vectors = _partials(self._for_windows, mel, window, starts)
        return vectors.cpu().numpy(), (starts / _FRAME_RATE_HZ).astype(np.float32)

    def _mel(self, audio: np.ndarray) -> Tensor:
        # The encoder hears power, not its logarithm, so level matters: quiet audio is raised, loud audio left alone.
        samples = torch.from_numpy(checked(audio)).to(self.device)
        level_db = 10 * torch.log10(samples.square().mean() + 1e-12)
        return mel_power(samples * 10 ** ((_LEVEL_DBFS - level_db).clamp_min(0) / 20), _BANDS)


def _partials(
    network: Callable[[Tensor], Tensor], mel: Float[Tensor, "T M"], frames: int, starts: Int[np.ndarray, " W"]
) -> Float[Tensor, "W S"]:
    batches = [starts[i : i + _BATCH] for i in range(0, len(starts), _BATCH)]
    return torch.cat([network(torch.stack([mel[s : s + frames] for s in batch])) for batch in batches])


def load_network(path: Path) -> Ge2eNetwork:
    """The encoder out of `pretrained.pt`, its tensors checked against a digest. BackboneError otherwise."""
    advice = f"remove the file and try again, it is fetched from {PACKAGE.name} {PACKAGE.version}"
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        # The checkpoint also holds the two numbers of the GE2E loss, which only training needs.
        tensors = {name: tensor for name, tensor in stored.items() if name.startswith(("lstm.", "linear."))}
        digest = tensors_sha256({name: tensor.numpy() for name, tensor in tensors.items()})
    except (OSError, RuntimeError, EOFError, KeyError, AttributeError, TypeError, pickle.UnpicklingError) as error:
        problem = type(error).__name__
        raise BackboneError(f"'{path}' is not a readable GE2E checkpoint ({problem}): {advice}") from error
    if digest != TENSORS_SHA256:
        raise BackboneError(f"'{path}' has tensors {digest[:12]}, expected {TENSORS_SHA256[:12]}: {advice}")
    network = Ge2eNetwork()
    network.load_state_dict(tensors)
    return network


@torch.inference_mode()
def mel_power(audio: Float[Tensor, " samples"], bands: int = 40) -> Float[Tensor, "T M"]:
    """Power in `bands` mel bands (Slaney scale and norm), 25 ms Hann frames every 10 ms, centred, zero-padded ends.

    T = samples // 160 + 1, as librosa.feature.melspectrogram(n_fft=400, hop_length=160, pad_mode="constant").
    """
    window = torch.hann_window(FRAME_SAMPLES, device=audio.device)
    filters = _slaney_filters(bands).to(audio.device)
    frames = functional.pad(audio, (FRAME_SAMPLES // 2,) * 2).unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
    spectra = (torch.fft.rfft(block * window).abs().square() for block in torch.split(frames, _BLOCK_FRAMES))
    return torch.cat([power @ filters for power in spectra])


@cache
def _slaney_filters(bands: int) -> Tensor:
    from transformers.audio_utils import mel_filter_bank

    bins = FRAME_SAMPLES // 2 + 1
    filters = mel_filter_bank(bins, bands, 0.0, 8000.0, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(filters).float()


@dataclass(frozen=True)
class _Published:
    repository: str
    dimension: int


_MODELS: dict[str, _Published] = {
    "speechbrain/x-vector": _Published("speechbrain/spkrec-xvect-voxceleb", 512),
    "speechbrain/ecapa": _Published("speechbrain/spkrec-ecapa-voxceleb", 192),
}


class SpeechBrainEmbedder(SpeakerEmbedder):
    """One of SpeechBrain's two published speaker encoders."""

    def __init__(self, name: str, classifier: Any) -> None:
        self.name = name
        self.dimension = _MODELS[name].dimension
        self._classifier = classifier

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "SpeechBrainEmbedder":
        """Fetch (once) and load. MissingExtra without SpeechBrain, BackboneError when the model cannot be had."""
        try:
            from speechbrain.inference.speaker import EncoderClassifier
        except ImportError:
            raise MissingExtra("speechbrain", "speechbrain", f"the speaker embedder '{name}'") from None
        repository = _MODELS[name].repository
        folder = Path(platformdirs.user_cache_dir("softspoken")) / repository
        try:
            classifier = EncoderClassifier.from_hparams(repository, savedir=str(folder), run_opts={"device": device})
        except Exception as error:  # SpeechBrain lets through whatever its parts raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            advice = "check the network, or use the embedder 'campplus', which needs none"
            raise BackboneError(f"cannot load '{repository}': {reason}; {advice}") from error
        return cls(name, classifier)

    def embed(self, audio: Waveform) -> Vector:
        vector: np.ndarray = self.embed_batch(checked(audio)[None])[0]
        return vector

    def embed_batch(self, audio: Float32[np.ndarray, "B samples"]) -> Float32[np.ndarray, "B S"]:
        with torch.inference_mode():
            vectors = self._classifier.encode_batch(torch.from_numpy(np.ascontiguousarray(audio)))
        return unit(vectors.reshape(len(audio), self.dimension).cpu().numpy())
