"""`softspoken evaluate`: one table of word error rates with intervals, and how well silent targets stay silent."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from softspoken.cli.checks import require_backbone, require_files, require_methods
from softspoken.cli.engines import EngineChoice, PrecisionChoice
from softspoken.cli.outputs import identities, require_place, require_unread

if TYPE_CHECKING:
    from rich.console import Console

    from softspoken.evaluation.manifest import EvaluationItem
    from softspoken.evaluation.runner import Method, MethodResult
    from softspoken.evaluation.systems import Systems

    AnySystems = TypeVar("AnySystems", bound=Systems)

Manifest = Annotated[
    Path,
    typer.Argument(
        metavar="MANIFEST.jsonl",
        help='Lines {"audio", "enrolment", "text"}, paths relative to it; empty text: the target is silent.',
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        help="shipped (the prompt in this package), none (plain Whisper), clean (plain Whisper on the target "
        "alone), cascade (find the target's stretches, then plain Whisper), diarise (the same by diarisation), or a "
        "prompt's folder or repository. 'cascade:0.35' sets the threshold. Repeat it to compare; the first is what "
        "the others are compared with. Default: shipped."
    ),
]
BackboneName = Annotated[str | None, typer.Option(help="Frozen Whisper. Default: the prompt's own, else tiny.en.")]
Engine = Annotated[
    EngineChoice,
    typer.Option(
        help="Software that runs the model. auto: openvino on a processor, if it is installed, else torch. "
        "'torch', in float32, is the reference."
    ),
]
Precisions = Annotated[
    list[PrecisionChoice] | None,
    typer.Option(
        help="Number format of the weights; repeat it to compare every method with itself (default: float32)."
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Number of threads. Default: OMP_NUM_THREADS where it is set, else all cores.")
]
Anew = Annotated[bool, typer.Option("--anew", help="Transcribe everything, whatever is kept from earlier evaluations.")]
Out = Annotated[Path | None, typer.Option(help="Also write what was transcribed, one JSON line per item.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Number of items to take from the beginning.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def evaluate(
    manifest: Manifest,
    method: Methods = None,
    backbone: BackboneName = None,
    engine: Engine = EngineChoice.AUTO,
    precision: Precisions = None,
    threads: Threads = None,
    anew: Anew = False,
    out: Out = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Score methods on a manifest: WER with 95 % intervals, and the share of silent targets left silent.

    Every answer is kept beside the manifest as soon as it is there: an evaluation that was stopped goes on when it is
    started again. What has changed (prompt, backbone, engine, recording, this program) is transcribed anew.
    """
    require_files([manifest])
    require_methods(method)
    require_backbone(backbone, "cpu")
    # Before anything large is imported.
    items = items_of(manifest, limit, out)
    from softspoken.evaluation.systems import Systems

    show_scores(manifest, items, method, systems_of(Systems, backbone, engine, precision, threads), anew, out, as_json)


def items_of(manifest: Path, limit: int | None, out: Path | None) -> "Sequence[EvaluationItem]":
    """The items of a manifest. Raises ConfigError for an `out` that could not be written later, or that is read."""
    from softspoken.evaluation.manifest import read_evaluation_manifest

    items = read_evaluation_manifest(manifest)
    if out is not None:
        require_place(out)
        sounds = [sound for item in items for sound in (item.audio, item.enrolment, item.clean) if sound is not None]
        require_unread(f"--out {out} is", out, identities([manifest, *sounds]))
    return items[:limit]


