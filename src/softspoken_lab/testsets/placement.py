"""Where the talkers of a test mixture stand in time, so that they overlap as asked (`mixture_spec` says what that is).

A talker's stretch reaches from the first to the last speech frame; pauses inside belong to it. Every share of two
stretches from 0 (taking turns) to 1 (the shorter inside the longer) can be had, which is not so of single speech
frames, since pauses of the one rarely meet pauses of the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from softspoken.data.levels import FRAME, speech_frames
from softspoken.errors import DataError

Stretch = tuple[int, int]
"""First frame (of 20 ms) and the one after the last."""
_NEAREST_LAGS = 5


@dataclass(frozen=True)
class Placed:
    """Places of the talkers; the first one starts at 0."""

    starts: list[int]
    """Samples; below zero in front of the first talker."""
    overlaps: list[float]
    """Share that each has in common with the first; 1 for the first itself."""
    snr_db: list[float]
    """Level of the first talker against each."""


def by_frames(
    clips: Sequence[Float[np.ndarray, " _"]],
    overlap: tuple[float, float],
    snr_db: tuple[float, float],
    rng: np.random.Generator,
) -> Placed:
    """Every further talker overlaps the first by a share of speech frames, drawn from `overlap` as far as it is had."""
    placed = Placed([0], [1.0], [0.0])
    first = speech_frames(clips[0])
    for clip in clips[1:]:
        lag, share = _lag(overlap_by_lag(first, speech_frames(clip)), len(clip) // FRAME, overlap, rng)
        placed.starts.append(lag * FRAME)
        placed.overlaps.append(share)
        placed.snr_db.append(float(rng.uniform(*snr_db)))
    return placed


def overlap_by_lag(one: Bool[np.ndarray, " F"], other: Bool[np.ndarray, " G"]) -> Float[np.ndarray, " F+G-1"]:
    """Overlap of two talkers when the other starts k - (G - 1) frames after the one, for k = 0 .. F + G - 2."""
    shared = np.correlate(one.astype(np.float64), other.astype(np.float64), mode="full")
    return np.asarray(np.round(shared) / max(min(one.sum(), other.sum()), 1))


def _lag(
    shares: Float[np.ndarray, " L"], other_frames: int, overlap: tuple[float, float], rng: np.random.Generator
) -> tuple[int, float]:
    low, high = overlap
    wanted = rng.uniform(low, max(low, min(high, float(shares.max()))))
    allowed = np.flatnonzero((shares >= low) & (shares <= high))
    if allowed.size == 0:
        allowed = np.array([int(shares.argmax())])
    nearest = allowed[np.argsort(np.abs(shares[allowed] - wanted), kind="stable")[:_NEAREST_LAGS]]
    # Which of the two starts first must not depend on the sort: draw the side, too.
    chosen = int(rng.choice(nearest))
    return chosen - (other_frames - 1), float(shares[chosen])


def by_stretches(
    clips: Sequence[Float[np.ndarray, " _"]],
    overlap: tuple[float, float],
    snr_db: tuple[float, float],
    rng: np.random.Generator,
) -> Placed:
    """Every further talker's stretch overlaps the first one's by a share drawn from `overlap`; see `place_around`.

    Raises DataError for a silent clip.
    """
    stretches = [speech_stretch(clip) for clip in clips]
    levels_db = [0.0, *(float(rng.uniform(*snr_db)) for _ in clips[1:])]
    moved = place_around(stretches, [float(rng.uniform(*overlap)) for _ in clips[1:]], rng)
    placed = [(begin + by, end + by) for (begin, end), by in zip(stretches, moved, strict=True)]
    overlaps = [1.0, *(stretch_overlap(placed[0], other) for other in placed[1:])]
    return Placed([by * FRAME for by in moved], overlaps, levels_db)


def place_around(stretches: Sequence[Stretch], shares: Sequence[float], rng: np.random.Generator) -> list[int]:
    """Frames by which each of `stretches` is moved so that every further one overlaps the first by its share.

    The further ones stand on alternate sides of the first one, and which side begins is drawn; at a share of 1 the
    shorter lies anywhere inside the longer. How much the further ones overlap each other is not controlled. The number
    of draws does not depend on the shares, so that one seed draws the same for every overlap.

    Args:
        stretches: the talkers' stretches in frames of their own recordings, the first one's first.
        shares: one for each further talker, 0 to 1; met to within half a frame.
    """
    begin, end = stretches[0]
    side = int(rng.integers(2))
    moved = [0]
    for number, ((from_, to), share) in enumerate(zip(stretches[1:], shares, strict=True)):
        size, place = to - from_, float(rng.random())
        shared = round(share * min(end - begin, size))
        in_front, behind = begin + shared - size, end - shared
        if share >= 1.0:
            start = round(in_front + place * (behind - in_front))
        else:
            start = in_front if (side + number) % 2 == 0 else behind
        moved.append(start - from_)
    return moved


def stretch_overlap(one: Stretch, other: Stretch) -> float:
    """Share of the shorter stretch that the two have in common."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(shared, 0) / max(min(one[1] - one[0], other[1] - other[0]), 1)


def covered_share(target: Stretch, others: Sequence[Stretch]) -> float:
    """Share of the target's stretch in which at least one other is in theirs."""
    frames = np.zeros(target[1] - target[0], dtype=bool)
    for begin, end in others:
        frames[max(begin - target[0], 0) : max(end - target[0], 0)] = True
    return float(frames.mean()) if frames.size else 0.0


def speech_stretch(waveform: Float[np.ndarray, " N"]) -> Stretch:
    """A talker's stretch in a recording of them alone. Raises DataError for silence."""
    speech = np.flatnonzero(speech_frames(waveform))
    if speech.size == 0:
        raise DataError("a clip of silence has no stretch of speech; remove it from the speech")
    return int(speech[0]), int(speech[-1]) + 1
