"""`softspoken-lab curves`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class By(StrEnum):
    """What stands on the axis."""

    mixtures = "mixtures"
    hours = "hours"
    talkers = "talkers"


def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of target-speaker runs.")],
    out: Annotated[Path, typer.Option(metavar="FILE.svg", help="The figure to write.")],
    by: Annotated[
        By,
        typer.Option(
            help="'mixtures': loss with the right and the wrong voice as each run goes on. 'hours', 'talkers': word "
            "error rate at the end of each run, by how much speech or how many talkers it had."
        ),
    ] = By.mixtures,
) -> None:
    """Draw how runs learn to follow the voice, or what more speech or more talkers give."""
    from softspoken.files import replace_text
    from softspoken_lab.report.curves import read_curve, scaling_curve, voice_curves
    from softspoken_lab.report.drawing import svg

    found = [read_curve(run) for run in runs]
    if by is By.mixtures:
        figure = voice_curves(found)
    else:
        figure = scaling_curve(found, "hours" if by is By.hours else "talkers")
    replace_text(out, svg(figure))
    for run in found:
        typer.echo(f"{run.name}: {100 * run.wer[-1]:.1f} % [{100 * run.interval[0]:.1f}, {100 * run.interval[1]:.1f}]")
