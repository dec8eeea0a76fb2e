"""The voices in a recording, whoever they are: how long each speaks, what it sounds like alone, whom it resembles.

A voice is learned only from what it says alone (`Diarisation.alone`). Which stored voice it resembles is a suggestion;
a stored voice is never changed by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import EnrolmentError
from softspoken.runs import runs_of
from softspoken.speakers.base import SpeakerEmbedder, Waveform
from softspoken.speakers.diarisation import SHORTEST_ALONE, Diarisation, DiarisationOptions, diarise
from softspoken.speakers.enrolment import Clip, Enrolment, enrol
from softspoken.speakers.segmentation import FRAME_RATE_HZ, Segmenter

LEAST_ALONE_S = 3.0
"""With less, a voice is not followed, for others' words would be taken for its own."""
LONGEST_CLIP_S = 30.0
_LEAST_CLIP_S = 1.0
RESEMBLES = 0.6
"""Cosine from which on a voice is taken for a stored one. In three development conversations of 3 and 5 talkers every
found voice had 0.76 or more to the same talker's enrolment (median 0.91), and 0.45 or less to any other's."""
_FRAME = round(SAMPLE_RATE_HZ / FRAME_RATE_HZ)

Span = tuple[float, float]
"""From, to in seconds."""


@dataclass(frozen=True)
class Found:
    """A voice of a recording."""

    voice: Enrolment
    """By a name such as 'Speaker 1': the vector and the clip of what it says alone, ready to be followed or kept."""
    speaks: tuple[Span, ...]
    alone: tuple[Span, ...]
    """What the clip is made of, in the order of the recording."""
    alone_s: float
    """All that it says alone."""
    resembles: str | None = None
    """The most similar stored voice that no other voice of the recording resembles more; None: none is left."""
    likeness: float | None = None
    """Cosine to that one."""

    @property
    def speaks_s(self) -> float:
        return sum((end_s - start_s for start_s, end_s in self.speaks), 0.0)

    def moved(self, seconds: float) -> "Found":
        """The same voice in a recording of which so many seconds were not listened to."""
        spans = [tuple((a + seconds, b + seconds) for a, b in times) for times in (self.speaks, self.alone)]
        return replace(self, speaks=spans[0], alone=spans[1])

    @property
    def known(self) -> bool:
        """Whether it is similar enough to be taken for the stored voice."""
        return self.likeness is not None and self.likeness >= RESEMBLES

    @property
    def clear(self) -> bool:
        """Whether it says enough alone to be followed."""
        return self.alone_s >= LEAST_ALONE_S


def discover(
    audio: Waveform,
    embedder: SpeakerEmbedder,
    stored: Sequence[Enrolment] = (),
    options: DiarisationOptions | None = None,
    segmenter: Segmenter | None = None,
) -> list[Found]:
    """The voices in a recording, in the order in which they first speak, matched to stored ones one to one.

    Args:
        audio: 16 kHz mono float32, at least 0.1 s; an hour is fine.
        embedder: the one that `stored` was enrolled with; voices of another one are passed over.
        options: how talkers are told apart, and how many there are at least and at most.

    Raises as `diarise` does.
    """
    diarised = diarise(audio, embedder, options, segmenter)
    clean = diarised.alone
    found = [_found(number, audio, embedder, diarised, clean[number]) for number in range(len(diarised.voices))]
    usable = [voice for voice in stored if voice.embedder == embedder.name]
    for one, other, likeness in matches([one.voice for one in found], usable):
        found[one] = replace(found[one], resembles=usable[other].name, likeness=round(likeness, 3))
    return found


def talkers(audio: Waveform, embedder: SpeakerEmbedder) -> list[Enrolment]:
    """Everybody in a recording as a voice to be followed, in the order in which they first speak.

    Each has a clip, which prompts may ask for: where a voice says less than a second alone, of all that it says.
    Arguments and errors: see `discover`.
    """
    return [
        one.voice if one.alone_s >= _LEAST_CLIP_S else replace(one.voice, clip=_joined(audio, _longest(_frames(one))))
        for one in discover(audio, embedder)
    ]


