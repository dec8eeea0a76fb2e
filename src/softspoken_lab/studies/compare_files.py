"""A comparison as files: the table as Markdown and JSON, and a plot for whatever the runs vary in."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from softspoken.errors import ConfigError
from softspoken.files import replace_text
from softspoken_lab.analysis.tables import Estimate
from softspoken_lab.report.charts import Series, interval_chart, line_chart
from softspoken_lab.report.drawing import svg
from softspoken_lab.studies.compare import Comparison, Row
from softspoken_lab.studies.compare_table import comparison_json, comparison_markdown
from softspoken_lab.studies.groups import configuration, difference_names

STACKS = ("encoder", "decoder")


def write_comparison(found: Comparison, out: Path) -> list[Path]:
    """Write `comparison.md`, `comparison.json` and plots; the files. Raises ConfigError where that is not possible."""
    texts = {
        "comparison.md": comparison_markdown(found),
        "comparison.json": json.dumps(comparison_json(found), indent=2, ensure_ascii=False) + "\n",
        **{name: svg(figure) for name, figure in plots(found).items()},
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in texts.items():
            replace_text(out / name, content)
    except OSError as error:
        raise ConfigError(f"cannot write to '{out}' ({error.strerror}); give another folder") from error
    return [out / name for name in texts]


def plots(found: Comparison) -> dict[str, Figure]:
    """Figures by file name: the rows, and where the runs vary in it, the rate by length, depth and training time."""
    drawn: dict[str, Figure] = {}
    for test in found.tests:
        ending = f"-{test}" if len(found.tests) > 1 else ""
        scored = [row for row in found.rows if test in row.cells]
        drawn[f"rows{ending}.svg"] = _rows(scored, test, found.baseline)
        drawn |= _lengths(scored, test, f"length{ending}.svg")
        drawn |= _depths(scored, test, f"depth{ending}.svg")
    return drawn | _curves(found.rows)


def _rows(rows: Sequence[Row], test: str, baseline: str) -> Figure:
    base = next((row.cells[test].wer.value for row in rows if row.name == baseline), None)
    return interval_chart(
        f"Word error rate on {test}",
        [(row.name, row.cells[test].wer) for row in rows],
        "word error rate (%), 95 % interval",
        base,
        "" if base is None else "baseline",
    )


def _lengths(rows: Sequence[Row], test: str, name: str) -> dict[str, Figure]:
    """A line for each configuration that differs in more than the length."""
    known = [(row, length) for row in rows if (length := prompt_length(row.group.config)) is not None]
    lengths = sorted({length for _, length in known})
    if len(lengths) < 2:
        return {}
    rests = [_without(row.group.config, "length") for row, _ in known]
    labels = [label if label else "prompts" for label in difference_names(rests)]
    lines: dict[str, list[tuple[float, float | Estimate]]] = {}
    for (row, length), label in zip(known, labels, strict=True):
        lines.setdefault(label, []).append((float(length), row.cells[test].wer))
    series = [Series(label, tuple(sorted(points, key=lambda point: point[0]))) for label, points in lines.items()]
    return {
        name: line_chart(
            f"Word error rate by prompt length, {test}", series, "prompt vectors a layer", "WER (%)", lengths
        )
    }


def _depths(rows: Sequence[Row], test: str, name: str) -> dict[str, Figure]:
    known = [(row, kind) for row in rows if (kind := prompt_kind(row.group.config)) is not None]
    if len({kind for _, kind in known}) < 2:
        return {}
    rests = difference_names([_without(row.group.config, "depth", "reparameterisation") for row, _ in known])
    # Those of a kind together, in the order of the rows; what else differs is said behind the kind.
    kinds = list(dict.fromkeys(kind for _, kind in known))
    order = sorted(range(len(known)), key=lambda index: kinds.index(known[index][1]))
    entries = [(f"{known[i][1]} ({rests[i]})" if rests[i] else known[i][1], known[i][0].cells[test].wer) for i in order]
    title = f"Word error rate by depth and reparameterisation, {test}"
    return {name: interval_chart(title, entries, "word error rate (%), 95 % interval")}


def _curves(rows: Sequence[Row]) -> dict[str, Figure]:
    """Every run a line; runs of one configuration share their colour."""
    series = [
        Series(row.name, tuple((point.hours, point.wer) for point in record.curve))
        for row in rows
        for record in row.group.records
        if record.curve
    ]
    if not series:
        return {}
    longest = max(point[0] for one in series for point in one.points)
    unit, factor = ("hours", 1.0) if longest >= 2 else ("minutes", 60.0)
    scaled = [Series(one.name, tuple((x * factor, y) for x, y in one.points)) for one in series]
    title = "Word error rate on development mixtures while training"
    return {"curve.svg": line_chart(title, scaled, f"{unit} of training", "WER (%)")}


def prompt_length(config: Mapping[str, Any] | None) -> int | None:
    """Vectors a layer of the encoder's prompts, or where it has none of the decoder's."""
    lengths = [stack["length"] for stack in _stacks(config)]
    return int(lengths[0]) if lengths else None


def prompt_kind(config: Mapping[str, Any] | None) -> str | None:
    """Such as 'deep, separate MLPs'; None where there are no prompt vectors."""
    depths = list(dict.fromkeys(str(stack["depth"]) for stack in _stacks(config)))
    if config is None or not depths:
        return None
    kind = config["prompts"].get("reparameterisation", "none")
    return (
        f"{' and '.join(depths)}, {'no MLP' if kind == 'none' else f'{kind} MLP' + ('s' if kind == 'separate' else '')}"
    )


def _stacks(config: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    prompts = (config or {}).get("prompts")
    return [prompts[name] for name in STACKS if prompts.get(name) is not None] if isinstance(prompts, Mapping) else []


def _without(config: Mapping[str, Any] | None, *keys: str) -> dict[str, Any]:
    """A configuration less some keys of its prompts and their stacks."""
    rest = configuration(config)
    prompts = {key: value for key, value in rest["prompts"].items() if key not in keys}
    for name in STACKS:
        if prompts.get(name) is not None:
            prompts[name] = {key: value for key, value in prompts[name].items() if key not in keys}
    return {**rest, "prompts": prompts}
