"""What is seen in each table and figure, in sentences; see `sentences` for what counts as seen."""

import math

from softspoken_lab.analysis.results import (
    ClusterResult,
    Estimate,
    LeaveOneOutResult,
    ProbeResult,
    ProbeRow,
    RemovalResult,
    ReplacementResult,
    RolesResult,
    ShiftResult,
    SubsetsResult,
)
from softspoken_lab.report.numbers import percent, plain, points, points_interval
from softspoken_lab.report.sentences import Direction, Finding, about, differences_of, judge, listed, negated

_ONE_SIDED = 0.025
"""How often an interval leaves out zero above it where there is nothing."""


def on_replacement(result: ReplacementResult) -> Finding:
    """Table 1."""
    claims: list[tuple[Estimate, Direction]] = []
    sentences = []
    if result.frozen is not None:
        gains = negated(differences_of(result.frozen))
        sentences.append(about("Against the frozen baseline, the prompted model", gains))
        claims += [(one, "down") for one in gains.values()]
    for row in result.random:
        what = "Standard normal vectors" if row.name == "random" else "Random vectors as long as the learned ones"
        seeds = f"{len(row.seeds)} draw{'s' if len(row.seeds) > 1 else ''}"
        sentences.append(about(f"{what} in place of the prompts ({seeds})", differences_of(row), plural=True))
        if row.name == "random":
            claims += [(one, "up") for one in differences_of(row).values()]
    return Finding(judge(claims), tuple(sentences))


def on_removal(result: RemovalResult) -> Finding:
    """Table 3."""
    claims: list[tuple[Estimate, Direction]] = [(one, "up") for one in differences_of(result.none).values()]
    sentences = [about("Removing all prompts while recognising", differences_of(result.none))]
    if result.none_against_frozen is not None:
        against = result.none_against_frozen
        sentences.append(
            about("Used without prompts, the head trained with them, against the frozen baseline,", against)
        )
        claims += [(one, "down") for one in against.values()]
    return Finding(judge(claims), tuple(sentences))


def on_subsets(result: SubsetsResult) -> Finding:
    """Table 2."""
    rows = {row.name: row for row in result.conditions}
    claims: list[tuple[Estimate, Direction]] = []
    sentences = []
    expected: dict[str, Direction] = {"content": "same", "noise": "up"}
    for name, direction in expected.items():
        if name in rows and rows[name].prompts:
            count = len(rows[name].prompts)
            what = f"Keeping only the {count} {name} prompt{'s' if count > 1 else ''}"
            sentences.append(about(what, differences_of(rows[name])))
            claims += [(one, direction) for one in differences_of(rows[name]).values()]
    sentences.append(
        "In the paper the content set alone is as good as all prompts, and the noise set alone is a little worse."
    )
    verdict = judge(claims)
    if not any(one.certain for one, _ in claims):
        # "As good as before" alone shows nothing: an experiment that is too small finds it as well.
        verdict = "unclear"
    return Finding(verdict, tuple(sentences))


def on_shift(result: ShiftResult) -> Finding:
    """Table 4."""
    claims: list[tuple[Estimate, Direction]] = []
    sentences = []
    for row, made in zip(result.shifted, result.shifts, strict=True):
        how = shift_words(made.representation, made.scale)
        sentences.append(about(f"Shifting the noise prompts ({how})", differences_of(row)))
        if made.scale == "paper":
            claims += [(one, "down") for one in differences_of(row).values()]
    if result.frozen is not None:
        gains = negated(differences_of(result.frozen))
        sentences.append(about("In the new noise, the prompted model as it is, against the frozen baseline,", gains))
    return Finding(judge(claims) if claims else None, tuple(sentences))


def shift_words(representation: str, scale: str) -> str:
    """How prompts were shifted, in words."""
    where = "the encoder's output" if representation == "output" else "what enters the prompts' layer"
    return f"by {where}, {'as in the paper' if scale == 'paper' else 'brought to unit scale'}"


def on_curve(result: LeaveOneOutResult) -> Finding:
    """Figure 3."""
    count = len(result.left_out)
    by_chance = chance_limit(count)
    sentences, found, harmful = [], False, False
    for name in result.full.wer:
        differences = [entry.difference[name] for entry in result.left_out]
        worse = [e.number for e in result.left_out if e.difference[name].certain and e.difference[name].value > 0]
        better = [e.number for e in result.left_out if e.difference[name].certain and e.difference[name].value < 0]
        found, harmful = found or len(worse) > by_chance, harmful or len(better) > by_chance
        if not worse and not better:
            widest = max(differences, key=lambda one: abs(one.value))
            sentences.append(
                f"On {name} no difference is shown for any single prompt (the largest: {points(widest.value)} points, "
                f"{points_interval(widest)})."
            )
            continue
        ways = [
            f"{way} without {listed([*map(str, found_here)])}"
            for way, found_here in (("lost", worse), ("won", better))
            if found_here
        ]
        sentences.append(f"On {name}, words are {' and '.join(ways)} (prompts whose interval leaves out zero).")
    if result.full.wer:
        sentences.append(
            f"By chance alone, up to {by_chance} of {count} prompts may seem to cost words on a set, and as many to "
            "win some."
        )
    return Finding("agrees" if found else "differs" if harmful else "unclear", tuple(sentences))


