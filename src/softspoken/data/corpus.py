"""From manifests to lhotse cuts: talkers, and the pieces of speech each of them has."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from zlib import crc32

import numpy as np
import soxr
from jaxtyping import Float
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.cut import Cut

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.cache import AudioCache
from softspoken.data.config import DataConfig
from softspoken.data.pauses import Span, kept_cuts
from softspoken.data.rows import read_rows
from softspoken.data.talkers import is_development_talker
from softspoken.errors import DataError


def read_manifest(path: str | Path, split: str = "train") -> CutSet:
    """The utterances of a JSON-lines speech manifest as a lhotse CutSet.

    A line has `id`, `path` (relative to the manifest), `speaker`, `text`, `duration_s`, `split`, `corpus`, and where
    known `segments` ([{start_s, end_s, text}]: places to cut at) and `transcript_verified`. A cut's `speaker` is
    'corpus:speaker', so that equal names in two corpora stay two talkers. Raises DataError for a line that cannot be
    used.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no speech manifest at '{path}'; give a JSON-lines file with one utterance a line")
    return CutSet.from_cuts(_cuts(path, split))


def _cuts(path: Path, split: str) -> Iterator[Cut]:
    for where, row in read_rows(path, "utterance"):
        if row.get("split", split) != split:
            continue
        try:
            duration_s = float(row["duration_s"])
            samples = round(duration_s * SAMPLE_RATE_HZ)
            source = path.parent / row["path"]
            identity = str(row["id"])
            speaker = f"{row.get('corpus', path.parent.name)}:{row['speaker']}"
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where}: not an utterance ({error}); see the manifest's field list") from error
        if not _is_file(source):
            raise DataError(f"{where}: no audio at '{source}'; fetch it or remove the line")
        recording = Recording(
            id=identity,
            sources=[_audio_source(source)],
            sampling_rate=SAMPLE_RATE_HZ,
            num_samples=samples,
            duration=samples / SAMPLE_RATE_HZ,
        )
        supervision = SupervisionSegment(
            id=identity,
            recording_id=identity,
            start=0.0,
            duration=recording.duration,
            text=row.get("text"),
            speaker=speaker,
            custom={
                "segments": row.get("segments"),
                "corpus": row.get("corpus"),
                "verified": row.get("transcript_verified", True) is not False,
            },
        )
        yield MonoCut(
            id=identity,
            start=0.0,
            duration=recording.duration,
            channel=0,
            recording=recording,
            supervisions=[supervision],
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _audio_source(path: Path) -> object:
    from lhotse import AudioSource

    return AudioSource(type="file", channels=[0], source=str(path))


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
    cuts: Iterable[Cut], min_s: float, max_s: float, long_ones: Mapping[str, Sequence[Span]] = MappingProxyType({})
) -> list[Piece]:
    """Pieces of `min_s` to `max_s` seconds: whole utterances, or runs of their segments where they are longer.

    Neighbouring segments are joined as long as they fit, so that pieces are of all lengths. `long_ones`: where to cut
    utterances that have no segments, by their id; nothing is known of the words in such a piece. Utterances that are
    too long and are named nowhere are left out.
    """
    pieces: list[Piece] = []
    for cut in cuts:
        supervision = cut.supervisions[0]
        path = str(cut.recording.sources[0].source)
        spans = [(0.0, cut.duration, supervision.text or "")]
        custom = supervision.custom or {}
        segments, verified = custom.get("segments"), custom.get("verified", True)
        if segments:
            spans = list(_joined(segments, max_s))
        elif cut.id in long_ones:
            spans = [(start_s, end_s, "") for start_s, end_s in long_ones[cut.id]]
        for index, (start_s, end_s, text) in enumerate(spans):
            if min_s <= end_s - start_s <= max_s:
                identity = f"{cut.id}-{index}"
                whole = "" if text or len(spans) == 1 else supervision.text or ""
                piece = Piece(identity, supervision.speaker, path, start_s, end_s - start_s, text, 1.0, verified, whole)
                pieces.append(piece)
    return pieces


def _joined(segments: list[dict[str, object]], max_s: float) -> Iterator[tuple[float, float, str]]:
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
        cuts = read_manifest(path, split="train").to_eager()
        pieces += cut_into_pieces(cuts, *config.piece_s, _cuts_of_long_ones(path, cuts, config.piece_s[1]))
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


def _cuts_of_long_ones(manifest: Path, cuts: Iterable[Cut], max_s: float) -> dict[str, list[Span]]:
    long_ones = {}
    for cut in cuts:
        custom = cut.supervisions[0].custom or {}
        if cut.duration > max_s and not custom.get("segments"):
            long_ones[cut.id] = str(cut.recording.sources[0].source)
    return kept_cuts(manifest, long_ones, max_s)


def read_noises(paths: Iterable[Path], split: str = "train") -> list[tuple[str, float]]:
    """(path, seconds) of the noise recordings of a split."""
    noises: list[tuple[str, float]] = []
    for path in paths:
        if not path.is_file():
            raise DataError(f"no noise manifest at '{path}'; give a JSON-lines file with one recording a line")
        for where, row in read_rows(path, "recording"):
            try:
                if row["split"] == split:
                    noises.append((str(path.parent / row["path"]), float(row["duration_s"])))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{where}: not a noise recording ({error}); give path, duration_s and split") from error
    return noises
