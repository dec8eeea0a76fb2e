"""`softspoken-lab import`, `average`: prompts made of others' checkpoints, or of several prompts."""

from pathlib import Path
from typing import Annotated

import typer


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint of the paper authors' code.", show_default=False)
    ],
    backbone: Annotated[str, typer.Option(help="The model it was trained on: a name, hub id, folder or .pt file.")],
    out: Annotated[Path, typer.Option(help="The prompt folder to write.", show_default=False)],
    keep_reparameterisation: Annotated[
        bool, typer.Option("--keep-reparameterisation", help="Keep the MLPs, to go on training.")
    ] = False,
) -> None:
    """Convert a checkpoint made with the target-speaker paper authors' code into a prompt folder."""
    from softspoken.backbones import load_backbone
    from softspoken.prompts.checkpoint import save_prompts
    from softspoken_lab.prompts.authors import AUTHORS_EMBEDDER, import_authors

    model = load_backbone(backbone)
    prompts = import_authors(file, model)
    saved = save_prompts(
        prompts,
        out,
        backbone=model,
        keep_reparameterisation=keep_reparameterisation,
        embedder=AUTHORS_EMBEDDER,
        window="30s",
        training={"imported from": file.name, "trained with": "the code of the target-speaker paper's authors"},
    )
    typer.echo(f"{out}: {saved.deployed_parameters:,} parameters for backbone '{saved.backbone.name}'")


def average_(
    references: Annotated[
        list[str], typer.Argument(metavar="REF...", help="Prompts as for 'info', two or more.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The prompt folder to write.", show_default=False)],
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
) -> None:
    """Write the mean of prompts that differ in their numbers alone, such as several runs from one beginning."""
    from softspoken.prompts.checkpoint import load_prompts, save_prompts
    from softspoken_lab.prompts.average import average

    loaded = [load_prompts(reference) for reference in references]
    prompts, facts = average(loaded)
    save_prompts(prompts, out, backbone=loaded[0].info.backbone, dtype="float16" if half else "float32", **facts)
    typer.echo(f"{out}: the mean of {len(loaded)} prompts; calibrate it before relying on silence")
