"""Tables of a report as HTML, and rows as CSV."""

import base64
import csv
import io
from collections.abc import Sequence
from html import escape

from softspoken_lab.analysis.results import Cell, Condition, Estimate, LeaveOneOutResult, LeftOut, RolesResult, Row
from softspoken_lab.analysis.tables import BySet
from softspoken_lab.report.numbers import interval, percent, points, points_interval
from softspoken_lab.report.paper import PaperTable

LEGEND = (
    '<p class="legend">In brackets: 95 % intervals. Second lines: paired difference to all prompts, in points; '
    '<span class="worse">▲ more errors</span>, <span class="better">▼ fewer errors</span>, '
    '<span class="same">◦ no difference shown</span>.</p>'
)


def condition_table(
    caption: str, rows: Sequence[tuple[str, Condition]], sets: Sequence[str], heads: str = "Prompts in use"
) -> str:
    """Word error rates in percent, a labelled condition a row, a set a column."""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in sets)
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td class="count">{_count(row)}</td>'
        + "".join(_cell(row, name) for name in sets)
        + "</tr>"
        for label, row in rows
    )
    return (
        f'<div class="scroll"><table class="wer"><caption>{escape(caption)}</caption><thead><tr>'
        f'<th scope="col">Method</th><th scope="col">{escape(heads)}</th>{columns}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _count(row: Condition) -> str:
    if not row.prompts:
        return "none"
    return f'<span title="prompts {", ".join(map(str, row.prompts))}">{len(row.prompts)}</span>'


def _cell(row: Condition | LeftOut, name: str) -> str:
    if name not in row.wer:
        return "<td>–</td>"
    wer = row.wer[name]
    shown = f'<b>{percent(wer.value)}</b> <span class="ci">[{interval(wer)}]</span>'
    if row.difference is not None:
        shown += f"<br>{difference(row.difference[name])}"
    return f"<td>{shown}</td>"


def difference(found: Estimate) -> str:
    """A difference of word error rates with its interval and, without colour too, which way it goes."""
    kind, sign = ("same", "◦") if not found.certain else ("worse", "▲") if found.value > 0 else ("better", "▼")
    return (
        f'<span class="{kind}">{sign} {points(found.value)} <span class="ci">[{points_interval(found)}]</span></span>'
    )


def against_table(caption: str, rows: Sequence[tuple[str, BySet]]) -> str:
    """Paired differences alone, in points: to another row than `condition_table` has."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0][1])
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(f"<td>{difference(one)}</td>" for one in found.values())
        + "</tr>"
        for label, found in rows
    )
    return (
        f'<div class="scroll"><table class="wer against"><caption>{escape(caption)}</caption><thead><tr><td></td>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def paper_table(table: PaperTable) -> str:
    """The paper's numbers, in percent."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{value:.2f}</td>" for value in values)}</tr>'
        for name, values in table.rows
    )
    return (
        f'<aside class="paper"><table><caption>{escape(table.title)} <span>WER (%), LibriSpeech, HuBERT base</span>'
        f"</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></aside>"
    )


def roles_table(result: RolesResult) -> str:
    """What each prompt does, by the curve and by the clusters."""
    rows = result.rows()
    body = "".join(
        f'<tr><th scope="row">{number}</th><td>{difference(delta)}</td><td>{_role(row["by_curve"])}</td>'
        f"<td>{_share(row['certainty'])}</td><td>{_role(row['by_clusters'])}</td></tr>"
        for number, (delta, row) in enumerate(zip(result.deltas, rows, strict=True), start=1)
    )
    return (
        '<details><summary>What each prompt does, as a table</summary><div class="scroll"><table class="wer">'
        f"<caption>Roles by the leave-one-out curve on {escape(result.clean)} (content: more than "
        f"{points(result.threshold)} points lost without it; this cut explains {percent(result.separation, 0)} % of "
        "the variance), and by the clusters of the vectors</caption><thead><tr>"
        f'<th scope="col">Prompt</th><th scope="col">Without it on {escape(result.clean)}</th>'
        '<th scope="col">By the curve</th><th scope="col">Stays there in</th><th scope="col">By the clusters</th>'
        f"</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def left_out_table(result: LeaveOneOutResult) -> str:
    """Word error rates in percent without each prompt, a set a column."""
    names = list(result.full.wer)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{row.number}</th>{"".join(_cell(row, name) for name in names)}</tr>'
        for row in result.left_out
    )
    return (
        '<details><summary>Every prompt left out, as a table</summary><div class="scroll"><table class="wer">'
        f'<caption>WER (%)</caption><thead><tr><th scope="col">Without prompt</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{LEGEND}</details>"
    )


def _role(role: Cell) -> str:
    return "–" if role is None else f'<span class="role {role}">{role}</span>'


def _share(value: Cell) -> str:
    return "–" if not isinstance(value, float) else f"{percent(value, 0)} %"


def confusion_table(label: str, types: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """True types down, told types across."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in types)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f'<td style="--share:{count / max(sum(row), 1):.3f}" class="heat">{count}</td>' for count in row)
        + "</tr>"
        for name, row in zip(types, counts, strict=True)
    )
    return (
        f'<div class="scroll"><table class="confusion"><caption>{escape(label)}: true type down, told type across'
        f"</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def data_table(rows: Sequence[Row]) -> str:
    """Any rows, with the numbers as they are (shares, not percent)."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(name.replace("_", " "))}</th>' for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{raw(value)}</td>" for value in row.values()) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="data"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def raw(value: Cell) -> str:
    """A value of `data_table`: numbers to six digits."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    return escape(str(value))


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV with a header line; every digit of every number; nothing where there is no value."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()


def csv_link(name: str, rows: Sequence[Row]) -> str:
    """A link that saves the rows; they are in the page itself."""
    content = base64.b64encode(csv_text(rows).encode("utf-8")).decode("ascii")
    return (
        f'<a class="csv" download="{escape(name)}.csv" href="data:text/csv;charset=utf-8;base64,{content}">'
        f"{escape(name)}.csv</a>"
    )
