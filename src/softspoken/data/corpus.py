"""Talkers, and the pieces of speech each of them has."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any
from zlib import crc32

import numpy as np
import soxr
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.config import DataConfig
from softspoken.data.manifest import Utterance, read_manifest
from softspoken.data.pauses import Span, kept_cuts
from softspoken.errors import DataError

LIMIT_BYTES = 4 * 1024**3
"""About 18 hours at 16 kHz."""


class AudioCache:
    """Waveforms by name; those unused for longest are dropped when all together take more than `limit_bytes`."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: str, load: Callable[[], np.ndarray]) -> np.ndarray:
        """The waveform of that name, loaded if it is not there."""
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        waveform = load()
        self._kept[name] = waveform
        self._bytes += waveform.nbytes
        while self._bytes > self.limit_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return waveform


@dataclass(frozen=True)
class Piece:
    """A stretch of one talker's speech, short enough to be a target."""

    id: str
    speaker: str
    path: str
    start_s: float
    duration_s: float
    text: str
    speed: float = 1.0
    """Played this much faster: the voice is then another one, and `duration_s` counts after it."""
    verified: bool = True
    """False where the corpus itself says that `text` is not what is said."""
    utterance_text: str = ""
    """The words of the whole utterance, where those of this part of it are not known."""

    @property
    def original_id(self) -> str:
        """The id without the change of speed: what is said does not depend on it."""
        return self.id.partition("@")[0]

    def at_speed(self, speed: float) -> "Piece":
        """The piece as a talker of another tempo and pitch says it."""
        return replace(
            self,
            id=f"{self.id}@{speed:g}",
            speaker=f"{self.speaker}@{speed:g}",
            duration_s=self.duration_s / speed,
            speed=speed,
        )


def cut_into_pieces(
    utterances: Iterable[Utterance],
    min_s: float,
    max_s: float,
    long_ones: Mapping[str, Sequence[Span]] = MappingProxyType({}),
) -> list[Piece]:
    """Pieces of `min_s` to `max_s` seconds: whole utterances, or runs of their segments where they are longer.

    Neighbouring segments are joined as long as they fit, so that pieces are of all lengths. `long_ones`: where to cut
    utterances that have no segments, by their id; nothing is known of the words in such a piece. Utterances that are
    too long and are named nowhere are left out.
    """
    pieces: list[Piece] = []
    for one in utterances:
        spans = [(0.0, one.duration_s, one.text)]
        if one.segments:
            spans = list(_joined(one.segments, max_s))
        elif one.id in long_ones:
            spans = [(start_s, end_s, "") for start_s, end_s in long_ones[one.id]]
        for index, (start_s, end_s, text) in enumerate(spans):
            if min_s <= end_s - start_s <= max_s:
                whole = "" if text or len(spans) == 1 else one.text
                where = (f"{one.id}-{index}", one.speaker, one.path, start_s, end_s - start_s)
                pieces.append(Piece(*where, text, 1.0, one.verified, whole))
    return pieces


def _joined(segments: Iterable[dict[str, Any]], max_s: float) -> Iterator[tuple[float, float, str]]:
    start_s, end_s, words = -1.0, -1.0, ""
    for segment in segments:
        first, last, text = float(str(segment["start_s"])), float(str(segment["end_s"])), str(segment["text"])
        # Half of the possible length, so that most recordings yield at least two pieces: one enrols the other.
        if start_s >= 0 and last - start_s <= 0.6 * max_s:
            end_s, words = last, f"{words} {text}"
            continue
        if start_s >= 0:
            yield start_s, end_s, words
        start_s, end_s, words = first, last, text
    if start_s >= 0:
        yield start_s, end_s, words


