"""Who speaks when, of people nobody has enrolled: segmentation, a voice for each local talker, and clusters of these.

The usual way (arXiv 2310.13025, section 4): the network tells the talkers of each window of 10 s apart, overlap
included; an embedder hears the speech that each of them has alone; clusters of these voices say who of one window is
who of another.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Int

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError
from softspoken.runs import runs_of
from softspoken.speakers.base import SpeakerEmbedder, Waveform, unit
from softspoken.speakers.clustering import average_linkage, clusters
from softspoken.speakers.segmentation import FRAME_RATE_HZ, Segmentation, Segmenter, load_segmentation

_FRAME = round(SAMPLE_RATE_HZ / FRAME_RATE_HZ)
_FEWEST_FRAMES = 10
"""0.2 s: of less speech no voice is made, and whose it is stays open."""
SHORTEST_ALONE = 25
"""Frames of speech alone that are worth keeping by themselves."""
_MARGIN = 5
"""Frames between somebody else's speech and what counts as alone."""
_WINDOW_S, _HOP_S = 1.6, 0.8
"""What the embedder hears at once: windows of one length can be batched and rounded, which makes them about six times
as fast as each local talker's own speech."""
_MOSTLY = 0.75
"""Share of such a window that a talker speaks alone."""
_APART = 2.0
"""The largest cosine distance: what keeps two talkers of one window in two clusters."""


@dataclass(frozen=True)
class DiarisationOptions:
    """How talkers are told apart."""

    step_s: float = 5.0
    """From one window of 10 s to the next."""
    active: float = 0.5
    """Probability from which on a local talker counts as speaking."""
    clear_s: float = 1.0
    """Seconds of speech alone that a voice needs to take part in the clusters; the others join the nearest one that
    nobody of their window is in, or are talkers of their own."""
    distance: float = 0.68
    """Mean cosine distance at which two clusters stay two talkers."""
    shortest_s: float = 3.0
    """A cluster with less speech alone is no talker: its parts join the others, as those that are not clear do."""
    fewest: int = 1
    """There are at least so many talkers, as far as there are as many different voices,"""
    most: int | None = None
    """and at most so many; None: nobody knows."""

    def __post_init__(self) -> None:
        if not 0.0 < self.active < 1.0:
            raise ConfigError(f"activity of {self.active:g} to count as speaking: a probability lies between 0 and 1")
        if not 0.0 < self.distance < _APART:
            raise ConfigError(f"cluster distance {self.distance:g}: expected a cosine distance between 0 and 2")
        if not 1 <= self.fewest <= (self.fewest if self.most is None else self.most):
            raise ConfigError(
                f"at least {self.fewest} and at most {self.most} voices; give 1 or more, and no less at most"
            )


@dataclass(frozen=True)
class Diarisation:
    """The talkers of one recording."""

    activities: Float32[np.ndarray, "K frames"]
    """Probability that each talker speaks in each frame of 20 ms, the mean over the windows that cover it."""
    speaks: Bool[np.ndarray, "K frames"]
    """Whether: as many talkers as the windows hear at once, the likeliest ones. Several may speak in one frame."""
    voices: Float32[np.ndarray, "K S"]
    """A unit vector for each: the mean of its local talkers' vectors, by their seconds of speech."""

    @property
    def alone(self) -> Bool[np.ndarray, "K frames"]:
        """Where each talker speaks and nobody else does, nor within 0.1 s; stretches under half a second are left out:
        what a voice may be learned from."""
        clean = np.zeros_like(self.speaks)
        for talker, own in enumerate(self.speaks):
            others = np.delete(self.speaks, talker, axis=0).any(axis=0)
            near = np.convolve(others, np.ones(2 * _MARGIN + 1))[_MARGIN:-_MARGIN] > 0.5
            for begin, end in runs_of(own & ~near):
                clean[talker, begin:end] = end - begin >= SHORTEST_ALONE
        return clean


@dataclass
class _Locals:
    """Local talkers that say enough to be embedded, one an entry."""

    windows: list[int] = field(default_factory=list)
    talkers: list[int] = field(default_factory=list)
    vectors: list[Float32[np.ndarray, " S"]] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    """Of speech alone."""


