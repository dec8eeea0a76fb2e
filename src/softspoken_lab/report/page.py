"""A report as one HTML file that loads nothing from outside: read on a screen, in the dark, on paper, by a screen
reader. There is no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from softspoken.errors import ConfigError
from softspoken.files import replace_text
from softspoken_lab.analysis.results import Row
from softspoken_lab.analysis.tables import SetInfo
from softspoken_lab.report.build import Report
from softspoken_lab.report.page_sections import Section, sections
from softspoken_lab.report.page_tables import csv_link, csv_text, data_table
from softspoken_lab.report.sentences import Finding

PAPER = "https://arxiv.org/abs/2309.09413"
_CITATION = "D. Ng et al., “Are soft prompts good zero-shot learners for speech recognition?”, arXiv 2309.09413 (2023)"


@dataclass(frozen=True)
class Heading:
    """What a reader wants to know about how a report came about."""

    facts: Sequence[tuple[str, str]]
    """About the prompts: training data, steps, ..."""
    sources: dict[str, str]
    """Test set to where it was read from."""
    command: str
    created: str
    version: str
    notes: Sequence[str] = ()


def write_page(report: Report, heading: Heading, out: Path) -> None:
    """Write the page, whole or not at all. Raises ConfigError where it cannot be written."""
    _write(out, render_page(report, heading))


def write_csv(report: Report, folder: Path) -> list[Path]:
    """Every table and figure as a CSV file. Raises ConfigError where they cannot be written."""
    written = []
    for section in sections(report):
        if section.rows:
            written.append(folder / f"{section.id}.csv")
            _write(written[-1], csv_text(section.rows))
    return written


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, content)
    except OSError as error:
        raise ConfigError(f"cannot write '{path}' ({error.strerror}); give another place") from error


def render_page(report: Report, heading: Heading) -> str:
    """The page's HTML."""
    style = files("softspoken_lab.report").joinpath("page.css").read_text(encoding="utf-8")
    made = sections(report)
    subject = report.subject
    title = f"What the prompts of {subject.name} do"
    # The policy makes the browser itself refuse anything from outside.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{_lead(report)}</p>
{_facts(report, heading)}
{_glance(made)}
</header>
{"".join(_section(section) for section in made)}
{_footer(report, heading)}
</main>
</body>
</html>
"""


def _lead(report: Report) -> str:
    subject = report.subject
    kind = "deep prompts (slots of every layer)" if subject.depth == "deep" else "prompt vectors"
    what = f"{subject.prompts} {kind} on the frozen {subject.stack} of {escape(subject.backbone)}"
    if subject.kind == "ctc":
        return (
            f"{what}, taken apart as in the paper “Are soft prompts good zero-shot learners for speech recognition?”: "
            "left out one by one, exchanged, removed, grouped, and shifted to a noise they never heard."
        )
    return f"{what} that follow one voice: left out one by one, exchanged, removed and grouped."


def _facts(report: Report, heading: Heading) -> str:
    subject = report.subject
    facts = [
        ("Backbone", f"{subject.backbone} (frozen), {subject.stack}"),
        ("Prompts", f"m = {subject.prompts}, {subject.depth if subject.depth is not None else 'none'}"),
        ("Digest of the prompts", subject.digest if subject.digest is not None else "none"),
        *heading.facts,
    ]
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    infos = _infos(report)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{info.utterances}</td><td>{info.words}</td>'
        f"<td>{info.sources}</td><td>{escape(heading.sources.get(name, ''))}</td></tr>"
        for name, info in infos.items()
    )
    table = (
        '<div class="scroll"><table class="sets"><caption>Test sets</caption><thead><tr><th scope="col">Set</th>'
        '<th scope="col">Utterances</th><th scope="col">Words</th><th scope="col">Recordings of speech</th>'
        f'<th scope="col">Read from</th></tr></thead><tbody>{body}</tbody></table></div>'
        if infos
        else ""
    )
    notes = "".join(f'<p class="hint">{escape(note)}</p>' for note in heading.notes)
    return (
        f'<details open class="facts"><summary>The prompts and the data</summary><dl>{listed}</dl>{table}{notes}'
        "</details>"
    )


def _infos(report: Report) -> dict[str, SetInfo]:
    found: dict[str, SetInfo] = {}
    for result in report.results.values():
        for one in result.sets:
            name = f"{one.name} (new noise)" if result is report.shift and one.name in found else one.name
            found.setdefault(name, one)
    return found


def _glance(made: Sequence[Section]) -> str:
    lines = ""
    for section in made:
        first = section.finding.sentences[0] if section.finding is not None else ""
        said = _chip(section.finding) + f"<span>{escape(first)}</span>"
        if section.body is None:
            said = '<span class="chip missing">not made</span>' + f"<span>{escape(section.missing or '')}</span>"
        lines += f'<li><a href="#{section.id}">{escape(section.label)}</a>{said}</li>'
    return f'<nav aria-label="At a glance"><h2>At a glance</h2><ul class="glance">{lines}</ul></nav>'


def _chip(finding: Finding | None) -> str:
    if finding is None or finding.words is None:
        return ""
    return f'<span class="chip {finding.verdict}">{escape(finding.words)}</span>'


def _section(section: Section) -> str:
    head = (
        f'<h2><span class="label">{escape(section.label)}</span> {escape(section.title)}</h2>'
        f'<p class="question">{escape(section.question)}</p>'
    )
    if section.body is None:
        return (
            f'<section id="{section.id}" class="card empty">{head}<p class="hint">Not made. '
            f"{escape(section.missing or '')}</p></section>"
        )
    said = ""
    if section.finding is not None:
        sentences = " ".join(escape(sentence) for sentence in section.finding.sentences)
        said = f'<p class="finding">{_chip(section.finding)} {sentences}</p>'
    data = ""
    if section.rows:
        data = (
            '<details class="numbers"><summary>All numbers, as a table and as CSV</summary>'
            '<p class="note">Rates and accuracies are shares here, not percent. Save: '
            f"{csv_link(section.id, section.rows)}</p>{data_table(section.rows)}</details>"
        )
    return f'<section id="{section.id}" class="card">{head}{said}{section.body}{data}</section>'


def _footer(report: Report, heading: Heading) -> str:
    times: list[Row] = [
        {"stage": one.stage, "seconds": round(one.seconds, 1), "": "kept from an earlier run" if one.kept else ""}
        for one in report.times
    ]
    total = sum(one.seconds for one in report.times)
    return f"""<footer>
<h2>How to read this</h2>
<p>Word error rates are corpus rates in percent. Intervals are 95 % percentile intervals from resampling whole
recordings of speech (for the noise probe, recordings of noise); differences are paired, on the same utterances. Where a
difference's interval contains zero this report says that no difference is shown: the experiment cannot tell, which is
not the same as proof that there is none. Each interval stands for itself: of many, one in twenty leaves out zero by
chance. The paper's numbers are of its own models and full test sets, and stand here for orientation.</p>
<details><summary>Time per stage ({total:.0f} s)</summary>{data_table(times)}</details>
<p>Made on {escape(heading.created)} with softspoken {escape(heading.version)}:</p>
<pre>{escape(heading.command)}</pre>
<p>Paper: <a href="{PAPER}" rel="noreferrer">{escape(_CITATION)}</a></p>
</footer>"""
