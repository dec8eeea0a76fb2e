"""Figures of a report as HTML: a drawing, what it shows, and what it was made from."""

from collections.abc import Sequence
from html import escape

from softspoken_lab.analysis.results import (
    ClusterResult,
    LeaveOneOutResult,
    ProbeResult,
    ProbeRow,
    RoleSplit,
    RolesResult,
    Row,
    ShiftResult,
)
from softspoken_lab.report import plots
from softspoken_lab.report.drawing import image
from softspoken_lab.report.numbers import percent, plain
from softspoken_lab.report.page_tables import confusion_table, data_table, left_out_table, roles_table
from softspoken_lab.report.plan import RolesBy

_PROBE_LABELS = {
    "none": "no prompts",
    "full": "all prompts",
    "frozen": "frozen baseline",
    "content": "set 1: content",
    "noise": "set 2: noise",
}


def probe_figure(result: ProbeResult, names: Sequence[str]) -> str:
    """Figures 1 and 4: the boxes of these conditions, and what was taken for what."""
    rows = [(_probe_label(row), row) for row in probe_rows(result, names)]
    if not rows:
        return ""
    caption = (
        f"Accuracy of a random forest on mean-pooled states of the encoder's last layer, over {result.fold_count} "
        "folds (box: quartiles and median; dots: folds; diamond and bar: mean and its 95 % interval). Dashed: always "
        "saying the most frequent type. Grey: accuracies with the types shuffled."
    )
    confusions = "".join(confusion_table(label, result.types, row.confusion) for label, row in rows)
    return (
        f"<figure>{image(plots.probe_boxes(result, rows), plots.probe_words(result, rows))}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        f"<details><summary>What is taken for what</summary>{confusions}</details>"
    )


def probe_rows(result: ProbeResult, names: Sequence[str]) -> list[ProbeRow]:
    """Those of these names that there are, in that order."""
    by_name = {row.name: row for row in result.conditions}
    return [by_name[name] for name in names if name in by_name]


def _probe_label(row: ProbeRow) -> str:
    label = _PROBE_LABELS.get(row.name, row.name)
    return f"{label} ({len(row.prompts)})" if row.prompts else label


def probe_facts(result: ProbeResult) -> str:
    """The material of the probe in a sentence or two."""
    left_out = "".join(f" Left out: {escape(name)} ({escape(why)})." for name, why in result.left_out.items())
    levels = ", ".join(f"{level:g}" for level in result.snr_db)
    shuffled = ", ".join(f"{percent(value, 1)} %" for value in result.permuted)
    return (
        f'<p class="note">{result.examples} examples of {len(result.types)} types '
        f"({escape(', '.join(result.types))}) at {levels} dB, from {result.noise_recordings} noise and "
        f"{result.speech_recordings} speech recordings; no recording is in two folds. With the types shuffled: "
        f"{shuffled if shuffled else 'not tried'}.{left_out}</p>"
    )


def cluster_figure(result: ClusterResult) -> str:
    """Figure 2, and for deep prompts each layer by itself."""
    space = result.whole
    caption = (
        f"t-SNE (perplexity {space.perplexity:.3g}) of the vectors ({escape(space.name)}), coloured and shaped by "
        f"K-means (seed {result.seed}). p = {plain(space.p_value, 3)}: how often Gaussian clouds of the same spread "
        "reach the highest silhouette."
    )
    body = (
        f"<figure>{image(plots.prompt_map(space), plots.map_words(space))}<figcaption>{caption}</figcaption></figure>"
    )
    if len(result.spaces) == 1:
        return body
    small = "".join(
        f"<figure>{image(plots.small_map(one), plots.map_words(one))}<figcaption>{escape(one.name)}: {one.k} clusters, "
        f"silhouette {plain(one.silhouette[one.k], 3)}, p = {plain(one.p_value, 3)}</figcaption></figure>"
        for one in result.spaces[1:]
    )
    return f'{body}<h3>Layer by layer</h3><div class="maps">{small}</div>'


def cluster_rows(result: ClusterResult) -> list[Row]:
    """The prompts of all spaces, and below them the silhouettes of all numbers of clusters."""
    rows = result.rows()
    rows += [
        {**dict.fromkeys(rows[0]), "vectors": space.name, "k": k, "silhouette": value}
        for space in result.spaces
        for k, value in space.silhouette.items()
    ]
    return rows


def curve_figure(result: LeaveOneOutResult, split: RoleSplit | None) -> str:
    """Figure 3."""
    keys = '<span class="key line"></span>all prompts'
    if split is not None:
        keys += '<span class="key content"></span>content prompt'
        keys += '<span class="key noise"></span>noise prompt (on orange)'
    caption = (
        "Points: word error rate without that prompt. Bars: the 95 % interval of its paired difference to all prompts, "
        "so that a bar across the dashed line shows no difference; points that show one are filled."
    )
    return (
        f'<p class="keys">{keys}</p><figure>{image(plots.left_out_curves(result, split), plots.curve_words(result))}'
        f"<figcaption>{caption}</figcaption></figure>{left_out_table(result)}"
    )


def roles_lists(result: RolesResult, used: RolesBy) -> str:
    """The sets by both ways, and every prompt's role."""
    splits = [("By the leave-one-out curve", result.curve)]
    splits += [("By the clusters of the vectors", result.clusters)] if result.clusters is not None else []
    lists = "".join(
        f'<div><dt>{label}</dt><dd><span class="role content">content</span> {numbers(split.content)}<br>'
        f'<span class="role noise">noise</span> {numbers(split.noise)}</dd></div>'
        for label, split in splits
    )
    way = "the curve" if used == "curve" or result.clusters is None else "the clusters"
    note = f'<p class="note">The tables and figures below use the sets by {way}.</p>'
    return f'<dl class="splits">{lists}</dl>{note}{roles_table(result)}'


def numbers(prompts: Sequence[int]) -> str:
    """'1, 2, 5', or 'none'."""
    return ", ".join(map(str, prompts)) if prompts else "none"


def shift_facts(result: ShiftResult) -> str:
    """How the prompts of table 4 were made."""
    lines = "".join(
        f"<li>{escape(row.name)}: prompt{'s' if len(made.noise_prompts) > 1 else ''} "
        f"{numbers(made.noise_prompts)} multiplied by v of {len(made.files)} "
        f"recordings ({sum(one.duration_s for one in made.files):.0f} s); root mean square of v "
        f"{', '.join(plain(value, 3) for value in made.v_rms)}, mean {', '.join(plain(v, 3) for v in made.v_mean)}; "
        f"the vectors became {plain(made.norm_ratio)} times as long.</li>"
        for row, made in zip(result.shifted, result.shifts, strict=True)
    )
    files: list[Row] = [
        {"recording": one.name, "seconds": one.duration_s, "SHA-256": one.sha256} for one in result.shifts[0].files
    ]
    return f'<ul class="note">{lines}</ul><details><summary>The noise recordings</summary>{data_table(files)}</details>'