@dataclass
class Corpus:
    """Pieces by talker, with their audio held in memory once loaded, as far as it fits."""

    pieces: list[Piece]
    by_speaker: dict[str, list[Piece]] = field(init=False)
    _audio: AudioCache = field(default_factory=AudioCache, repr=False)

    def __post_init__(self) -> None:
        grouped: dict[str, list[Piece]] = defaultdict(list)
        for piece in self.pieces:
            grouped[piece.speaker].append(piece)
        self.by_speaker = dict(sorted(grouped.items()))

    def require_talkers(self, least: int, purpose: str) -> None:
        """Raise DataError when there are fewer talkers than `purpose` needs."""
        if len(self.by_speaker) < least:
            raise DataError(f"{len(self.by_speaker)} talker(s) in the data; {purpose} needs at least {least}")

    @property
    def speakers(self) -> list[str]:
        return list(self.by_speaker)

    def recording(self, path: str) -> np.ndarray:
        """The whole recording, mono at 16 kHz."""
        return self._audio.get(path, lambda: load_audio(path))

    def audio(self, piece: Piece) -> np.ndarray:
        """The piece's waveform (samples,)."""
        return waveform(piece, self.recording(piece.path))


def waveform(piece: Piece, recording: Float[np.ndarray, " N"]) -> Float[np.ndarray, " M"]:
    """The piece out of its recording (16 kHz). At another speed it is made anew: that takes milliseconds, and three
    times as much audio would not fit into memory."""
    start, size = round(piece.start_s * SAMPLE_RATE_HZ), round(piece.duration_s * piece.speed * SAMPLE_RATE_HZ)
    part = recording[start : start + size]
    if piece.speed == 1.0:
        return part
    return np.asarray(soxr.resample(part, SAMPLE_RATE_HZ * piece.speed, SAMPLE_RATE_HZ))


def load_corpus(config: DataConfig, development: bool = False) -> Corpus:
    """The training talkers of the manifests, or those set aside for development; never a talker of a test split."""
    pieces: list[Piece] = []
    for path in config.speech:
        utterances, longest_s = read_manifest(path), config.piece_s[1]
        long_ones = {one.id: one.path for one in utterances if one.duration_s > longest_s and not one.segments}
        pieces += cut_into_pieces(utterances, *config.piece_s, kept_cuts(path, long_ones, longest_s))
    kept = []
    for piece in pieces:
        corpus, _, speaker = piece.speaker.partition(":")
        if corpus not in config.exclude and is_development_talker(corpus, speaker) == development:
            kept.append(piece)
    if not development:
        kept = _limited(kept, config.talkers, config.hours)
        kept = [piece if speed == 1.0 else piece.at_speed(speed) for speed in config.speeds for piece in kept]
    return Corpus(kept)


def _limited(pieces: list[Piece], talkers: int | None, hours: float | None) -> list[Piece]:
    """The pieces of so many talkers, and of these so many hours, in their own order."""
    grouped: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        grouped[piece.speaker].append(piece)
    chosen = sorted(grouped, key=lambda name: crc32(name.encode()))[:talkers]
    kept = {piece.id for name in chosen for piece in grouped[name]}
    if hours is not None:
        queues = [sorted(grouped[name], key=lambda piece: crc32(piece.id.encode())) for name in chosen]
        # One piece of every talker, then a second one of those who have it, and so on.
        turns = (piece for turn in zip_longest(*queues) for piece in turn if piece is not None)
        left_s = hours * 3600
        kept = set()
        for piece in turns:
            if left_s <= 0:
                break
            kept.add(piece.id)
            left_s -= piece.duration_s
    return [piece for piece in pieces if piece.id in kept]


_ONE_IN = 12


def is_development_talker(corpus: str, speaker: str) -> bool:
    """True for the one talker in twelve of the training part who never trains and is there to choose by.

    Thresholds and checkpoints are chosen on these talkers alone, never on a test split. The choice is a checksum of
    'corpus:speaker', so it is the same on every machine and does not move when talkers are added.
    """
    return crc32(f"{corpus}:{speaker}".encode()) % _ONE_IN == 0
