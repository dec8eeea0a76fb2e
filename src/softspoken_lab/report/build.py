"""The whole second paper for one prompt: every analysis in turn, each kept on disk, as one result for the page.

"Are soft prompts good zero-shot learners for speech recognition?" (arXiv 2309.09413), section 3.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from softspoken.evaluation.stage_cache import StageCache
from softspoken.frozen import Frozen
from softspoken_lab.analysis.clusters import find_clusters
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.probe import probe_noise
from softspoken_lab.analysis.removal import keep_subsets, leave_each_out, remove_all
from softspoken_lab.analysis.replacement import replace_randomly
from softspoken_lab.analysis.results import (
    Analysis,
    ClusterResult,
    Counts,
    LeaveOneOutResult,
    ProbeResult,
    RemovalResult,
    ReplacementResult,
    RoleSplit,
    RolesResult,
    ShiftResult,
    SubjectInfo,
    SubsetsResult,
)
from softspoken_lab.analysis.roles import find_roles
from softspoken_lab.analysis.shift import compare_shifts, shift_prompts
from softspoken_lab.analysis.subject import Report as Tell
from softspoken_lab.analysis.subject import TestSet, score_frozen
from softspoken_lab.noise.testsets import TestUtterance
from softspoken_lab.report.plan import ReportInputs, RolesBy, check_inputs, plan
from softspoken_lab.report.remembered import ScoreMemory
from softspoken_lab.report.stages import digest_of_noise

_Result = TypeVar("_Result", bound=BaseModel)


class StageTime(Frozen):
    """How long a stage took, and whether it had been kept from an earlier run."""

    stage: str
    seconds: float
    kept: bool


class Report(Frozen):
    """All results; None: not made, and `left_out` says why."""

    subject: SubjectInfo
    roles_by: RolesBy = "curve"
    clusters: ClusterResult | None = None
    leave_one_out: LeaveOneOutResult | None = None
    roles: RolesResult | None = None
    replacement: ReplacementResult | None = None
    subsets: SubsetsResult | None = None
    removal: RemovalResult | None = None
    probe: ProbeResult | None = None
    shift: ShiftResult | None = None
    left_out: dict[str, str] = Field(default_factory=dict)
    """Stage to the reason why."""
    times: tuple[StageTime, ...] = ()

    @property
    def results(self) -> dict[str, Analysis]:
        """Those that were made, by stage."""
        all_of_them: dict[str, Analysis | None] = {
            "clusters": self.clusters,
            "leave-one-out": self.leave_one_out,
            "roles": self.roles,
            "replacement": self.replacement,
            "subsets": self.subsets,
            "removal": self.removal,
            "probe": self.probe,
            "shift": self.shift,
        }
        return {stage: result for stage, result in all_of_them.items() if result is not None}


class Progress:
    """Told how far a report is. This one is silent."""

    def begin(self, stage: str, number: int, of: int) -> None:
        """Stage `number` (from 1) of `of` begins."""

    def within(self, done: int, total: int) -> None:
        """How much of the stage is done."""

    def finish(self, time: StageTime) -> None:
        """The stage is done."""


class _FrozenErrors(Frozen):
    """Word errors of the baseline, by set."""

    counts: dict[str, Counts]


def make_report(inputs: ReportInputs, cache: StageCache, progress: Progress | None = None) -> Report:
    """All analyses that the inputs allow. What `cache` holds is not computed again.

    Raises ConfigError and DataError for what cannot be analysed, AudioError for a recording that cannot be used.
    """
    check_inputs(inputs)
    return _Run(inputs, cache, Progress() if progress is None else progress).report()


class _Run:
    """One report while it is made."""

    def __init__(self, inputs: ReportInputs, cache: StageCache, progress: Progress) -> None:
        self.inputs, self.options, self.cache, self.progress = inputs, inputs.options, cache, progress
        self.stages, self.left_out = plan(inputs)
        self.times: list[StageTime] = []
        self.identity = {"digest": inputs.digest, "info": inputs.subject.info.model_dump(mode="json")}
        self.memory = ScoreMemory(cache, self.identity)
        inputs.subject.memory = self.memory
        if inputs.frozen is not None:
            inputs.frozen.memory = ScoreMemory(cache, {"digest": inputs.frozen_digest})

    def report(self) -> Report:
        """Every stage in turn."""
        clusters = self.stage("clusters", ClusterResult, self.clusters, self._options(self.options.clusters))
        curve = self.stage("leave-one-out", LeaveOneOutResult, self.leave_one_out, self._sets())
        roles = None
        if curve is not None:
            found = self.options.clusters.model_dump(mode="json") if clusters is not None else None
            known = {**self._sets(), "clean": self.inputs.clean, "clusters": found}
            roles = self.stage("roles", RolesResult, lambda tell: self.roles(curve, clusters), known)
        frozen = self.stage("frozen", _FrozenErrors, self.frozen, {**self._sets(True), **self._baseline()})
        here = None if frozen is None else {one.name: frozen.counts[f"data:{one.name}"] for one in self.inputs.sets}
        known = {**self._sets(), **self._baseline()}
        replacement = self.stage(
            "replacement",
            ReplacementResult,
            lambda tell: replace_randomly(
                self.inputs.subject, self.inputs.sets, self.options.replacement, frozen=here, report=tell
            ),
            {**known, **self._options(self.options.replacement)},
        )
        split = None if roles is None else roles.chosen(self.options.roles_by)
        subsets = None
        if split is not None:
            chosen = {**self._sets(), "split": split.model_dump(mode="json")}
            subsets = self.stage("subsets", SubsetsResult, lambda tell: self.subsets(split, tell), chosen)
        removal = self.stage(
            "removal",
            RemovalResult,
            lambda tell: remove_all(self.inputs.subject, self.inputs.sets, frozen=here, report=tell),
            known,
        )
        return Report(
            subject=self.inputs.subject.info,
            roles_by=self.options.roles_by,
            clusters=clusters,
            leave_one_out=curve,
            roles=roles,
            replacement=replacement,
            subsets=subsets,
            removal=removal,
            probe=self.probe(split),
            shift=None if split is None else self.shift(split, frozen),
            left_out=self.left_out,
            times=tuple(self.times),
        )

    def stage(
        self, name: str, kind: type[_Result], compute: Callable[[Tell], _Result], inputs: Mapping[str, Any]
    ) -> _Result | None:
        """A stage's result, from the disk where it is there; None for one that was left out."""
        if name not in self.stages:
            return None
        self.progress.begin(name, self.stages.index(name) + 1, len(self.stages))
        known = {"subject": self.identity, **inputs}
        done = self.cache.get(name, known, kind, lambda: compute(self.progress.within))
        time = StageTime(stage=name, seconds=done.seconds, kept=done.kept)
        self.times.append(time)
        self.progress.finish(time)
        return done.result

    def clusters(self, tell: Tell) -> ClusterResult:
        return find_clusters(self.inputs.subject, self.options.clusters)

    def leave_one_out(self, tell: Tell) -> LeaveOneOutResult:
        return leave_each_out(self.inputs.subject, self.inputs.sets, tell)

    def roles(self, curve: LeaveOneOutResult, clusters: ClusterResult | None) -> RolesResult:
        return find_roles(curve, clusters, self.inputs.clean)

    def subsets(self, split: RoleSplit, tell: Tell) -> SubsetsResult:
        return keep_subsets(self.inputs.subject, self.inputs.sets, split, tell)

    def frozen(self, tell: Tell) -> _FrozenErrors:
        """On all sets, those of the new environment too."""
        assert self.inputs.frozen is not None
        named = [TestSet(f"data:{one.name}", one.items) for one in self.inputs.sets]
        named += [TestSet(f"shift:{one.name}", one.items) for one in self._shift_sets()]
        return _FrozenErrors(counts=score_frozen(self.inputs.frozen, named, tell))

    def probe(self, split: RoleSplit | None) -> ProbeResult | None:
        subject, noise = self.inputs.subject, self.inputs.noise
        if not isinstance(subject, CTCSubject) or noise is None or "probe" not in self.stages:
            return None
        clean = next(one for one in self.inputs.sets if one.name == self.inputs.clean)
        speech = [item for item in clean.items if isinstance(item, TestUtterance)]
        known = {
            "speech": self.memory.digest(clean),
            "noise": digest_of_noise(noise),
            "split": None if split is None else split.model_dump(mode="json"),
            **self._options(self.options.probe),
        }
        return self.stage(
            "probe",
            ProbeResult,
            lambda tell: probe_noise(subject, speech, noise, split, self.options.probe, report=tell),
            known,
        )

    def shift(self, split: RoleSplit, frozen: _FrozenErrors | None) -> ShiftResult | None:
        subject, noise, sets = self.inputs.subject, self.inputs.shift_noise, self._shift_sets()
        if not isinstance(subject, CTCSubject) or noise is None or "shift" not in self.stages:
            return None
        if not split.noise:
            self.left_out["shift"] = "There is no noise set to shift: no prompt's absence stands out on clean speech."
            self.stages.remove("shift")
            return None
        there = None if frozen is None else {one.name: frozen.counts[f"shift:{one.name}"] for one in sets}

        def compute(tell: Tell) -> ShiftResult:
            made = [shift_prompts(subject, noise, split, options) for options in self.options.shifts]
            return compare_shifts(subject, sets, made, split, frozen=there, report=tell)

        known = {
            "noise": digest_of_noise(noise),
            "sets": [[one.name, self.memory.digest(one)] for one in sets],
            "split": split.model_dump(mode="json"),
            "options": [one.model_dump(mode="json") for one in self.options.shifts],
            **self._baseline(),
        }
        return self.stage("shift", ShiftResult, compute, known)

    def _shift_sets(self) -> Sequence[TestSet]:
        return self.inputs.shift_sets if "shift" in self.stages else ()

    def _sets(self, shift: bool = False) -> dict[str, Any]:
        sets = [*self.inputs.sets, *(self._shift_sets() if shift else ())]
        return {"sets": [[one.name, self.memory.digest(one)] for one in sets]}

    def _baseline(self) -> dict[str, Any]:
        return {"frozen": self.inputs.frozen_digest}

    @staticmethod
    def _options(options: Frozen) -> dict[str, Any]:
        return {"options": options.model_dump(mode="json")}
