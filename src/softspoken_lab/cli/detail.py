"""`softspoken-lab detail`: times and natural text beside the words."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli.checks import require_backbone, require_files, require_methods
from softspoken.cli.engines import EngineChoice
from softspoken.cli.evaluate import (
    Anew,
    AsJson,
    BackboneName,
    Engine,
    Limit,
    Manifest,
    Precisions,
    Threads,
    print_json,
    print_table,
    rows_of,
    run_methods,
    systems_of,
)
from softspoken_lab.cli.evaluate import KINDS, StudyMethods

if TYPE_CHECKING:
    from rich.console import Console

    from softspoken.evaluation.manifest import EvaluationItem
    from softspoken.evaluation.runner import MethodResult, Transcribe
    from softspoken.scoring.text import TextNormalizer

Rows = list[dict[str, Any]]


def detail(
    manifest: Manifest,
    timing: Annotated[
        bool,
        typer.Option(
            "--timing",
            help="Measure how far times are from when the target speaks. Without either option, both are measured.",
        ),
    ] = False,
    natural: Annotated[
        bool,
        typer.Option("--natural", help="Capitals, punctuation and numbers, against plain Whisper's on 'clean'."),
    ] = False,
    by_tag: Annotated[
        bool, typer.Option("--by-tag", help="Word error rates of the items with each tag, in place of all that.")
    ] = False,
    method: StudyMethods = None,
    backbone: BackboneName = None,
    engine: Engine = EngineChoice.AUTO,
    precision: Precisions = None,
    threads: Threads = None,
    anew: Anew = False,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Score methods as 'softspoken evaluate' does, with its kept answers, and their times and natural text besides."""
    require_files([manifest])
    require_methods(method, KINDS)
    require_backbone(backbone, "cpu")
    from rich.console import Console

    from softspoken.evaluation.manifest import read_evaluation_manifest

    # Before anything large is imported.
    items = read_evaluation_manifest(manifest)[:limit]
    from softspoken.scoring.text import TextNormalizer
    from softspoken_lab.studies.systems import StudySystems

    kinds = systems_of(StudySystems, backbone, engine, precision, threads)
    results = run_methods(manifest, items, method, kinds, anew)
    rows, normalize = rows_of(results), TextNormalizer()
    shown: list[Callable[[Console, Rows], None]] = [print_table]
    if by_tag:
        _add(rows, "tags", tag_rows(results, items))
        shown.append(print_tags)
    if timing or not (natural or by_tag):
        _add(rows, "timing", timing_rows(results, items, normalize))
        shown.append(print_timing)
    if natural or not (timing or by_tag):
        _add(rows, "natural", natural_rows(results, items, normalize, kinds[0].plain_text))
        shown.append(print_natural)
    if as_json:
        print_json(rows)
        return
    for show in shown:
        show(Console(), rows)


def _add(rows: Rows, name: str, found: Rows) -> None:
    for row, more in zip(rows, found, strict=True):
        row[name] = more


def tag_rows(results: "Sequence[MethodResult]", items: "Sequence[EvaluationItem]") -> Rows:
    """What `--by-tag` adds to each method's row: scores of the items with each tag."""
    from softspoken.scoring.word_errors import summarize

    by_id = {item.id: item for item in items}
    tags = sorted({tag for item in items for tag in item.tags})
    rows = []
    for result in results:
        found = {}
        for tag in tags:
            score = summarize([each.score for each in result.items if tag in by_id[each.id].tags])
            interval = score.wer_interval
            found[tag] = {
                "wer": score.wer,
                "wer_low": None if interval is None else interval.low,
                "wer_high": None if interval is None else interval.high,
                "utterances": score.utterances,
            }
        rows.append(found)
    return rows


def print_tags(console: "Console", rows: Rows) -> None:
    """One line a method and tag."""
    from rich import box
    from rich.table import Table

    table = Table("method", "tag", "WER", "targets", box=box.SIMPLE_HEAD, padding=(0, 1))
    for row in rows:
        for tag, found in row["tags"].items():
            if found["wer"] is not None:
                table.add_row(row["method"], tag, _share(found, "wer", interval=True), str(found["utterances"]))
    console.print(table)


