"""An embedder that remembers the windows of the last recordings: several voices are asked for in one, one by one."""

import hashlib
from collections import OrderedDict

from softspoken.speakers.base import Seconds, SpeakerEmbedder, Vector, Vectors, Waveform, Windows

_RECORDINGS = 8


class RecentWindows(SpeakerEmbedder):
    """Gives what `embedder` gives; `embed_windows` of a recording among the last few is not computed again."""

    def __init__(self, embedder: SpeakerEmbedder) -> None:
        self._embedder = embedder
        self._rounding: RecentWindows | None = None
        self._recent: OrderedDict[tuple[str, float, float], tuple[Vectors, Seconds]] = OrderedDict()
        self.name = embedder.name
        self.dimension = embedder.dimension
        self.two_voices_below = embedder.two_voices_below

    def embed(self, audio: Waveform) -> Vector:
        return self._embedder.embed(audio)

    def embed_windows(
        self, audio: Waveform, window_s: float = Windows.window_s, hop_s: float = Windows.hop_s
    ) -> tuple[Vectors, Seconds]:
        key = (hashlib.sha256(audio.tobytes()).hexdigest(), window_s, hop_s)
        if key not in self._recent:
            self._recent[key] = self._embedder.embed_windows(audio, window_s, hop_s)
            if len(self._recent) > _RECORDINGS:
                self._recent.popitem(last=False)
        return self._recent[key]

    def rounding(self) -> SpeakerEmbedder:
        inner = self._embedder.rounding()
        if inner is self._embedder:
            return self
        if self._rounding is None:
            self._rounding = RecentWindows(inner)
        return self._rounding
