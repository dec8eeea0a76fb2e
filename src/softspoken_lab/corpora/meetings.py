"""Long recordings of several talkers: where to cut them, who is a target where, who can be enrolled with what."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softspoken_lab.corpora.mixture_corpus import CorpusMixture, MixtureOptions, Part, Target
from softspoken_lab.corpora.references import Said, Span
from softspoken_lab.corpora.stretches import ENROLMENT_S, EnrolmentLists, Stretch, require_rate, seconds_of

LONGEST_GROUP_S = 30.0
"""Whisper's window."""
LONGEST_PAUSE_S = 2.0
"""A longer pause ends a stretch."""
SHORTEST_CUT_S = 0.2
"""Pauses from here on can be cut at."""
SHORTEST_ENROLMENT_S = 1.0
"""What is shorter ('yeah', 'okay') does not enrol."""
_ROUNDING_S = 0.02
_FRAMES_PER_S = 100
CROSSING = "whose words go on behind the stretch"


@dataclass(frozen=True)
class Meeting:
    """A recording, and all that is said in it, by the time."""

    id: str
    path: Path
    duration_s: float
    said: tuple[Said, ...]
    one_channel: bool
    rate_hz: int

    def stretch(self, start_s: float, end_s: float, text: str = "") -> Stretch:
        """A part of its first channel."""
        whole = self.one_channel and start_s <= 0 and end_s >= self.duration_s
        return Stretch(self.id, self.path, end_s - start_s, start_s, text=text, whole=whole)

    def overlap(self, start_s: float, end_s: float) -> float:
        """The share of the time in which somebody speaks that several do."""
        count = np.zeros(max(round((end_s - start_s) * _FRAMES_PER_S), 1), dtype=int)
        for talker in {one.talker for one in self.said}:
            speaks = np.zeros(len(count), dtype=bool)
            for one in self.said:
                if one.talker == talker and one.start_s < end_s and start_s < one.end_s:
                    first, last = (round((at - start_s) * _FRAMES_PER_S) for at in (one.start_s, one.end_s))
                    speaks[max(first, 0) : max(last, 0)] = True
            count += speaks
        return float((count > 1).sum() / max((count > 0).sum(), 1))


def groups(meeting: Meeting) -> list[Span]:
    """Stretches that begin and end where nobody speaks, as long as they can be up to 30 s.

    Where nobody is silent for 0.2 s at once for longer than that, a stretch is as long as it has to be.
    """
    runs: list[Span] = []
    for one in sorted(meeting.said, key=lambda one: one.start_s):
        if runs and one.start_s - runs[-1][1] < SHORTEST_CUT_S:
            runs[-1] = (runs[-1][0], max(runs[-1][1], one.end_s))
        else:
            runs.append((one.start_s, one.end_s))
    joined: list[Span] = []
    for start_s, end_s in runs:
        near = joined and start_s - joined[-1][1] <= LONGEST_PAUSE_S
        if near and end_s - joined[-1][0] <= LONGEST_GROUP_S:
            joined[-1] = (joined[-1][0], end_s)
        else:
            joined.append((start_s, end_s))
    # Words' times are those of their sounds to a few hundredths of a second: leave half of the shortest pause around.
    around_s = SHORTEST_CUT_S / 2
    return [(max(start_s - around_s, 0.0), min(end_s + around_s, meeting.duration_s)) for start_s, end_s in joined]


def alone(meeting: Meeting) -> Iterator[tuple[str, Stretch]]:
    """Talker and stretch of what is said while nobody else speaks, where it is long enough to enrol with."""
    starts = np.array([one.start_s for one in meeting.said])
    ends = np.array([one.end_s for one in meeting.said])
    talkers = np.array([one.talker for one in meeting.said])
    for one in meeting.said:
        disturbed = ((starts < one.end_s) & (ends > one.start_s) & (talkers != one.talker)).any()
        if not disturbed and one.end_s - one.start_s >= SHORTEST_ENROLMENT_S:
            yield one.talker, meeting.stretch(one.start_s, min(one.end_s, meeting.duration_s), one.text)


