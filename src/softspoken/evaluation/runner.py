"""One runner for all systems: a method turns an item into text, a result is what it wrote and its scores."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.audio import load_audio
from softspoken.decoding.result import Transcript
from softspoken.errors import AudioError, DataError, EnrolmentError
from softspoken.evaluation.cascade import CascadeOptions, Options, target_audio
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.stage_cache import KeptAnswers
from softspoken.files import write_text
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import (
    Difference,
    Score,
    UtteranceScore,
    paired_difference,
    score_utterance,
    summarize,
)
from softspoken.speakers import SpeakerEmbedder

logger = logging.getLogger(__name__)

Waveform = Float[np.ndarray, " N"]
Transcribe = Callable[[Waveform], Transcript]
"""Plain transcription of audio at 16 kHz."""
TranscribeTarget = Callable[[Waveform, Waveform], Transcript]
"""What one talker says: of a recording and an enrolment clip, both at 16 kHz."""
NOTHING = Transcript(())


@dataclass(frozen=True)
class Method:
    """A system under test."""

    name: str
    transcribe: Callable[[EvaluationItem], Transcript]
    applies: Callable[[EvaluationItem], bool] = lambda item: True
    """Items it has an answer for; others are left out of its scores."""
    identity: Mapping[str, Any] | None = None
    """All that its answers depend on besides the item, as plain JSON values; None: not known, so that no answer may be
    kept for another day."""


@dataclass(frozen=True)
class ItemResult:
    """What a method wrote for one item."""

    id: str
    reference: str
    transcript: Transcript
    score: UtteranceScore
    seconds: float

    @property
    def hypothesis(self) -> str:
        """The words, on one line."""
        return self.transcript.text.strip()


@dataclass(frozen=True)
class MethodResult:
    """All a method wrote, its scores, and the wall-clock time it took (reading audio included)."""

    method: str
    items: tuple[ItemResult, ...]
    score: Score
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The row of the result table as plain numbers, for JSON; None is 'no such items'."""
        score, interval = self.score, self.score.wer_interval
        return {
            "method": self.method,
            "wer": score.wer,
            "wer_low": None if interval is None else interval.low,
            "wer_high": None if interval is None else interval.high,
            "utterance_mean_wer": score.utterance_mean_wer,
            "substitutions": score.substitutions,
            "deletions": score.deletions,
            "insertions": score.insertions,
            "words": score.words,
            "utterances": score.utterances,
            "rejection_rate": score.rejection_rate,
            "silent": score.silent,
            "insertions_when_silent": score.insertions_when_silent,
            "seconds": round(self.seconds, 3),
        }


def plain(transcribe: Transcribe) -> Method:
    """`none`: plain Whisper on the recording, which cannot know whose words are wanted.

    Its answer is the same for every voice, so a recording is transcribed (and its time counted) once.
    """
    known: dict[Path, Transcript] = {}

    def on_recording(item: EvaluationItem) -> Transcript:
        if item.audio not in known:
            known[item.audio] = transcribe(load_audio(item.audio))
        return known[item.audio]

    return Method("none", on_recording)


def clean(transcribe: Transcribe) -> Method:
    """`clean`: plain Whisper on the target alone, the floor. Items without "clean" (all silent ones) are left out."""

    def on_clean(item: EvaluationItem) -> Transcript:
        if item.clean is None:
            raise DataError(f"item '{item.id}' has no 'clean' recording; add it to the manifest or leave 'clean' out")
        return transcribe(load_audio(item.clean))

    return Method("clean", on_clean, applies=lambda item: item.clean is not None and not item.silent)


def cascade(
    embedder: SpeakerEmbedder, transcribe: Transcribe, options: Options | None = None, name: str = "cascade"
) -> Method:
    """`cascade` and `diarise`: find the target's stretches, then plain Whisper on them."""
    chosen = CascadeOptions() if options is None else options

    def on_stretches(item: EvaluationItem) -> Transcript:
        left = target_audio(load_audio(item.audio), load_audio(item.enrolment), embedder, chosen)
        return NOTHING if left is None else transcribe(left)

    return Method(name, on_stretches)


