"""From runs to figures: medians with their spread, paired ratios, word error rates, and the JSON line.

A line of `softspoken-lab bench --json` is one suite with one backbone:

    benchmark     "softspoken-lab bench"
    suite         "short-clips", "windows", "targets", "long" or "overhead"
    backbone      as it was asked for
    machine       processor, cores, Python, platform, version and commit of softspoken (`runs.environment`)
    versions      of the packages that contenders run on
    threads       of every contender
    repeats       rounds that count
    speech        {"source", "seed"}: where the recordings come from
    task          the name of the first task; its `contenders` and `speedup_over` also stand at the top of the line
    contenders    by name, see below
    speedup_over  by peer: {"contender", "median", "min", "max"}: how many times as fast as the peer our fastest
                  contender is whose word error rate is not higher than the peer's (than the lowest of all peers' where
                  this one's text means nothing), clips one at a time; null: there is none
    tasks         by name: {"items", "seconds", "words", "contenders", "speedup_over"}; seconds are of audio

A contender:

    status           "measured", or "absent" with "reason" (and no other key but "note" and "peer")
    note             how it is set
    peer             whether it is somebody else's
    together         whether all items ran as one batch
    seconds          {"median", "min", "max"} over rounds, of the whole task
    rtf              real-time factor: seconds of work a second of audio; lower is faster
    first_segment_s  until the first piece of text of an item (median over items), over rounds
    tokens_per_s     tokens of the backbone's vocabulary in the text written, a second of work
    peak_rss_mb      highest resident memory of its process while it worked, megabytes (10^6 bytes), or null
    wer, errors, words   corpus word error rate over so many reference words; null where the text means nothing
    speedup_over     by every other contender: {"median", "min", "max"} of its seconds by ours, paired by round
    wer_less         by every other contender: {"difference", "low", "high"}: our rate less its, 95 % paired bootstrap
    times_first      seconds by those of the suite's first task, paired by round (not in the first task)
    memory_times_first   peak_rss_mb by that of the first task (not in the first task)
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from softspoken.scoring.word_errors import UtteranceScore, paired_difference, score_utterance, summarize
from softspoken_lab.bench.rounds import Measured, Run
from softspoken_lab.bench.specs import ContenderSpec
from softspoken_lab.bench.tasks import Suite, Task

_DIGITS = 4


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest, to four significant digits."""
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in figures.items()}


def paired(above: Sequence[Run], below: Sequence[Run]) -> dict[str, float]:
    """Spread of the ratio of seconds, round by round."""
    return spread([one.seconds / other.seconds for one, other in zip(above, below, strict=True)])