def timing_rows(
    results: "Sequence[MethodResult]", items: "Sequence[EvaluationItem]", normalize: "TextNormalizer"
) -> Rows:
    """What `--timing` adds to each method's row."""
    from softspoken_lab.measures.timing import summarize_timing, time_item

    by_id = {item.id: item for item in items}
    rows = []
    for result in results:
        timings = [time_item(by_id[each.id], each.transcript, normalize) for each in result.items]
        rows.append(summarize_timing([timing for timing in timings if timing is not None]).as_dict())
    return rows


def natural_rows(
    results: "Sequence[MethodResult]",
    items: "Sequence[EvaluationItem]",
    normalize: "TextNormalizer",
    transcribe: "Transcribe",
) -> Rows:
    """What `--natural` adds to each method's row. `transcribe`: plain Whisper, for the references."""
    from softspoken.audio import load_audio
    from softspoken_lab.measures.natural import compare_natural, natural_reference, summarize_natural

    by_id = {item.id: item for item in items}
    heard: dict[Path, str] = {}

    def teacher(item: "EvaluationItem") -> str:
        assert item.clean is not None
        if item.clean not in heard:
            heard[item.clean] = transcribe(load_audio(item.clean)).text
        return heard[item.clean]

    rows = []
    for result in results:
        found = []
        for each in result.items:
            reference = natural_reference(by_id[each.id], teacher)
            if reference is not None:
                found.append(compare_natural(each.id, *reference, each.transcript.text, normalize))
        rows.append(summarize_natural(found).as_dict())
    return rows


def print_timing(console: "Console", rows: Rows) -> None:
    """Two lines a method: size of the errors, median and 90th percentile, with intervals."""
    from rich import box
    from rich.table import Table

    table = Table("method", "", box=box.SIMPLE_HEAD, padding=(0, 1), title="error of times, s")
    for column in ("start: median", "90 %", "end: median", "90 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        timing = row["timing"]
        for name, prefix in ((row["method"], ""), ("", "segment_")):
            cells = [_error(timing[f"{prefix}{edge}"], what) for edge in ("start", "end") for what in ("median", "p90")]
            table.add_row(name, "segments" if prefix else "utterance", *cells)
    console.print(table)
    truth = rows[0]["timing"]["truth"]
    _note(
        console,
        f"against the alignment of {truth['alignment']} targets and the level of {truth['energy']}, 95 % intervals "
        "below; segments: those whose first (last) word is right",
    )


def print_natural(console: "Console", rows: Rows) -> None:
    """One line a method: F1 of capitals and marks, share of numbers in digits."""
    from rich import box
    from rich.table import Table

    table = Table("method", box=box.SIMPLE_HEAD, padding=(0, 1), title="natural text of the words that are right")
    for column in ("capitals", "marks", ".", ",", "?", "in digits", "words"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        natural = row["natural"]
        marks = [_share(natural["marks"][mark], "f1") for mark in (".", ",", "?")]
        digits = natural["numbers"]
        table.add_row(
            row["method"],
            _share(natural["capitals"], "f1", interval=True),
            _share(natural["punctuation"], "f1", interval=True),
            *marks,
            "-" if digits["recall"] is None else f"{digits['both']}/{digits['reference']}",
            str(natural["right"]),
        )
    console.print(table)
    source = rows[0]["natural"]["reference"]
    _note(
        console,
        f"F1, 95 % intervals below; reference: plain Whisper on {source['whisper']} clean targets, without timestamps, "
        f"and the manifest's text of {source['manifest']}",
    )


def _note(console: "Console", text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _error(spread: dict[str, Any] | None, what: str) -> str:
    if spread is None:
        return "-"
    return f"{spread[f'{what}_s']:.2f}\n{spread[f'{what}_low_s']:.2f}-{spread[f'{what}_high_s']:.2f}"


def _share(measured: dict[str, Any], name: str, interval: bool = False) -> str:
    if measured[name] is None:
        return "-"
    text = f"{measured[name]:.3f}"
    return text + (f"\n{measured[f'{name}_low']:.2f}-{measured[f'{name}_high']:.2f}" if interval else "")