def mixtures_of(
    part: Part,
    meetings: Sequence[Meeting],
    enrolling: Sequence[Meeting],
    spans_of: Callable[[Meeting], Sequence[Span]],
    whole: bool,
    options: MixtureOptions,
    tags: tuple[str, ...] = (),
) -> Iterator[CorpusMixture]:
    """Stretches of meetings (all of each if `whole`), and who says what in them.

    Talkers are enrolled from what they say alone in other meetings of `enrolling`; where that is under 15 s, also from
    elsewhere in the same meeting. Never with words that are said in the stretch: LibriCSS plays an utterance in
    several sessions. Silent targets are participants of the meeting who say nothing in the stretch, others only where
    there are none.
    """
    clips: dict[str, list[Stretch]] = {}
    for meeting in enrolling:
        for talker, stretch in alone(meeting):
            clips.setdefault(talker, []).append(stretch)
    lists = EnrolmentLists(clips, options.seed, apart=lambda stretch: stretch.recording)
    for meeting in meetings:
        require_rate(meeting.path, meeting.rate_hz)
        spans = [(0.0, meeting.duration_s)] if whole else spans_of(meeting)
        if whole:
            part.said[meeting.id] = meeting.said
        for number, (start_s, end_s) in enumerate(spans):
            heard = [one for one in meeting.said if one.start_s < end_s and start_s < one.end_s]
            targets = _targets(part, heard, start_s, end_s)
            stretch = meeting.stretch(start_s, end_s)
            talkers = tuple(sorted({one.talker for one in heard}))
            present = {one.talker for one in meeting.said}
            quiet = tuple(sorted(present.difference(talkers)))
            yield CorpusMixture(
                id=meeting.id if whole else f"{meeting.id}-{number:03d}",
                audio=meeting.path if stretch.whole else stretch,
                duration_s=stretch.duration_s,
                sources=(stretch,),
                targets=targets,
                talkers=talkers,
                absent=quiet if quiet else lists.talkers,
                enrol=_Elsewhere(lists, stretch, frozenset(one.text for one in heard)),
                tags=tags,
                facts={"overlap": round(meeting.overlap(start_s, end_s), 4)}
                | ({"session": meeting.id} if whole else {}),
            )


def _targets(part: Part, heard: Sequence[Said], start_s: float, end_s: float) -> tuple[Target, ...]:
    """Each talker with all they say, times from the stretch's beginning."""
    targets = []
    for talker in sorted({one.talker for one in heard}):
        own = [one for one in heard if one.talker == talker]
        if own[0].start_s < start_s - _ROUNDING_S or max(one.end_s for one in own) > end_s + _ROUNDING_S:
            part.left_out[CROSSING] += 1
            continue
        words = tuple(
            (word, round(max(first - start_s, 0.0), 3), round(max(last - start_s, 0.0), 3))
            for one in own
            for word, first, last in one.words
        )
        targets.append(Target(talker, " ".join(one.text for one in own), words=words))
    return tuple(targets)


class _Elsewhere:
    """Enrols talkers with what they say alone elsewhere."""

    def __init__(self, lists: EnrolmentLists, stretch: Stretch, texts: frozenset[str]) -> None:
        self._lists, self._stretch, self._texts = lists, stretch, texts

    def __call__(self, talker: str, item: str) -> tuple[Stretch, ...]:
        other_meetings = self._lists.pick(talker, item, self._is_of_another_meeting)
        if seconds_of(other_meetings) >= ENROLMENT_S:
            return other_meetings
        anywhere = self._lists.pick(talker, item, self._is_elsewhere)
        return max(other_meetings, anywhere, key=seconds_of)

    def _is_of_another_meeting(self, clip: Stretch) -> bool:
        return clip.recording != self._stretch.recording and clip.text not in self._texts

    def _is_elsewhere(self, clip: Stretch) -> bool:
        return not clip.overlaps(self._stretch) and clip.text not in self._texts
