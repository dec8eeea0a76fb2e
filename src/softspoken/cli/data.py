"""`softspoken data`: make the data that evaluation needs."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from softspoken.cli import data_noise

app = typer.Typer(
    name="data", help="Data: manifests, test mixtures, noisy test sets, training texts, packing.", no_args_is_help=True
)

app.command("noisy")(data_noise.noisy)
app.command("prepare")(data_noise.prepare)


@app.command("mixtures")
def mixtures(
    speech_manifest: Annotated[
        Path, typer.Argument(help="manifest.jsonl of a folder of speech (id, path, split, corpus, speaker, text, ...).")
    ],
    out: Annotated[Path, typer.Argument(help="New folder for the mixtures and their manifest.jsonl.")],
    count: Annotated[int | None, typer.Option(help="Mixtures; each talker is a target once.")] = None,
    talkers: Annotated[int | None, typer.Option(help="Talkers a mixture.")] = None,
    snr_db: Annotated[
        str | None, typer.Option(help="Level of the first talker against the others (default 0), or a range: '-5,5'.")
    ] = None,
    overlap: Annotated[str | None, typer.Option(help="Share of the shorter speech that is covered: '0.5,1'.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same bytes.")] = None,
    split: Annotated[
        Literal["train", "development", "test"] | None,
        typer.Option(help="Whose speech (default: test); choose nothing by results on 'test'."),
    ] = None,
) -> None:
    """Mix talkers for a test: recordings, enrolments from other speech, clean targets, silent targets, manifest."""
    from dataclasses import replace

    from softspoken.evaluation.mixtures import MixtureSpec, build_mixtures

    ranges = {"snr_db": ("--snr-db", snr_db), "overlap": ("--overlap", overlap)}
    given: dict[str, Any] = {"count": count, "talkers": talkers, "seed": seed, "split": split}
    given |= {name: _range(option, text) for name, (option, text) in ranges.items() if text is not None}
    spec = replace(MixtureSpec(), **{name: value for name, value in given.items() if value is not None})
    written = build_mixtures(speech_manifest, out, spec)
    typer.echo(f"{spec.count} mixtures from split '{spec.split}', seed {spec.seed}", err=True)
    typer.echo(written)


def _range(option: str, text: str) -> tuple[float, float]:
    from softspoken.errors import ConfigError

    try:
        low, high = (float(part) for part in (text.split(",") if "," in text else (text, text)))
    except ValueError as error:
        raise ConfigError(f"{option} is '{text}'; give one number or two with a comma: -5,5") from error
    return low, high


@app.command("pack")
def pack(
    manifest: Annotated[Path, typer.Argument(help="manifest.jsonl of speech or noise.")],
    out: Annotated[Path, typer.Argument(help="Folder for the packed recordings and their manifest.jsonl.")],
    split: Annotated[str, typer.Option(help="Only this split.")] = "train",
) -> None:
    """Pack recordings as Opus, a fifth of the size of FLAC, to train on another machine. Interrupted, it goes on."""
    from softspoken.data.pack import pack_manifest

    typer.echo(pack_manifest(manifest, out, split))
