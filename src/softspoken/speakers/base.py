"""What every speaker embedder offers, one unit vector a recording and one a short window of it; and which there are."""

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.defaults import DEFAULT_EMBEDDER
from softspoken.errors import AudioError, ConfigError, MissingExtra

Waveform = Float32[np.ndarray, " samples"]
Vector = Float32[np.ndarray, " S"]
Vectors = Float32[np.ndarray, "W S"]
Seconds = Float32[np.ndarray, " W"]

_BATCH = 64
_SHORTEST_S = 0.1
_REMEMBERED = 8


@dataclass(frozen=True)
class Windows:
    """Short windows for "who speaks when": 1.6 s is what the GE2E encoder was trained on."""

    window_s: float = 1.6
    hop_s: float = 0.24
    frame_rate_hz: float = 50.0


class SpeakerEmbedder(ABC):
    """A frozen model from a voice to a unit vector of `dimension` numbers. Audio is 16 kHz mono float32."""

    name: str
    dimension: int
    # Below this cosine between its two halves, a clip is taken to hold two voices; None where nobody has measured it.
    two_voices_below: float | None = None
    # What the cosines of windows are multiplied by, and what is added, so that they lie where they do without a
    # telephone: where the recording comes over one, where the enrolment clip does. Empty where nobody has measured it.
    over_telephone: Mapping[tuple[bool, bool], tuple[float, float]] = MappingProxyType({})

    @abstractmethod
    def embed(self, audio: Waveform) -> Vector:
        """The voice of the whole recording as a unit vector [S]. AudioError for audio under 0.1 s."""

    def embed_windows(
        self, audio: Waveform, window_s: float = Windows.window_s, hop_s: float = Windows.hop_s
    ) -> tuple[Vectors, Seconds]:
        """Unit vectors [W, S] of windows of `window_s` seconds, and where each starts in seconds [W].

        Every sample lies in some window: the last window is moved back to end with the audio. Audio shorter than a
        window is one window. No window is padded, for silence beside a voice shifts its vector.
        """
        audio = checked(audio)
        window = round(window_s * SAMPLE_RATE_HZ)
        starts = window_starts(len(audio), window, round(hop_s * SAMPLE_RATE_HZ))
        batches = [starts[i : i + _BATCH] for i in range(0, len(starts), _BATCH)]
        vectors = [self.embed_batch(np.stack([audio[s : s + window] for s in batch])) for batch in batches]
        return np.concatenate(vectors), (starts / SAMPLE_RATE_HZ).astype(np.float32)

    def rounding(self) -> "SpeakerEmbedder":
        """The same embedder with the windows of `embed_windows` computed in less than float32 where that is faster on
        this processor; else itself. `embed` gives the same voices."""
        return self

    def embed_batch(self, audio: Float32[np.ndarray, "B samples"]) -> Float32[np.ndarray, "B S"]:
        """Unit vectors of recordings of equal length; embedders that can do them together override this."""
        return np.stack([self.embed(row) for row in audio])


class RecentWindows(SpeakerEmbedder):
    """Gives what `embedder` gives; `embed_windows` of a recording among the last few is not computed again."""

    def __init__(self, embedder: SpeakerEmbedder, remembered: int = _REMEMBERED) -> None:
        """`remembered`: recordings whose windows are kept."""
        self._embedder, self._remembered = embedder, remembered
        self._rounding: RecentWindows | None = None
        self._recent: OrderedDict[tuple[str, float, float], tuple[Vectors, Seconds]] = OrderedDict()
        self.name = embedder.name
        self.dimension = embedder.dimension
        self.two_voices_below = embedder.two_voices_below
        self.over_telephone = embedder.over_telephone

    def embed(self, audio: Waveform) -> Vector:
        return self._embedder.embed(audio)

    def embed_windows(
        self, audio: Waveform, window_s: float = Windows.window_s, hop_s: float = Windows.hop_s
    ) -> tuple[Vectors, Seconds]:
        key = (hashlib.sha256(audio.tobytes()).hexdigest(), window_s, hop_s)
        if key not in self._recent:
            self._recent[key] = self._embedder.embed_windows(audio, window_s, hop_s)
            if len(self._recent) > self._remembered:
                self._recent.popitem(last=False)
        return self._recent[key]

    def rounding(self) -> SpeakerEmbedder:
        inner = self._embedder.rounding()
        if inner is self._embedder:
            return self
        if self._rounding is None:
            self._rounding = RecentWindows(inner, self._remembered)
        return self._rounding


def load_embedder(reference: str = DEFAULT_EMBEDDER, device: str = "cpu") -> SpeakerEmbedder:
    """ "campplus" (the default), "ge2e", "speechbrain/x-vector", "speechbrain/ecapa", or the path of an .onnx file.

    `device`: for those of PyTorch (the second to the fourth); the others run on the processor.

    Raises ConfigError for another name, MissingExtra where an extra is not installed, BackboneError where the weights
    cannot be had or are damaged.
    """
    if reference == "campplus":
        from softspoken.speakers.campplus import CamPlusEmbedder

        return CamPlusEmbedder.load()
    if reference in ("ge2e", "speechbrain/x-vector", "speechbrain/ecapa"):
        try:
            from softspoken.speakers.torch_embedders import Ge2eEmbedder, SpeechBrainEmbedder
        except ModuleNotFoundError as error:
            raise MissingExtra(error.name or "torch", "train", f"the speaker embedder '{reference}'") from None
        return Ge2eEmbedder.load(device) if reference == "ge2e" else SpeechBrainEmbedder.load(reference, device)
    if reference.lower().endswith(".onnx"):
        from softspoken.speakers.onnx import OnnxEmbedder

        return OnnxEmbedder(reference)
    raise ConfigError(
        f"no speaker embedder '{reference}': use campplus, ge2e, speechbrain/x-vector, speechbrain/ecapa, "
        "or a file *.onnx"
    )


def window_starts(length: int, window: int, hop: int) -> np.ndarray:
    """First positions [W] of windows over `length` positions; the last window is moved back to end at the end."""
    if window < 1 or hop < 1:
        raise ConfigError(f"window of {window} and hop of {hop} positions: expected at least one each; lengthen them")
    starts = np.arange(0, max(length - window, 0) + 1, hop)
    return starts if starts[-1] + window >= length else np.append(starts, length - window)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length one, as float32; a row of zeros stays zero."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: np.ndarray = (vectors / np.maximum(norm, 1e-12)).astype(np.float32)
    return scaled


def checked(audio: np.ndarray) -> np.ndarray:
    """The audio itself; AudioError when it is too short to hold a voice or not finite."""
    if len(audio) < _SHORTEST_S * SAMPLE_RATE_HZ:
        length_s = len(audio) / SAMPLE_RATE_HZ
        raise AudioError(
            f"{length_s:.3f} s of audio for a speaker vector: expected at least {_SHORTEST_S} s; give more"
        )
    if not np.isfinite(audio).all():
        raise AudioError("audio for a speaker vector holds NaN or infinite samples: export it again")
    return audio
