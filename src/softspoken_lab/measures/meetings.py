"""Scores of transcribed conversations: meeteval compares the words, pyannote.metrics who speaks when.

cpWER (Watanabe et al. 2020): each voice's words joined, the names matched so that the errors are fewest. tcpWER
(von Neumann et al. 2023): the same, but a word counts only within 5 s of where it is said; without times of words they
are spread over their segment by their letters. DER: NIST's, with 0.25 s around each boundary left out, overlap counted.
Words under a wrong name are wrong words of one voice that align with what another one says there.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from softspoken.errors import DataError, MissingExtra
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import Difference, Score, UtteranceScore, paired_difference, summarize

COLLAR_S = 5.0
DER_COLLAR_S = 0.25
_NEAR_S = 2.0
"""Of what another voice says."""
Turns = dict[str, list[tuple[float, float]]]
"""When each voice speaks, in seconds."""


@dataclass(frozen=True)
class Said:
    """A stretch of words of one voice, or a word."""

    speaker: str
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class MeetingScore:
    """One system on one conversation."""

    cp: UtteranceScore
    tcp: UtteranceScore
    written: int
    """Words under the name of somebody who is there."""
    misnamed: int
    """Of these, words that somebody else says there."""
    absent: int
    """Words under the names of voices that are not there."""


@dataclass(frozen=True)
class DerScore:
    """Seconds of speech, and of each kind of error."""

    speech_s: float
    missed_s: float
    false_s: float
    confused_s: float

    @property
    def rate(self) -> float:
        """Diarisation error rate."""
        return (self.missed_s + self.false_s + self.confused_s) / self.speech_s

    def __add__(self, other: "DerScore") -> "DerScore":
        return DerScore(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def score_meeting(
    reference: Sequence[Said], written: Sequence[Said], normalize: TextNormalizer, absent: Iterable[str] = ()
) -> MeetingScore:
    """Compare what is written with what is said. `absent`: names that nobody answers to; their words only count there.

    Raises DataError without reference words.
    """
    try:
        from meeteval.io import SegLST
        from meeteval.wer import cp_word_error_rate
        from meeteval.wer.wer.time_constrained import tcp_word_error_rate
    except ImportError as error:
        raise MissingExtra("meeteval", "eval", "scores of conversations") from error
    not_there = set(absent)
    expected = _rows(reference, normalize)
    heard = _rows([one for one in written if one.speaker not in not_there], normalize)
    if not expected:
        raise DataError("no reference words in a conversation; look at its reference.seglst.json")
    cp = cp_word_error_rate(SegLST(expected), SegLST(heard))
    tcp = tcp_word_error_rate(SegLST(expected), SegLST(heard), collar=COLLAR_S)
    names = {theirs: ours for ours, theirs in tcp.assignment if theirs is not None}
    misnamed = _misnamed(expected, heard, names)
    others = _rows([one for one in written if one.speaker in not_there], normalize)
    return MeetingScore(_score(cp), _score(tcp), _count(heard), misnamed, _count(others))


def _rows(said: Sequence[Said], normalize: TextNormalizer) -> list[dict[str, Any]]:
    rows = [
        {"session_id": "", "speaker": one.speaker, "start_time": one.start_s, "end_time": one.end_s}
        | {"words": normalize(one.text)}
        for one in sorted(said, key=lambda one: one.start_s)
    ]
    return [row for row in rows if row["words"]]


def _count(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(row["words"].split()) for row in rows)


def _score(found: Any) -> UtteranceScore:
    return UtteranceScore(found.substitutions, found.deletions, found.insertions, found.length)


def _misnamed(
    expected: Sequence[dict[str, Any]], heard: Sequence[dict[str, Any]], names: Mapping[str, str | None]
) -> int:
    """Words that are wrong for the voice whose name they have, and right there for another one."""
    said, found = _by_speaker(expected), _by_speaker(heard)
    count = 0
    for name, own in found.items():
        wrong = [
            mine
            for theirs, mine in _aligned(said.get(names.get(name) or "", []), own)
            if mine is not None and (theirs is None or theirs["words"] != mine["words"])
        ]
        taken: set[tuple[float, str]] = set()
        for other, rows in said.items():
            if other != names.get(name) and wrong:
                taken |= {
                    (mine["start_time"], mine["words"])
                    for theirs, mine in _aligned(rows, wrong, _NEAR_S)
                    if theirs is not None and mine is not None and theirs["words"] == mine["words"]
                }
        count += len(taken)
    return count


def _by_speaker(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["speaker"]].append(row)
    return found


def _aligned(
    expected: Sequence[dict[str, Any]], heard: Sequence[dict[str, Any]], collar_s: float = COLLAR_S
) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    from meeteval.io import SegLST
    from meeteval.wer.wer.time_constrained import align

    if not expected:
        return [(None, row) for row in _words(heard)]
    aligned: list[tuple[Any, Any]] = align(SegLST(list(expected)), SegLST(list(heard)), collar=collar_s, style="seglst")
    return aligned


def _words(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"words": word} for row in rows for word in row["words"].split()]


def read_seglst(path: Path) -> dict[str, list[Said]]:
    """The words of each session. Raises DataError for a file that is missing or no SegLST."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found: dict[str, list[Said]] = defaultdict(list)
        for row in rows:
            one = Said(str(row["speaker"]), float(row["start_time"]), float(row["end_time"]), str(row["words"]))
            found[str(row["session_id"])].append(one)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{path}' is no SegLST ({error}); expected session_id, speaker, start_time, end_time, words"
        ) from error
    return dict(found)