class TaskSummary:
    """Figures of one task."""

    def __init__(
        self,
        task: Task,
        specs: Sequence[ContenderSpec],
        measured: Measured,
        count_tokens: Callable[[str], int],
        normalize: Callable[[str], str],
    ) -> None:
        self.task = task
        self._specs = specs
        self._absent = measured.absent
        self.runs = measured.runs.get(task.name, {})
        self._count_tokens = count_tokens
        scored = [spec.name for spec in specs if spec.scored and spec.name in self.runs]
        self._scores = {name: self._score(self.runs[name][0], normalize) for name in scored}

    def _score(self, run: Run, normalize: Callable[[str], str]) -> list[UtteranceScore]:
        pairs = [
            (reference, text)
            for item, texts in zip(self.task.items, run.texts, strict=True)
            for reference, text in zip(item.references, texts, strict=True)
        ]
        return [score_utterance(reference, text, normalize) for reference, text in pairs]

    def as_dict(self, first: "TaskSummary | None" = None) -> dict[str, Any]:
        """One value of `tasks`; `first`: the suite's first task, unless it is this one."""
        contenders = {spec.name: self._contender(spec, first) for spec in self._specs}
        words = [found["words"] for found in contenders.values() if found.get("words") is not None]
        return {
            "items": len(self.task.items),
            "seconds": round(self.task.seconds, 2),
            "words": max(words, default=None),
            "contenders": contenders,
            "speedup_over": {spec.name: self._best_against(spec, contenders) for spec in self._specs if spec.peer},
        }

    def _contender(self, spec: ContenderSpec, first: "TaskSummary | None") -> dict[str, Any]:
        known = {"note": spec.note, "peer": spec.peer, "together": spec.together}
        if spec.name not in self.runs:
            return {"status": "absent", "reason": self._absent.get(spec.name, "not measured")} | known
        runs = self.runs[spec.name]
        peaks = [run.peak_rss_mb for run in runs if run.peak_rss_mb is not None]
        found = {"status": "measured"} | known
        found |= {
            "seconds": spread([run.seconds for run in runs]),
            "rtf": spread([run.seconds / self.task.seconds for run in runs]),
            "first_segment_s": spread([statistics.median(run.first_s) for run in runs]),
            "tokens_per_s": spread([self._tokens(spec, run) / run.seconds for run in runs]),
            "peak_rss_mb": round(max(peaks), 1) if peaks else None,
            **self._errors(spec.name),
            "speedup_over": {name: paired(other, runs) for name, other in self.runs.items() if name != spec.name},
            "wer_less": self._differences(spec.name),
        }
        if first is not None and spec.name in first.runs:
            found["times_first"] = paired(runs, first.runs[spec.name])
            before = [run.peak_rss_mb for run in first.runs[spec.name] if run.peak_rss_mb is not None]
            found["memory_times_first"] = round(max(peaks) / max(before), 3) if peaks and before else None
        return found

    def _tokens(self, spec: ContenderSpec, run: Run) -> int:
        if not spec.scored:
            return sum(sum(item.tokens) for item in self.task.items)
        return sum(self._count_tokens(text) for texts in run.texts for text in texts)

    def _errors(self, name: str) -> dict[str, Any]:
        if name not in self._scores:
            return {"wer": None, "errors": None, "words": None}
        score = summarize(self._scores[name], resamples=1)
        errors = score.substitutions + score.deletions + score.insertions
        return {"wer": score.wer, "errors": errors, "words": score.words}

    def _differences(self, name: str) -> dict[str, dict[str, float]]:
        found = {}
        for other, scores in self._scores.items():
            if other == name or name not in self._scores or not any(score.words for score in scores):
                continue
            difference = paired_difference(self._scores[name], scores)
            figures = (difference.wer, difference.interval.low, difference.interval.high)
            found[other] = dict(zip(("difference", "low", "high"), (round(x, 5) for x in figures), strict=True))
        return found

    def _best_against(self, peer: ContenderSpec, contenders: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        if peer.name not in self.runs:
            return None
        limits = [contenders[peer.name]["wer"]]
        if limits == [None]:
            limits = [found["wer"] for found in contenders.values() if found["peer"] and found.get("wer") is not None]
        fit = [
            spec.name
            for spec in self._specs
            if not spec.peer and not spec.together and spec.name in self.runs
            if not limits or (contenders[spec.name]["wer"] is not None and contenders[spec.name]["wer"] <= min(limits))
        ]
        if not fit:
            return None
        best = min(fit, key=lambda name: statistics.median(run.seconds for run in self.runs[name]))
        return {"contender": best, **contenders[best]["speedup_over"][peer.name]}


def summarize_suite(
    suite: Suite,
    measured: Sequence[Measured],
    count_tokens: Callable[[str], int],
    normalize: Callable[[str], str],
) -> dict[str, Any]:
    """What is measured of the JSON line; `measured`: by task where they ran apart, else one for all."""
    each = measured if len(measured) > 1 else [*measured] * len(suite.tasks)
    summaries = [
        TaskSummary(task, suite.contenders, found, count_tokens, normalize)
        for task, found in zip(suite.tasks, each, strict=True)
    ]
    first = summaries[0]
    tasks = {one.task.name: one.as_dict(None if one is first else first) for one in summaries}
    main = tasks[first.task.name]
    return {
        "task": first.task.name,
        "contenders": main["contenders"],
        "speedup_over": main["speedup_over"],
        "tasks": tasks,
    }
