"""`softspoken-lab conversations`, `meetings`: make long recordings of several talkers; score who transcribes them."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from softspoken.cli.engines import PrecisionChoice
from softspoken.cli.evaluate import AsJson, BackboneName, Threads

if TYPE_CHECKING:
    from softspoken.engines import Precision
    from softspoken.scoring.word_errors import Difference, Score
    from softspoken_lab.measures.meetings import Summary


def conversations(
    speech: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST...", help="manifest.jsonl of folders of single-talker speech.")
    ],
    out: Annotated[Path, typer.Option(help="New folder.")],
    count: Annotated[int | None, typer.Option(help="Number of conversations (default 4).")] = None,
    talkers: Annotated[int | None, typer.Option(help="Talkers in each, 2 to 6 (default 3).")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of each (default 10).")] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Share of the time with speech in which several speak (default 0.2).")
    ] = None,
    level_db: Annotated[
        float | None, typer.Option(help="Each talker is up to this much louder or softer (default 3).")
    ] = None,
    absent: Annotated[
        int | None, typer.Option(help="Voices to ask for in each that are not there (default 1).")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same bytes.")] = None,
    split: Annotated[
        Literal["train", "development", "test"] | None,
        typer.Option(help="Talkers to take (default: test). Never choose a setting by results on 'test'."),
    ] = None,
) -> None:
    """Make long conversations of single-talker speech, with what is said as STM, SegLST and RTTM."""
    from softspoken_lab.corpora.conversations import ConversationSpec, make_conversations

    given: dict[str, Any] = {"count": count, "talkers": talkers, "overlap": overlap, "level_db": level_db}
    given |= {"absent": absent, "seed": seed, "split": split, "duration_s": None if minutes is None else minutes * 60}
    spec = ConversationSpec(**{name: value for name, value in given.items() if value is not None})
    written = make_conversations(speech, out, spec)
    typer.echo(f"{written.mixtures} conversations of {spec.talkers} talkers, {written.hours:.2f} h", err=True)
    typer.echo(written.manifest)


def meetings(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST.jsonl", help="Of 'conversations', or of 'prepare' with whole sessions.")
    ],
    system: Annotated[
        list[str] | None,
        typer.Option(
            help="ours (default), everyone (and strangers), cascade, diarised (whisperX's way: plain Whisper's words "
            "given to diarised voices), rttm:FILE (the same with another program's voices), plain. Repeat it; the "
            "first is what the others are compared with."
        ),
    ] = None,
    strangers: Annotated[
        int, typer.Option(min=0, help="Number of talkers in each conversation who are not enrolled.")
    ] = 0,
    backbone: BackboneName = None,
    precision: Annotated[PrecisionChoice | None, typer.Option(help="Number format of the weights.")] = None,
    threads: Threads = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="No second attempts at higher temperatures: several times as fast.")
    ] = False,
    longest_s: Annotated[
        float | None, typer.Option(min=1, max=30, help="Longest window of ours and everyone (default: the product's).")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Score only the first conversations, so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score how well systems transcribe conversations: cpWER, tcpWER, words under a wrong name, DER.

    Every answer is kept beside the manifest, so that what was stopped goes on.
    """
    from softspoken.evaluation.stage_cache import StageCache
    from softspoken.scoring.text import TextNormalizer
    from softspoken_lab.measures.meetings import Scored, Summary, summarize_meetings
    from softspoken_lab.studies.meetings import MeetingSystems, read_meetings, scored

    # Says for every conversation that words spread over a segment may be out of order.
    logging.getLogger("preprocess").setLevel(logging.ERROR)
    found = read_meetings(manifest, strangers)[:limit]
    cache = StageCache(manifest.with_suffix(".meetings"), lambda text: typer.echo(text, err=True))
    rounded: Precision | None = None if precision is None else precision.value
    systems = MeetingSystems(cache, backbone, rounded, threads, greedy, longest_s)
    normalize = TextNormalizer()
    first: list[Scored] | None = None
    rows: list[Summary] = []
    for name in dict.fromkeys(system or ["ours"]):
        scores = []
        for number, meeting in enumerate(found, start=1):
            typer.echo(f"{name}: {meeting.session} ({number} of {len(found)})", err=True)
            scores.append(scored(systems, name, meeting, normalize))
        rows.append(summarize_meetings(name, scores, first))
        first = scores if first is None else first
    if as_json:
        typer.echo(json.dumps([row.as_dict() for row in rows], indent=2))
    else:
        _print(rows)


def _print(rows: "list[Summary]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("system", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for column in ("cpWER", "tcpWER", "wrong name", "absent", "DER", "voices found", "s/min"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        der = "-" if row.der is None else f"{row.der.rate:.1%}"
        found = ", ".join(f"{found}/{there}" for there, found in row.voices)
        misnamed, cost = f"{row.misnamed_per_100:.1f}", f"{row.cpu_s_per_minute:.1f}"
        table.add_row(row.system, _rate(row.cp), _rate(row.tcp), misnamed, str(row.absent_words), der, found, cost)
    console = Console(width=140)
    console.print(table)
    console.print(
        f"{rows[0].conversations} conversations, {rows[0].hours:.2f} h; wrong name: words per hundred written that "
        "somebody else says there; absent: words written for voices that are not there; s/min: seconds of "
        "processor time a minute",
        highlight=False,
    )
    for row in rows[1:]:
        for name, less in (("cpWER", row.cp_difference), ("tcpWER", row.tcp_difference)):
            console.print(f"{row.system} less {rows[0].system}: {name} {_points(less)}", highlight=False)


def _rate(score: "Score") -> str:
    if score.wer is None or score.wer_interval is None:
        return "-"
    return f"{100 * score.wer:.1f} [{100 * score.wer_interval.low:.1f}, {100 * score.wer_interval.high:.1f}]"


def _points(less: "Difference | None") -> str:
    if less is None:
        return "-"
    return (
        f"{100 * less.wer:+.1f} points, 95 % interval {100 * less.interval.low:+.1f} .. {100 * less.interval.high:+.1f}"
    )
