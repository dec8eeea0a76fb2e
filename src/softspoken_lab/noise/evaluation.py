"""Recognisers of noisy speech on test sets: word error rates with intervals, and paired differences to the first one.

Utterances made of one clean recording stand or fall together: they are resampled as one (cluster bootstrap by source),
since the same words in seven noises are not seven samples of speech. Or all of a talker do, where other talkers matter.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from softspoken.errors import DataError, SoftspokenError
from softspoken.files import replace_text
from softspoken.scoring.word_errors import (
    Difference,
    Interval,
    Score,
    UtteranceScore,
    paired_difference,
    score_utterance,
    summarize,
)
from softspoken_lab.noise.testsets import TestUtterance

Transcribe = Callable[[list[Path]], list[str]]
"""Files to their words, in order."""
By = Literal["set", "type", "snr"]
"""What a row of the table is: a whole set, or its utterances in one kind of noise, or at one level."""
Together = Literal["recording", "talker"]
"""What is resampled as one: all that was made of one clean recording, or all that one talker says."""
Report = Callable[[str, int, int], None]
"""Told which system has done how many utterances, of how many."""

_CHUNK = 64
"""Utterances handed over at once, neighbours in length."""
CLEAN = "clean"
"""What the condition without noise is called."""


@dataclass(frozen=True)
class Written:
    """What one system wrote for one utterance of a set."""

    system: str
    set: str
    utterance: TestUtterance
    hypothesis: str
    score: UtteranceScore

    @property
    def source(self) -> str:
        """The clean recording that the utterance was made of."""
        return self.utterance.id if self.utterance.source_id is None else self.utterance.source_id

    def cluster(self, together: Together) -> str:
        """What it stands or falls with."""
        return self.utterance.speaker if together == "talker" else self.source


@dataclass(frozen=True)
class Row:
    """One system under one condition."""

    set: str
    condition: str | None
    """A kind of noise, or a level such as '5 dB'; None: all of the set."""
    system: str
    utterances: int
    sources: int
    """Clean recordings they were made of, or talkers: what is resampled."""
    score: Score
    difference: Difference | None
    """WER less that of the first system, on the same utterances; None for the first."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        interval = self.score.wer_interval
        found: dict[str, Any] = {
            "set": self.set,
            "condition": self.condition,
            "system": self.system,
            "wer": self.score.wer,
            "wer_low": None if interval is None else interval.low,
            "wer_high": None if interval is None else interval.high,
            "substitutions": self.score.substitutions,
            "deletions": self.score.deletions,
            "insertions": self.score.insertions,
            "words": self.score.words,
            "utterances": self.utterances,
            "sources": self.sources,
        }
        if self.difference is not None:
            found["difference"] = _difference_dict(self.difference.wer, self.difference.interval)
        return found


def _difference_dict(wer: float, interval: Interval) -> dict[str, float]:
    return {"wer": wer, "wer_low": interval.low, "wer_high": interval.high}


def write_sets(
    systems: Mapping[str, Transcribe],
    sets: Mapping[str, Sequence[TestUtterance]],
    normalize: Callable[[str], str],
    report: Report | None = None,
) -> list[Written]:
    """Let every system write every utterance, and count the word errors.

    `normalize`: what is done to references and transcripts before they are compared. Raises DataError for no
    utterances or two with one id, and the system's own errors with the set's name.
    """
    total = sum(len(utterances) for utterances in sets.values())
    for name, utterances in sets.items():
        if len({utterance.id for utterance in utterances}) < len(utterances) or not utterances:
            raise DataError(f"set '{name}' is empty or has two utterances of one id; give every utterance its own")
    found = []
    for system, transcribe in systems.items():
        done = 0
        for name, utterances in sets.items():
            # Neighbours in length make full batches; the result keeps the set's order.
            order = sorted(range(len(utterances)), key=lambda index: -(utterances[index].duration_s or 0.0))
            texts = [""] * len(utterances)
            for start in range(0, len(order), _CHUNK):
                chunk = order[start : start + _CHUNK]
                try:
                    written = transcribe([utterances[index].path for index in chunk])
                except SoftspokenError as error:
                    raise type(error)(f"set '{name}': {error}") from error
                for index, text in zip(chunk, written, strict=True):
                    texts[index] = text
                done += len(chunk)
                if report is not None:
                    report(system, done, total)
            found += [
                Written(system, name, utterance, text, score_utterance(utterance.text, text, normalize))
                for utterance, text in zip(utterances, texts, strict=True)
            ]
    return found


def table(written: Sequence[Written], by: By = "set", together: Together = "recording") -> list[Row]:
    """Rows by set, condition and system, each but the first system's with its paired difference to that."""
    grouped: dict[tuple[str, str | None], dict[str, list[Written]]] = defaultdict(lambda: defaultdict(list))
    for one in written:
        grouped[one.set, _condition(one.utterance, by)][one.system].append(one)
    sets = list(dict.fromkeys(one.set for one in written))
    rows = []
    for name, condition in sorted(grouped, key=lambda key: (sets.index(key[0]), _place(key[1], by))):
        systems = grouped[name, condition]
        first = next(iter(systems.values()))
        for system, some in systems.items():
            scores = summed(some, together)
            score = summarize(scores)
            against = None if some is first or not score.words else paired_difference(scores, summed(first, together))
            rows.append(Row(name, condition, system, len(some), len(scores), score, against))
    return rows


def summed(written: Sequence[Written], together: Together = "recording") -> list[UtteranceScore]:
    """Errors and words of what stands or falls together, in the order of the recordings' or talkers' names."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one in written:
        score = one.score
        counts = (score.substitutions, score.deletions, score.insertions, score.words)
        name = one.cluster(together)
        sums[name] = [sum(pair) for pair in zip(sums[name], counts, strict=True)]
    return [
        UtteranceScore(substitutions, deletions, insertions, words)
        for _, (substitutions, deletions, insertions, words) in sorted(sums.items())
    ]


def write_results(written: Sequence[Written], path: str | Path) -> None:
    """One JSON line an utterance and system, with what was written; the file appears whole.

    Raises DataError when it cannot be written.
    """
    target = Path(path)
    lines = [
        {
            "system": one.system,
            "set": one.set,
            "id": one.utterance.id,
            "source": one.source,
            "noise_type": one.utterance.noise_type,
            "snr_db": one.utterance.snr_db,
            "reference": one.utterance.text,
            "hypothesis": one.hypothesis,
            **{key: value for key, value in asdict(one.score).items() if key not in ("silent", "wrote")},
        }
        for one in written
    ]
    try:
        replace_text(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines))
    except OSError as error:
        raise DataError(f"cannot write results to '{target}' ({error.strerror}); choose a writable place") from error


def _condition(utterance: TestUtterance, by: By) -> str | None:
    if by == "set":
        return None
    if by == "type":
        return CLEAN if utterance.noise_type is None else utterance.noise_type
    return CLEAN if utterance.snr_db is None else f"{utterance.snr_db:g} dB"


def _place(condition: str | None, by: By) -> tuple[float, str]:
    """Clean first; levels from the quietest noise on, kinds by name."""
    if condition is None or condition == CLEAN:
        return (-float("inf"), "")
    return (-float(condition.removesuffix(" dB")), "") if by == "snr" else (0.0, condition)
