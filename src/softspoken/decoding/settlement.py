"""Whose words are kept.

Of two voices that claim the same words: the one's for whom they are likelier. A prompt follows one voice and knows
nothing of the others that are followed through the same recording; where two of them wrote the same words at the same
time, one has heard the other.

Of a voice that is not in the recording: none. Every window is another chance for somebody else to sound like it, so
that in a long recording a voice must show that it is there: once, in 2.4 s of it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from softspoken.decoding.options import FOLLOWED_S
from softspoken.decoding.result import Segment, VoiceWindow, Word, joined

Said = tuple[Word, tuple[int, int]]
"""A word, and where it stands: segment and word."""
FEWEST_LETTERS = 4
"""Two people may well say the same short word at once."""
VERIFIED = 0.55
"""A voice with such a likeness anywhere in a recording is there, however long it is."""


def needed_likeness(heard_s: float) -> float:
    """The highest likeness (`WindowEvidence.likeness`) that a voice must have had in so many seconds to be there.

    One window has its own silence model. From two windows on it grows by 0.1 with each doubling, up to `VERIFIED` in
    four minutes: at any length development conversations lose under 0.4 % of the words of voices that are there.
    """
    windows = heard_s / FOLLOWED_S
    return -1.0 if windows <= 1.0 else min(VERIFIED, 0.15 + 0.1 * math.log2(windows))


class Verification:
    """Passes on what some voices say, in order. The words of a voice that may not be there are held back until it is
    sure that it is, or the recording is over."""

    def __init__(self, voices: int, insist: bool = False) -> None:
        """`insist`: everybody is there."""
        self._highest = [1.0 if insist else -1.0] * voices
        self._held: list[list[Segment]] = [[] for _ in range(voices)]

    def passed(self, window: Sequence[VoiceWindow]) -> list[tuple[Segment, ...]]:
        """By voice, what can be told now that another window is done."""
        return [self._told(voice, said) for voice, said in enumerate(window)]

    def rest(self, heard_s: float) -> list[tuple[Segment, ...]]:
        """By voice, what was held back and is told after all, for the recording was so short."""
        needed = needed_likeness(heard_s)
        return [
            tuple(held) if highest >= needed else () for held, highest in zip(self._held, self._highest, strict=True)
        ]

    def _told(self, voice: int, said: VoiceWindow) -> tuple[Segment, ...]:
        held = self._held[voice]
        held += said.segments
        if said.evidence is not None:
            self._highest[voice] = max(self._highest[voice], said.evidence.likeness)
            if self._highest[voice] < VERIFIED:
                return ()
        told = tuple(held)
        held.clear()
        return told


def settled(said: Sequence[Sequence[Segment]], language: str | None = None) -> list[tuple[Segment, ...]]:
    """What some voices said at the same time, without the words that were another's.

    `said`: segments with their words, by voice.
    """
    lost: list[set[tuple[int, int]]] = [set() for _ in said]
    for pair in combinations(range(len(said)), 2):
        for phrase in _shared(*(_words(said[voice]) for voice in pair)):
            evidence = [np.mean([np.log(max(word.probability, 1e-4)) for word, _ in side]) for side in phrase]
            loser = int(evidence[0] >= evidence[1])
            lost[pair[loser]] |= {place for _, place in phrase[loser]}
    return [_without(segments, gone, language) for segments, gone in zip(said, lost, strict=True)]


def _words(segments: Sequence[Segment]) -> list[Said]:
    return [(word, (at, number)) for at, one in enumerate(segments) for number, word in enumerate(one.words)]


def _shared(one: Sequence[Said], other: Sequence[Said]) -> Iterator[tuple[list[Said], list[Said]]]:
    """Phrases that both wrote at the same time, word for word."""
    first = 0
    while first < len(one):
        size = max((_common(one[first:], other[second:]) for second in range(len(other))), default=0)
        second = next((at for at in range(len(other)) if _common(one[first:], other[at:]) == size), 0)
        if sum(len(_bare(word)) for word, _ in one[first : first + size]) >= FEWEST_LETTERS:
            yield list(one[first : first + size]), list(other[second : second + size])
        first += max(size, 1)


def _common(one: Sequence[Said], other: Sequence[Said]) -> int:
    """How many words from the beginning are the same at the same time."""
    size = 0
    for (mine, _), (yours, _) in zip(one, other, strict=False):
        if _bare(mine) != _bare(yours) or mine.start_s >= yours.end_s or yours.start_s >= mine.end_s:
            break
        size += 1
    return size


def _bare(word: Word) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(sign for sign in word.text.lower() if sign.isalnum())


def _without(segments: Sequence[Segment], lost: set[tuple[int, int]], language: str | None) -> tuple[Segment, ...]:
    """The segments without some of their words; one that has none left goes."""
    found: list[Segment] = []
    for at, segment in enumerate(segments):
        words = tuple(word for number, word in enumerate(segment.words) if (at, number) not in lost)
        if len(words) == len(segment.words):
            found.append(segment)
        elif words:
            text = joined([word.text for word in words], language)
            start_s, end_s = words[0].start_s, words[-1].end_s
            # The tokens were those of the whole text.
            found.append(replace(segment, start_s=start_s, end_s=end_s, text=text, words=words, tokens=()))
    return tuple(found)