def _frames(found: Found) -> list[tuple[int, int]]:
    """Where a voice speaks, in frames."""
    return [(round(start_s * FRAME_RATE_HZ), round(end_s * FRAME_RATE_HZ)) for start_s, end_s in found.speaks]


def followed(found: Sequence[Found], stored: Sequence[Enrolment], known_only: bool = False) -> list[Enrolment]:
    """Whose words can be written down: the stored voices that are there, and (unless `known_only`) strangers.

    A stranger says enough alone, and resembles nobody who is there already: one talker may have been found twice.
    """
    by_name = {voice.name: voice for voice in stored}
    present = [by_name[str(one.resembles)] for one in found if one.known]
    for one in found:
        alike = [float(voice.vector @ one.voice.vector) for voice in present]
        if not (known_only or one.known) and one.clear and max(alike, default=-1.0) < RESEMBLES:
            present.append(one.voice)
    return present


def learned(found: Found, name: str, embedder: SpeakerEmbedder, recording: str, created: str = "") -> Enrolment:
    """A voice to keep, from what it says alone; its source says where that is.

    Raises EnrolmentError where that is too little, or still sounds like two voices.
    """
    if found.voice.clip is None or not found.clear:
        raise EnrolmentError(
            f"'{found.voice.name}' says {found.alone_s:.1f} s alone in '{recording}', expected at least "
            f"{LEAST_ALONE_S:g} s: enrol '{name}' from another recording"
        )
    start_s, end_s = found.alone[0][0], found.alone[-1][1]
    taken_s = len(found.voice.clip) / SAMPLE_RATE_HZ
    source = f"{recording} ({taken_s:.1f} s that it says alone from {start_s:.1f} to {end_s:.1f} s)"
    return enrol(name, [Clip(found.voice.clip, name=source)], embedder, created=created)


def _found(
    number: int, audio: Waveform, embedder: SpeakerEmbedder, diarised: Diarisation, clean: Bool[np.ndarray, " frames"]
) -> Found:
    kept = _longest(runs_of(clean))
    clip = _joined(audio, kept)
    enough = len(clip) >= LEAST_ALONE_S * SAMPLE_RATE_HZ
    vector = embedder.embed(clip) if enough else diarised.voices[number]
    alone_s = float(clean.sum()) / FRAME_RATE_HZ
    voice = Enrolment(f"Speaker {number + 1}", embedder.name, vector, alone_s, "", (), (), clip if len(clip) else None)
    return Found(voice, _spans(runs_of(diarised.speaks[number])), _spans(kept), alone_s)


def _longest(runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest of some stretches of frames, up to half a minute together, in the order of the recording."""
    kept: list[tuple[int, int]] = []
    for begin, end in sorted(runs, key=lambda run: run[0] - run[1]):
        room = round(LONGEST_CLIP_S * FRAME_RATE_HZ) - sum(b - a for a, b in kept)
        if room >= SHORTEST_ALONE:
            kept.append((begin, min(end, begin + room)))
    return sorted(kept)


def _joined(audio: Waveform, runs: Sequence[tuple[int, int]]) -> Float32[np.ndarray, " _"]:
    """The sound of some stretches of frames, one after the other."""
    return np.concatenate([np.zeros(0, np.float32), *(audio[a * _FRAME : b * _FRAME] for a, b in runs)])


def matches(found: Sequence[Enrolment], stored: Sequence[Enrolment]) -> list[tuple[int, int, float]]:
    """Pairs of a found and a stored voice with their cosine, the most similar first, each voice once."""
    if not found or not stored:
        return []
    cosines: Float32[np.ndarray, "K L"] = (
        np.stack([voice.vector for voice in found]) @ np.stack([voice.vector for voice in stored]).T
    )
    pairs = []
    for _ in range(min(cosines.shape)):
        one, other = np.unravel_index(int(cosines.argmax()), cosines.shape)
        pairs.append((int(one), int(other), float(cosines[one, other])))
        cosines[one], cosines[:, other] = -2.0, -2.0
    return pairs


def _spans(runs: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    return tuple((begin / FRAME_RATE_HZ, end / FRAME_RATE_HZ) for begin, end in runs)
