"""`softspoken data prepare` and `softspoken data check`: public corpora to manifests, and whether these are sound."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer

SingleCorpus = Literal["librispeech", "musan", "wham", "esc50", "fsd50k", "demand", "folder"]
MixtureCorpus = Literal["librimix", "libri2mix-test", "librispeechmix", "libricss", "ami"]
AnyCorpus = Literal[
    "librispeech",
    "librimix",
    "libri2mix-test",
    "librispeechmix",
    "libricss",
    "ami",
    "musan",
    "wham",
    "esc50",
    "fsd50k",
    "demand",
    "folder",
]


def prepare(
    corpus: Annotated[
        AnyCorpus,
        typer.Argument(help="Which corpus; 'folder' for your own noise, in folders by category."),
    ],
    source: Annotated[Path, typer.Argument(help="The folder it was unpacked to.")],
    out: Annotated[
        Path,
        typer.Option(
            help="The manifest to write (JSON lines); for librimix, libri2mix-test, librispeechmix, libricss and ami a "
            "folder, which gets a folder with a manifest.jsonl for each part."
        ),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this part; repeat it. Subsets of librispeech (train-clean-100), parts of librimix (train-100, "
            "train-360, dev, test) and ami (train, dev, test), lists of librispeechmix (test-clean-2mix), conditions "
            "of libricss (0L ... OV40), parts of musan and wham, categories or labels of the others; 'office' for the "
            "sounds of an office in esc50 and fsd50k."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Speech and noise: put everything in this split, such as 'ood'. Default: the corpus's own."),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            help="Mixtures: librimix max/mix_clean (default), max/mix_both, min/mix_clean, min/mix_both; libricss "
            "sdm/segments (default), ami ihm-mix/segments (default), both also with the other microphone and as "
            "sessions: ihm-mix/sessions."
        ),
    ] = None,
    librispeech: Annotated[
        Path | None, typer.Option(help="librimix: where LibriSpeech is. Default: beside LibriMix's own folder.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Mixtures: chooses enrolments and silent targets.")] = None,
    silent: Annotated[
        int | None, typer.Option(min=0, help="Mixtures: items each whose target does not speak in it. Default: none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, for programs.")] = False,
) -> None:
    """Write the manifest of a public corpus, or of a folder of noise, that is unpacked here."""
    from softspoken.errors import ConfigError

    options = {"variant": variant, "librispeech": librispeech, "seed": seed, "silent": silent}
    given = {name: value for name, value in options.items() if value is not None}
    if corpus in get_args(MixtureCorpus):
        if split is not None:
            raise ConfigError(f"--split goes with speech and noise; the parts of {corpus} have their own")
        _mixtures(cast(MixtureCorpus, corpus), source, out, only, given, as_json)
    elif given:
        raise ConfigError(
            f"--{next(iter(given))} goes with {', '.join(get_args(MixtureCorpus))}; '{corpus}' has no mixtures"
        )
    else:
        _single(cast(SingleCorpus, corpus), source, out, only, split, as_json)


def _single(
    corpus: SingleCorpus, source: Path, out: Path, only: list[str] | None, split: str | None, as_json: bool
) -> None:
    from softspoken.data.prepare import prepare_corpus

    done = prepare_corpus(corpus, source, out, only if only is not None else (), split)
    splits = ", ".join(f"{count} {name}" for name, count in done.splits.items())
    typer.echo(f"{done.recordings} recordings, {done.hours:.2f} h: {splits}", err=True)
    typer.echo(json.dumps(asdict(done) | {"manifest": str(done.manifest)}) if as_json else done.manifest)


def _mixtures(
    corpus: MixtureCorpus, source: Path, out: Path, only: list[str] | None, given: dict[str, Any], as_json: bool
) -> None:
    from softspoken.data.mixture_corpus import MixtureOptions
    from softspoken.data.prepare_mixtures import prepare_mixtures

    options = MixtureOptions(**{"silent_per_mixture" if name == "silent" else name: given[name] for name in given})
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
    from softspoken.data.check import check as look

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
