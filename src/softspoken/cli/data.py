"""`softspoken data`: make the data that evaluation needs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from softspoken.cli import data_mixtures

Corpus = Literal["librispeech", "musan", "wham", "esc50", "fsd50k", "demand", "folder"]

app = typer.Typer(
    name="data",
    help="Data: manifests of corpora, test mixtures, training texts, packing.",
    no_args_is_help=True,
)

app.command("mixtures")(data_mixtures.mixtures)


@app.command("prepare")
def prepare(
    corpus: Annotated[
        Corpus,
        typer.Argument(help="The corpus, or 'folder' for noise of your own, in folders by category."),
    ],
    source: Annotated[Path, typer.Argument(help="The folder it was unpacked to.")],
    out: Annotated[Path, typer.Option(help="The manifest to write (JSON lines).")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this part; repeat it. Subsets of librispeech (train-clean-100), parts of musan and wham, "
            "categories or labels of the others; 'office' for the sounds of an office in esc50 and fsd50k."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Put everything in this split, such as 'ood'. Default: the corpus's own."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, for programs.")] = False,
) -> None:
    """Write the manifest of a corpus of single talkers or of noise, or of a folder of noise, that is unpacked here."""
    from softspoken.data.prepare import prepare_corpus

    done = prepare_corpus(corpus, source, out, only if only is not None else (), split)
    splits = ", ".join(f"{count} {name}" for name, count in done.splits.items())
    typer.echo(f"{done.recordings} recordings, {done.hours:.2f} h: {splits}", err=True)
    typer.echo(json.dumps(asdict(done) | {"manifest": str(done.manifest)}) if as_json else done.manifest)


@app.command("pack")
def pack(
    manifest: Annotated[Path, typer.Argument(help="manifest.jsonl of speech or noise.")],
    out: Annotated[Path, typer.Argument(help="Folder for the packed recordings and their manifest.jsonl.")],
    split: Annotated[str, typer.Option(help="Only this split.")] = "train",
) -> None:
    """Pack recordings as Opus, a fifth of the size of FLAC, to train on another machine. Interrupted, it goes on."""
    from softspoken.data.pack import pack_manifest

    typer.echo(pack_manifest(manifest, out, split))
