"""What goes into a report, which of its stages can be made of that, and why the others cannot."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from pydantic import Field

from softspoken.errors import ConfigError
from softspoken.frozen import Frozen
from softspoken_lab.analysis.clusters import LEAST_PROMPTS, ClusterOptions
from softspoken_lab.analysis.probe_data import ProbeOptions
from softspoken_lab.analysis.replacement import ReplacementOptions
from softspoken_lab.analysis.shift import ShiftOptions
from softspoken_lab.analysis.subject import TestSet, check_sets
from softspoken_lab.noise.bank import NoiseBank
from softspoken_lab.report.remembered import RememberingCTC, RememberingTarget

RolesBy = Literal["curve", "clusters"]
Stage = Literal["clusters", "leave-one-out", "roles", "frozen", "replacement", "subsets", "removal", "probe", "shift"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which they are made."""
VOICE_STAGES: tuple[Stage, ...] = ("clusters", "leave-one-out", "replacement", "removal")
"""Those that make sense for prompts that follow a voice."""
_NEEDS: dict[Stage, tuple[Stage, ...]] = {
    "roles": ("clusters", "leave-one-out"),
    "replacement": ("frozen",),
    "subsets": ("roles",),
    "removal": ("frozen",),
    "probe": ("roles",),
    "shift": ("roles", "frozen"),
}

NOT_GIVEN = {
    "frozen": "Add --frozen RECOGNIZER (trained without prompts) for the rows of the frozen baseline.",
    "probe": "Add --noise MANIFEST|FOLDER for the noise probe of figures 1 and 4.",
    "shift": "Add --shift-noise MANIFEST|FOLDER and --shift-data NAME=PATH (speech in that noise) for table 4.",
}
"""Stages that need more than a recogniser and test sets, and what adds them."""


class ReportOptions(Frozen):
    """How the analyses of a report are run."""

    replacement: ReplacementOptions = ReplacementOptions()
    clusters: ClusterOptions = ClusterOptions()
    probe: ProbeOptions = ProbeOptions()
    shifts: tuple[ShiftOptions, ...] = Field(default=(ShiftOptions(), ShiftOptions(scale="unit")), min_length=1)
    roles_by: RolesBy = "curve"
    """Which sets tables 2 and 4 and figure 4 use."""
    stages: tuple[Stage, ...] = ()
    """Only these and what they need; none given: all."""


@dataclass(frozen=True)
class ReportInputs:
    """What is analysed, and on what."""

    subject: RememberingCTC | RememberingTarget
    digest: str
    """Of the folder that the subject came from (`digest_of_folder`)."""
    sets: tuple[TestSet, ...]
    clean: str
    """Name of the set of clean speech: roles are read off it, and the probe adds noise to it."""
    frozen: RememberingCTC | None = None
    frozen_digest: str | None = None
    noise: NoiseBank | None = None
    """For the probe."""
    shift_noise: NoiseBank | None = None
    shift_sets: tuple[TestSet, ...] = ()
    options: ReportOptions = field(default_factory=ReportOptions)


def plan(inputs: ReportInputs) -> tuple[list[str], dict[str, str]]:
    """The stages that are asked for and can be made, in order, and why others that are asked for cannot."""
    count = inputs.subject.info.prompts
    few = f"It needs more than {count} prompt{'' if count == 1 else 's'}."
    reasons: dict[str, str] = {}
    if count < LEAST_PROMPTS:
        reasons["clusters"] = few
    if count < 2:
        reasons |= dict.fromkeys(("leave-one-out", "roles", "subsets"), few)
    asked = _wanted(inputs)
    if inputs.frozen is None:
        reasons["frozen"] = NOT_GIVEN["frozen"]
    if inputs.noise is None:
        reasons["probe"] = NOT_GIVEN["probe"]
    if inputs.shift_noise is None or not inputs.shift_sets:
        reasons["shift"] = NOT_GIVEN["shift"]
    elif count < 2:
        reasons["shift"] = few
    return (
        [stage for stage in asked if stage not in reasons],
        {stage: reason for stage, reason in reasons.items() if stage in asked},
    )


def _wanted(inputs: ReportInputs) -> list[str]:
    """The stages asked for and what they need, in order. Prompts that follow a voice have no noise set to look for."""
    waiting = list(inputs.options.stages if inputs.options.stages else STAGES)
    found: set[Stage] = set()
    while waiting:
        stage = waiting.pop()
        found.add(stage)
        waiting += _NEEDS.get(stage, ())
    possible = STAGES if inputs.subject.info.kind == "ctc" else VOICE_STAGES
    return [stage for stage in STAGES if stage in found and stage in possible]


def check_inputs(inputs: ReportInputs) -> None:
    """Before anything is computed. Raises ConfigError and DataError for what cannot be analysed."""
    if inputs.subject.info.prompts < 1:
        raise ConfigError(
            f"'{inputs.subject.info.name}' is a frozen baseline (m = 0): there are no prompts to report on; give a "
            "recogniser with prompts, and this one with --frozen"
        )
    _check_voice(inputs)
    check_sets(inputs.sets)
    if inputs.shift_sets:
        check_sets(inputs.shift_sets)
    names = [one.name for one in inputs.sets]
    if inputs.clean not in names and {"roles", "probe"} & set(plan(inputs)[0]):
        raise ConfigError(f"there is no set '{inputs.clean}' among {', '.join(names)}; name the clean one with --clean")
    if inputs.frozen is not None and inputs.frozen.info.prompts:
        raise ConfigError(
            f"'{inputs.frozen.info.name}' has {inputs.frozen.info.prompts} prompts; --frozen takes a recogniser that "
            "was trained without any"
        )


def _check_voice(inputs: ReportInputs) -> None:
    """Raises ConfigError for what says nothing of prompts that follow a voice."""
    given = {
        "--frozen": inputs.frozen is not None,
        "--noise": inputs.noise is not None,
        "--shift-noise": inputs.shift_noise is not None,
        "--shift-data": bool(inputs.shift_sets),
    }
    wrong = [option for option, is_given in given.items() if is_given]
    if inputs.subject.info.kind != "ctc" and wrong:
        raise ConfigError(
            f"'{inputs.subject.info.name}' follows a voice; {', '.join(wrong)} is for recognisers of speech in noise: "
            "leave it out"
        )
