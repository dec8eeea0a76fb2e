"""`softspoken-lab prepare` and `check`: published corpora to manifests, and whether these are sound."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

Corpus = Literal["librispeech", "musan", "wham", "esc50", "fsd50k", "demand", "folder"]
MixtureCorpus = Literal["librimix", "libri2mix-test", "librispeechmix", "libricss", "ami"]
AnyCorpus = Literal[Corpus, MixtureCorpus]
Only = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this part; repeat it. Subsets of librispeech (train-clean-100), parts of musan, wham, librimix "
        "(train-100, train-360, dev, test) and ami (train, dev, test), lists of librispeechmix (test-clean-2mix), "
        "conditions of libricss (0L ... OV40), categories or labels of the others; 'office' for the sounds of an "
        "office in esc50 and fsd50k."
    ),
]
Variant = Annotated[
    str | None,
    typer.Option(
        help="librimix max/mix_clean (default), max/mix_both, min/mix_clean, min/mix_both; libricss sdm/segments "
        "(default), ami ihm-mix/segments (default), both also with the other microphone and as sessions: "
        "ihm-mix/sessions."
    ),
]


def prepare(
    corpus: Annotated[AnyCorpus, typer.Argument(help="The corpus, or 'folder' for noise of your own, by category.")],
    source: Annotated[Path, typer.Argument(help="The folder it was unpacked to.")],
    out: Annotated[
        Path,
        typer.Option(
            help="The manifest to write (JSON lines); for a corpus of mixed speech a folder, which gets a folder with "
            "a manifest.jsonl for each part."
        ),
    ],
    only: Only = None,
    split: Annotated[
        str | None,
        typer.Option(help="Put everything in this split, such as 'ood'; not for mixed speech. Default: the corpus's."),
    ] = None,
    variant: Variant = None,
    librispeech: Annotated[
        Path | None, typer.Option(help="librimix: where LibriSpeech is. Default: beside LibriMix's own folder.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Mixed speech: chooses enrolments and silent targets.")
    ] = None,
    silent: Annotated[
        int | None, typer.Option(min=0, help="Items of each mixture whose target does not speak in it. Default: none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, for programs.")] = False,
) -> None:
    """Write the manifests of a published corpus that is unpacked here: of single talkers, noise, or mixed speech."""
    from softspoken.errors import ConfigError

    parts = only if only is not None else ()
    asked: dict[str, Any] = {"variant": variant, "librispeech": librispeech, "seed": seed, "silent_per_mixture": silent}
    given = {name: value for name, value in asked.items() if value is not None}
    if corpus in get_args(MixtureCorpus):
        if split is not None:
            raise ConfigError(f"--split is for single talkers and noise; '{corpus}' has splits of its own")
        _prepare_mixtures(corpus, source, out, parts, given, as_json)
        return
    if given:
        raise ConfigError(f"'{next(iter(given))}' is for corpora of mixed speech, not for '{corpus}'; leave it out")
    from softspoken_lab.corpora.prepare import prepare_corpus

    single: Any = corpus
    done = prepare_corpus(single, source, out, parts, split)
    splits = ", ".join(f"{count} {name}" for name, count in done.splits.items())
    typer.echo(f"{done.recordings} recordings, {done.hours:.2f} h: {splits}", err=True)
    typer.echo(json.dumps(asdict(done) | {"manifest": str(done.manifest)}) if as_json else done.manifest)


def _prepare_mixtures(
    corpus: Any, source: Path, out: Path, only: Sequence[str], given: dict[str, Any], as_json: bool
) -> None:
    from softspoken_lab.corpora.mixture_corpus import MixtureOptions
    from softspoken_lab.corpora.prepare_mixtures import prepare_mixtures

    parts = []
    for part in prepare_mixtures(corpus, source, out, only, MixtureOptions(**given)):
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
