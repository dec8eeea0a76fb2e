"""`softspoken data`: make the data that evaluation needs."""

from pathlib import Path
from typing import Annotated

import typer

from softspoken.cli import data_corpora, data_mixtures

app = typer.Typer(
    name="data",
    help="Data: manifests of corpora, test mixtures, training texts, packing, checks.",
    no_args_is_help=True,
)

app.command("mixtures")(data_mixtures.mixtures)
app.command("prepare")(data_corpora.prepare)
app.command("check")(data_corpora.check)


@app.command("pack")
def pack(
    manifest: Annotated[Path, typer.Argument(help="manifest.jsonl of speech or noise.")],
    out: Annotated[Path, typer.Argument(help="Folder for the packed recordings and their manifest.jsonl.")],
    split: Annotated[str, typer.Option(help="Only this split.")] = "train",
) -> None:
    """Pack recordings as Opus, a fifth of the size of FLAC, to train on another machine. Interrupted, it goes on."""
    from softspoken.data.pack import pack_manifest

    typer.echo(pack_manifest(manifest, out, split))
