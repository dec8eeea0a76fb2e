"""Training utterances as a frozen encoder hears them, computed once: what a head without prompts learns from.

The encoder takes most of a step, and without prompts it gives the same every time. So a few epochs of a `NoisyDataset`,
each with its own noise, are encoded into files, and later epochs take these in turn.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from softspoken.files import replace_text
from softspoken.frozen import Frozen
from softspoken_lab.noise.dataset import NoisyDataset

Encode = Callable[[list[np.ndarray]], list[Float[Tensor, "T D"]]]
"""Waveforms at 16 kHz to the states of each one's valid frames."""

_BATCH = 16


class CacheConfig(Frozen):
    """Where encoded utterances are kept, and how many epochs of them."""

    folder: Path
    """Files of 50 frames a second in float16: 3.7 GB for 10 hours and a width of 512."""
    copies: int = Field(default=2, ge=1)
    """Epochs that are encoded: every piece is kept so many times, each with noise of its own or without."""


@dataclass(frozen=True)
class CachedUtterance:
    """States of an utterance, and what is said."""

    states: Float[Tensor, "T D"]
    text: str


@dataclass(frozen=True)
class StatesBatch:
    """Encoded utterances and their characters; see `CTCBatch`."""

    states: Float[Tensor, "B T D"]
    lengths: Int[Tensor, " B"]
    labels: Int[Tensor, "B U"]
    label_lengths: Int[Tensor, " B"]
    texts: list[str]

    def to(self, device: torch.device) -> "StatesBatch":
        tensors = [part.to(device) for part in (self.states, self.lengths, self.labels, self.label_lengths)]
        states, lengths, labels, label_lengths = tensors
        return StatesBatch(states, lengths, labels, label_lengths, self.texts)


class CachedDataset(Dataset[CachedUtterance]):
    """Item i says what item i of `dataset` says; in the first `copies` epochs in the same noise, then in theirs again.

    Files that are there for the same utterances, noise and encoder are taken as they are.
    """

    def __init__(self, dataset: NoisyDataset, config: CacheConfig, width: int, of: str, encode: Encode) -> None:
        """`width` D of the states; `of`: names the encoder and its layer, for the names of the files."""
        self.dataset = dataset
        name = _name(dataset, of)
        config.folder.mkdir(parents=True, exist_ok=True)
        self._copies = [
            _copy(dataset, copy, config.folder / f"{name}-{copy}", width, encode) for copy in range(config.copies)
        ]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> CachedUtterance:
        epoch, chosen = self.dataset.located(index)
        states, starts, lengths = self._copies[epoch % len(self._copies)]
        start = starts[chosen]
        found = torch.from_numpy(states[start : start + lengths[chosen]].astype(np.float32))
        return CachedUtterance(found, self.dataset.text(chosen))


_Copy = tuple[np.ndarray, list[int], list[int]]
"""All frames (N, D), and where each piece's begin and how many they are."""


def _name(dataset: NoisyDataset, of: str) -> str:
    noise = None if dataset.noise is None else [clip.id for clip in dataset.noise.clips]
    pieces = [(piece.id, piece.duration_s) for piece in dataset.pieces]
    about = json.dumps([of, dataset.seed, dataset.config.model_dump(), noise, pieces])
    return hashlib.sha256(about.encode()).hexdigest()[:16]


def _copy(dataset: NoisyDataset, copy: int, path: Path, width: int, encode: Encode) -> _Copy:
    frames, index = path.with_suffix(".f16"), path.with_suffix(".json")
    if not index.is_file():
        # The index is written last: where it is, the frames are whole.
        replace_text(index, json.dumps(_encoded(dataset, copy, frames, encode)))
    starts, lengths = json.loads(index.read_text(encoding="utf-8"))
    return np.memmap(frames, np.float16, "r").reshape(-1, width), starts, lengths


def _encoded(dataset: NoisyDataset, copy: int, path: Path, encode: Encode) -> tuple[list[int], list[int]]:
    """Encode one epoch into a file. Where each piece's frames begin, and how many they are."""
    count = len(dataset.pieces)
    starts, lengths, end = [0] * count, [0] * count, 0
    places = range(copy * count, (copy + 1) * count)
    order = sorted(places, key=lambda place: dataset.pieces[dataset.chosen(place)].duration_s)
    with path.open("wb") as file:
        for first in range(0, count, _BATCH):
            batch = order[first : first + _BATCH]
            for place, states in zip(batch, encode([dataset.drawn(place).audio for place in batch]), strict=True):
                chosen = dataset.chosen(place)
                starts[chosen], lengths[chosen] = end, len(states)
                file.write(states.half().numpy().tobytes())
                end += len(states)
    return starts, lengths


def collate_states(items: list[CachedUtterance], encode: Callable[[str], list[int]]) -> StatesBatch:
    """Some utterances as one batch; `encode` as in `collate_ctc`."""
    rows = [torch.tensor(encode(item.text), dtype=torch.long) for item in items]
    return StatesBatch(
        states=pad_sequence([item.states for item in items], batch_first=True),
        lengths=torch.tensor([len(item.states) for item in items]),
        labels=pad_sequence(rows, batch_first=True, padding_value=0),
        label_lengths=torch.tensor([row.numel() for row in rows]),
        texts=[item.text for item in items],
    )