def chance_limit(count: int) -> int:
    """How many of so many 95 % intervals may leave out zero on one side where there is nothing (in 19 of 20 cases)."""
    reached = 0.0
    for number in range(count + 1):
        reached += math.comb(count, number) * _ONE_SIDED**number * (1 - _ONE_SIDED) ** (count - number)
        if reached >= 0.95:
            return number
    return count


def on_clusters(result: ClusterResult) -> Finding:
    """Figure 2."""
    space = result.whole
    sizes = [str(space.labels.count(label)) for label in sorted(set(space.labels))]
    best = f"K-means has its highest silhouette ({plain(space.silhouette[space.k], 3)}) at {space.k} clusters"
    sentences = [f"{best}, of {listed(sizes)} prompts."]
    if space.p_value > 0.05:
        sentences.append(
            f"Shapeless clouds of the same spread reach it as well (p = {plain(space.p_value, 3)}): no clusters are "
            "shown."
        )
        return Finding("unclear", tuple(sentences), "no clusters shown")
    sentences.append(f"Shapeless clouds of the same spread hardly reach it (p = {plain(space.p_value, 3)}).")
    return Finding("agrees" if space.k in (2, 3) else "differs", tuple(sentences))


def on_roles(result: RolesResult) -> Finding:
    """Do the curve and the clusters name the same prompts?"""
    certainty = result.curve.certainty
    sure = (
        ""
        if certainty is None
        else (
            f" A prompt stays on its side in {percent(sum(certainty) / len(certainty), 0)} % of resampled test sets on "
            "average."
        )
    )
    first = (
        f"The leave-one-out curve on {result.clean} puts {len(result.curve.content)} of {len(result.deltas)} prompts "
        f"into the content set.{sure}"
    )
    if result.agreement is None:
        return Finding(None, (first,))
    found = result.agreement
    numbers = f"adjusted Rand index {plain(found.adjusted_rand)}, p = {plain(found.p_value, 3)}"
    share = f"{percent(found.share, 0)} % of the prompts have the same role in both"
    if found.p_value <= 0.05:
        return Finding("agrees", (first, f"The clusters of the vectors name the same groups: {numbers}; {share}."))
    second = f"The clusters of the vectors agree with it no more than chance would: {numbers}; {share}."
    return Finding("unclear", (first, second), "no agreement shown")


def _row(result: ProbeResult, name: str) -> ProbeRow | None:
    return next((row for row in result.conditions if row.name == name), None)


def _probe_sentence(what: str, row: ProbeRow, against: str = "without prompts") -> str:
    assert row.difference is not None
    gain = f"{points(row.difference.value, 1)} points, {points_interval(row.difference, 1)}"
    if not row.difference.certain:
        return f"{what}: no difference shown to the states {against} ({gain})."
    way = "better" if row.difference.value > 0 else "worse"
    return f"{what} the noise type is told {way} than {against} ({gain})."


def on_probe_prompts(result: ProbeResult) -> Finding:
    """Figure 1: with the prompts against without."""
    row = _row(result, "full")
    if row is None or row.difference is None:
        return Finding(None, ("The probe was not run with and without the prompts.",))
    sentences = [_probe_sentence("With all prompts", row)]
    if result.permuted and row.accuracy.value <= max(result.permuted):
        sentences.append("With the types shuffled a forest does as well: the states are not shown to tell the type.")
    return Finding(judge([(row.difference, "up")]), tuple(sentences))


def on_probe_sets(result: ProbeResult) -> Finding:
    """Figure 4: the noise set against the content set."""
    content, noise = _row(result, "content"), _row(result, "noise")
    if content is None or noise is None:
        return Finding(None, ("The probe was not run with the two sets.",))
    sentences = [
        _probe_sentence(f"With the {name} set alone", row)
        for name, row in (("noise", noise), ("content", content))
        if row.difference is not None
    ]
    apart = noise.accuracy.low > content.accuracy.high or content.accuracy.low > noise.accuracy.high
    numbers = f"{percent(noise.accuracy.value, 1)} % against {percent(content.accuracy.value, 1)} %"
    if not apart:
        sentences.append(f"Between the two sets no difference is shown ({numbers}; their intervals overlap).")
        return Finding("unclear", tuple(sentences))
    better = noise.accuracy.value > content.accuracy.value
    sentences.append(
        f"The {'noise' if better else 'content'} set tells it better ({numbers}; apart in both intervals)."
    )
    return Finding("agrees" if better else "differs", tuple(sentences))
