"""`softspoken data mixtures`: test mixtures of one's own talkers."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

SpeechManifest = Annotated[
    Path, typer.Argument(help="manifest.jsonl of a folder of speech (id, path, split, corpus, speaker, text, ...).")
]
Out = Annotated[Path, typer.Argument(help="New folder for the mixtures and their manifest.jsonl.")]
Count = Annotated[int | None, typer.Option(help="Mixtures; each talker is a target once.")]
Talkers = Annotated[int | None, typer.Option(help="Talkers a mixture.")]
Level = Annotated[
    str | None, typer.Option(help="Level of the first talker against the others (default 0), or a range: '-5,5'.")
]
Overlap = Annotated[
    str | None,
    typer.Option(help="Share of the shorter speech that is covered: '0.5,1'. Every further talker covers the first."),
]
OverlapOf = Annotated[
    Literal["frames", "stretches"] | None,
    typer.Option(
        help="The share is one of speech frames (default; pauses put 0 and 1 out of reach), or of stretches from "
        "the first to the last word, which is exact from 0 to 1."
    ),
]
Targets = Annotated[
    Literal["all", "first"] | None,
    typer.Option(help="Who is a target: every talker (default), or the first alone, at exactly the asked level."),
]
Seed = Annotated[int | None, typer.Option(help="The same seed gives the same bytes.")]
Whose = Annotated[
    Literal["train", "development", "test"] | None,
    typer.Option(help="Talkers to take (default: test). Never choose a setting by results on 'test'."),
]


def mixtures(
    speech_manifest: SpeechManifest,
    out: Out,
    count: Count = None,
    talkers: Talkers = None,
    snr_db: Level = None,
    overlap: Overlap = None,
    overlap_of: OverlapOf = None,
    targets: Targets = None,
    seed: Seed = None,
    split: Whose = None,
) -> None:
    """Mix talkers for a test: recordings, enrolments from other speech, clean targets, silent targets, manifest."""
    from softspoken.evaluation.mixtures import MixtureSpec, build_mixtures

    given: dict[str, Any] = {"count": count, "talkers": talkers, "seed": seed, "split": split}
    given |= {"overlap_of": overlap_of, "targets": targets}
    given |= {"snr_db": range_of("--snr-db", snr_db), "overlap": range_of("--overlap", overlap)}
    spec = MixtureSpec(**{name: value for name, value in given.items() if value is not None})
    written = build_mixtures(speech_manifest, out, spec)
    typer.echo(f"{spec.count} mixtures from split '{spec.split}', seed {spec.seed}", err=True)
    typer.echo(written)


def range_of(option: str, text: str | None) -> tuple[float, float] | None:
    """'5' or '-5,5'; None as it is."""
    from softspoken.errors import ConfigError

    if text is None:
        return None
    try:
        low, high = (float(part) for part in (text.split(",") if "," in text else (text, text)))
    except ValueError as error:
        raise ConfigError(f"{option} is '{text}'; give one number or two with a comma: -5,5") from error
    return low, high
