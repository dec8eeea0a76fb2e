"""Recognisers for speech in noise as what is analysed: variants of their prompts run as rows of one batch.

Shapes: K variants, B batch, T frames, L layers, M vectors, D width, V symbols of the dictionary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.backbones.base import Backbone, Features
from softspoken.backbones.features import FRAME_RATE_HZ, TRAILING_SILENCE_S
from softspoken.decoding.longform import Reader, audio_blocks, quiet_windows
from softspoken.decoding.options import WindowOptions
from softspoken.errors import AudioError, ConfigError, DataError, PromptMismatch
from softspoken.frozen import Frozen
from softspoken.prompts.rows import PromptRows
from softspoken.scoring.word_errors import score_utterance
from softspoken_lab.analysis.results import Counts, SubjectInfo
from softspoken_lab.analysis.subject import Report, Subject, TestSet, Vectors
from softspoken_lab.noise.characters import normalise_transcript
from softspoken_lab.noise.folder import LoadedRecognizer
from softspoken_lab.noise.search import greedy
from softspoken_lab.noise.testsets import Item, TestUtterance
from softspoken_lab.prompts.variants import as_sets, vectors_of, with_vectors

_LONGEST_S = 28.0
"""Of the windows that longer utterances are cut into: as much as Whisper takes, less some room."""
_SEARCH_S = 8.0
"""They end at the quietest place in so much of their end."""


class BatchOptions(Frozen):
    """How much runs at once."""

    frames: int = Field(default=12_000, ge=1)
    """Encoder positions in a batch at most, prompts and padding included (a single row may have more)."""
    utterances: int = Field(default=8, ge=1)
    """Utterances in a batch at most."""


class CTCSubject(Subject):
    """A recogniser and its frozen backbone; text is written greedily."""

    def __init__(
        self, recognizer: LoadedRecognizer, backbone: Backbone, name: str = "prompt", batch: BatchOptions | None = None
    ) -> None:
        """Raises PromptMismatch for another backbone than the one it was trained on."""
        recognizer.check(backbone)
        self.recognizer = recognizer
        self.backbone = backbone
        self.batch = BatchOptions() if batch is None else batch
        self.model = recognizer.model.to(backbone.device).eval()
        self._name = name

    @property
    def info(self) -> SubjectInfo:
        about = self.recognizer.prompts
        stack = None if about is None else about.prompts.encoder
        return SubjectInfo(
            name=self._name,
            kind="ctc",
            backbone=self.recognizer.info.backbone.name,
            prompts=0 if stack is None else stack.length,
            depth=None if stack is None else stack.depth,
            digest=None if about is None else about.digest,
        )

    @property
    def rows(self) -> PromptRows:
        """Its prompts' rows. Raises ConfigError for a frozen baseline."""
        with torch.no_grad():
            rows = self.model.rows()
        if rows is None:
            raise ConfigError(
                f"'{self._name}' is a frozen baseline (m = 0): there are no prompts to take apart; give a recogniser "
                "with prompts"
            )
        return rows

    @property
    def vectors(self) -> Vectors:
        return vectors_of(self.rows).detach()

    def score(self, test_set: TestSet, variants: Sequence[Vectors | None], report: Report | None = None) -> Counts:
        spoken = [item for item in test_set.items if _words(item, test_set.name)]
        if not spoken:
            raise DataError(f"the set '{test_set.name}' has no utterance with words; give one that has")
        check_width(variants, self.backbone)
        texts = self.write(test_set, variants, report)
        scores = [
            [score_utterance(item.text, written[item.id], normalise_transcript) for item in spoken] for written in texts
        ]
        return Counts(
            sources=tuple(source_of(item) for item in spoken),
            words=tuple(score.words for score in scores[0]),
            errors=tuple(tuple(score.errors for score in row) for row in scores),
        )

    def write(
        self, test_set: TestSet, variants: Sequence[Vectors | None], report: Report | None = None
    ) -> list[dict[str, str]]:
        """What each variant writes: texts by utterance."""
        parts = sorted(self._parts(test_set), key=lambda part: part.samples)
        pieces: list[dict[tuple[str, int], str]] = [{} for _ in variants]
        done, total = 0, len(parts)
        while done < total:
            size = self._fitting(parts[done:], len(variants))
            batch = parts[done : done + size]
            features = self.backbone.features([part.audio() for part in batch])
            for index, (log_probs, lengths) in enumerate(self.log_probs(features, variants)):
                texts = greedy(log_probs, lengths, self.recognizer.characters)
                pieces[index] |= {(part.id, part.number): text for part, text in zip(batch, texts, strict=True)}
            done += size
            if report is not None:
                whole = len(variants) * len(test_set.items)
                report(whole * done // total, whole)
        return [_texts(found) for found in pieces]

    @torch.no_grad()
    def log_probs(
        self, features: Features, variants: Sequence[Vectors | None]
    ) -> Iterator[tuple[Float[Tensor, "B T V"], Int[Tensor, "B"]]]:
        """Log-probabilities under each variant, in order; those with prompts are rows of one batch, as far as it fits.

        Without prompts the network is the frozen one, and runs by itself.
        """
        found: dict[int, tuple[Tensor, Tensor]] = {}
        chosen = [(index, one) for index, one in enumerate(variants) if one is not None and one.shape[1]]
        if len(chosen) < len(variants):
            plain = self.model.under(None, self.backbone, features)
            chosen_indices = {index for index, _ in chosen}
            found |= {index: plain for index in range(len(variants)) if index not in chosen_indices}
        rows = self.rows if chosen else None
        positions = self._positions(features, variants)
        at_once = max(1, self.batch.frames // max(1, positions * features.lengths.shape[0]))
        for start in range(0, len(chosen), at_once):
            group = chosen[start : start + at_once]
            assert rows is not None
            for index, result in zip(
                (index for index, _ in group), self._under_each(rows, [one for _, one in group], features), strict=True
            ):
                found[index] = result
        yield from (found[index] for index in range(len(variants)))

    def _under_each(
        self, rows: PromptRows, variants: Sequence[Vectors], features: Features
    ) -> list[tuple[Float[Tensor, "B T V"], Int[Tensor, "B"]]]:
        if rows.placement == "shifted" or len(variants) == 1:
            return [self.model.under(with_vectors(rows, one), self.backbone, features) for one in variants]
        log_probs, lengths = self.model.under_each(as_sets(rows, variants), self.backbone, features)
        return [(one, lengths) for one in log_probs]

    def _positions(self, features: Features, variants: Sequence[Vectors | None]) -> int:
        """About how many positions a row with the longest prompts has."""
        hop = SAMPLE_RATE_HZ // FRAME_RATE_HZ if features.values.shape[1] == 1 else 2
        return features.values.shape[2] // hop + max((one.shape[1] for one in variants if one is not None), default=0)

    def _fitting(self, parts: Sequence["_Part"], variants: int) -> int:
        """How many of the first parts (the shortest come first) make a batch."""
        size = 1
        while size < min(len(parts), self.batch.utterances):
            positions = parts[size].samples * FRAME_RATE_HZ // SAMPLE_RATE_HZ
            if positions * (size + 1) * variants > self.batch.frames:
                break
            size += 1
        return size

    def _parts(self, test_set: TestSet) -> Iterator["_Part"]:
        limit = getattr(self.backbone, "max_frames", None)
        longest_s = _LONGEST_S if limit is None else min(_LONGEST_S, limit / FRAME_RATE_HZ - TRAILING_SILENCE_S)
        for item in test_set.items:
            seconds = getattr(item, "duration_s", None)
            samples = round(seconds * SAMPLE_RATE_HZ) if seconds is not None else _load(item).size
            if samples <= longest_s * SAMPLE_RATE_HZ:
                yield _Part(item, 0, samples, None)
                continue
            windows = quiet_windows(
                Reader(audio_blocks(_load(item))), WindowOptions(longest_s=max(longest_s, 1.0), search_s=_SEARCH_S)
            )
            for number, window in enumerate(windows):
                yield _Part(item, number, window.audio.size, window.audio)


@dataclass(frozen=True)
class _Part:
    """An utterance, or a window of one that is too long to be run in one piece (then `held` is its audio)."""

    item: Item
    number: int
    samples: int
    held: np.ndarray | None

    @property
    def id(self) -> str:
        return self.item.id

    def audio(self) -> np.ndarray:
        return self.held if self.held is not None else _load(self.item)


def source_of(item: Item) -> str:
    """The speech recording that an item is made of."""
    if isinstance(item, TestUtterance):
        return item.source_id if item.source_id is not None else item.id
    return str(item.audio)


def check_width(variants: Sequence[Vectors | None], backbone: Backbone) -> None:
    """Raises PromptMismatch for vectors of another width than the backbone's."""
    width = backbone.stacks["encoder"].width
    for one in variants:
        if one is not None and one.shape[-1] != width:
            raise PromptMismatch(
                f"prompt width {one.shape[-1]}, backbone '{backbone.name}' width {width}; load the backbone it was "
                "trained on"
            )


def _words(item: Item, name: str) -> bool:
    if not isinstance(item, TestUtterance):
        raise DataError(
            f"the set '{name}' follows voices (an evaluation manifest); a recogniser for noise needs a speech manifest "
            "or a noisy test set"
        )
    return bool(item.text.split())


def _load(item: Item) -> np.ndarray:
    path = item.path if isinstance(item, TestUtterance) else item.audio
    try:
        audio: np.ndarray = load_audio(path)
    except AudioError as error:
        raise AudioError(f"item '{item.id}': {error}") from error
    return audio


def _texts(pieces: dict[tuple[str, int], str]) -> dict[str, str]:
    joined: dict[str, list[str]] = {}
    for key in sorted(pieces):
        joined.setdefault(key[0], []).append(pieces[key])
    return {name: " ".join(text for text in texts if text) for name, texts in joined.items()}
