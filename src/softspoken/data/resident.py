"""All training speech in the memory of one device, and what drawing mixtures needs to know of it."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float, Int, Int16
from torch import Tensor

from softspoken.audio import load_audio
from softspoken.data.corpus import Piece, waveform
from softspoken.data.examples import Enrolment, MixtureDataset, draw_crop
from softspoken.data.levels import speech_power, speech_span

FULL_SCALE = 32767.0

EmbedAll = Callable[[list[np.ndarray]], list[np.ndarray]]
"""Waveforms (16 kHz) to their speaker embeddings."""


@dataclass(frozen=True)
class Recordings:
    """Waveforms behind each other in one tensor of 16-bit samples."""

    samples: Int16[Tensor, "total"]
    starts: Int[Tensor, "E"]
    sizes: Int[Tensor, "E"]

    @classmethod
    def of(cls, waveforms: Sequence[Int16[np.ndarray, "_"]], device: torch.device) -> "Recordings":
        sizes = np.array([each.size for each in waveforms], dtype=np.int64)
        joined = np.concatenate(waveforms) if waveforms else np.zeros(0, np.int16)
        starts = np.cumsum(sizes) - sizes
        moved = [torch.from_numpy(array).to(device) for array in (joined, starts, sizes)]
        return cls(*moved)

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
    piece: Piece
    crop: bool
    samples: Int16[np.ndarray, "_"]
    power: float
    span_s: tuple[float, float] | None


def make_resident(
    dataset: MixtureDataset, embed_all: EmbedAll, device: torch.device, threads: int | None = None
) -> tuple[SpeechTable, ResidentSpeech]:
    """Read all pieces of a dataset at their speeds, and its noise, into the memory of `device`.

    An hour of speech takes 115 MB. `embed_all` makes the embeddings that the dataset does not know. `threads`: so many
    recordings are read at the same time; None: one a core.
    """
    by_path: dict[str, list[Piece]] = defaultdict(list)
    for piece in dataset.corpus.pieces:
        by_path[piece.path].append(piece)
    lone = frozenset(pieces[0].id for pieces in dataset.corpus.by_speaker.values() if len(pieces) == 1)
    noises = [path for path, _ in dataset.noises]
    with ThreadPoolExecutor(threads if threads is not None else os.cpu_count()) as pool:
        read = pool.map(lambda path: _entries(path, by_path[path], lone), by_path)
        entries = [entry for group in read for entry in group]
        noise = list(pool.map(lambda path: _rounded(load_audio(path)), noises))
    resident = ResidentSpeech(
        Recordings.of([entry.samples for entry in entries], device),
        torch.tensor([entry.power for entry in entries], dtype=torch.float32, device=device),
        Recordings.of(noise, device),
    )
    numbered = list(enumerate(entries))
    table = SpeechTable(
        places={entry.piece.id: number for number, entry in numbered if not entry.crop},
        crops={entry.piece.id: number for number, entry in numbered if entry.crop},
        noises={path: number for number, path in enumerate(noises)},
        sizes=[entry.samples.size for entry in entries],
        spans_s=[entry.span_s for entry in entries],
        vectors=_vectors(dataset, entries, embed_all),
    )
    return table, resident


def _entries(path: str, pieces: list[Piece], lone: frozenset[str]) -> list[_Entry]:
    recording = load_audio(path)
    found = []
    for piece in pieces:
        audio = np.asarray(waveform(piece, recording), np.float32)
        found.append(_entry(piece, False, audio))
        if piece.id in lone:
            rng = np.random.default_rng(crc32(piece.id.encode()))
            found.append(_entry(piece, True, draw_crop(piece, rng).of(audio)))
    return found


def _entry(piece: Piece, crop: bool, audio: Float[np.ndarray, "_"]) -> _Entry:
    return _Entry(piece, crop, _rounded(audio), speech_power(audio), speech_span(audio))


def _rounded(audio: Float[np.ndarray, "N"]) -> Int16[np.ndarray, "N"]:
    return np.asarray(np.rint(audio * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE), np.int16)


def _vectors(dataset: MixtureDataset, entries: Sequence[_Entry], embed_all: EmbedAll) -> Float[np.ndarray, "E S"]:
    """The embeddings of all entries; those that are not known are made together."""
    found = [
        dataset.vectors.get(crop_name(entry.piece)) if entry.crop else dataset.known_vector(entry.piece)
        for entry in entries
    ]
    missing = [number for number, vector in enumerate(found) if vector is None]
    made = embed_all([(entries[number].samples / FULL_SCALE).astype(np.float32) for number in missing])
    for number, vector in zip(missing, made, strict=True):
        entry, found[number] = entries[number], vector
        dataset.vectors[crop_name(entry.piece) if entry.crop else entry.piece.id] = vector
    return np.stack([vector for vector in found if vector is not None])


def crop_name(piece: Piece) -> str:
    """Under which the embedding of the piece's crop is kept, beside those of pieces."""
    return f"{piece.id}#crop"
