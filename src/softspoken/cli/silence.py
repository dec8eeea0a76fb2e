"""`softspoken prompt calibrate`: the probability that the target speaks."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from softspoken.evaluation.manifest import EvaluationItem

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
        typer.Option(help="empty, presence or spread: what the score is made of; may be repeated. Default: all."),
    ] = None,
    decides: Annotated[
        Literal["both", "silence"],
        typer.Option(
            help="both: from the threshold on something is written in any case; silence: the decoder may still find "
            "nothing to write."
        ),
    ] = "both",
    observations: Annotated[
        Path | None,
        typer.Option(help="Keep what was observed here, to calibrate again without listening.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the probability that the target speaks to development items, and store it with the prompt."""
    from softspoken.evaluation.silence_fit import FEATURES, FitOptions, calibrate_prompt, known_features
    from softspoken.prompts.checkpoint import load_prompts

    options = FitOptions(
        false_rejection,
        FEATURES if feature is None else known_features(feature),
        decides,
        load_prompts(reference).info.timestamps,
    )
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
    if model.threshold == 0.0:
        typer.echo("softspoken: warning: the decoder alone misses more targets than that: no threshold", err=True)


def listening_progress() -> "Callable[[Sequence[EvaluationItem]], Iterable[EvaluationItem]]":
    from rich.console import Console
    from rich.progress import track

    talk = Console(stderr=True)

    def shown(items: "Sequence[EvaluationItem]") -> "Iterable[EvaluationItem]":
        return track(items, description="listening", console=talk, disable=not talk.is_terminal, transient=True)

    return shown


def described(model: dict[str, Any] | None) -> str:
    """A silence model in a line, for people."""
    if model is None:
        return "none"
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in model["weights"].items())
    return f"speaking from probability {model['threshold']:.3g} on ({weights}), decides {model['decides']}"
