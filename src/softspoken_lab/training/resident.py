"""All training speech in the memory of one device, and what drawing mixtures needs to know of it."""

import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float, Int, Int16
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from softspoken.audio import load_audio
from softspoken.data.corpus import Piece, waveform
from softspoken.data.examples import Enrolment, MixtureDataset, draw_crop
from softspoken.data.levels import FULL_SCALE, rounded, speech_power, speech_span
from softspoken.errors import DataError
from softspoken.files import replacing

_STORED = ("speech", "sizes", "powers", "spans_s", "noise", "noise_sizes")

EmbedAll = Callable[[list[np.ndarray]], list[np.ndarray]]
"""Waveforms (16 kHz) to their speaker embeddings."""


@dataclass(frozen=True)
class Recordings:
    """Waveforms behind each other in one tensor of 16-bit samples."""

    samples: Int16[Tensor, "total"]
    starts: Int[Tensor, "E"]
    sizes: Int[Tensor, "E"]

    @classmethod
    def of(cls, samples: Int16[Tensor, "total"], sizes: Int[Tensor, "E"], device: torch.device) -> "Recordings":
        return cls(samples.to(device), (sizes.cumsum(0) - sizes).to(device), sizes.to(device))

    def at(self, which: Int[Tensor, "K"], positions: Int[Tensor, "K N"]) -> Float[Tensor, "K N"]:
        """Samples of recording `which[k]`; 0 before its beginning and behind its end."""
        sizes = self.sizes[which][:, None]
        inside = (positions >= 0) & (positions < sizes)
        found = self.samples[self.starts[which][:, None] + positions.clamp(min=0).minimum(sizes - 1)]
        return found * (inside / FULL_SCALE)


@dataclass(frozen=True)
class SpeechTable:
    """What is known of the entries of `ResidentSpeech` without asking the device."""

    places: dict[str, int]
    """Entry of each piece, by its id."""
    crops: dict[str, int]
    """Entry of a changed crop of each piece whose talker has no other, by the piece's id."""
    noises: dict[str, int]
    """Number of each noise recording, by its path."""
    sizes: list[int]
    """Samples of each entry."""
    spans_s: list[tuple[float, float] | None]
    """When speech begins and ends in an entry."""
    vectors: Float[np.ndarray, "E S"]
    """Speaker embeddings."""

    def enrolled(self, enrolment: Enrolment) -> tuple[int, Float[np.ndarray, "S"]]:
        """Entry of the clip, and the embedding. A talker with one piece always has the same crop of it."""
        first = enrolment.pieces[0]
        if enrolment.crop is not None:
            entry = self.crops[first.id]
            return entry, self.vectors[entry]
        entries = [self.places[piece.id] for piece in enrolment.pieces]
        weights = np.array([piece.duration_s for piece in enrolment.pieces], dtype=np.float32)
        total = weights @ self.vectors[entries]
        return entries[0], (total / np.linalg.norm(total)).astype(np.float32)


@dataclass(frozen=True)
class ResidentSpeech:
    """The entries on the device: pieces and crops, and the noise recordings."""

    speech: Recordings
    powers: Float[Tensor, "E"]
    """Speech power of each entry."""
    noise: Recordings

    @property
    def device(self) -> torch.device:
        return self.powers.device


class _Entry(NamedTuple):
    samples: Int16[np.ndarray, "_"]
    power: float
    span_s: tuple[float, float] | None


Kind = tuple[Piece, bool]
"""A piece as it is, or (True) a changed crop of it."""


def make_resident(
    dataset: MixtureDataset,
    embed_all: EmbedAll,
    device: torch.device,
    threads: int | None = None,
    file: Path | None = None,
) -> tuple[SpeechTable, ResidentSpeech]:
    """All pieces of a dataset at their speeds, and its noise, in the memory of `device`.

    An hour of speech takes 115 MB. `embed_all` makes the embeddings that the dataset does not know. `threads`, `file`:
    see `read_all`.
    """
    ordered, stored = read_all(dataset, threads, file)
    sizes, spans_s = stored["sizes"].tolist(), stored["spans_s"].tolist()
    resident = ResidentSpeech(
        Recordings.of(stored["speech"], stored["sizes"], device),
        stored["powers"].to(device),
        Recordings.of(stored["noise"], stored["noise_sizes"], device),
    )
    table = SpeechTable(
        places={piece.id: number for number, (piece, crop) in enumerate(ordered) if not crop},
        crops={piece.id: number for number, (piece, crop) in enumerate(ordered) if crop},
        noises={path: number for number, (path, _) in enumerate(dataset.noises)},
        sizes=sizes,
        spans_s=[None if math.isnan(begin) else (begin, end) for begin, end in spans_s],
        vectors=_vectors(dataset, ordered, torch.split(stored["speech"], sizes), embed_all),
    )
    return table, resident


