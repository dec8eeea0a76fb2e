"""`softspoken-lab evaluate`: as `softspoken evaluate`, with training runs and separators among the methods."""

from typing import Annotated

import typer

from softspoken.cli.checks import require_backbone, require_files, require_methods
from softspoken.cli.engines import EngineChoice
from softspoken.cli.evaluate import (
    Anew,
    AsJson,
    BackboneName,
    Engine,
    Limit,
    Manifest,
    Out,
    Precisions,
    Threads,
    items_of,
    show_scores,
    systems_of,
)

KINDS = ("run", "separate")
"""Methods that only studies have."""
StudyMethods = Annotated[
    list[str] | None,
    typer.Option(
        help="As of 'softspoken evaluate'; also run:FOLDER (what a training run has trained; run:FOLDER@last: its last "
        "state) and 'separate:COMMAND {mixture} {folder}' (a separator of yours, then plain Whisper on the nearest "
        "source). Repeat it to compare; the first is what the others are compared with. Default: shipped."
    ),
]


def evaluate(
    manifest: Manifest,
    method: StudyMethods = None,
    backbone: BackboneName = None,
    engine: Engine = EngineChoice.AUTO,
    precision: Precisions = None,
    threads: Threads = None,
    anew: Anew = False,
    out: Out = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Score methods as 'softspoken evaluate' does; training runs and separators, too."""
    require_files([manifest])
    require_methods(method, KINDS)
    require_backbone(backbone, "cpu")
    # Before anything large is imported.
    items = items_of(manifest, limit, out)
    from softspoken_lab.studies.systems import StudySystems

    systems = systems_of(StudySystems, backbone, engine, precision, threads)
    show_scores(manifest, items, method, systems, anew, out, as_json)
