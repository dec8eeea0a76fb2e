"""Word errors that are counted once: the same prompts on the same utterances come up in several tables."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from softspoken.evaluation.stage_cache import StageCache
from softspoken.frozen import Frozen
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.results import Counts
from softspoken_lab.analysis.subject import Report, TestSet, Vectors
from softspoken_lab.analysis.target_subject import TargetSpeakerSubject
from softspoken_lab.report.stages import digest_of_set

Score = Callable[[TestSet, Sequence[Vectors | None], Report | None], Counts]


class SetErrors(Frozen):
    """Word errors of every utterance of one set, by the digest of the vectors that were used."""

    sources: tuple[str, ...]
    words: tuple[int, ...]
    errors: dict[str, tuple[int, ...]]


class ScoreMemory:
    """Keeps them on disk, a file a set, so that an interrupted stage need not begin with the first set again."""

    def __init__(self, cache: StageCache, subject: dict[str, Any]) -> None:
        """`subject`: all that tells one subject from another, as plain JSON values."""
        self._cache = cache
        self._subject = subject
        self._digests: dict[TestSet, str] = {}

    def digest(self, test_set: TestSet) -> str:
        """`digest_of_set`, computed once."""
        if test_set not in self._digests:
            self._digests[test_set] = digest_of_set(test_set)
        return self._digests[test_set]

    def score(
        self, compute: Score, test_set: TestSet, variants: Sequence[Vectors | None], report: Report | None
    ) -> Counts:
        """As `Subject.score`; `compute` counts what is not known yet."""
        inputs = {"subject": self._subject, "set": self.digest(test_set)}
        found = self._cache.find("errors", inputs, SetErrors)
        known = None if found is None else found.result
        names = [digest_of_vectors(one) for one in variants]
        have = {} if known is None else dict(known.errors)
        # Each once, in their order.
        missing = {name: one for name, one in zip(names, variants, strict=True) if name not in have}
        if missing or known is None:
            counts = compute(test_set, list(missing.values()), report)
            have |= dict(zip(missing, counts.errors, strict=True))
            known = SetErrors(sources=counts.sources, words=counts.words, errors=have)
            self._cache.keep("errors", inputs, known, 0.0)
        return Counts(sources=known.sources, words=known.words, errors=tuple(have[name] for name in names))


def digest_of_vectors(vectors: Vectors | None) -> str:
    """SHA-256 of shape and numbers; 'none' without vectors, which is what zero of them come to."""
    if vectors is None or vectors.shape[1] == 0:
        return "none"
    plain = vectors.detach().to("cpu").float().contiguous()
    return hashlib.sha256(f"{tuple(plain.shape)}".encode() + plain.numpy().tobytes()).hexdigest()


class RememberingCTC(CTCSubject):
    """A recogniser whose word errors are kept, once it has a `memory`."""

    memory: ScoreMemory | None = None

    def score(self, test_set: TestSet, variants: Sequence[Vectors | None], report: Report | None = None) -> Counts:
        if self.memory is None:
            return super().score(test_set, variants, report)
        return self.memory.score(super().score, test_set, variants, report)


class RememberingTarget(TargetSpeakerSubject):
    """The same for prompts that follow a voice."""

    memory: ScoreMemory | None = None

    def score(self, test_set: TestSet, variants: Sequence[Vectors | None], report: Report | None = None) -> Counts:
        if self.memory is None:
            return super().score(test_set, variants, report)
        return self.memory.score(super().score, test_set, variants, report)