def read_all(
    dataset: MixtureDataset, threads: int | None = None, file: Path | None = None
) -> tuple[list[Kind], dict[str, Tensor]]:
    """What is read for `make_resident`, and of which pieces.

    `threads`: so many recordings are read at the same time; None: one a core. `file`: where all this lies once it was
    read. Raises DataError for one that is damaged.
    """
    by_path: dict[str, list[Piece]] = defaultdict(list)
    for piece in dataset.corpus.pieces:
        by_path[piece.path].append(piece)
    lone = frozenset(pieces[0].id for pieces in dataset.corpus.by_speaker.values() if len(pieces) == 1)
    ordered = [(each, crop) for group in by_path.values() for each in group for crop in _kinds(each, lone)]
    noises = [path for path, _ in dataset.noises]
    digest = _digest(ordered, noises)
    stored = _kept(file, digest)
    if stored is None:
        with ThreadPoolExecutor(threads if threads is not None else os.cpu_count()) as pool:
            stored = _read(by_path, lone, noises, pool)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                save_file(stored, temporary, metadata={"digest": digest})
    return ordered, stored


def _kinds(piece: Piece, lone: frozenset[str]) -> tuple[bool, ...]:
    """The piece; of a talker who has no other also a crop of it."""
    return (False, True) if piece.id in lone else (False,)


def _digest(ordered: Sequence[Kind], noises: Sequence[str]) -> str:
    """Of what is read, and of how large the files are that it is read from."""
    sizes = {path: Path(path).stat().st_size for path in {*(piece.path for piece, _ in ordered), *noises}}
    named = [[piece.id, piece.start_s, piece.duration_s, crop, sizes[piece.path]] for piece, crop in ordered]
    content = json.dumps([named, [sizes[path] for path in noises]])
    return hashlib.sha256(content.encode()).hexdigest()


def _kept(file: Path | None, digest: str) -> dict[str, Tensor] | None:
    """What an earlier run has read, where it read the same."""
    if file is None or not file.is_file():
        return None
    try:
        with safe_open(str(file), framework="pt") as stored:
            if (stored.metadata() or {}).get("digest") != digest:
                return None
            return {name: stored.get_tensor(name) for name in _STORED}
    except SafetensorError as error:
        raise DataError(f"'{file}' cannot be read ({error}); remove it, and it is made anew") from error


def _read(
    by_path: Mapping[str, list[Piece]], lone: frozenset[str], noises: Sequence[str], pool: Executor
) -> dict[str, Tensor]:
    groups = pool.map(lambda path: _entries(path, by_path[path], lone), by_path)
    entries = [entry for group in groups for entry in group]
    noise = list(pool.map(lambda path: rounded(load_audio(path)), noises))
    nowhere = (math.nan, math.nan)
    return {
        "speech": _joined([entry.samples for entry in entries]),
        "sizes": torch.tensor([entry.samples.size for entry in entries], dtype=torch.int64),
        "powers": torch.tensor([entry.power for entry in entries], dtype=torch.float32),
        "spans_s": torch.tensor([entry.span_s or nowhere for entry in entries], dtype=torch.float64),
        "noise": _joined(noise),
        "noise_sizes": torch.tensor([each.size for each in noise], dtype=torch.int64),
    }


def _joined(waveforms: Sequence[Int16[np.ndarray, "_"]]) -> Int16[Tensor, "total"]:
    return torch.from_numpy(np.concatenate(waveforms) if waveforms else np.zeros(0, np.int16))


def _entries(path: str, pieces: list[Piece], lone: frozenset[str]) -> list[_Entry]:
    recording = load_audio(path)
    found = []
    for piece in pieces:
        audio = np.asarray(waveform(piece, recording), np.float32)
        found.append(_entry(audio))
        if piece.id in lone:
            rng = np.random.default_rng(crc32(piece.id.encode()))
            found.append(_entry(draw_crop(piece, rng).of(audio)))
    return found


def _entry(audio: Float[np.ndarray, "_"]) -> _Entry:
    return _Entry(rounded(audio), speech_power(audio), speech_span(audio))


def _vectors(
    dataset: MixtureDataset,
    ordered: Sequence[Kind],
    samples: Sequence[Int16[Tensor, "_"]],
    embed_all: EmbedAll,
) -> Float[np.ndarray, "E S"]:
    """The embeddings of all entries; those that are not known are made together."""
    found = [dataset.vectors.get(crop_name(piece)) if crop else dataset.known_vector(piece) for piece, crop in ordered]
    missing = [number for number, vector in enumerate(found) if vector is None]
    made = embed_all([(samples[number].numpy() / FULL_SCALE).astype(np.float32) for number in missing])
    for number, vector in zip(missing, made, strict=True):
        (piece, crop), found[number] = ordered[number], vector
        dataset.vectors[crop_name(piece) if crop else piece.id] = vector
    return np.stack([vector for vector in found if vector is not None])


def crop_name(piece: Piece) -> str:
    """Under which the embedding of the piece's crop is kept, beside those of pieces."""
    return f"{piece.id}#crop"
