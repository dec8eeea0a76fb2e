"""What `softspoken-lab noise evaluate` prints."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from softspoken.scoring.word_errors import Interval
    from softspoken_lab.noise.evaluation import Row


def print_table(console: "Console", rows: "Sequence[Row]", first: str, resampled: str) -> None:
    """A row for each set, noise and recogniser. `resampled`: whose recordings were resampled together."""
    from rich import box
    from rich.table import Table

    # A column that says the same in every row is left out, so that the table fits a narrow terminal.
    several, by_condition = len({row.set for row in rows}) > 1, any(row.condition is not None for row in rows)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column in (*(["set"] if several else []), *(["noise"] if by_condition else []), "recogniser"):
        shown.add_column(column, overflow="fold")
    for column in ("WER, 95 %", "less the first", "n"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        interval, other = row.score.wer_interval, row.difference
        rate = f"{row.score.wer:.1%}" if row.score.wer is not None else "-"
        shown.add_row(
            *([row.set] if several else []),
            *([str(row.condition)] if by_condition else []),
            row.system,
            rate if interval is None else f"{rate} \\[{100 * interval.low:.1f}, {100 * interval.high:.1f}]",
            "" if other is None else f"{100 * other.wer:+.1f} {_signed(other.interval)}",
            str(row.utterances),
        )
    console.print(shown)
    console.print(
        f"less the first: points of WER less that of '{first}', paired. n: utterances. Intervals: 95 %, "
        f"all {resampled} resampled together.",
        highlight=False,
    )


def _signed(interval: "Interval") -> str:
    # Escaped, since rich reads brackets as markup.
    return f"\\[{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
