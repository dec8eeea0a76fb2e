"""The baseline people use today for "only this person's words": find where they speak, then plain Whisper there.

Windows of speaker embeddings, or a diariser, say who speaks when; what is not the target is muted or cut away, and the
rest goes to plain Whisper. It works where talkers take turns, and has no answer where they overlap.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError
from softspoken.runs import runs_of
from softspoken.speakers import FrameScores, SpeakerEmbedder
from softspoken.speakers.diarisation import Diarisation, DiarisationOptions, diarise
from softspoken.speakers.segmentation import Segmenter

FRAME_RATE_HZ = 50.0

Outside = Literal["mute", "cut"]
"""What becomes of audio in which the target does not speak."""


@dataclass(frozen=True)
class StretchOptions:
    """What is made of the frames in which the target is found; chosen with GE2E and the windows of `cascade`."""

    outside: Outside = "mute"
    shortest_s: float = 0.3
    """Shorter stretches are dropped."""
    longest_gap_s: float = 0.5
    """Shorter gaps between two stretches are closed."""
    padding_s: float = 0.2
    """Kept on both sides of a stretch."""


@dataclass(frozen=True)
class CascadeOptions(StretchOptions):
    """`cascade`: windows of speaker embeddings near enough to the enrolment.

    Windows and `threshold` are those of the lowest word error rate among the ones that left at least 95 % of the silent
    targets silent, on talkers who are put aside for development (tiny.en and CAM++; windows of 0.8 and 1.6 s and
    thresholds from 0.15 to 0.45):

        softspoken-lab mixtures SPEECH/manifest.jsonl dev --split development --count 40 --seed 4 --snr-db=-5,5
        softspoken evaluate dev/manifest.jsonl --method cascade:0.35 --method cascade:0.4 ...
    """

    threshold: float = 0.40
    """Cosine to the enrolment from which on a frame is the target."""
    window_s: float = 1.6
    hop_s: float = 0.24

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)


@dataclass(frozen=True)
class DiariseOptions(StretchOptions):
    """`diarise`: the talkers of the recording are told apart first, then the one nearest to the enrolment is kept.

    `threshold` and `padding_s` were chosen by the rule of `CascadeOptions`, on the same mixtures (tiny.en in int8 and
    CAM++; thresholds from 0.4 to 0.5, padding of 0 and 0.2 s). Every frame in which the target is found speaking is
    kept, whoever else speaks in it.
    """

    threshold: float = 0.45
    """Cosine to the enrolment from which on a talker is the target."""
    padding_s: float = 0.0
    talkers: DiarisationOptions = field(default_factory=DiarisationOptions)

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)


Options = CascadeOptions | DiariseOptions
_NAMED: dict[str, type[CascadeOptions] | type[DiariseOptions]] = {"cascade": CascadeOptions, "diarise": DiariseOptions}


def cascade_named(name: str) -> Options | None:
    """The options that 'cascade', 'diarise', 'cascade:0.35' or 'diarise:0.4' mean (the number is the threshold).

    None for any other name. Raises ConfigError for a threshold that is no cosine.
    """
    method, colon, threshold = name.partition(":")
    if method not in _NAMED:
        return None
    if not colon:
        return _NAMED[method]()
    try:
        return _NAMED[method](threshold=float(threshold))
    except ValueError as error:
        raise ConfigError(f"'{threshold}' in method '{name}' is no number; give a cosine: {method}:0.35") from error


def target_audio(
    audio: Float[np.ndarray, " N"],
    enrolment: Float[np.ndarray, " M"],
    embedder: SpeakerEmbedder,
    options: Options,
    segmenter: Segmenter | None = None,
) -> Float[np.ndarray, " K"] | None:
    """What is left of a recording (16 kHz) for plain Whisper: the stretches in which the enrolled talker is found.

    None when there are none; then nothing is to be written. Muted audio keeps its length, cut audio does not.
    `segmenter`: what `diarise` hears with; the pinned one where None.
    """
    voice, heard = embedder.embed(enrolment.astype(np.float32)), audio.astype(np.float32)
    if isinstance(options, DiariseOptions):
        frames = of_talker(diarise(heard, embedder, options.talkers, segmenter), voice, options.threshold)
    else:
        scores = FrameScores.measure(embedder, heard, options.window_s, options.hop_s)
        frames = np.asarray(scores.against(voice[None], FRAME_RATE_HZ)[0] >= options.threshold)
    stretches = stretches_of(frames, options)
    if not stretches:
        return None
    keep = np.zeros(len(audio), dtype=bool)
    for start_s, end_s in stretches:
        keep[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)] = True
    return audio[keep] if options.outside == "cut" else np.where(keep, audio, np.float32(0))


def of_talker(found: Diarisation, voice: Float[np.ndarray, " S"], threshold: float) -> Bool[np.ndarray, " F"]:
    """The frames of the talker nearest to the enrolled voice; none where nobody is near enough."""
    cosines = found.voices @ voice
    if not (cosines >= threshold).any():
        return np.zeros(found.speaks.shape[1], dtype=bool)
    return np.asarray(found.speaks[cosines.argmax()])


def stretches_of(frames: Bool[np.ndarray, " F"], options: StretchOptions) -> list[tuple[float, float]]:
    """Stretches (start, end) in seconds of target frames: gaps closed, short ones dropped, padded, joined."""
    runs = [(start / FRAME_RATE_HZ, end / FRAME_RATE_HZ) for start, end in runs_of(frames)]
    long_enough = [run for run in _joined(runs, options.longest_gap_s) if run[1] - run[0] >= options.shortest_s]
    end_s = len(frames) / FRAME_RATE_HZ
    padded = [(max(start - options.padding_s, 0.0), min(end + options.padding_s, end_s)) for start, end in long_enough]
    return _joined(padded, 0.0)


def _joined(runs: list[tuple[float, float]], longest_gap_s: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] <= longest_gap_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _check_threshold(threshold: float) -> None:
    if not -1.0 <= threshold <= 1.0:
        raise ConfigError(f"cascade threshold {threshold:g}; a cosine lies between -1 and 1")
