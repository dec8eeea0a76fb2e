"""What a prompt's training noted, for people: every run that it has been through by itself, the first one first."""

from collections.abc import Mapping
from typing import Any

_OF_ONE_RUN = ("mixtures", "steps", "hours", "seed")
HOW_LONG = (*_OF_ONE_RUN, "before")
"""What training notes of a run and, nested in 'before', of those that it went on from."""
_OF_ALL = ("mixtures", "hours")


def by_run(training: Mapping[str, Any]) -> dict[str, Any]:
    """`training` with 'run 1', 'run 2' ... and 'all runs' in place of runs nested in 'before'; unchanged where none is.

    'all runs' is left out where one of them did not note its mixtures and hours.
    """
    if "before" not in training:
        return dict(training)
    runs: list[Any] = []
    run: Any = training
    while isinstance(run, Mapping):
        runs.append({name: run[name] for name in _OF_ONE_RUN if name in run})
        run = run.get("before")
    counted = run is None and all(name in one for one in runs for name in _OF_ALL)
    sums = {"all runs": {name: round(sum(one[name] for one in runs), 2) for name in _OF_ALL}} if counted else {}
    if run is not None:
        runs.append(run)
    rest = {name: value for name, value in training.items() if name not in HOW_LONG}
    return rest | {f"run {number}": one for number, one in enumerate(reversed(runs), start=1)} | sums


def in_words(value: Any) -> str:
    """A noted value without braces and quotes: 'mixtures 3200, hours 0.97'."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(in_words(one) for one in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
