"""Tables 2 and 3 of the noise paper: only some of the prompts, or none, while recognising (section 3.2)."""

from collections.abc import Mapping, Sequence

from softspoken_lab.analysis.results import Counts, RemovalResult, RoleSplit, SubsetsResult
from softspoken_lab.analysis.subject import (
    Report,
    Subject,
    TestSet,
    beside,
    conditions,
    frozen_condition,
    full,
    kept,
    score_all,
    set_infos,
)


def keep_subsets(
    subject: Subject, sets: Sequence[TestSet], split: RoleSplit, report: Report | None = None
) -> SubsetsResult:
    """Word error rates with all prompts, the content set alone, the noise set alone, and none (table 2).

    Raises ConfigError where there are no prompts or `split` names one that does not exist, DataError for unusable sets.
    """
    variants = [
        full(subject),
        kept(subject, "content", split.content),
        kept(subject, "noise", split.noise),
        kept(subject, "none", ()),
    ]
    counts = score_all(subject, sets, [variant.vectors for variant in variants], report)
    return SubsetsResult(
        subject=subject.info,
        sets=set_infos(counts),
        split=split,
        conditions=conditions([(variant.name, variant.prompts) for variant in variants], counts),
    )


def remove_all(
    subject: Subject,
    sets: Sequence[TestSet],
    *,
    frozen: Mapping[str, Counts] | None = None,
    report: Report | None = None,
) -> RemovalResult:
    """Word error rates with the prompts and without any, the head being the one that was trained with them (table 3).

    `frozen`: the errors of a baseline whose head was trained without prompts (`score_frozen`); without prompts, both
    run the very same network up to the head. Raises ConfigError where there are no prompts, DataError for unusable
    sets.
    """
    variants = [full(subject), kept(subject, "none", ())]
    names = [(variant.name, variant.prompts) for variant in variants]
    counts = score_all(subject, sets, [variant.vectors for variant in variants], report)
    base, none = conditions(names, counts)
    against = None if frozen is None else conditions([("frozen", ()), *names], beside(frozen, counts))
    return RemovalResult(
        subject=subject.info,
        sets=set_infos(counts),
        frozen=frozen_condition(frozen, counts),
        full=base,
        none=none,
        full_against_frozen=None if against is None else against[1].difference,
        none_against_frozen=None if against is None else against[2].difference,
    )
