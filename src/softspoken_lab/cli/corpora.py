"""`softspoken-lab prepare` and `check`: published corpora of mixed speech to manifests, and whether these are sound."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

MixtureCorpus = Literal["librimix", "libri2mix-test", "librispeechmix", "libricss", "ami"]


def prepare(
    corpus: Annotated[MixtureCorpus, typer.Argument(help="The corpus.")],
    source: Annotated[Path, typer.Argument(help="The folder it was unpacked to.")],
    out: Annotated[
        Path, typer.Option(help="A folder, which gets a folder with a manifest.jsonl for each part of the corpus.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this part; repeat it. Parts of librimix (train-100, train-360, dev, test) and ami (train, dev, "
            "test), lists of librispeechmix (test-clean-2mix), conditions of libricss (0L ... OV40)."
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            help="librimix max/mix_clean (default), max/mix_both, min/mix_clean, min/mix_both; libricss sdm/segments "
            "(default), ami ihm-mix/segments (default), both also with the other microphone and as sessions: "
            "ihm-mix/sessions."
        ),
    ] = None,
    librispeech: Annotated[
        Path | None, typer.Option(help="librimix: where LibriSpeech is. Default: beside LibriMix's own folder.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Chooses enrolments and silent targets.")] = None,
    silent: Annotated[
        int | None, typer.Option(min=0, help="Items of each mixture whose target does not speak in it. Default: none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, for programs.")] = False,
) -> None:
    """Write the manifests of a published corpus of mixed speech that is unpacked here."""
    from softspoken_lab.corpora.mixture_corpus import MixtureOptions
    from softspoken_lab.corpora.prepare_mixtures import prepare_mixtures

    asked: dict[str, Any] = {"variant": variant, "librispeech": librispeech, "seed": seed, "silent_per_mixture": silent}
    options = MixtureOptions(**{name: value for name, value in asked.items() if value is not None})
    parts = []
    for part in prepare_mixtures(corpus, source, out, only if only is not None else (), options):
        typer.echo(
            f"{part.manifest.parent.name}: {part.items} targets ({part.silent} silent) in {part.mixtures} mixtures, "
            f"{part.hours:.2f} h",
            err=True,
        )
        for reason, count in part.left_out.items():
            typer.echo(f"{part.manifest.parent.name}: left out {count} {reason}", err=True)
        if not as_json:
            typer.echo(part.manifest)
        parts.append(asdict(part) | {"manifest": str(part.manifest)})
    if as_json:
        typer.echo(json.dumps(parts))


def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|MANIFEST...",
            help="Manifests, or folders of them; all together, so that nobody trains in one and is tested in another.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say what is missing or broken in prepared data, one line a problem; exit code 1 if anything is."""
    from softspoken_lab.corpora.check import check as look

    found = look(paths)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        for problem in found.problems:
            typer.echo(problem)
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.counts.items())
    typer.echo(
        f"{found.lines} lines in {len(found.manifests)} manifest(s), {found.files} files: "
        f"{f'{len(found.problems)} problem(s): {kinds}' if found.problems else 'nothing wrong'}",
        err=True,
    )
    if found.problems:
        raise typer.Exit(1)