def read_rttm(path: Path) -> dict[str, Turns]:
    """Who speaks when in each session. Raises DataError for a file that is missing or no RTTM."""
    found: dict[str, Turns] = defaultdict(lambda: defaultdict(list))
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, session, _, start_s, length_s, _, _, speaker, *_ = line.split()
            if kind == "SPEAKER":
                found[session][speaker].append((float(start_s), float(start_s) + float(length_s)))
    except (OSError, ValueError) as error:
        raise DataError(
            f"'{path}' is no RTTM ({error}); expected lines 'SPEAKER session 1 start length ...'"
        ) from error
    return {session: dict(turns) for session, turns in found.items()}


def der(expected: Turns, found: Turns) -> DerScore:
    """Diarisation error of one conversation. Raises MissingExtra where pyannote.metrics is not installed."""
    try:
        from pyannote.core import Annotation, Segment, Timeline
        from pyannote.metrics.diarization import DiarizationErrorRate
    except ImportError as error:
        raise MissingExtra("pyannote.metrics", "lab", "diarisation error rates") from error
    sides = [Annotation(), Annotation()]
    for side, turns in zip(sides, (expected, found), strict=True):
        for name, spans in turns.items():
            for number, span in enumerate(spans):
                side[Segment(*span), f"{name} {number}"] = name
    end_s = max((stop_s for turns in (expected, found) for spans in turns.values() for _, stop_s in spans), default=0.0)
    # Its collar is the whole stretch around a boundary.
    metric = DiarizationErrorRate(collar=2 * DER_COLLAR_S)
    scored = metric(*sides, uem=Timeline([Segment(0.0, end_s)]), detailed=True)
    return DerScore(*(float(scored[part]) for part in ("total", "missed detection", "false alarm", "confusion")))


@dataclass(frozen=True)
class Summary:
    """One system on a set of conversations. Intervals are over conversations."""

    system: str
    conversations: int
    cp: Score
    tcp: Score
    cp_difference: Difference | None
    """To the system that all are compared with, paired."""
    tcp_difference: Difference | None
    misnamed_per_100: float
    """Of the words written under the names of those who are there."""
    absent_words: int
    hours: float
    """Of conversation."""
    der: DerScore | None
    voices: tuple[tuple[int, int], ...]
    """How many voices each conversation has, and how many were found; empty where the system looks for none."""
    cpu_s_per_minute: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return asdict(self) | {"der": None if self.der is None else asdict(self.der) | {"rate": self.der.rate}}


@dataclass(frozen=True)
class Scored:
    """One system on one conversation, with the processor time that it took."""

    words: MeetingScore
    der: DerScore | None
    voices: tuple[int, int] | None
    cpu_s: float
    duration_s: float


def summarize_meetings(system: str, scored: Sequence[Scored], against: Sequence[Scored] | None) -> Summary:
    """One line of a table. `against`: the same conversations by the system to compare with."""
    cp, tcp = [one.words.cp for one in scored], [one.words.tcp for one in scored]
    cp_less = None if against is None else paired_difference(cp, [one.words.cp for one in against])
    tcp_less = None if against is None else paired_difference(tcp, [one.words.tcp for one in against])
    ders = [one.der for one in scored if one.der is not None]
    duration_s = sum(one.duration_s for one in scored)
    return Summary(
        system,
        len(scored),
        summarize(cp),
        summarize(tcp),
        cp_less,
        tcp_less,
        100 * sum(one.words.misnamed for one in scored) / max(sum(one.words.written for one in scored), 1),
        sum(one.words.absent for one in scored),
        duration_s / 3600,
        sum(ders[1:], ders[0]) if ders else None,
        tuple(one.voices for one in scored if one.voices is not None),
        60 * sum(one.cpu_s for one in scored) / duration_s,
    )