def show_scores(
    manifest: Path,
    items: "Sequence[EvaluationItem]",
    names: list[str] | None,
    kinds: "Sequence[Systems]",
    anew: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score items of a manifest and print the table, or JSON; `out`: a file for what was heard."""
    from rich.console import Console

    from softspoken.evaluation.runner import write_items

    results = run_methods(manifest, items, names, kinds, anew)
    rows = rows_of(results)
    try:
        if as_json:
            print_json(rows)
        else:
            print_table(Console(), rows)
    finally:  # also where nobody reads the table to its end
        if out is not None:
            write_items(results, out)
            Console(stderr=True).print(f"Transcripts: {out}", soft_wrap=True, highlight=False)


def systems_of(
    kind: "type[AnySystems]",
    backbone: str | None,
    engine: EngineChoice,
    precision: list[PrecisionChoice] | None,
    threads: int | None,
) -> "list[AnySystems]":
    """What runs the methods: one of `kind` for each precision."""
    from softspoken.engines.torch_engine import share_threads

    precisions = list(dict.fromkeys(precision)) if precision else [None]
    used = share_threads(threads)
    return [kind(backbone, engine.value, None if each is None else each.value, used) for each in precisions]


def run_methods(
    manifest: Path, items: "Sequence[EvaluationItem]", names: list[str] | None, kinds: "Sequence[Systems]", anew: bool
) -> "list[MethodResult]":
    """Each method under each of `kinds`, shown on stderr; answers are kept beside the manifest."""
    from rich.console import Console

    from softspoken.cli.evaluate_progress import progress_of
    from softspoken.evaluation.runner import run_method
    from softspoken.evaluation.stage_cache import KeptAnswers
    from softspoken.scoring.text import TextNormalizer

    talk = Console(stderr=True)
    normalize = TextNormalizer()
    # All are loaded before the first one runs: a missing prompt shows at once, not after an hour.
    methods = [
        _named(systems, name, len(kinds) > 1) for name in dict.fromkeys(names or ["shipped"]) for systems in kinds
    ]

    def note(text: str) -> None:
        talk.print(text, soft_wrap=True, highlight=False, markup=False)

    kept = KeptAnswers.beside(manifest, note, anew)
    with progress_of(methods, items, talk) as shown_of:
        return [run_method(each, items, normalize, shown_of(each), kept) for each in methods]


def _named(systems: "Systems", name: str, several: bool) -> "Method":
    """A method; `several`: its name says in which precision."""
    found = systems.method(name)
    return replace(found, name=f"{found.name}, {systems.precision}") if several else found


def rows_of(results: "Sequence[MethodResult]") -> list[dict[str, Any]]:
    """One object a method; all but the first with their paired difference to the first ('against')."""
    from softspoken.evaluation.runner import compare

    rows = [result.as_dict() for result in results]
    for result, row in zip(results[1:], rows[1:], strict=True):
        if not (result.score.words and results[0].score.words):
            continue
        difference = compare(result, results[0])
        row["difference"] = {
            "against": results[0].method,
            "wer": difference.wer,
            "wer_low": difference.interval.low,
            "wer_high": difference.interval.high,
        }
    return rows


def print_json(rows: list[dict[str, Any]]) -> None:
    """One object for one method, a list for several."""
    typer.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2, ensure_ascii=False))


def print_table(console: "Console", rows: list[dict[str, Any]]) -> None:
    """One line a method, and the paired differences."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.add_column("method", overflow="fold", min_width=11)
    for column in ("WER", "95 % interval", "sub/del/ins", "words", "silent kept", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    differences = []
    for row in rows:
        interval = "-" if row["wer"] is None else f"{100 * row['wer_low']:.1f} .. {row['wer_high']:.1%}"
        errors = "/".join(str(row[key]) for key in ("substitutions", "deletions", "insertions"))
        kept = _percent(row["rejection_rate"])
        table.add_row(
            row["method"], _percent(row["wer"]), interval, errors, str(row["words"]), kept, f"{row['seconds']:.1f}"
        )
        if "difference" in row:
            other = row["difference"]
            differences.append(
                f"{row['method']} less {other['against']}: {100 * other['wer']:+.1f} points of WER, paired, 95 % "
                f"interval {100 * other['wer_low']:+.1f} .. {100 * other['wer_high']:+.1f}"
            )
    console.print(table)
    console.print("silent kept: share of silent targets for whom nothing was written", highlight=False)
    for line in differences:
        console.print(line, soft_wrap=True, highlight=False)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
