"""`softspoken-lab attacks`: what changes of a prompt's numbers cost, and which of them the doctor sees."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softspoken.cli.engines import EngineChoice

if TYPE_CHECKING:
    from softspoken_lab.analysis.attack_bench import AttackRow


def attacks(
    prompt: Annotated[str, typer.Argument(metavar="REF", help="'tiny.en', 'base', or a prompt's folder.")],
    manifest: Annotated[Path, typer.Option(help="An evaluation manifest, of development talkers.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Score so many of its items (default: all).")] = None,
    attack: Annotated[list[str] | None, typer.Option(help="Only this attack; may be given again.")] = None,
    strength: Annotated[list[float] | None, typer.Option(help="Only this strength; may be given again.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    engine: Annotated[
        EngineChoice, typer.Option(help="Software that runs the model; auto takes OpenVINO if it is installed.")
    ] = EngineChoice.AUTO,
    out: Annotated[Path | None, typer.Option(help="Also write the rows as JSON lines to this file.")] = None,
) -> None:
    """Attack a prompt's numbers: word error rate, rejection and the doctor's verdict for each kind and strength."""
    from softspoken.errors import ConfigError
    from softspoken_lab.analysis.attack_bench import AttackBench
    from softspoken_lab.analysis.attacks import ATTACKS, Setting

    unknown = sorted(set(attack or ()) - set(ATTACKS))
    if unknown:
        raise ConfigError(f"no attack '{unknown[0]}'; there are {', '.join(ATTACKS)}")
    kinds = [kind for kind in ATTACKS if not attack or kind in attack]
    settings = [Setting(kind, value, seed) for kind in kinds for value in strength or (0.02, 0.05, 0.1, 0.3)]
    typer.echo(f"{'attack':10} {'strength':>8}  {'WER':>20}  {'rejected':>8}  doctor alone, and beside the sound one")
    rows = []

    def report(row: "AttackRow") -> None:
        rows.append(json.dumps(row.as_json()))
        typer.echo(_line(row))
        if out is not None:
            out.write_text("\n".join(rows) + "\n", encoding="utf-8")

    AttackBench(prompt, manifest, limit, engine.value).rows(settings, report)


def _line(row: "AttackRow") -> str:
    name, strength = ("none", "") if row.setting is None else (row.setting.attack, f"{row.setting.strength:g}")
    wer = "" if row.wer is None else f"{row.wer:.3f} [{row.wer_low:.3f}, {row.wer_high:.3f}]"
    rejected = "" if row.rejection_rate is None else f"{100 * row.rejection_rate:.0f} %"
    verdicts = ["ill" if found else "well" for found in (row.complaints, row.compared)]
    signs = f"{row.signs.errors} errors in {row.signs.words} words"
    return f"{name:10} {strength:>8}  {wer:>20}  {rejected:>8}  {verdicts[0]:4}  {verdicts[1]:4}  {signs}"
