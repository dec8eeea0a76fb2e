"""Plain sentences on differences, and verdicts, that follow from the numbers and their intervals alone.

A difference counts as seen where its 95 % interval leaves out zero; otherwise "no difference is shown", whichever way
it points. The verdict says whether what is seen is what the paper (arXiv 2309.09413) saw.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from softspoken_lab.analysis.results import Condition, Estimate
from softspoken_lab.analysis.tables import BySet
from softspoken_lab.report.numbers import percent, points, points_interval

Verdict = Literal["agrees", "partly", "differs", "unclear"]
VERDICTS = {
    "agrees": "agrees with the paper",
    "partly": "agrees with the paper in part",
    "differs": "differs from the paper",
}
Direction = Literal["up", "down", "same"]


@dataclass(frozen=True)
class Finding:
    """Sentences about one table or figure; no verdict where the paper has nothing to compare with."""

    verdict: Verdict | None
    sentences: tuple[str, ...]
    unclear: str = "no difference shown"
    """The verdict's words where it is unclear."""

    @property
    def words(self) -> str | None:
        """The verdict in words."""
        if self.verdict is None:
            return None
        return self.unclear if self.verdict == "unclear" else VERDICTS[self.verdict]


def judge(claims: Iterable[tuple[Estimate, Direction]]) -> Verdict:
    """Differences against the way they went in the paper ('same': it calls them unchanged)."""
    seen = [_one(difference, direction) for difference, direction in claims]
    if seen and all(entry == "agrees" for entry in seen):
        return "agrees"
    if "agrees" in seen:
        return "partly"
    return "differs" if "differs" in seen else "unclear"


def _one(difference: Estimate, direction: Direction) -> Verdict:
    if direction == "same":
        return "differs" if difference.certain else "agrees"
    if not difference.certain:
        return "unclear"
    return "agrees" if (difference.value > 0) == (direction == "up") else "differs"


def about(subject: str, differences: BySet, plural: bool = False, measure: str = "the word error rate") -> str:
    """One sentence on differences by set: '... raises the word error rate on clean by 1.20 points (...); ...'."""
    up = [_amount(name, one) for name, one in differences.items() if one.certain and one.value > 0]
    down = [_amount(name, one) for name, one in differences.items() if one.certain and one.value < 0]
    unclear = [
        f"{name} ({points(one.value)} points, {points_interval(one)})"
        for name, one in differences.items()
        if not one.certain
    ]
    ending = "" if plural else "s"
    parts = []
    if up:
        parts.append(f"raise{ending} {measure} on {listed(up)}")
    if down:
        parts.append(f"lower{ending} {measure if not up else 'it'} on {listed(down)}")
    if not parts:
        return f"{subject.rstrip(',')}: no difference shown on {listed(unclear)}."
    tail = f"; no difference shown on {listed(unclear)}" if unclear else ""
    return f"{subject} {', and '.join(parts)}{tail}."


def _amount(name: str, one: Estimate) -> str:
    low, high = sorted((abs(one.low), abs(one.high)))
    return f"{name} by {percent(abs(one.value))} points ({percent(low)} to {percent(high)})"


def listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def negated(differences: BySet) -> BySet:
    """The same differences the other way round."""
    return {name: Estimate(value=-one.value, low=-one.high, high=-one.low) for name, one in differences.items()}


def differences_of(condition: Condition | None) -> BySet:
    return {} if condition is None or condition.difference is None else condition.difference
