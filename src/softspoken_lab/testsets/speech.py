"""Single-talker speech to build test mixtures from: who there is, what each can say, what each can enrol with."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from softspoken.data.corpus import is_development_talker
from softspoken.data.manifest import read_rows
from softspoken.errors import DataError
from softspoken.evaluation.manifest import TimedWord

Split = Literal["train", "development", "test"]
"""`development`: the training part's talkers who are put aside (`is_development_talker`); `train`: the others."""


@dataclass(frozen=True)
class Span:
    """A stretch of one talker's speech: a part of one recording, with its words."""

    utterance: str
    path: Path
    start_s: float
    end_s: float
    text: str
    words: tuple[TimedWord, ...] = ()
    """Each word of `text` in seconds of the recording; empty where the times are not known."""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Talker:
    """One talker: `clips` are long enough to be a target, `utterances` are all recordings, whole."""

    name: str
    clips: tuple[Span, ...]
    utterances: tuple[Span, ...]
    segments: tuple[Span, ...]
    sex: str | None = None
    """As the manifest has it ("gender"); None where it does not say."""

    def enrolment_candidates(self, clip: Span | None) -> tuple[Span, ...]:
        """What the talker can enrol with when `clip` is the target: other recordings.

        Where there is no other recording, other segments of the same one. With no clip, every recording.
        """
        others = tuple(span for span in self.utterances if clip is None or span.utterance != clip.utterance)
        if others or clip is None:
            return others
        return tuple(span for span in self.segments if span.end_s <= clip.start_s or span.start_s >= clip.end_s)


def read_talkers(
    speech_manifest: str | Path, split: Split, clip_s: tuple[float, float], enrolment_s: float
) -> tuple[Talker, ...]:
    """The talkers of a speech manifest (JSON lines) who can be both a target and enrolled, in order of their names.

    A line has `id`, `path` (relative to the manifest), `split`, `corpus`, `speaker`, `text`, `duration_s` and, where
    known, `segments` ([{start_s, end_s, text}]), `words` ([[word, start_s, end_s]]), `gender` and
    `transcript_verified`. Speech whose words are not sure (that is false, or no `text`) is only enrolled with. A
    clip is a whole utterance of `clip_s` seconds (from, to); where it is longer, or the talker's only one, its
    segments. `enrolment_s`: seconds of other speech a talker needs.

    Raises DataError for a missing manifest, a line that cannot be used, or no usable talker.
    """
    manifest = Path(speech_manifest)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for where, row in read_rows(manifest, "utterance"):
        try:
            row["timed"] = [
                (str(word), float(start_s), float(end_s)) for word, start_s, end_s in row.get("words") or ()
            ]
            row["span"] = _span(
                row, manifest.parent / row["path"], 0.0, float(row["duration_s"]), row.get("text") or ""
            )
            name = f"{row['corpus']}:{row['speaker']}"
            chosen = _in_split(row, split)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{where}: not an utterance ({error!r}); expected id, path, split, corpus, speaker, text and duration_s"
            ) from error
        if chosen:
            rows[name].append(row)
    talkers = [_talker(name, rows[name], clip_s) for name in sorted(rows)]
    usable = tuple(talker for talker in talkers if _can_enrol(talker, enrolment_s))
    if not usable:
        raise DataError(
            f"{manifest}: no talker of split '{split}' has a clip of {clip_s[0]:g} to {clip_s[1]:g} s and "
            f"{enrolment_s:g} s of other speech to enrol with; choose another split or shorter clips"
        )
    return usable


def _in_split(row: dict[str, Any], split: Split) -> bool:
    if split == "test" or row["split"] == "test":
        return bool(row["split"] == split)
    held_back = is_development_talker(row["corpus"], row["speaker"])
    return bool(row["split"] == "train" and held_back == (split == "development"))


def _span(row: dict[str, Any], path: Path, start_s: float, end_s: float, text: str) -> Span:
    inside = tuple(word for word in row["timed"] if start_s <= (word[1] + word[2]) / 2 < end_s)
    # An alignment that is not word for word the text would put times on the wrong words.
    return Span(str(row["id"]), path, start_s, end_s, text, inside if len(inside) == len(text.split()) else ())


def _talker(name: str, rows: list[dict[str, Any]], clip_s: tuple[float, float]) -> Talker:
    shortest_s, longest_s = clip_s
    clips: list[Span] = []
    segments: list[Span] = []
    for row in rows:
        whole: Span = row["span"]
        parts = [
            _span(row, whole.path, float(part["start_s"]), float(part["end_s"]), part["text"])
            for part in row.get("segments") or ()
        ]
        segments += parts
        if not whole.text.strip() or row.get("transcript_verified", True) is False:
            continue
        candidates = parts if parts and (len(rows) == 1 or whole.duration_s > longest_s) else [whole]
        clips += [span for span in candidates if shortest_s <= span.duration_s <= longest_s]
    return Talker(name, tuple(clips), tuple(row["span"] for row in rows), tuple(segments), rows[0].get("gender"))


def _can_enrol(talker: Talker, enrolment_s: float) -> bool:
    return bool(talker.clips) and all(
        sum(span.duration_s for span in talker.enrolment_candidates(clip)) >= enrolment_s for clip in talker.clips
    )
