"""`softspoken backbone`: the frozen models one can use, what is inside one, and fetching one ahead of time."""

import dataclasses
import json
from typing import Annotated

import typer

from softspoken.cli.checks import require_backbone

app = typer.Typer(name="backbone", help="Frozen models: list, inspect, fetch.", no_args_is_help=True)

Reference = Annotated[
    str,
    typer.Argument(
        help="A name of `backbone list`, a hub id, a local folder, or an OpenAI .pt file.", show_default=True
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("list")
def list_backbones(as_json: AsJson = False) -> None:
    """The backbones known by name, and whether each is here already."""
    from softspoken.backbones.catalogue import known_backbones

    rows = known_backbones()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
        return
    head = ("NAME", "STATUS", "PARAMETERS", "LANGUAGES", "SOURCE")
    lines = [head] + [
        (
            row.name + (" (default)" if row.default else ""),
            row.status,
            f"{row.parameters_millions} M",
            "many" if row.multilingual else "English",
            f"{row.kind}: {row.source}",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


@app.command("info")
def info(reference: Reference, as_json: AsJson = False) -> None:
    """Model, layers, width, parameters, fingerprint, ... of a backbone; fetches it if need be."""
    _require_known(reference)
    from softspoken.backbones.catalogue import backbone_info

    described = dataclasses.asdict(backbone_info(reference))
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for key, value in described.items():
        if value is None:
            continue
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif key == "parameters":
            value = f"{value:,}"
        typer.echo(f"{key.replace('_', ' '):15} {value}")


@app.command("fetch")
def fetch(reference: Reference) -> None:
    """Fetch a backbone into the cache and verify it, so that later work needs no network."""
    _require_known(reference)
    from softspoken.backbones.catalogue import backbone_info

    ready = backbone_info(reference)
    typer.echo(f"{ready.name} is ready: {ready.source}, fingerprint {ready.fingerprint[:12]}")


def _require_known(reference: str) -> None:
    from softspoken.backbones.catalogue import known_backbones

    require_backbone(reference, "cpu", ("embedded", *(row.name for row in known_backbones())))
