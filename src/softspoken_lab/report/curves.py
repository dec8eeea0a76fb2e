"""Curves of training runs: whether they follow the voice as they go, and what more speech or more talkers give."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure

from softspoken.errors import DataError
from softspoken.prompts.folder import CONFIG_FILE
from softspoken.training.run import PROMPT_FOLDER
from softspoken_lab.report.drawing import COLOURS, MARKERS, QUIET, SMALL, WIDTH, percent_axis, style

Axis = Literal["hours", "talkers"]
LABELS: dict[Axis, str] = {"hours": "hours of training speech", "talkers": "training talkers"}


@dataclass(frozen=True)
class RunCurve:
    """What a run's folder says of its way."""

    name: str
    mixtures: list[int]
    """Behind the run at each validation."""
    right_voice: list[float]
    """Loss on the target's words, told the right voice."""
    wrong_voice: list[float]
    """The same, told the voice of the other talker."""
    wer: list[float]
    interval: tuple[float, float]
    """95 % of the last word error rate."""
    hours: float | None = None
    """Speech it was trained on, where it ended with a prompt."""
    talkers: int | None = None


def read_curve(run: Path) -> RunCurve:
    """Validations of a target-speaker run. Raises DataError when it has none."""
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        checked = [line for line in lines if "valid/wer" in line]
        each = config["mixtures_per_batch"] * config["accumulation"]
        return RunCurve(
            name=run.name,
            mixtures=[line["step"] * each for line in checked],
            right_voice=[line["valid/right_voice"] for line in checked],
            wrong_voice=[line["valid/wrong_voice"] for line in checked],
            wer=[line["valid/wer"] for line in checked],
            interval=(checked[-1]["valid/wer_low"], checked[-1]["valid/wer_high"]),
            **_speech(run / PROMPT_FOLDER / CONFIG_FILE),
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"no validations in '{run}' ({error!r}); give the folder of a target-speaker run") from error


def _speech(config: Path) -> dict[str, Any]:
    if not config.is_file():
        return {}
    training = json.loads(config.read_text(encoding="utf-8"))["training"]
    return {"hours": training["speech_hours"], "talkers": training["talkers"]}


@style()
def voice_curves(runs: list[RunCurve]) -> Figure:
    """Loss with the right voice (line) and with the wrong one (dashes), by mixtures heard."""
    figure = Figure(figsize=(WIDTH, 4.2))
    axes = figure.add_subplot()
    for run, colour, marker in zip(runs, COLOURS, MARKERS * 2, strict=False):
        shared: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.6}
        axes.plot(run.mixtures, run.right_voice, label=run.name, **shared)
        axes.plot(run.mixtures, run.wrong_voice, linestyle=(0, (4, 3)), markerfacecolor="white", **shared)
    axes.set_xlabel("mixtures trained on")
    axes.set_ylabel("cross-entropy on the target's words")
    axes.grid(axis="y")
    note = "line: told the right voice; dashes: told the other talker's"
    axes.set_title(note, fontsize=SMALL, fontweight="normal", color=QUIET)
    axes.legend()
    return figure


@style()
def scaling_curve(runs: list[RunCurve], axis: Axis) -> Figure:
    """Word error rate at the end of runs of equal length, by hours of speech or by talkers, with 95 % intervals.

    Raises DataError for a run that did not end with a prompt.
    """
    for run in runs:
        if getattr(run, axis) is None:
            raise DataError(f"run '{run.name}' has no prompt that says how much speech it had; let it end first")
    figure = Figure(figsize=(WIDTH * 0.7, 3.6))
    axes = figure.add_subplot()
    ordered = sorted(runs, key=lambda run: getattr(run, axis))
    places = [getattr(run, axis) for run in ordered]
    rates = [run.wer[-1] for run in ordered]
    below = [run.wer[-1] - run.interval[0] for run in ordered]
    above = [run.interval[1] - run.wer[-1] for run in ordered]
    axes.errorbar(places, rates, yerr=[below, above], color=COLOURS[0], marker="o", capsize=3, linewidth=1.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks(places, [f"{place:.3g}" for place in places])
    axes.set_xlabel(LABELS[axis])
    axes.set_ylabel("word error rate, %")
    percent_axis(axes.yaxis, axes)
    return figure
