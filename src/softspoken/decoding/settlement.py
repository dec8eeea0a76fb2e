"""Words that two voices both claim go to the one for whom they are likelier.

A prompt follows one voice and knows nothing of the others that are followed through the same recording. Where two of
them wrote the same words at the same time, one has heard the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from softspoken.decoding.result import Segment, Word, joined

Said = tuple[Word, tuple[int, int]]
"""A word, and where it stands: segment and word."""
FEWEST_LETTERS = 4
"""Two people may well say the same short word at once."""


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
