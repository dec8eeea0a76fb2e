"""`softspoken-lab noisy`: noisy test sets."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from softspoken_lab.cli.analyse_options import progress
from softspoken_lab.cli.grid import numbers_of


def noisy(
    speech_manifest: Annotated[Path, typer.Argument(help="manifest.jsonl of speech.")],
    noise: Annotated[Path, typer.Argument(help="manifest.jsonl of noise, or a folder of recordings by category.")],
    out: Annotated[Path, typer.Option(help="New folder for the recordings and their manifest.jsonl.")],
    split: Annotated[
        Literal["train", "development", "test"],
        typer.Option(help="Talkers to take. Never choose a setting by results on 'test'."),
    ] = "test",
    noise_split: Annotated[
        str, typer.Option(help="Noise recordings to take; a folder without a manifest has no splits.")
    ] = "test",
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Only this corpus of the speech, such as librispeech_test-clean; repeat it."),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Kind of noise, or 'all' that there are; repeat it. Default: the paper's seven."),
    ] = None,
    per_condition: Annotated[
        int | None, typer.Option(help="Utterances for each kind of noise and level; the paper has 120.")
    ] = None,
    snr_db: Annotated[str | None, typer.Option(help="Levels; default '0,5,10,15,20'.")] = None,
    draw: Annotated[
        Literal["grid", "uniform"],
        typer.Option(help="Every level, or one drawn evenly from the lowest to the highest for each utterance."),
    ] = "grid",
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same bytes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, for programs.")] = False,
) -> None:
    """Write a noisy test set: kinds of noise by levels by utterances, files named ID_Type_SNRdb.wav."""
    from dataclasses import replace

    from softspoken_lab.noise.bank import read_noise
    from softspoken_lab.noise.testsets import read_test_manifest
    from softspoken_lab.testsets.noisy import NoisyTestSpec, write_noisy_testset

    categories = None if category is None else () if "all" in category else tuple(category)
    levels = None if snr_db is None else numbers_of("--snr-db", snr_db)
    given: dict[str, Any] = {"per_condition": per_condition, "snr_db": levels, "categories": categories, "seed": seed}
    spec = replace(NoisyTestSpec(draw=draw), **{name: value for name, value in given.items() if value is not None})
    speech = read_test_manifest(speech_manifest, split, corpus if corpus is not None else ())
    bank = read_noise(noise, noise_split)
    with progress("noisy utterances") as report:
        written = write_noisy_testset(speech, bank, out, spec, report)
    count = len(written.read_text(encoding="utf-8").splitlines())
    typer.echo(f"{count} noisy utterances of split '{split}', seed {spec.seed}", err=True)
    typer.echo(json.dumps({"manifest": str(written), "utterances": count, **asdict(spec)}) if as_json else written)
