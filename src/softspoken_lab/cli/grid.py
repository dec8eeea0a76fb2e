"""`softspoken-lab grid`: a prompt on a grid of talkers, overlap and level: a heat map."""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli.engines import EngineChoice, MeasuringEngine, PrecisionChoice
from softspoken_lab.cli.scenes import Noise, NoiseLevel, Reverberation, Whose, noise_of, surroundings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from softspoken.evaluation.runner import Method
    from softspoken_lab.studies.grid import Report
    from softspoken_lab.testsets.grid import GridSpec


def grid(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="'shipped', 'tiny.en', a folder, a hub id owner/name, or run:FOLDER.")
    ],
    speech: Annotated[Path, typer.Argument(metavar="MANIFEST.jsonl", help="Speech of single talkers to mix.")],
    out: Annotated[
        Path,
        typer.Option(help="Folder of cells, results and pictures; a grid that was stopped goes on there."),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Beside the prompt: none, clean, cascade, run:..., as for 'softspoken-lab evaluate'; repeatable."
        ),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Frozen Whisper. Default: the prompt's own.")] = None,
    engine: MeasuringEngine = EngineChoice.TORCH,
    precision: Annotated[
        PrecisionChoice | None, typer.Option(help="Number format of the weights (default: float32).")
    ] = None,
    talkers: Annotated[str | None, typer.Option(help="Numbers of talkers. Default: 2,3.")] = None,
    overlap: Annotated[str | None, typer.Option(help="Shares of overlap. Default: 0,0.25,0.5,0.75,1.")] = None,
    snr_db: Annotated[
        str | None, typer.Option(help="Levels of the target against all others. Default: -5,0,5,10.")
    ] = None,
    mixtures: Annotated[int | None, typer.Option(min=1, help="Mixtures in each cell. Default: 24.")] = None,
    noise: Noise = None,
    noise_snr_db: NoiseLevel = None,
    rt60_s: Reverberation = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same mixtures. Default: 0.")] = None,
    split: Whose = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Score a prompt on every number of talkers, overlap and level asked for: a heat map, tables and JSON."""
    from softspoken_lab.studies.systems import StudySystems

    options: dict[str, Any] = {"--talkers": talkers, "--overlap": overlap, "--snr-db": snr_db, "--mixtures": mixtures}
    options |= {"--noise-snr-db": noise_snr_db, "--rt60-s": rt60_s, "--seed": seed, "--split": split}
    spec = _grid_of(options)
    systems = StudySystems(backbone, engine.value, None if precision is None else precision.value)
    # All are loaded before the first cell is made: a missing prompt shows at once.
    methods = [systems.method(name) for name in dict.fromkeys([reference, *(method or [])])]
    _run(spec, speech, out, methods, noise, as_json)


def _grid_of(options: dict[str, Any]) -> "GridSpec":
    from dataclasses import replace

    from softspoken.errors import ConfigError
    from softspoken_lab.testsets.grid import GridSpec

    given: dict[str, Any] = {name: options[f"--{name}"] for name in ("mixtures", "seed", "split")}
    for name in ("talkers", "overlap", "snr-db"):
        text = options[f"--{name}"]
        given[name.replace("-", "_")] = None if text is None else numbers_of(f"--{name}", text)
    if given["talkers"] is not None:
        if any(number != int(number) for number in given["talkers"]):
            raise ConfigError(f"--talkers is '{options['--talkers']}'; give whole numbers: 2,3")
        given["talkers"] = tuple(map(int, given["talkers"]))
    given |= surroundings_of(options["--noise-snr-db"], options["--rt60-s"])
    return replace(GridSpec(), **{name: value for name, value in given.items() if value is not None})


def _run(spec: "GridSpec", speech: Path, out: Path, methods: "list[Method]", noise: Path | None, as_json: bool) -> None:
    from rich.console import Console

    from softspoken_lab.studies.grid import measure_grid
    from softspoken_lab.studies.grid_report import grid_json, totals_table, write_grid

    talk = Console(stderr=True)
    bank = noise_of(noise, spec.split)
    with _progress(talk) as report:
        result = measure_grid(spec, speech, out, methods, bank, report, lambda line: talk.print(line, highlight=False))
    paths = write_grid(result, out)
    kept = sum(one.kept for one in result.measured)
    talk.print(f"{len(result.measured)} cells, {kept} of them measured before", highlight=False)
    if as_json:
        typer.echo(json.dumps(grid_json(result), indent=2, ensure_ascii=False))
        return
    typer.echo(totals_table(result))
    talk.print(f"Heat map: {paths[2]}; tables: {paths[1]}; all numbers: {paths[0]}", soft_wrap=True, highlight=False)


@contextmanager
def _progress(talk: "Console") -> "Iterator[Report]":
    """A bar on a terminal's stderr, a line a cell elsewhere: a grid takes hours."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if not talk.is_terminal:
        yield lambda what, done, total: talk.print(f"{done}/{total} {what}", soft_wrap=True, highlight=False)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task("grid", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def numbers_of(option: str, text: str) -> tuple[float, ...]:
    """'-5,0,5': the numbers, each once."""
    from softspoken.errors import ConfigError

    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} is '{text}'; give numbers with commas between: -5,0,5") from error
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"{option} is '{text}': one number is there twice; give each once")
    return numbers
