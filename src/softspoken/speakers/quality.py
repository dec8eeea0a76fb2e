"""Is a clip good enough to enrol a voice? Too little speech, silence, clipping, two voices: refused.

Where the limits come from (training talkers of LibriSpeech and speechocean762 only):

* Speech: where silero hears a voice (see `softspoken.speakers.speech`), of that what lies within 25 dB of the loud
  level: so the seconds of speech equal those of the forced alignment of 60 LibriSpeech utterances (ratio 0.995, 93 % of
  the speech found); at 20 dB they are 11 % short, at 30 dB 7 % over.
* Clipping: of 1,300 clean clips none has over 0.02 % of its samples at full scale. Driven 6 dB over full scale (0.4 %
  of the samples), a clip still gives its own voice (GE2E cosine 0.95, what the level alone costs too), at 10 dB
  (2.6 %) 0.87, at 14 dB (7.6 %) 0.79. The limit is 0.5 %.
* Two voices: depends on the embedder, so each carries its own limit (`two_voices_below`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int

from softspoken.audio import SAMPLE_RATE_HZ, require_sound
from softspoken.errors import EnrolmentError
from softspoken.speakers.base import SpeakerEmbedder, Vectors, Waveform, unit
from softspoken.speakers.speech import HOP_SAMPLES, find_speech, loud_frames


@dataclass(frozen=True)
class EnrolmentLimits:
    """What a clip must have; see the head of this file for where the numbers come from."""

    shortest_speech_s: float = 3.0
    speech_below_loud_db: float = 25.0
    speech_floor_dbfs: float = -90.0
    full_scale: float = 0.985
    most_clipped_share: float = 0.005
    voice_window_s: float = 1.6
    voice_hop_s: float = 0.4
    smallest_voice_share: float = 0.15
    look_for_two_voices: bool = True
    """It is most of what looking at a clip costs."""
    accept_mixed: bool = False
    """Learn the voice that speaks most of a clip that seems to hold two, instead of refusing it."""


@dataclass(frozen=True)
class Quality:
    """What was found in a clip. `halves_cosine` is None where there is too little speech to tell two voices, or nobody
    looked for them."""

    spoken: Waveform
    """The speech of the clip, and nothing else of it."""
    speech_s: float
    clipped_share: float
    halves_cosine: float | None
    warnings: tuple[str, ...]


def check_enrolment(
    audio: Waveform, where: str, embedder: SpeakerEmbedder, limits: EnrolmentLimits | None = None
) -> Quality:
    """Find the speech in a clip and refuse what no voice can be learned from; `where` names the clip in messages.

    Raises AudioError for silence, EnrolmentError for under 3 s of speech, clipping or two voices, each with one line.
    """
    limits = EnrolmentLimits() if limits is None else limits
    require_sound(audio, where)
    clipped = float((np.abs(audio) >= limits.full_scale).mean())
    if clipped > limits.most_clipped_share:
        raise EnrolmentError(
            f"'{where}' is clipped: {clipped:.1%} of its samples are at full scale, expected at most "
            f"{limits.most_clipped_share:.1%}; record it again at a lower level"
        )
    found = find_speech(audio, limits.speech_below_loud_db, limits.speech_floor_dbfs)
    _require_speech(found.seconds, len(audio) / SAMPLE_RATE_HZ, where, limits)
    spoken, speech_s, cosine, warnings = found.audio, found.seconds, None, []
    if found.telephone:
        warnings.append(f"'{where}' holds nothing above 4 kHz, as over a telephone; a recording with more is better")
    if limits.look_for_two_voices and embedder.two_voices_below is not None:
        vectors, starts = _spoken_windows(spoken, embedder, limits)
        cosine, side = halves(vectors, limits.smallest_voice_share)
        if cosine is not None and cosine < embedder.two_voices_below:
            if not limits.accept_mixed:
                raise EnrolmentError(
                    f"'{where}' seems to hold two voices (its halves are alike by {cosine:.2f}, one voice gives above "
                    f"{embedder.two_voices_below:.2f}): give a part in which one voice speaks alone, or accept the one "
                    "that says more"
                )
            spoken = _main_voice(spoken, starts, side, limits)
            taken_s, speech_s = speech_s, speech_s * len(spoken) / len(found.audio)
            _require_speech(speech_s, len(audio) / SAMPLE_RATE_HZ, where, limits)
            warnings.append(f"'{where}' holds two voices: {speech_s:.1f} of {taken_s:.1f} s, of the one that says more")
    return Quality(spoken, speech_s, clipped, cosine, tuple(warnings))


def _require_speech(speech_s: float, clip_s: float, where: str, limits: EnrolmentLimits) -> None:
    if speech_s >= limits.shortest_speech_s:
        return
    expected = f"expected at least {limits.shortest_speech_s:.0f} s"
    if speech_s < 0.2 and clip_s >= limits.shortest_speech_s:
        raise EnrolmentError(
            f"'{where}' holds no speech in {clip_s:.1f} s ({expected}): noise, tones and music are no voice; "
            "give a clip of somebody who speaks"
        )
    raise EnrolmentError(f"'{where}' holds {speech_s:.1f} s of speech, {expected}: give a longer clip")


def speech_frames(audio: Waveform, limits: EnrolmentLimits | None = None) -> Bool[np.ndarray, " frames"]:
    """True for the frames (30 ms, one every 10 ms) that are loud enough to be speech; see `loud_frames`."""
    limits = EnrolmentLimits() if limits is None else limits
    return loud_frames(audio, limits.speech_below_loud_db, limits.speech_floor_dbfs)


def _spoken_windows(
    audio: np.ndarray, embedder: SpeakerEmbedder, limits: EnrolmentLimits
) -> tuple[Float32[np.ndarray, "W S"], Int[np.ndarray, " W"]]:
    """Vectors [W, S] of the windows that are mostly loud, and the sample where each begins."""
    loud = speech_frames(audio, limits)
    vectors, starts_s = embedder.embed_windows(audio, limits.voice_window_s, limits.voice_hop_s)
    counted = np.concatenate([[0], np.cumsum(loud)])
    rate_hz = SAMPLE_RATE_HZ / HOP_SAMPLES
    first = np.round(starts_s * rate_hz).astype(int).clip(0, len(loud))
    after = np.round((starts_s + limits.voice_window_s) * rate_hz).astype(int).clip(0, len(loud))
    chosen = (counted[after] - counted[first]) / np.maximum(after - first, 1) > 0.5
    return vectors[chosen], np.round(starts_s[chosen] * SAMPLE_RATE_HZ).astype(int)


def _main_voice(
    audio: np.ndarray, starts: Int[np.ndarray, " W"], side: Int[np.ndarray, " W"], limits: EnrolmentLimits
) -> Float32[np.ndarray, " M"]:
    """What lies in windows of the larger side alone."""
    size = round(limits.voice_window_s * SAMPLE_RATE_HZ)
    larger = int(2 * side.sum() > len(side))
    votes = np.zeros((2, len(audio) + 1), int)
    for start, of in zip(starts, side == larger, strict=True):
        votes[int(of), start] += 1
        votes[int(of), min(start + size, len(audio))] -= 1
    against, pro = votes[:, :-1].cumsum(axis=1)
    main: np.ndarray = audio[(pro > 0) & (pro > 2 * against)]
    return main


def halves(vectors: Vectors, smallest_share: float) -> tuple[float | None, Int[np.ndarray, " W"]]:
    """Cosine between the two centres of a 2-means split of unit vectors, low where two voices speak; the side of each.

    1 when the smaller side has under `smallest_share` of the windows (a cough, not a second talker); None for under
    six windows.
    """
    side = np.zeros(len(vectors), int)
    if len(vectors) < 6:
        return None, side
    # Start from the two windows that differ most: the split is the same every time.
    first, second = np.unravel_index(int((vectors @ vectors.T).argmin()), (len(vectors), len(vectors)))
    centres = vectors[[first, second]]
    for _ in range(20):
        moved = (vectors @ centres.T).argmax(axis=1)
        if (moved == side).all() or len(np.unique(moved)) < 2:
            break
        side = moved
        centres = _centres(vectors, side)
    share = min(side.mean(), 1 - side.mean())
    return (1.0 if share < smallest_share else float(centres[0] @ centres[1])), side


def _centres(vectors: np.ndarray, side: np.ndarray) -> Float32[np.ndarray, "2 S"]:
    return unit(np.stack([vectors[side == 0].mean(axis=0), vectors[side == 1].mean(axis=0)]))
