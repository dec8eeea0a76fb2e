"""Training utterances in noise: pieces of speech, each once an epoch, most of them with noise (second paper, 2.3).

`collate_ctc` makes batches of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.corpus import Corpus, Piece
from softspoken.data.examples import Pools
from softspoken.errors import DataError
from softspoken_lab.noise.bank import NoiseBank
from softspoken_lab.noise.corruption import Corruption, CorruptionConfig, apply_corruption, draw_corruption

Accept = Callable[[str, float], bool]
"""A normalised transcript and its seconds of audio: can they be trained on?"""

_ORDER, _NOISE = range(2)
"""Which generator of a seed: each has numbers of its own, so that a change in one draw leaves the others alone."""
_PERMUTATIONS_KEPT = 2


@dataclass(frozen=True)
class NoisyUtterance:
    """What one talker says, with or without noise."""

    audio: Float[np.ndarray, " N"]
    """16 kHz."""
    text: str
    """Normalised."""
    id: str
    """The piece's."""
    corruption: Corruption | None
    """None: without noise."""


def fits_ctc(encode: Callable[[str], list[int]], frames_per_s: float = 50.0) -> Accept:
    """Accepts what CTC can learn: `encode` knows every character (it raises DataError for others), and there are
    frames enough for all labels and a blank between equal ones."""

    def accept(text: str, duration_s: float) -> bool:
        try:
            labels = encode(text)
        except DataError:
            return False
        repeated = sum(one == other for one, other in pairwise(labels))
        return len(labels) + repeated <= duration_s * frames_per_s - 1

    return accept


class NoisyDataset(Dataset[NoisyUtterance]):
    """Item i of a seed is always the same utterance, with the same noise.

    The pieces come in a permutation, a new one for every epoch. With `pool`, that many utterances at a time are sorted
    by length and dealt out in runs of `batch` neighbours, the runs in any order, so that a batch needs little padding;
    which utterances there are, and their noise, do not depend on it.
    """

    def __init__(
        self,
        corpus: Corpus,
        noise: NoiseBank | None,
        config: CorruptionConfig,
        seed: int,
        size: int | None = None,
        *,
        normalise: Callable[[str], str] = str.strip,
        accept: Accept | None = None,
        pool: int = 1,
        batch: int = 1,
    ) -> None:
        """`noise`: None for clean speech. `size`: utterances in all; None: one epoch. `normalise`: a piece's text as
        it is to be learned. Pieces without a text, with one that the corpus knows to be wrong, or that `accept`
        refuses are left out, and counted in `left_out`.

        Raises DataError when no piece is left, or the noise has nothing of the configured kinds; ConfigError for a
        pool or batch below 1.
        """
        self._texts: list[str] = []
        self.pieces: list[Piece] = []
        for piece in corpus.pieces:
            text = normalise(piece.text) if piece.verified else ""
            if text and (accept is None or accept(text, piece.duration_s)):
                self._texts.append(text)
                self.pieces.append(piece)
        self.left_out = len(corpus.pieces) - len(self.pieces)
        if not self.pieces:
            raise DataError(
                f"none of {len(corpus.pieces)} pieces of speech has a transcript that can be learned; "
                "check the manifest's texts and the dictionary"
            )
        if noise is not None and config.probability > 0:
            noise.of(config.types, config.categories)
        self.corpus, self.noise, self.config, self.seed = corpus, noise, config, seed
        self.size = len(self.pieces) if size is None else size
        self._pools = Pools(self.size, pool, batch, seed, lambda place: self.pieces[self.chosen(place)].duration_s)
        self._permutations: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> NoisyUtterance:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self.drawn(self._pools.place(index))

    def located(self, index: int) -> tuple[int, int]:
        """In which epoch item `index` comes, and which of `pieces` it is."""
        place = self._pools.place(index)
        return place // len(self.pieces), self.chosen(place)

    def text(self, chosen: int) -> str:
        """What is said in one of `pieces`, normalised."""
        return self._texts[chosen]

    def drawn(self, place: int) -> NoisyUtterance:
        """The utterance at a place of the endless row of permutations, before they are dealt out by length."""
        chosen = self.chosen(place)
        piece, text = self.pieces[chosen], self._texts[chosen]
        audio = self.corpus.audio(piece)
        corruption = None
        if self.noise is not None:
            rng = np.random.default_rng([self.seed, _NOISE, place])
            corruption = draw_corruption(rng, self.noise, audio.size / SAMPLE_RATE_HZ, self.config)
            if corruption is not None:
                audio = apply_corruption(audio, corruption, self.noise)
        return NoisyUtterance(audio, text, piece.id, corruption)

    def duration_s(self, index: int) -> float:
        """Length of item `index`, without loading it."""
        return self.pieces[self.chosen(self._pools.place(index))].duration_s

    def chosen(self, place: int) -> int:
        """Which piece stands at this place of the endless row of permutations."""
        epoch, position = divmod(place, len(self.pieces))
        if epoch not in self._permutations:
            while len(self._permutations) >= _PERMUTATIONS_KEPT:
                self._permutations.pop(next(iter(self._permutations)))
            rng = np.random.default_rng([self.seed, _ORDER, epoch])
            self._permutations[epoch] = rng.permutation(len(self.pieces))
        return int(self._permutations[epoch][position])


@dataclass(frozen=True)
class CTCBatch:
    """Utterances and their characters."""

    audio: list[np.ndarray]
    """Waveforms at 16 kHz, one a row."""
    labels: Int[Tensor, "B U"]
    """Characters; 0, the blank, behind a row's end."""
    label_lengths: Int[Tensor, " B"]
    texts: list[str]
    ids: list[str]

    def to(self, device: torch.device) -> "CTCBatch":
        return CTCBatch(self.audio, self.labels.to(device), self.label_lengths.to(device), self.texts, self.ids)


def collate_ctc(items: list[NoisyUtterance], encode: Callable[[str], list[int]]) -> CTCBatch:
    """Some utterances as one batch; `encode` turns a transcript into characters (1 and above: 0 is the blank)."""
    rows = [torch.tensor(encode(item.text), dtype=torch.long) for item in items]
    return CTCBatch(
        audio=[item.audio for item in items],
        labels=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0),
        label_lengths=torch.tensor([row.numel() for row in rows]),
        texts=[item.text for item in items],
        ids=[item.id for item in items],
    )
