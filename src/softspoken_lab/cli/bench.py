"""`softspoken-lab bench`: how fast this machine transcribes, with us and with others, side by side."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NO_PEERS = "none"
_FILE_WIDTH = 150


class SuiteName(StrEnum):
    """`all`: each of the others."""

    SHORT_CLIPS = "short-clips"
    WINDOWS = "windows"
    TARGETS = "targets"
    LONG = "long"
    OVERHEAD = "overhead"
    ALL = "all"


def bench(
    suite: Annotated[
        SuiteName,
        typer.Option(
            help="short-clips: utterances of 5 to 10 s. windows: 30 s of speech. targets: 1, 2 and 4 voices in one "
            "mixture. long: recordings of minutes. overhead: with and without prompts in one engine. all: each of them."
        ),
    ] = SuiteName.SHORT_CLIPS,
    backbone: Annotated[list[str] | None, typer.Option(help="Frozen Whisper; repeat it. Default: tiny.en.")] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="Only this other program, e.g. faster-whisper-int8; repeat it. none: only ours."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(help="Only this engine of ours, e.g. openvino-int8; repeat it. Default: all."),
    ] = None,
    speech: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST.jsonl", help="Test clips of this speech manifest. Default: the package's own recordings."
        ),
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Clips; a fourth as many windows or mixtures.")] = 8,
    minutes: Annotated[
        list[float] | None,
        typer.Option(min=0.1, help="Minutes of the recordings of --suite long; repeat it. Default: 5."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; each runs every contender once.")] = 5,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each program. Default: all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line a suite and backbone.")] = False,
) -> None:
    """Measure speed, latency, memory and WER of our engines and of other programs where they are installed.

    Everything runs on the same audio with as many threads, in processes of its own, taking turns. Figures are medians
    over rounds with the lowest and highest; ratios are taken within a round.
    """
    from rich.console import Console

    from softspoken.defaults import DEFAULT_BACKBONE
    from softspoken.training.run_folder import describe_environment
    from softspoken_lab.bench.config import BenchConfig
    from softspoken_lab.bench.run import run_bench

    peers = None if peer is None else [name for name in peer if name != _NO_PEERS]
    given: dict[str, object] = {"speech": speech, "items": items, "minutes": minutes, "repeats": repeats}
    given |= {"threads": threads, "engines": engine, "peers": peers}
    config = BenchConfig.model_validate({name: value for name, value in given.items() if value is not None})
    suites = [name.value for name in SuiteName if suite in (name, SuiteName.ALL) and name is not SuiteName.ALL]
    backbones = list(dict.fromkeys(backbone or [DEFAULT_BACKBONE]))
    # Figures that wrap cannot be read; a file has room.
    shown = Console() if Console().is_terminal else Console(width=_FILE_WIDTH)
    machine = describe_environment()
    with Console(stderr=True).status("starting") as status:
        for row in run_bench(suites, backbones, config, status.update):
            if as_json:
                typer.echo(json.dumps(row | {"machine": machine}, ensure_ascii=False))
            else:
                _print_suite(shown, row, machine)


def _print_suite(console: "Console", row: dict[str, Any], machine: dict[str, Any]) -> None:
    cpu = machine["cpu"]
    console.print()
    console.print(f"[bold]{row['suite']}[/bold], {row['backbone']}", highlight=False)
    console.print(
        f"{cpu['model']}, {cpu['cores']} cores, {row['threads']} threads; {row['speech']['source']}; "
        f"{row['repeats']} rounds: median (lowest .. highest)",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )
    for name, task in row["tasks"].items():
        words = "" if task["words"] is None else f", {task['words']} words"
        console.print(f"\n{name}: {task['items']} items, {task['seconds']:.1f} s{words}", highlight=False)
        console.print(_table(task))
        for contender, found in task["contenders"].items():
            if found["status"] == "absent":
                console.print(
                    f"{contender} is absent: {found['reason']}", highlight=False, markup=False, soft_wrap=True
                )
        _print_speedups(console, task)
        _print_costs(console, task)
    measured = [found for found in row["contenders"].items() if found[1]["status"] == "measured"]
    for name, found in measured:
        console.print(f"{name}: {found['note']}", style="dim", highlight=False, soft_wrap=True)


def _table(task: dict[str, Any]) -> "Table":
    from rich import box
    from rich.table import Table

    relative = any("times_first" in found for found in task["contenders"].values())
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("contender", no_wrap=True)
    for column in ("real-time factor", "first text", "tokens/s", "peak MB", "WER"):
        table.add_column(column, justify="right", no_wrap=True)
    if relative:
        table.add_column("times first", justify="right", no_wrap=True)
    for name, found in task["contenders"].items():
        if found["status"] == "absent":
            continue
        cells = [
            _spread(found["rtf"], 3),
            f"{found['first_segment_s']['median']:.2f} s",
            f"{found['tokens_per_s']['median']:.0f}",
            "-" if found["peak_rss_mb"] is None else f"{found['peak_rss_mb']:.0f}",
            "-" if found["wer"] is None else f"{found['wer']:.1%}",
        ]
        if relative:
            cells.append(_spread(found["times_first"], 2) if "times_first" in found else "-")
        table.add_row(name, *cells)
    return table


def _print_speedups(console: "Console", task: dict[str, Any]) -> None:
    for peer, best in task["speedup_over"].items():
        if task["contenders"][peer]["status"] == "absent":
            continue
        if best is None:
            line = f"against {peer}: none of ours has a WER that is not higher"
        else:
            line = f"{best['contender']} is {_spread(best, 2)} times as fast as {peer}"
        console.print(line, highlight=False, soft_wrap=True)


def _print_costs(console: "Console", task: dict[str, Any]) -> None:
    """What prompts cost in each engine, where the same work was done with and without."""
    for name, found in task["contenders"].items():
        engine, forced, prompt = name.partition("-forced-")
        plain = task["contenders"].get(f"{engine}-forced")
        if not forced or plain is None or "absent" in (found["status"], plain["status"]):
            continue
        ratio = _spread(plain["speedup_over"][name], 3)
        console.print(f"{engine}, {prompt} prompt: {ratio} times as long as without", highlight=False, soft_wrap=True)


def _spread(found: dict[str, Any], digits: int) -> str:
    return f"{found['median']:.{digits}f} ({found['min']:.{digits}f} .. {found['max']:.{digits}f})"
