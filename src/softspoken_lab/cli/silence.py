"""`softspoken-lab calibrate`, `silence`, `hallucinations`: whether the target speaks, and what is written if not."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from softspoken.evaluation.manifest import EvaluationItem
    from softspoken_lab.measures.hallucination import WordRate

Reference = Annotated[
    str, typer.Argument(metavar="REF", help="'shipped', 'tiny.en', a folder, or a hub id owner/name.")
]
Manifests = Annotated[
    list[Path],
    typer.Argument(metavar="MANIFEST.jsonl...", help="Items as for 'evaluate'; some of them silent."),
]
FalseRejection = Annotated[
    float, typer.Option(min=0.0, max=0.5, help="Share of speaking targets that may be taken for silent.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def calibrate(
    reference: Reference,
    manifest: Manifests,
    out: Annotated[
        Path, typer.Option(help="Folder of the calibrated prompt; may be the prompt's own.", show_default=False)
    ],
    false_rejection: FalseRejection = 0.01,
    feature: Annotated[
        list[str] | None,
        typer.Option(help="empty or presence: what the score is made of; may be repeated. Default: both."),
    ] = None,
    observations: Annotated[
        Path | None,
        typer.Option(help="Keep what was observed here, to calibrate again without listening.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the probability that the target speaks to development items, and store it with the prompt."""
    from softspoken_lab.measures.silence_fit import FEATURES, FitOptions, calibrate_prompt, known_features

    options = FitOptions(false_rejection, FEATURES if feature is None else known_features(feature))
    fitted = calibrate_prompt(reference, manifest, out, options, observations, listening_progress())
    model, held_out = fitted.model, fitted.held_out
    if as_json:
        typer.echo(json.dumps({"model": model.model_dump(), "held_out": held_out.as_dict()}, indent=2))
        return
    typer.echo(out)
    typer.echo(
        f"below the threshold {model.threshold:.4f}: {model.false_rejection:.1%} of {model.speaking} speaking and "
        f"{model.rejection:.1%} of {model.silent} silent targets; area under the ROC curve {held_out.area}, rejection "
        f"at {false_rejection:.1%} {held_out.rejection_asked} (talkers held out, 95 % intervals over "
        f"{held_out.talkers} talkers)",
        err=True,
    )


def listening_progress() -> "Callable[[Sequence[EvaluationItem]], Iterable[EvaluationItem]]":
    from rich.console import Console
    from rich.progress import track

    talk = Console(stderr=True)

    def shown(items: "Sequence[EvaluationItem]") -> "Iterable[EvaluationItem]":
        return track(items, description="listening", console=talk, disable=not talk.is_terminal, transient=True)

    return shown


def silence(
    reference: Reference,
    manifest: Manifests,
    false_rejection: FalseRejection = 0.01,
    out: Annotated[
        Path | None, typer.Option(help="Also write each item's features, one JSON line an item.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """For how many silent targets nothing is written, and for how many speaking ones, by the prompt as it is stored."""
    from softspoken_lab.measures.observations import write_observations
    from softspoken_lab.measures.silence import measure_prompt

    found, observations = measure_prompt(reference, manifest, false_rejection, listening_progress())
    if out is not None:
        write_observations(observations, out, reference)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    speaking = sum(not one.silent for one in observations)
    typer.echo(f"nothing written for {len(observations) - speaking} silent targets    {found.rejection}")
    typer.echo(f"nothing written for {speaking} speaking targets  {found.false_rejection}")
    if found.detection is None:
        typer.echo("not calibrated ('softspoken-lab calibrate'): no probability to measure", err=True)
        return
    typer.echo(f"area under the ROC curve               {found.detection.area}")
    typer.echo(f"rejection at {false_rejection:.1%} false rejection     {found.detection.rejection_asked}")
    typer.echo("shares with 95 % intervals over talkers; the last one is read off these very items' ROC", err=True)


def hallucinations(
    voice: Annotated[list[Path], typer.Option(help="A clip of a talker to listen for; may be repeated.")],
    reference: Reference = "shipped",
    noise: Annotated[
        Path | None, typer.Option(help="manifest.jsonl or folder of noise without speech.", show_default=False)
    ] = None,
    noise_split: Annotated[str | None, typer.Option(help="Only this split of it.", show_default=False)] = None,
    music: Annotated[Path | None, typer.Option(help="Folder of music without singing.", show_default=False)] = None,
    longest_s: Annotated[
        float, typer.Option(min=1.0, help="Seconds taken of each recording of noise and music.")
    ] = 30.0,
    backbone: Annotated[str | None, typer.Option(help="Frozen Whisper. Default: the prompt's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Words a minute on silence, faint noise, synthetic music and recordings without speech: plain and prompted."""
    from itertools import chain

    from softspoken_lab.measures.hallucination import hallucinated_words, made_sounds, recorded_sounds

    sounds = [made_sounds()]
    if noise is not None:
        sounds.append(recorded_sounds(noise, "noise", longest_s, noise_split))
    if music is not None:
        sounds.append(recorded_sounds(music, "music", longest_s))
    rates = hallucinated_words(reference, voice, chain(*sounds), backbone)
    if as_json:
        typer.echo(json.dumps([rate.as_dict() for rate in rates], indent=2))
        return
    _print_rates(rates)


def _print_rates(rates: "Sequence[WordRate]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("sound", "system", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("sounds", "minutes", "words", "a minute", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    for rate in rates:
        interval = f"{rate.interval.low:.2f} .. {rate.interval.high:.2f}"
        figures = [str(rate.sounds), f"{rate.minutes:.1f}", str(rate.words), f"{rate.per_minute:.2f}", interval]
        table.add_row(rate.kind, rate.system, *figures)
    console = Console()
    console.print(table)
    console.print("minutes: of sound, for the prompt once a voice; in babble people do speak", highlight=False)