def prompted(name: str, transcribe: TranscribeTarget) -> Method:
    """A target-speaker model: it hears the recording and knows the voice."""
    return Method(name, lambda item: transcribe(load_audio(item.audio), load_audio(item.enrolment)))


def run_method(
    method: Method,
    items: Sequence[EvaluationItem],
    normalize: TextNormalizer,
    progress: Callable[[Sequence[EvaluationItem]], Iterable[EvaluationItem]] = iter,
    kept: KeptAnswers | None = None,
) -> MethodResult:
    """Transcribe and score every item the method applies to.

    `progress` is given the items that are to be transcribed, and may wrap them to show how far it is. `kept`: answers
    found there are not made again, and new ones are put there, each as soon as it is made; None, or a method without an
    identity: all are made now. Scores do not depend on that, and times are those of when an answer was made.

    Raises DataError when it applies to none.
    """
    chosen = [item for item in items if method.applies(item)]
    if not chosen:
        raise DataError(f"method '{method.name}' applies to none of the {len(items)} items; leave it out")
    answers: dict[str, tuple[Transcript, float]] = {}
    if kept is not None and method.identity is not None:
        found = {item.id: kept.find(method.name, method.identity, item) for item in chosen}
        answers = {name: answer for name, answer in found.items() if answer is not None}
    for item in progress([item for item in chosen if item.id not in answers]):
        start = time.perf_counter()
        transcript = _transcribed(method, item)
        seconds = time.perf_counter() - start
        answers[item.id] = (transcript, seconds)
        if kept is not None and method.identity is not None:
            kept.keep(method.name, method.identity, item, transcript, seconds)
    results = [_scored(item, *answers[item.id], normalize) for item in chosen]
    score = summarize([result.score for result in results])
    return MethodResult(method.name, tuple(results), score, sum(result.seconds for result in results))


def _scored(item: EvaluationItem, transcript: Transcript, seconds: float, normalize: TextNormalizer) -> ItemResult:
    scored = score_utterance(item.text, transcript.text.strip(), normalize)
    return ItemResult(item.id, item.text, transcript, scored, seconds)


def _transcribed(method: Method, item: EvaluationItem) -> Transcript:
    """A voice that cannot be enrolled has nothing written for it: that is what its user would get."""
    try:
        return method.transcribe(item)
    except EnrolmentError as error:
        logger.warning("item '%s' counts as nothing written: %s", item.id, error)
        return Transcript(())
    except AudioError as error:
        # Which of a thousand items it was, is what the reader needs.
        raise AudioError(f"item '{item.id}': {error}") from error


def compare(a: MethodResult, b: MethodResult) -> Difference:
    """Paired difference in WER, `a` less `b`, over the items that both have an answer for."""
    of_b = {result.id: result.score for result in b.items}
    common = [(result.score, of_b[result.id]) for result in a.items if result.id in of_b]
    return paired_difference([pair[0] for pair in common], [pair[1] for pair in common])


def write_items(results: Sequence[MethodResult], path: str | Path) -> None:
    """One JSON line a method and item, with what was written; the file appears whole."""
    target = Path(path)
    lines = []
    for result in results:
        for item in result.items:
            row: dict[str, Any] = {
                "method": result.method,
                "id": item.id,
                "reference": item.reference,
                "hypothesis": item.hypothesis,
                "segments": [[part.start_s, part.end_s, part.text] for part in item.transcript.segments],
                "presence": item.transcript.presence,
            }
            row |= {**asdict(item.score), "seconds": round(item.seconds, 4)}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    try:
        write_text(target, "".join(lines))
    except OSError as error:
        raise DataError(f"cannot write results to '{target}' ({error.strerror}); choose a writable place") from error
