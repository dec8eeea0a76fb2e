"""The sections of a report: one a table or figure of the paper, in its order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from softspoken_lab.analysis.results import (
    Analysis,
    ClusterResult,
    Condition,
    LeaveOneOutResult,
    ProbeResult,
    RandomPrompts,
    RemovalResult,
    ReplacementResult,
    RolesResult,
    Row,
    ShiftResult,
    SubsetsResult,
)
from softspoken_lab.analysis.tables import estimate_columns, even
from softspoken_lab.report import findings, paper
from softspoken_lab.report.build import Report
from softspoken_lab.report.numbers import percent
from softspoken_lab.report.page_figures import (
    cluster_figure,
    cluster_rows,
    curve_figure,
    probe_facts,
    probe_figure,
    probe_rows,
    roles_lists,
    shift_facts,
)
from softspoken_lab.report.page_tables import LEGEND, against_table, condition_table, data_table, paper_table
from softspoken_lab.report.paper import PaperTable
from softspoken_lab.report.sentences import Finding

_NAMES = {
    "frozen": "frozen baseline, no prompts",
    "full": "all prompts",
    "content": "content set only (set 1)",
    "noise": "noise set only (set 2)",
    "none": "all prompts removed",
    "random": "replaced by standard normal",
    "matched": "replaced by random of the same lengths",
}


@dataclass(frozen=True)
class Section:
    """One table or figure, filled or not."""

    id: str
    label: str  # such as "Table 1"
    title: str
    question: str
    stage: str
    """The stage of the report that it shows."""
    finding: Finding | None = None
    body: str | None = None
    """HTML; None: it was not made, and `missing` says why."""
    missing: str | None = None
    rows: tuple[Row, ...] = ()  # everything in it, for CSV


def sections(report: Report) -> list[Section]:
    """Those that were asked for; what could not be made says why."""
    results = report.results
    found = []
    for empty, fill in _SECTIONS:
        result = results.get(empty.stage)
        if result is not None:
            found.append(_for_subject(report, fill(report, empty, result)))
        elif empty.stage in report.left_out:
            found.append(replace(empty, missing=report.left_out[empty.stage]))
    return found


def _for_subject(report: Report, section: Section) -> Section:
    """The paper is about noise: what it saw says nothing of prompts that follow a voice."""
    if report.subject.kind == "ctc" or section.finding is None:
        return section
    said = tuple(sentence for sentence in section.finding.sentences if "the paper" not in sentence)
    return replace(section, finding=Finding(None, said))


def _paper_says(report: Report, words: str) -> str:
    return f'<p class="paper-says">{escape(words)}</p>' if report.subject.kind == "ctc" else ""


def _tabled(
    report: Report,
    section: Section,
    result: Analysis,
    rows: Sequence[Condition | None],
    table: PaperTable,
    finding: Finding,
    more: str = "",
) -> Section:
    """A section whose body is a table of word error rates with the paper's beside it."""
    named = [(_NAMES.get(row.name, row.name), row) for row in rows if row is not None]
    shown = condition_table(f"{section.label}: WER (%)", named, [one.name for one in result.sets])
    aside = paper_table(table) if report.subject.kind == "ctc" else ""
    body = f'<div class="beside">{shown}{aside}</div>{LEGEND}{more}'
    return replace(section, body=body, rows=tuple(result.rows()), finding=finding)


def _frozen_hint(report: Report) -> str:
    reason = report.left_out.get("frozen")
    return f'<p class="hint">{escape(reason)}</p>' if reason is not None else ""


def _table_1(report: Report, section: Section, result: ReplacementResult) -> Section:
    draws: list[Row] = [_draws(entry, name) for entry in result.random for name in entry.by_seed]
    more = f"<details><summary>Every draw of random vectors</summary>{data_table(draws)}</details>"
    return _tabled(
        report,
        section,
        result,
        [result.frozen, result.full, *result.random],
        paper.TABLE_1,
        findings.on_replacement(result),
        _frozen_hint(report) + more,
    )


def _draws(entry: RandomPrompts, name: str) -> Row:
    rates = {f"seed {seed}": f"{percent(rate)} %" for seed, rate in zip(entry.seeds, entry.by_seed[name], strict=True)}
    return {
        "in place of the prompts": _NAMES.get(entry.name, entry.name).removeprefix("replaced by "),
        "set": name,
        **rates,
        "standard deviation": f"{percent(entry.spread[name])} points",
    }


def _figure_1(report: Report, section: Section, result: ProbeResult) -> Section:
    names = ("none", "full", "frozen")
    body = probe_figure(result, names) + _paper_says(report, paper.FIGURE_1) + probe_facts(result)
    return replace(section, body=body, rows=_probe_data(result, names), finding=findings.on_probe_prompts(result))


