"""Which talker of a recording is a known voice, and what the strangers are called."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, product
from string import ascii_uppercase

import numpy as np

from softspoken.speakers import Enrolment


def named(talkers: Sequence[Enrolment], known: Sequence[Enrolment], threshold: float) -> list[Enrolment]:
    """The talkers by name, each to be followed: known voices for those that are alike by `threshold` (cosine) or more,
    the surest pairs first and nobody twice; the others as they are, called A, B, ... in the order given."""
    matches = match(talkers, known, threshold)
    letters = _letters({voice.name for voice in known})
    return [
        known[matches[index]] if index in matches else replace(talker, name=next(letters))
        for index, talker in enumerate(talkers)
    ]


def match(talkers: Sequence[Enrolment], known: Sequence[Enrolment], threshold: float) -> dict[int, int]:
    """Talker to known voice, one to one."""
    if not talkers or not known:
        return {}
    cosines = np.stack([talker.vector for talker in talkers]) @ np.stack([voice.vector for voice in known]).T
    found: dict[int, int] = {}
    for pair in np.argsort(-cosines, axis=None, kind="stable"):
        talker, voice = divmod(int(pair), len(known))
        if cosines[talker, voice] < threshold:
            break
        if talker not in found and voice not in found.values():
            found[talker] = voice
    return found


def _letters(taken: set[str]) -> Iterator[str]:
    for size in count(1):
        for letters in product(ascii_uppercase, repeat=size):
            if (name := "".join(letters)) not in taken:
                yield name
