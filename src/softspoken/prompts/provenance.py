"""What a prompt's training noted, for people: every run that it has been through by itself, the first one first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_OF_ONE_RUN = ("mixtures", "steps", "hours", "seed")
MEAN_OF = "mean of"
"""A list of what was noted of each, where prompts are the mean of several."""
HOW_LONG = (*_OF_ONE_RUN, "before", MEAN_OF)
"""What training notes of a run and, nested in 'before', of those that it went on from."""
_OF_ALL = ("mixtures", "hours")


@dataclass
class _Run:
    own: Any
    after: tuple[int, ...]
    """Numbers of the runs that it went on from: several for their mean, none for the first."""
    more: dict[str, Any] = field(default_factory=dict)
    """What a mean's training notes of this one alone."""


def by_run(training: Mapping[str, Any]) -> dict[str, Any]:
    """`training` with 'run 1', 'run 2' ... and 'all runs' in place of nested runs; unchanged where none is nested.

    A run goes on from the one before unless 'after' says otherwise. One that several went on from counts once. 'all
    runs' is left out where one of them did not note its mixtures and hours.
    """
    if "before" not in training and not _branches(training):
        return dict(training)
    runs: list[_Run] = []
    last = _number(training, runs)
    said: dict[str, Any] = {name: value for name, value in training.items() if name not in HOW_LONG}
    if _branches(training):
        said[MEAN_OF] = _names(last)
    for number, run in enumerate(runs, start=1):
        said[f"run {number}"] = _said(run, number)
    if all(isinstance(run.own, Mapping) and all(name in run.own for name in _OF_ALL) for run in runs):
        said["all runs"] = {name: round(sum(run.own[name] for run in runs), 2) for name in _OF_ALL}
    return said


def _number(noted: Any, runs: list[_Run]) -> tuple[int, ...]:
    """Numbers of the runs that `noted` is the end of; those which are not among `runs` yet are added in their order."""
    branches = _branches(noted)
    if branches:
        return tuple(number for branch in branches for number in _branch(branch, runs))
    after: tuple[int, ...] = ()
    own = noted
    if isinstance(noted, Mapping):
        after = _number(noted["before"], runs) if "before" in noted else ()
        own = {name: noted[name] for name in _OF_ONE_RUN if name in noted}
    for number, known in enumerate(runs, start=1):
        if (known.own, known.after) == (own, after):
            return (number,)
    runs.append(_Run(own, after))
    return (len(runs),)


def _branch(branch: Any, runs: list[_Run]) -> tuple[int, ...]:
    numbers = _number(branch, runs)
    if isinstance(branch, Mapping) and not _branches(branch):
        more = {name: value for name, value in branch.items() if name not in HOW_LONG}
        runs[numbers[0] - 1].more.update(more)
    return numbers


def _said(run: _Run, number: int) -> Any:
    before = (number - 1,) if number > 1 else ()
    if run.after == before and not run.more:
        return run.own
    own = run.own if isinstance(run.own, Mapping) else {"of": run.own}
    after = {} if run.after == before else {"after": _names(run.after)}
    return after | dict(own) | run.more


def _names(numbers: tuple[int, ...]) -> list[str] | str:
    return [f"run {number}" for number in numbers] or "none of these"


def _branches(noted: Any) -> list[Any]:
    branches = noted.get(MEAN_OF) if isinstance(noted, Mapping) else None
    return branches if isinstance(branches, list) else []


def in_words(value: Any) -> str:
    """A noted value without braces and quotes: 'mixtures 3200, hours 0.97'."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(in_words(one) for one in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