def diarise(
    audio: Waveform,
    embedder: SpeakerEmbedder,
    options: DiarisationOptions | None = None,
    segmenter: Segmenter | None = None,
) -> Diarisation:
    """The talkers of a recording, in the order in which they first speak.

    Needs memory of at most 80 bytes for every frame of every window beside the audio (an hour: about 30 MB), and one
    distance for every pair of local talkers (an hour: some 1,500 of them).

    Args:
        audio: 16 kHz mono float32, at least 0.1 s; an hour is fine.
        embedder: what makes voices; distances are chosen for CAM++.
        options: thresholds; `DiarisationOptions()` where None.
        segmenter: the network; the pinned one where None.

    Returns:
        `K` talkers (0 where nobody speaks) in ceil(50 * seconds) frames.

    Raises AudioError for audio under 0.1 s or not finite, BackboneError where the weights cannot be had.
    """
    chosen = DiarisationOptions() if options is None else options
    said = (load_segmentation() if segmenter is None else segmenter).segment(audio, chosen.step_s)
    found = _locals(audio, said, embedder, chosen.active)
    if not found.vectors:
        return _nobody(said, embedder)
    vectors, frames, windows = np.stack(found.vectors), np.array(found.frames), np.array(found.windows)
    labels = _labels(vectors, windows, frames, chosen)
    activities = _over_windows(said, found, labels)
    speaks = _likeliest(activities, _count(said, chosen.active))
    voices = unit(np.stack([(frames[labels == k] + 1) @ vectors[labels == k] for k in range(labels.max() + 1)]))
    order = [talker for talker in _by_first_frame(speaks) if speaks[talker].any()]
    return Diarisation(activities[order], speaks[order], voices[order])


def _nobody(said: Segmentation, embedder: SpeakerEmbedder) -> Diarisation:
    nothing = np.zeros((0, len(said.speech)), np.float32)
    return Diarisation(nothing, nothing.astype(bool), np.zeros((0, embedder.dimension), np.float32))


def _locals(audio: Waveform, said: Segmentation, embedder: SpeakerEmbedder, active: float) -> _Locals:
    """Voices from what a local talker says alone: the mean over the embedder's windows that hold mostly that.

    Where no window does, the frames themselves, joined: those alone, or all of the talker's where these are too few.
    """
    vectors, starts_s = embedder.rounding().embed_windows(audio, _WINDOW_S, _HOP_S)
    firsts, size = np.round(starts_s * FRAME_RATE_HZ).astype(int), round(_WINDOW_S * FRAME_RATE_HZ)
    found = _Locals()
    for window, start in enumerate(said.starts):
        speaks = said.local[window] >= active
        alone = speaks & (speaks.sum(axis=1, keepdims=True) == 1)
        inside = np.flatnonzero((firsts >= start) & (firsts + size <= start + len(speaks)))
        for talker in np.flatnonzero(speaks.sum(axis=0) >= _FEWEST_FRAMES):
            clear = alone[:, talker]
            counted = np.concatenate([[0], np.cumsum(clear)])
            share = (counted[firsts[inside] - start + size] - counted[firsts[inside] - start]) / size
            mostly = share >= _MOSTLY
            if mostly.any():
                vector = unit(share[mostly] @ vectors[inside[mostly]])
            else:
                frames = clear if clear.sum() >= _FEWEST_FRAMES else speaks[:, talker]
                vector = embedder.embed(_cut(audio, int(start) + np.flatnonzero(frames)))
            found.windows.append(window)
            found.talkers.append(int(talker))
            found.vectors.append(vector)
            found.frames.append(int(clear.sum()))
    return found


def _cut(audio: Waveform, frames: Int[np.ndarray, " F"]) -> Float32[np.ndarray, " _"]:
    """The samples of these frames, joined."""
    samples = (frames[:, None] * _FRAME + np.arange(_FRAME)).ravel()
    return audio[samples[samples < len(audio)]]


