"""What is said in long recordings, as other programs read it: reference.stm, reference.seglst.json, reference.rttm."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softspoken.files import replace_text

Span = tuple[float, float]
"""From, to in seconds of a recording."""
SEGLST, STM, RTTM = "reference.seglst.json", "reference.stm", "reference.rttm"
_PAUSE_S = 0.5
"""Speech goes on over shorter gaps between words."""


@dataclass(frozen=True)
class Said:
    """What somebody says without a longer pause."""

    talker: str
    start_s: float
    end_s: float
    text: str
    words: tuple[tuple[str, float, float], ...] = ()
    """With their times, where these are known."""
    sounds: tuple[Span, ...] = ()
    """When anything is heard of it, where that is known."""

    @property
    def speech(self) -> tuple[Span, ...]:
        """When it is spoken: as it sounds, or by its words, or all of it; gaps under half a second are closed."""
        spans = self.sounds if self.sounds else tuple((start_s, end_s) for _, start_s, end_s in self.words)
        joined: list[Span] = []
        for start_s, end_s in spans if spans else ((self.start_s, self.end_s),):
            if joined and start_s - joined[-1][1] < _PAUSE_S:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
            else:
                joined.append((start_s, end_s))
        return tuple(joined)


def write_references(folder: Path, sessions: Mapping[str, Sequence[Said]]) -> None:
    """Write the three files for all recordings of a set; a line of the STM and the SegLST is one of `Said`."""
    rows = [
        {
            "session_id": session,
            "speaker": one.talker,
            "start_time": round(one.start_s, 3),
            "end_time": round(one.end_s, 3),
            "words": one.text,
        }
        for session, said in sessions.items()
        for one in sorted(said, key=lambda one: one.start_s)
    ]
    replace_text(folder / SEGLST, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    lines = (f"{r['session_id']} 1 {r['speaker']} {r['start_time']} {r['end_time']} {r['words']}\n" for r in rows)
    replace_text(folder / STM, "".join(lines))
    replace_text(folder / RTTM, "".join(_rttm(sessions)))


def _rttm(sessions: Mapping[str, Sequence[Said]]) -> Iterator[str]:
    for session, said in sessions.items():
        spans = sorted((*span, one.talker) for one in said for span in one.speech)
        for start_s, end_s, talker in spans:
            yield f"SPEAKER {session} 1 {start_s:.3f} {end_s - start_s:.3f} <NA> <NA> {talker} <NA> <NA>\n"
