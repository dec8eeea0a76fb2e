"""Tables 2 and 3 and figure 3 of the noise paper: only some of the prompts, none, or all but one (section 3.2)."""

from collections.abc import Mapping, Sequence

from softspoken.errors import ConfigError
from softspoken_lab.analysis.results import Counts, LeaveOneOutResult, LeftOut, RemovalResult, RoleSplit, SubsetsResult
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
from softspoken_lab.prompts.variants import leave_one_out


def leave_each_out(subject: Subject, sets: Sequence[TestSet], report: Report | None = None) -> LeaveOneOutResult:
    """Word error rates with all prompts and with each of them left out, paired differences included.

    What does not depend on prompts is computed once, and the m + 1 variants run as rows of one batch. Deep prompts:
    number i means slot i of every layer. Raises ConfigError for fewer than two prompts, DataError for unusable sets.
    """
    vectors = subject.vectors
    count = vectors.shape[1]
    require_several(count, "leaving one out")
    keep = leave_one_out(count)
    counts = score_all(subject, sets, [vectors[:, indices] for indices in keep], report)
    names = [(str(number), tuple(index + 1 for index in indices)) for number, indices in enumerate(keep)]
    whole, *rest = conditions(names, counts)
    left_out = []
    for number, condition in enumerate(rest, start=1):
        assert condition.difference is not None
        left_out.append(LeftOut(number=number, wer=condition.wer, difference=condition.difference))
    return LeaveOneOutResult(
        subject=subject.info,
        sets=set_infos(counts),
        full=whole.model_copy(update={"name": "full"}),
        left_out=tuple(left_out),
        counts=counts,
    )


def require_several(count: int, purpose: str, least: int = 2) -> None:
    """Raises ConfigError for fewer prompts than `purpose` needs."""
    if count < least:
        raise ConfigError(f"m = {count}: {purpose} needs at least {least} prompts; give a recogniser with more")


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
