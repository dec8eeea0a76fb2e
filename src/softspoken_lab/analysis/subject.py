"""What an analysis works on: a model with prompt vectors, which can transcribe test utterances with other vectors, too.

Shapes: K variants, L layers, N prompt vectors, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from softspoken.errors import ConfigError, DataError
from softspoken_lab.analysis.bootstrap import estimate, joined, wer_draws, wer_of
from softspoken_lab.analysis.results import Condition, Counts, SetInfo, SubjectInfo
from softspoken_lab.noise.testsets import Item

Vectors = Float[Tensor, "L _ D"]
"""Prompt vectors of L layers; variants of different sizes stand in one list."""
Report = Callable[[int, int], None]
"""Told how much is done, of how much."""


@dataclass(frozen=True)
class TestSet:
    """Utterances to transcribe, under a name."""

    # Not a test, whatever its name says to pytest.
    __test__ = False

    name: str
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise DataError(f"the set '{self.name}' has no utterances; give at least one")


class Subject(ABC):
    """A recogniser whose prompts are taken apart."""

    @property
    @abstractmethod
    def info(self) -> SubjectInfo:
        """What it is."""

    @property
    @abstractmethod
    def vectors(self) -> Vectors:
        """Its own prompt vectors. Raises ConfigError where it has none."""

    @abstractmethod
    def score(self, test_set: TestSet, variants: Sequence[Vectors | None], report: Report | None = None) -> Counts:
        """Word errors of every utterance with each of K sets of vectors in place of its own; None: without any.

        `report` counts utterances times variants. Raises DataError for items of another kind, or without words.
        """


@dataclass(frozen=True)
class Variant:
    """Prompt vectors under a name. `prompts`: the numbers, from 1, of those in use; none: `vectors` is None."""

    name: str
    prompts: tuple[int, ...]
    vectors: Vectors | None


def full(subject: Subject) -> Variant:
    """Its own prompts, all of them."""
    vectors = subject.vectors
    return Variant("full", tuple(range(1, vectors.shape[1] + 1)), vectors)


def kept(subject: Subject, name: str, prompts: Sequence[int]) -> Variant:
    """Only its prompts of these numbers (from 1); none given: all are removed."""
    vectors = subject.vectors
    chosen = tuple(sorted(set(prompts)))
    for number in chosen:
        if not 1 <= number <= vectors.shape[1]:
            raise ConfigError(f"no prompt {number}; there are {vectors.shape[1]}, numbered from 1")
    return Variant(name, chosen, vectors[:, [number - 1 for number in chosen]] if chosen else None)


def score_all(
    subject: Subject, sets: Sequence[TestSet], variants: Sequence[Vectors | None], report: Report | None = None
) -> dict[str, Counts]:
    """`Subject.score` on several sets, by name. Raises DataError without a set, or for two of one name."""
    check_sets(sets)
    total = len(variants) * sum(len(test_set.items) for test_set in sets)
    done, found = 0, {}
    for test_set in sets:
        before = done

        def told(count: int, _: int, before: int = before) -> None:
            if report is not None:
                report(before + count, total)

        found[test_set.name] = subject.score(test_set, variants, told)
        done = before + len(variants) * len(test_set.items)
        told(done - before, 0)
    return found


def check_sets(sets: Sequence[TestSet]) -> None:
    """Raises DataError without a set, or for two of one name."""
    names = [test_set.name for test_set in sets]
    if not names:
        raise DataError("no test set was given; give at least one, such as clean=FOLDER/manifest.jsonl")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two sets are called '{twice}'; give each a name of its own")


def set_infos(counts: Mapping[str, Counts]) -> tuple[SetInfo, ...]:
    """What the sets hold."""
    return tuple(
        SetInfo(name=name, utterances=len(one.words), words=sum(one.words), sources=len(set(one.sources)))
        for name, one in counts.items()
    )


def conditions(variants: Sequence[tuple[str, Sequence[int]]], counts: Mapping[str, Counts]) -> tuple[Condition, ...]:
    """One row of a table for each variant (name, prompt numbers); differences are to the first one."""
    wer = {name: wer_of(one) for name, one in counts.items()}
    draws = {name: wer_draws(one) for name, one in counts.items()}
    return tuple(
        Condition(
            name=name,
            prompts=tuple(prompts),
            wer={key: estimate(wer[key][index], draws[key][:, index]) for key in counts},
            difference=None
            if index == 0
            else {
                key: estimate(wer[key][index] - wer[key][0], draws[key][:, index] - draws[key][:, 0]) for key in counts
            },
        )
        for index, (name, prompts) in enumerate(variants)
    )


def score_frozen(frozen: Subject, sets: Sequence[TestSet], report: Report | None = None) -> dict[str, Counts]:
    """Word errors of a baseline that was trained without prompts, by set."""
    return score_all(frozen, sets, [None], report)


def frozen_condition(frozen: Mapping[str, Counts] | None, counts: Mapping[str, Counts]) -> Condition | None:
    """A baseline's row; its difference is to variant 0 of `counts`. None without one.

    Raises DataError for errors counted on other utterances.
    """
    return None if frozen is None else conditions([("full", ()), ("frozen", ())], beside(counts, frozen))[1]


def beside(first: Mapping[str, Counts], second: Mapping[str, Counts]) -> dict[str, Counts]:
    """Variant 0 of the first, then the variants of the second, by set."""
    found = {}
    for name, one in first.items():
        if name not in second:
            raise DataError(f"nothing was counted on the set '{name}' for the baseline; score both on the same sets")
        found[name] = joined(one.model_copy(update={"errors": one.errors[:1]}), second[name])
    return found
