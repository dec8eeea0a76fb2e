"""`softspoken-lab search`, `score`, `compare`, `study`: runs of a recipe, on test manifests, beside each other."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs.", show_default=False)]
By = Annotated[
    Literal["utterance", "talker"],
    typer.Option(help="Unit that intervals resample beside seeds: utterances, or all utterances of a talker together."),
]
OutFolder = Annotated[
    Path | None, typer.Option(help="Also write the table (Markdown, JSON) and plots (SVG) here.", show_default=False)
]


def search(
    recipe: Annotated[
        str, typer.Argument(metavar="FILE.toml[:ROW]", help="See the folder 'recipes'.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the runs; those that are already done are not repeated.")] = Path(
        "runs/search"
    ),
    rate: Annotated[
        list[float] | None,
        typer.Option(help="A learning rate; may be repeated. Default: five in the second paper's range."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of the recipe's steps.", show_default=False)] = None,
) -> None:
    """Try learning rates, one run each, and compare them on the development talkers."""
    from softspoken_lab.studies.recipes import read_any_recipe
    from softspoken_lab.studies.search import PAPER_RATES, search_learning_rate

    config = read_any_recipe(recipe, {"steps": steps} if steps is not None else {})
    results = search_learning_rate(config, out, rate if rate is not None else PAPER_RATES)
    for result in results:
        typer.echo(f"{result.learning_rate:g}\t{result.score:.4f}\t{result.run}")


def score(
    runs: Runs,
    test: Annotated[
        Path, typer.Option(metavar="MANIFEST.jsonl", help="Items, as for 'softspoken evaluate'.", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the evaluation. Default: the manifest's folder.", show_default=False)
    ] = None,
    state: Annotated[Literal["best", "last"], typer.Option(help="State of each run to take.")] = "best",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Number of items to take from the beginning.", show_default=False)
    ] = None,
) -> None:
    """Score runs on a manifest and keep it in RUN/evaluations; what is there for the same state is not made again."""
    from softspoken_lab.studies.scoring import Scored, TestManifest, score
    from softspoken_lab.studies.systems import StudySystems

    wanted, systems = TestManifest.of(test, name, limit), StudySystems()
    # All are looked at before the first is scored: a missing one shows at once, not after an hour.
    waiting = [Scored.run(run, state, systems.method) for run in runs]
    for each in waiting:
        summary = score(each, wanted, _say)
        found = json.loads(summary.read_text(encoding="utf-8"))
        wer = "-" if found["wer"] is None else f"{found['wer']:.1%} [{found['wer_low']:.1%}, {found['wer_high']:.1%}]"
        rejected = "-" if found["rejection_rate"] is None else f"{found['rejection_rate']:.1%}"
        typer.echo(f"{each.folder}\tWER {wer}\tsilent rejected {rejected}")


def compare(
    runs: Runs,
    baseline: Annotated[str, typer.Option(help="'first', a run's folder, or the name of a row.")] = "first",
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these evaluations; may be repeated. Default: all.", show_default=False),
    ] = None,
    by: By = "utterance",
    out: OutFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Runs beside each other: error rates with intervals, paired differences, and what each of them took."""
    from softspoken_lab.studies.compare import compare_runs
    from softspoken_lab.studies.compare_files import write_comparison
    from softspoken_lab.studies.compare_table import comparison_json, comparison_markdown

    found = compare_runs(runs, baseline, test if test is not None else (), by)
    if out is not None:
        for path in write_comparison(found, out):
            _say(str(path))
    if as_json:
        typer.echo(json.dumps(comparison_json(found), indent=2, ensure_ascii=False))
    else:
        typer.echo(comparison_markdown(found), nl=False)


def study(
    recipe: Annotated[
        Path, typer.Argument(metavar="STUDY.toml", help="See 'recipes/target-speaker'.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the runs and the table; started again it goes on.")] = Path(
        "runs/study"
    ),
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Instead of the study's seeds.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Only these rows; may be repeated.", show_default=False)
    ] = None,
    by: By = "utterance",
    stop_after_s: Annotated[
        float | None,
        typer.Option(help="Save and stop after this long; run the same command to continue.", show_default=False),
    ] = None,
) -> None:
    """Train what is not trained, score what is not scored, and write the table. Kill it at any time."""
    from softspoken_lab.studies.compare_files import write_comparison
    from softspoken_lab.studies.compare_table import comparison_markdown
    from softspoken_lab.studies.prompt_study import compare_study, run_study
    from softspoken_lab.studies.prompt_study_config import read_prompt_study
    from softspoken_lab.studies.systems import StudySystems

    asked = read_prompt_study(recipe).narrowed(only if only is not None else (), _numbers(seeds))
    done = run_study(asked, out, StudySystems().method, _say, stop_after_s)
    found = compare_study(asked, out, by)
    if found is not None:
        for path in write_comparison(found, out):
            _say(str(path))
        typer.echo(comparison_markdown(found), nl=False)
    if not done:
        _say("stopped in time; run the same command to continue")


def _numbers(text: str | None) -> tuple[int, ...]:
    from softspoken.errors import ConfigError

    try:
        return () if text is None else tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise ConfigError(f"seeds '{text}'; give whole numbers with commas, such as 0,1,2") from error


def _say(line: str) -> None:
    typer.echo(line, err=True)
