"""Utterances to batches for CTC."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from softspoken.data.noisy import NoisyUtterance


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
