"""The two spectrograms that speaker encoders eat, on torch and in batches.

`mel_power`: 40 mel bands of power on Slaney's scale, as GE2E encoders are trained on (librosa's definition).
`kaldi_log_mel`: log mel bands of Kaldi's recipe, as CAM++ and most published ONNX embedders are trained on.
"""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from softspoken.audio import SAMPLE_RATE_HZ

FRAME_SAMPLES = 400
HOP_SAMPLES = 160
_KALDI_FFT = 512
_KALDI_PREEMPHASIS = 0.97
_KALDI_FLOOR = 1.1920929e-07
# An hour is transformed in pieces of about a minute, so that its complex spectrum never stands in memory at once.
_BLOCK_FRAMES = 6000


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


@torch.inference_mode()
def kaldi_fbank(audio: Float[Tensor, "B samples"], bands: int) -> Float[Tensor, "B T M"]:
    """`kaldi_log_mel`, `centred`: what WeSpeaker and 3D-Speaker models expect."""
    return centred(kaldi_log_mel(audio, bands))


@torch.inference_mode()
def kaldi_log_mel(audio: Float[Tensor, "B samples"], bands: int) -> Float[Tensor, "B T M"]:
    """Kaldi's log mel bands: 16-bit scale, mean removed and pre-emphasis per frame, Hamming window, no dither.

    No padding: audio shorter than one frame is filled up to one with zeros.
    """
    audio = functional.pad(audio * 32768.0, (0, max(FRAME_SAMPLES - audio.shape[1], 0)))
    frames = audio.unfold(1, FRAME_SAMPLES, HOP_SAMPLES)
    return torch.cat([_log_mel(block, bands) for block in torch.split(frames, _BLOCK_FRAMES, dim=1)], dim=1)


def centred(log_mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B T M"]:
    """Without the mean over time of each band."""
    return log_mel - log_mel.mean(dim=1, keepdim=True)


def _log_mel(frames: Float[Tensor, "B T samples"], bands: int) -> Float[Tensor, "B T M"]:
    frames = frames - frames.mean(dim=-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    window = torch.hamming_window(FRAME_SAMPLES, periodic=False, device=frames.device)
    power = torch.fft.rfft((frames - _KALDI_PREEMPHASIS * before) * window, _KALDI_FFT).abs().square()
    logs: Tensor = (power @ _kaldi_filters(bands).to(frames.device)).clamp_min(_KALDI_FLOOR).log()
    return logs


@cache
def _slaney_filters(bands: int) -> Tensor:
    from transformers.audio_utils import mel_filter_bank

    bins = FRAME_SAMPLES // 2 + 1
    filters = mel_filter_bank(bins, bands, 0.0, 8000.0, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(filters).float()


@cache
def _kaldi_filters(bands: int) -> Tensor:
    from transformers.audio_utils import mel_filter_bank

    # Kaldi's triangles stop below the Nyquist bin, and are straight on the mel axis.
    filters = mel_filter_bank(
        _KALDI_FFT // 2 + 1, bands, 20.0, 8000.0, SAMPLE_RATE_HZ, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    return torch.from_numpy(filters).float()
