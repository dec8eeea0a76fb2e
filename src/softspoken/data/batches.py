"""Examples to tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from softspoken.data.examples import Example
from softspoken.data.levels import speech_span

IGNORED = -100
"""Label of a position whose prediction is not trained."""


@runtime_checkable
class Vocabulary(Protocol):
    """The part of a backbone's tokens that a batch needs."""

    end_of_text: int

    def start(self, language: str | None = None, timestamps: bool = False) -> list[int]: ...

    def encode(self, text: str) -> list[int]: ...

    def timestamp(self, seconds: float) -> int: ...


@dataclass(frozen=True)
class Batch:
    """Targets in mixtures: what goes in, and what should come out."""

    audio: Sequence[np.ndarray]
    """The mixtures' waveforms, one a row."""
    clean: Sequence[np.ndarray]
    """The target alone, as it stands in each mixture."""
    voices: Float[Tensor, "B S"]
    scores: Float[Tensor, "B T"]
    """Cosine of each 20 ms frame to the row's voice; -1 behind a row's end."""
    tokens: Int[Tensor, "B U"]
    labels: Int[Tensor, "B U"]
    """The token after each of `tokens`; IGNORED for forced tokens and padding."""
    texts: list[str]
    speakers: list[str]
    clips: Sequence[np.ndarray] | None = None
    """An enrolment clip a row, where the examples have them."""

    def to(self, device: torch.device) -> "Batch":
        names = ("voices", "scores", "tokens", "labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def voices_swapped(self) -> "Batch":
        """The same with the voices of rows 2i and 2i+1, two targets of one mixture, exchanged."""
        swap = torch.arange(self.voices.shape[0]) ^ 1
        clips = [self.clips[index] for index in swap.tolist()] if self.clips is not None else None
        return replace(self, voices=self.voices[swap], scores=self.scores[swap], clips=clips)


def transcript(text: str, span_s: tuple[float, float] | None, vocabulary: Vocabulary) -> list[int]:
    """Tokens of what a target says, between timestamps where it is known when they say it."""
    if not text.strip():
        return []
    tokens = vocabulary.encode(" " + text.strip())
    if span_s is None:
        return tokens
    return [vocabulary.timestamp(span_s[0]), *tokens, vocabulary.timestamp(span_s[1])]


def token_rows(
    transcripts: Sequence[list[int]], timestamps: Sequence[bool], vocabulary: Vocabulary, max_tokens: int
) -> tuple[Int[Tensor, "B U"], Int[Tensor, "B U"]]:
    """What the decoder is given, and the token after each; transcripts longer than `max_tokens` are cut."""
    rows, labels = [], []
    for tokens, stamped in zip(transcripts, timestamps, strict=True):
        start = vocabulary.start(timestamps=stamped)
        text = tokens[: max_tokens - len(start)]
        rows.append(torch.tensor(start + text))
        labels.append(torch.tensor([IGNORED] * (len(start) - 1) + [*text, vocabulary.end_of_text]))
    pad = torch.nn.utils.rnn.pad_sequence
    return (
        pad(rows, batch_first=True, padding_value=vocabulary.end_of_text),
        pad(labels, batch_first=True, padding_value=IGNORED),
    )


def collate(groups: list[list[Example]], vocabulary: Vocabulary, max_tokens: int) -> Batch:
    """All targets of some mixtures as one batch. Transcripts longer than `max_tokens` are cut."""
    examples = [example for group in groups for example in group]
    spans = [speech_span(example.clean) if example.timestamps else None for example in examples]
    transcripts = [transcript(each.text, span, vocabulary) for each, span in zip(examples, spans, strict=True)]
    tokens, labels = token_rows(transcripts, [each.timestamps for each in examples], vocabulary, max_tokens)
    frames = max(example.scores.size for example in examples)
    padded = [F.pad(torch.from_numpy(e.scores).float(), (0, frames - e.scores.size), value=-1.0) for e in examples]
    clips = [example.clip for example in examples if example.clip is not None]
    return Batch(
        audio=[example.audio for example in examples],
        clean=[example.clean for example in examples],
        voices=torch.from_numpy(np.stack([example.voice for example in examples])).float(),
        scores=torch.stack(padded),
        tokens=tokens,
        labels=labels,
        texts=[example.text for example in examples],
        speakers=[example.speaker for example in examples],
        clips=clips if len(clips) == len(examples) else None,
    )
