"""Is a clip good enough to enrol a voice? Too little speech, silence, clipping: refused. Two voices: a warning.

Where the limits come from (training talkers of LibriSpeech and speechocean762 only):

* Speech: at 25 dB below the loud level, the seconds of speech equal those of the forced alignment of 60 LibriSpeech
  utterances (ratio 0.995, 93 % of the speech found); at 20 dB they are 11 % short, at 30 dB 7 % over.
* Clipping: of 1,300 clean clips none has over 0.02 % of its samples at full scale. Driven 6 dB over full scale (0.4 %
  of the samples), a clip still gives its own voice (GE2E cosine 0.95, what the level alone costs too), at 10 dB
  (2.6 %) 0.87, at 14 dB (7.6 %) 0.79. The limit is 0.5 %.
* Two voices: depends on the embedder, so each carries its own limit (`two_voices_below`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from softspoken.audio import SAMPLE_RATE_HZ, require_sound
from softspoken.errors import EnrolmentError
from softspoken.speakers.base import SpeakerEmbedder, Vectors, Waveform, unit

_FRAME_SAMPLES, _HOP_SAMPLES = 480, 160


@dataclass(frozen=True)
class EnrolmentLimits:
    """What a clip must have; see the head of this file for where the numbers come from."""

    shortest_speech_s: float = 3.0
    speech_below_loud_db: float = 25.0
    speech_floor_dbfs: float = -60.0
    full_scale: float = 0.985
    most_clipped_share: float = 0.005
    voice_window_s: float = 1.6
    voice_hop_s: float = 0.4
    smallest_voice_share: float = 0.15
    look_for_two_voices: bool = True
    """For the warning, which is most of what looking at a clip costs."""


@dataclass(frozen=True)
class Quality:
    """What was measured in a clip. `halves_cosine` is None where there is too little speech to tell two voices, or
    nobody looked for them."""

    speech_s: float
    clipped_share: float
    halves_cosine: float | None
    warnings: tuple[str, ...]


def check_enrolment(
    audio: Waveform, where: str, embedder: SpeakerEmbedder, limits: EnrolmentLimits | None = None
) -> Quality:
    """Measure a clip and refuse what no voice can be learned from; `where` names the clip in messages.

    Raises AudioError for silence, EnrolmentError for under 3 s of speech or clipping, each with one line.
    """
    limits = EnrolmentLimits() if limits is None else limits
    require_sound(audio, where)
    clipped = float((np.abs(audio) >= limits.full_scale).mean())
    if clipped > limits.most_clipped_share:
        raise EnrolmentError(
            f"'{where}' is clipped: {clipped:.1%} of its samples are at full scale, expected at most "
            f"{limits.most_clipped_share:.1%}; record it again at a lower level"
        )
    speech = speech_frames(audio, limits)
    speech_s = float(speech.sum()) * _HOP_SAMPLES / SAMPLE_RATE_HZ
    if speech_s < limits.shortest_speech_s:
        raise EnrolmentError(
            f"'{where}' holds {speech_s:.1f} s of speech, expected at least {limits.shortest_speech_s:.0f} s: "
            "give a longer clip"
        )
    cosine = None
    if limits.look_for_two_voices:
        cosine = halves_cosine(_spoken_windows(audio, speech, embedder, limits), limits.smallest_voice_share)
    limit, warnings = embedder.two_voices_below, []
    if cosine is not None and limit is not None and cosine < limit:
        warnings.append(
            f"'{where}' seems to hold two voices (its two halves are alike by {cosine:.2f} only, one voice gives above "
            f"{limit:.2f}): enrol from a part with one voice, --from and --to choose it"
        )
    return Quality(speech_s, clipped, cosine, tuple(warnings))


def speech_frames(audio: Waveform, limits: EnrolmentLimits | None = None) -> Bool[np.ndarray, " frames"]:
    """True for the frames (30 ms, one every 10 ms) that are loud enough to be speech.

    The loud level is that of the 95th percentile of all frames; speech is what lies within 25 dB of it and above
    -60 dBFS. It knows energy only: steady noise near the level of the voice counts as speech.
    """
    limits = EnrolmentLimits() if limits is None else limits
    audio = np.pad(audio, (0, max(_FRAME_SAMPLES - len(audio), 0)))
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    first = np.arange(0, len(audio) - _FRAME_SAMPLES + 1, _HOP_SAMPLES)
    level_db = 10 * np.log10((energy[first + _FRAME_SAMPLES] - energy[first]).clip(0) / _FRAME_SAMPLES + 1e-12)
    loud_db = np.percentile(level_db, 95)
    spoken: np.ndarray = level_db > max(loud_db - limits.speech_below_loud_db, limits.speech_floor_dbfs)
    return spoken


def _spoken_windows(
    audio: np.ndarray, speech: np.ndarray, embedder: SpeakerEmbedder, limits: EnrolmentLimits
) -> np.ndarray:
    """Vectors [W, S] of the windows that are mostly speech."""
    vectors, starts_s = embedder.embed_windows(audio, limits.voice_window_s, limits.voice_hop_s)
    spoken = np.concatenate([[0], np.cumsum(speech)])
    rate_hz = SAMPLE_RATE_HZ / _HOP_SAMPLES
    first = np.round(starts_s * rate_hz).astype(int).clip(0, len(speech))
    after = np.round((starts_s + limits.voice_window_s) * rate_hz).astype(int).clip(0, len(speech))
    share = (spoken[after] - spoken[first]) / np.maximum(after - first, 1)
    chosen: np.ndarray = vectors[share > 0.5]
    return chosen


def halves_cosine(vectors: Vectors, smallest_share: float) -> float | None:
    """Cosine between the two centres of a 2-means split of unit vectors: low where two voices speak.

    1 when the smaller side has under `smallest_share` of the windows (a cough, not a second talker); None for under
    six windows.
    """
    if len(vectors) < 6:
        return None
    # Start from the two windows that differ most: the split is the same every time.
    first, second = np.unravel_index(int((vectors @ vectors.T).argmin()), (len(vectors), len(vectors)))
    centres = vectors[[first, second]]
    side = np.zeros(len(vectors), int)
    for _ in range(20):
        moved = (vectors @ centres.T).argmax(axis=1)
        if (moved == side).all() or len(np.unique(moved)) < 2:
            break
        side = moved
        centres = _centres(vectors, side)
    share = min(side.mean(), 1 - side.mean())
    return 1.0 if share < smallest_share else float(centres[0] @ centres[1])


def _centres(vectors: np.ndarray, side: np.ndarray) -> Float32[np.ndarray, "2 S"]:
    return unit(np.stack([vectors[side == 0].mean(axis=0), vectors[side == 1].mean(axis=0)]))
