"""Figure 3 of the noise paper: what is lost, or gained, with each single prompt left out (section 3.2)."""

from collections.abc import Sequence

from softspoken.errors import ConfigError
from softspoken_lab.analysis.results import LeaveOneOutResult, LeftOut
from softspoken_lab.analysis.subject import Report, Subject, TestSet, conditions, score_all, set_infos
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