def _labels(
    vectors: Float32[np.ndarray, "L S"],
    windows: Int[np.ndarray, " L"],
    frames: Int[np.ndarray, " L"],
    options: DiarisationOptions,
) -> Int[np.ndarray, " L"]:
    """The global talker of each local one, of which so many frames are speech alone."""
    clear = frames >= options.clear_s * FRAME_RATE_HZ
    if not clear.any():
        clear = np.ones_like(clear)
    labels = np.full(len(vectors), -1)
    distances = np.where(windows[:, None] == windows, np.float32(_APART), 1 - vectors @ vectors.T)[clear][:, clear]
    labels[clear] = clusters(average_linkage(distances), options.distance, options.fewest, options.most)
    labels = _without_short(labels, frames, options)
    means = [unit(vectors[labels == k].mean(axis=0)) for k in range(labels.max() + 1)]
    for index in np.flatnonzero(labels < 0):
        cosines = np.stack(means) @ vectors[index]
        taken = labels[(windows == windows[index]) & (labels >= 0)]
        if len(set(taken.tolist())) < len(means):
            cosines[taken] = -_APART
        elif options.most is None or len(means) < options.most:
            labels[index] = len(means)
            means.append(vectors[index])
            continue
        labels[index] = cosines.argmax()
    return labels


def _without_short(
    labels: Int[np.ndarray, " L"], frames: Int[np.ndarray, " L"], options: DiarisationOptions
) -> Int[np.ndarray, " L"]:
    """Clusters of too little speech dissolved, but for the `fewest` that say most; the others counted anew."""
    spoken = np.bincount(labels[labels >= 0], frames[labels >= 0])
    kept = spoken >= options.shortest_s * FRAME_RATE_HZ
    kept[np.argsort(-spoken, kind="stable")[: options.fewest]] = True
    numbers = np.where(kept, np.cumsum(kept) - 1, -1)
    return np.where(labels >= 0, numbers[labels], -1)


def _over_windows(said: Segmentation, found: _Locals, labels: Int[np.ndarray, " L"]) -> Float32[np.ndarray, "K frames"]:
    """Each talker's activity: the mean over the windows that cover a frame, nought in those that lack the talker."""
    size = said.local.shape[1]
    sums = np.zeros((labels.max() + 1, len(said.speech)), np.float32)
    heard: dict[tuple[int, int], Float32[np.ndarray, " F"]] = {}
    for window, talker, label in zip(found.windows, found.talkers, labels, strict=True):
        activity = said.local[window][:, talker]
        heard[window, label] = np.maximum(heard.get((window, label), activity), activity)
    for (window, label), activity in heard.items():
        sums[label, said.starts[window] : said.starts[window] + size] += activity
    mean: Float32[np.ndarray, "K frames"] = sums / _covering(said)
    return mean


def _count(said: Segmentation, active: float) -> Int[np.ndarray, " frames"]:
    """How many talkers speak at once, the mean over the windows, rounded."""
    sums = np.zeros(len(said.speech), np.float32)
    for local, start in zip(said.local, said.starts, strict=True):
        sums[start : start + len(local)] += (local >= active).sum(axis=1)
    return np.asarray(np.floor(sums / _covering(said) + 0.5), dtype=int)


def _covering(said: Segmentation) -> Float32[np.ndarray, " frames"]:
    """How many windows cover each frame."""
    counts = np.zeros(len(said.speech), np.float32)
    for start in said.starts:
        counts[start : start + said.local.shape[1]] += 1
    return counts


def _likeliest(
    activities: Float32[np.ndarray, "K frames"], count: Int[np.ndarray, " frames"]
) -> Bool[np.ndarray, "K frames"]:
    """The `count` most active talkers of each frame, as far as they are active at all."""
    rank = np.argsort(np.argsort(-activities, axis=0, kind="stable"), axis=0)
    return np.asarray((rank < count) & (activities > 0))


def _by_first_frame(speaks: Bool[np.ndarray, "K frames"]) -> Int[np.ndarray, " K"]:
    return np.argsort(speaks.argmax(axis=1), kind="stable")