def _figure_4(report: Report, section: Section, result: ProbeResult) -> Section:
    names = ("content", "noise")
    body = probe_figure(result, names) + _paper_says(report, paper.FIGURE_4)
    return replace(section, body=body, rows=_probe_data(result, names), finding=findings.on_probe_sets(result))


def _probe_data(result: ProbeResult, names: Sequence[str]) -> tuple[Row, ...]:
    shown = {row.name for row in probe_rows(result, names)}
    return tuple(row for row in result.rows() if row["condition"] in shown)


def _figure_2(report: Report, section: Section, result: ClusterResult) -> Section:
    body = cluster_figure(result) + _paper_says(report, paper.FIGURE_2)
    return replace(section, body=body, rows=tuple(cluster_rows(result)), finding=findings.on_clusters(result))


def _figure_3(report: Report, section: Section, result: LeaveOneOutResult) -> Section:
    split = None if report.roles is None else report.roles.chosen(report.roles_by)
    body = curve_figure(result, split) + _paper_says(report, paper.FIGURE_3)
    return replace(section, body=body, rows=tuple(result.rows()), finding=findings.on_curve(result))


def _roles(report: Report, section: Section, result: RolesResult) -> Section:
    body = roles_lists(result, report.roles_by)
    return replace(section, body=body, rows=tuple(result.rows()), finding=findings.on_roles(result))


def _table_2(report: Report, section: Section, result: SubsetsResult) -> Section:
    return _tabled(report, section, result, result.conditions, paper.TABLE_2, findings.on_subsets(result))


def _table_3(report: Report, section: Section, result: RemovalResult) -> Section:
    rows = [result.frozen, result.full, result.none]
    against = {"full": result.full_against_frozen, "none": result.none_against_frozen}
    known = {name: found for name, found in against.items() if found is not None}
    more = _frozen_hint(report)
    if known:
        caption = "Difference to the frozen baseline, whose head was trained without prompts (points of WER)"
        more += against_table(caption, [(_NAMES[name], found) for name, found in known.items()])
    made = _tabled(report, section, result, rows, paper.TABLE_3, findings.on_removal(result), more)
    extra: list[Row] = [
        {"condition": f"{name} less frozen", "set": key, **estimate_columns("difference", one)}
        for name, found in known.items()
        for key, one in found.items()
    ]
    return replace(made, rows=tuple(even([*made.rows, *extra])))


def _table_4(report: Report, section: Section, result: ShiftResult) -> Section:
    shifted = [
        row.model_copy(update={"name": f"noise-shifted {findings.shift_words(made.representation, made.scale)}"})
        for row, made in zip(result.shifted, result.shifts, strict=True)
    ]
    return _tabled(
        report,
        section,
        result,
        [result.frozen, result.full, *shifted],
        paper.TABLE_4,
        findings.on_shift(result),
        _frozen_hint(report) + shift_facts(result),
    )


_SECTIONS: tuple[tuple[Section, Callable[[Report, Section, Any], Section]], ...] = (
    (
        Section(
            "table-1",
            "Table 1",
            "With prompts, and with random vectors in their place",
            "Do the prompts help, and how much harm do wrong ones do?",
            "replacement",
        ),
        _table_1,
    ),
    (
        Section(
            "figure-1",
            "Figure 1",
            "Noise type told from the encoder's states, with and without prompts",
            "Do prompts bring noise information into the representations?",
            "probe",
        ),
        _figure_1,
    ),
    (
        Section(
            "figure-2",
            "Figure 2",
            "The prompt vectors, and whether they fall into groups",
            "Are there groups among the prompts that could have roles?",
            "clusters",
        ),
        _figure_2,
    ),
    (
        Section(
            "figure-3",
            "Figure 3",
            "Word error rate with each single prompt left out",
            "Which prompts are needed?",
            "leave-one-out",
        ),
        _figure_3,
    ),
    (
        Section(
            "roles",
            "Sets",
            "The content set and the noise set",
            "Do the curve and the clusters name the same prompts?",
            "roles",
        ),
        _roles,
    ),
    (
        Section(
            "table-2",
            "Table 2",
            "Only one of the two sets in use",
            "Is the content set alone as good as all prompts?",
            "subsets",
        ),
        _table_2,
    ),
    (
        Section(
            "figure-4",
            "Figure 4",
            "Noise type told with each of the two sets",
            "Is it the noise set that carries the noise information?",
            "probe",
        ),
        _figure_4,
    ),
    (
        Section(
            "table-3",
            "Table 3",
            "All prompts removed while recognising",
            "Can the prompts be taken away after training?",
            "removal",
        ),
        _table_3,
    ),
    (
        Section(
            "table-4",
            "Table 4",
            "Noise prompts shifted to a new environment",
            "Can the prompts be fitted to noise never heard in training, without training?",
            "shift",
        ),
        _table_4,
    ),
)
