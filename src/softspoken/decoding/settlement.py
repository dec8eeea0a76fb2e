"""Words that two voices both claim go to the one for whom they are likelier.

A prompt follows one voice at a time and knows nothing of the others that are followed through the same recording. Where
two of them wrote the same words at the same time, one has heard the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float32

from softspoken.backbones.features import FRAME_RATE_HZ
from softspoken.decoding.result import Segment, Word, joined

Place = tuple[int, int]
"""Segment and word."""
FEWEST_LETTERS = 6
"""Two people may well say the same short word at once."""
APART_S = 0.3
"""The same word at the same time: the middles are no further apart, or the times overlap."""
LIKENESS = 4.0
"""What a cosine of 1 counts against a log-probability of 1, chosen on development talkers."""


def settled(
    said: Sequence[Sequence[Segment]],
    scores: Float32[np.ndarray, "K frames"],
    offset_s: float,
    language: str | None = None,
) -> list[tuple[Segment, ...]]:
    """What K voices said in one window, without the words that were another's.

    Args:
        said: segments with their words, by voice.
        scores: how much each frame of 20 ms sounds like each voice (cosine).
        offset_s: where the window begins.
    """
    lost: list[set[Place]] = [set() for _ in said]
    for one, other in combinations(range(len(said)), 2):
        for phrase in _shared(_words(said[one]), _words(said[other])):
            evidence = [
                _evidence([word for word, _ in side], scores[voice], offset_s)
                for voice, side in ((one, [pair[0] for pair in phrase]), (other, [pair[1] for pair in phrase]))
            ]
            loser, side = (other, 1) if evidence[0] >= evidence[1] else (one, 0)
            lost[loser] |= {pair[side][1] for pair in phrase}
    return [_without(segments, gone, language) for segments, gone in zip(said, lost, strict=True)]


Said = tuple[Word, Place]


def _words(segments: Sequence[Segment]) -> list[Said]:
    return [(word, (at, number)) for at, one in enumerate(segments) for number, word in enumerate(one.words)]


def _shared(one: Sequence[Said], other: Sequence[Said]) -> Iterator[list[tuple[Said, Said]]]:
    """Phrases that both wrote at the same time, word for word."""
    used: set[int] = set()
    for first in range(len(one)):
        for second in range(len(other)):
            phrase: list[tuple[Said, Said]] = []
            while (
                first + len(phrase) < len(one)
                and second + len(phrase) < len(other)
                and first + len(phrase) not in used
                and _same(one[first + len(phrase)][0], other[second + len(phrase)][0])
            ):
                phrase.append((one[first + len(phrase)], other[second + len(phrase)]))
            if sum(len(bare(said.text)) for (said, _), _ in phrase) >= FEWEST_LETTERS:
                used |= set(range(first, first + len(phrase)))
                yield phrase


def bare(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(sign for sign in text.lower() if sign.isalnum())


def _same(one: Word, other: Word) -> bool:
    if bare(one.text) != bare(other.text):
        return False
    apart = abs(one.start_s + one.end_s - other.start_s - other.end_s) / 2
    return apart <= APART_S or (one.start_s < other.end_s and other.start_s < one.end_s)


def _evidence(words: Sequence[Word], scores: Float32[np.ndarray, " frames"], offset_s: float) -> float:
    """How surely a voice said these words: their mean log-probability, and how much the sound is like it."""
    logprob = float(np.mean([np.log(max(word.probability, 1e-4)) for word in words]))
    first, last = (round((seconds - offset_s) * FRAME_RATE_HZ) for seconds in (words[0].start_s, words[-1].end_s))
    heard = scores[max(first, 0) : max(last, first + 1)]
    return logprob + LIKENESS * (float(heard.mean()) if heard.size else 0.0)


def _without(segments: Sequence[Segment], lost: set[Place], language: str | None) -> tuple[Segment, ...]:
    """The segments without some of their words; one that has none left goes."""
    found: list[Segment] = []
    for at, segment in enumerate(segments):
        words = tuple(word for number, word in enumerate(segment.words) if (at, number) not in lost)
        if len(words) == len(segment.words):
            found.append(segment)
        elif words:
            text = joined([word.text for word in words], language)
            spoken = replace(segment, start_s=words[0].start_s, end_s=words[-1].end_s, text=text, words=words)
            found.append(replace(spoken, tokens=()))
    return tuple(found)
