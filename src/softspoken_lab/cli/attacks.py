"""`softspoken-lab attacks`: what changes of a prompt's numbers cost, and which of them the doctor sees."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softspoken.cli.engines import EngineChoice, PrecisionChoice

if TYPE_CHECKING:
    from softspoken_lab.analysis.attack_bench import AttackRow


def attacks(
    prompt: Annotated[str, typer.Argument(metavar="REF", help="'tiny.en', 'base', or a prompt's folder.")],
    manifest: Annotated[Path, typer.Option(help="An evaluation manifest, of development talkers.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Score so many of its items (default: all).")] = None,
    attack: Annotated[list[str] | None, typer.Option(help="Only this attack; may be given again.")] = None,
    strength: Annotated[
        list[float] | None, typer.Option(help="Only this strength; may be given again (default: three an attack).")
    ] = None,
    other: Annotated[
        str | None, typer.Option(metavar="REF", help="Prompt that the attack 'other' takes rows of; without it, none.")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option(metavar="REF", help="Score this prompt, too; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    engine: Annotated[
        EngineChoice, typer.Option(help="Software that runs the model; auto takes OpenVINO if it is installed.")
    ] = EngineChoice.AUTO,
    precision: Annotated[
        PrecisionChoice | None, typer.Option(help="Number format of the weights (default: float32).")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of threads (default: all cores).")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the rows as JSON lines to this file.")] = None,
) -> None:
    """Attack a prompt's numbers: word error rate, rejection and the doctor's verdict for each kind and strength.

    A prompt that is changed on its way is refused before any of this: here the attacker is who made it.
    """
    from softspoken.errors import ConfigError
    from softspoken_lab.analysis.attack_bench import AttackBench
    from softspoken_lab.analysis.attacks import ATTACKS, STRENGTHS, Setting

    unknown = sorted(set(attack or ()) - set(ATTACKS))
    if unknown:
        raise ConfigError(f"no attack '{unknown[0]}'; there are {', '.join(ATTACKS)}")
    if other is None and "other" in (attack or ()):
        raise ConfigError("the attack 'other' takes rows of another prompt; give --other REF, or leave the attack out")
    kinds = [kind for kind in ATTACKS if (kind in attack if attack else kind != "other" or other is not None)]
    settings = [Setting(kind, value, seed) for kind in kinds for value in strength or STRENGTHS[kind]]
    typer.echo(
        f"{'attack':10} {'strength':>8}  {'WER':>5}  {'points more':>23}  {'rejected':>8}  {'of others':>9}  "
        "doctor alone, and beside the sound one"
    )
    rows = []

    def report(row: "AttackRow") -> None:
        rows.append(json.dumps(row.as_json()))
        typer.echo(_line(row))
        if out is not None:
            out.write_text("\n".join(rows) + "\n", encoding="utf-8")

    bench = AttackBench(prompt, manifest, limit, engine.value, None if precision is None else precision.value, threads)
    bench.rows(settings, report, other, also or ())


def _line(row: "AttackRow") -> str:
    from softspoken.demo.health import Signs

    strength = "" if row.strength is None else f"{row.strength:g}"
    low, high = row.cost.interval.low, row.cost.interval.high
    cost = f"{100 * row.cost.wer:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    rejected = "" if row.score.rejection_rate is None else f"{100 * row.score.rejection_rate:.0f} %"
    alone, beside = ("ill" if found else "well" for found in (row.complaints, row.compared))
    signs = Signs.total(row.signs.values())
    return (
        f"{row.name:10} {strength:>8}  {row.score.wer or 0:5.3f}  {cost:>23}  {rejected:>8}  {row.words_of_others:9}  "
        f"{alone:4}  {beside:4}  {signs.errors} errors in {signs.words} words, "
        f"{signs.silent_words} for silent voices, {row.seconds:.0f} s"
    )
