"""From the log-probabilities of a CTC head to text: greedily, or by beam search with an n-gram language model."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from softspoken.frozen import Frozen
from softspoken_lab.noise.characters import BLANK, SPACE, Characters
from softspoken_lab.noise.language_model import LanguageModel, load_language_model


class WordScorer:
    """Scores of words, and of letters that lead away from every known word.

    An unknown word pays once, at the first letter after which no known word goes on, or at its end when it is only the
    beginning of one. Paying at the end alone would favour texts that never come to the end of a word.
    """

    def __init__(
        self, model: LanguageModel, characters: Characters, weight: float, bonus: float, unknown_penalty: float
    ) -> None:
        """A word is worth `weight * log P + bonus`, and `unknown_penalty` more if the model does not know it.

        Words of the model count in the case of the dictionary, whatever theirs is; the first of equals is taken.
        """
        self.model = model
        self._letters = characters.symbols[1:]
        self._weight = weight
        self._bonus = bonus
        self._penalty = unknown_penalty
        self._known: dict[str, str] = {}
        for word in model.words():
            self._known.setdefault(characters.cased(word), word)
        self._beginnings = {"", *_beginnings(self._known)}
        self._costs: dict[str, Float[np.ndarray, " V"]] = {}
        self._free = np.zeros(characters.size)

    def letters(self, word: str) -> Float[np.ndarray, " V"]:
        """What each symbol costs as the next letter of `word`."""
        if word not in self._beginnings:
            return self._free
        if word not in self._costs:
            astray = [letter != SPACE and word + letter not in self._beginnings for letter in self._letters]
            self._costs[word] = np.array([0.0, *np.where(astray, self._penalty, 0.0)])
        return self._costs[word]

    def whole(self, word: str, state: Any) -> tuple[float, Any]:
        """What `word` is worth after `state` when it ends here, beyond what its letters have cost; the state after."""
        score, after = self.model.score(state, self._known.get(word, word))
        cost = self._penalty if word in self._beginnings and word not in self._known else 0.0
        return self._weight * score + self._bonus + cost, after

    def end(self, state: Any) -> float:
        """What the end of the text is worth."""
        return self._weight * self.model.end(state)


def _beginnings(words: Iterable[str]) -> Iterable[str]:
    return (word[:length] for word in words for length in range(1, len(word) + 1))


def greedy(log_probs: Float[Tensor, "B T V"], lengths: Int[Tensor, "B"], characters: Characters) -> list[str]:
    """The best symbol of every valid frame, repetitions collapsed, no blanks (Graves et al. 2006, section 3.2)."""
    best = log_probs.argmax(dim=-1).cpu()
    counts = lengths.tolist()
    return [
        characters.decode(row[:count].unique_consecutive().tolist()) for row, count in zip(best, counts, strict=True)
    ]


class BeamOptions(Frozen):
    """How wide to search, and what a language model is worth. The weights are pyctcdecode's defaults."""

    width: int = Field(default=50, ge=1)
    """Texts kept after every frame."""
    symbol_floor: float = Field(default=-5.0, le=0)
    """Symbols of a lower log-probability do not lengthen a text; the frame's best one always may."""
    margin: float = Field(default=10.0, ge=0)
    """Texts this much below the best (natural log) are dropped."""
    language_model: Path | None = None
    """An ARPA file, plain or gzipped, or one of KenLM's binary files (extra `beam`)."""
    words: Path | None = None
    """The words of a binary language model, which it does not tell, in a text file."""
    language_weight: float = Field(default=0.5, ge=0)
    """Weight of the language model's log-probability of a word."""
    word_bonus: float = 1.5
    """Added for every word, since a model makes long texts dearer."""
    unknown_penalty: float = Field(default=-10.0, le=0)
    """Added for a word that the model does not know, in whatever case."""


@dataclass(eq=False, slots=True)
class _Text:
    """A text being written: its last symbol (a word's start counts as a space), and the text without it."""

    symbol: int
    parent: "_Text | None" = None
    word: str = ""
    """The letters since the last space."""
    state: Any = None
    """The language model's, after the last whole word."""
    place: int = -1
    """In the present beam; -1: not in it."""
    longer: dict[int, "_Text"] = field(default_factory=dict)
    finished: tuple[float, Any] | None = None
    """Score of `word` as a whole word and the state after it, once asked for."""

    def symbols(self) -> list[int]:
        found, text = [], self
        while text.parent is not None:
            found.append(text.symbol)
            text = text.parent
        return found[::-1]


@dataclass
class _Beam:
    """Texts with the log-probability of all paths that write each one, its words' scores included."""

    texts: list[_Text]
    ended: Float[np.ndarray, " W"]
    """Over the paths whose last frame is a blank."""
    going: Float[np.ndarray, " W"]
    """Over the paths whose last frame is the text's last symbol."""

    @property
    def total(self) -> Float[np.ndarray, " W"]:
        return np.asarray(np.logaddexp(self.ended, self.going))


class BeamSearch:
    """Prefix beam search (Graves 2012, section 7.5.3; Hannun et al. 2014, with word-level fusion).

    A text's probability is summed over all of its paths. Spaces at a text's ends and repeated ones say nothing: paths
    that differ in them only write the same text. With a language model the score of a text is
    `log P(text | audio) + language_weight * log P(words) + word_bonus * words`. Wide enough and without pruning, the
    search is exact.
    """

    def __init__(self, characters: Characters, options: BeamOptions | None = None) -> None:
        """Reads the language model. Raises DataError or MissingExtra in one line when it cannot."""
        self.characters = characters
        self.options = BeamOptions() if options is None else options
        self._space = characters.symbols.index(SPACE)
        self._scorer = _scorer(characters, self.options)

    def decode(self, log_probs: Float[Tensor, "B T V"], lengths: Int[Tensor, "B"]) -> list[str]:
        """The best text of each row. Padding is not looked at."""
        rows = log_probs.detach().to("cpu", torch.float64).numpy()
        return [self._search(row[:count]) for row, count in zip(rows, lengths.tolist(), strict=True)]

    def _search(self, frames: Float[np.ndarray, "T V"]) -> str:
        start = _Text(self._space, state=None if self._scorer is None else self._scorer.model.start, place=0)
        beam = _Beam([start], np.zeros(1), np.full(1, -np.inf))
        for frame in frames:
            beam = self._step(beam, frame)
        return self._best(beam)

    def _step(self, beam: _Beam, frame: Float[np.ndarray, " V"]) -> _Beam:
        """What the texts become with one frame more."""
        texts, total = beam.texts, beam.total
        last = np.array([text.symbol for text in texts])
        useful = frame >= min(self.options.symbol_floor, frame.max())
        useful[BLANK] = False
        (added,) = np.nonzero(useful)
        ended = total + frame[BLANK]
        # A second space changes no text, so a text may stay as it is with a blank between two of them as well.
        going = np.where(last == self._space, total, beam.going) + frame[last]
        repeated = last[:, None] == added
        # The last symbol once more is a new one only after a blank.
        longer = np.where(repeated, beam.ended[:, None], total[:, None]) + frame[added]
        longer[repeated & (added == self._space)] = -np.inf
        columns = {int(symbol): column for column, symbol in enumerate(added)}
        if self._scorer is not None and columns:
            longer += np.stack([self._scorer.letters(text.word) for text in texts])[:, added]
            if self._space in columns:
                longer[:, columns[self._space]] += [self._finish(text)[0] for text in texts]
        for place, text in enumerate(texts):
            if text.parent is not None and text.parent.place >= 0 and text.symbol in columns:
                # Where the shorter text is in the beam too, its growing into this one is not another text.
                cell = text.parent.place, columns[text.symbol]
                going[place] = np.logaddexp(going[place], longer[cell])
                longer[cell] = -np.inf
        return self._select(_Beam(texts, ended, going), longer, added)

    def _select(self, same: _Beam, longer: Float[np.ndarray, "W A"], added: Int[np.ndarray, " A"]) -> _Beam:
        """The best `width` of the texts that stayed and those that grew."""
        scores = np.concatenate([same.total, longer.ravel()])
        (candidates,) = np.nonzero(scores >= max(scores.max() - self.options.margin, np.finfo(float).min))
        if len(candidates) > self.options.width:
            order = np.argpartition(-scores[candidates], self.options.width - 1)
            candidates = np.sort(candidates[order[: self.options.width]])
        stayed = candidates[candidates < len(same.texts)]
        grown = candidates[len(stayed) :]
        parents, columns = np.divmod(grown - len(same.texts), max(len(added), 1))
        symbols = added[columns].tolist()
        fresh = [self._longer(same.texts[parent], symbol) for parent, symbol in zip(parents, symbols, strict=True)]
        chosen = [same.texts[place] for place in stayed] + fresh
        for text in same.texts:
            text.place = -1
        for place, text in enumerate(chosen):
            text.place = place
        return _Beam(
            chosen,
            np.concatenate([same.ended[stayed], np.full(len(fresh), -np.inf)]),
            np.concatenate([same.going[stayed], scores[grown]]),
        )

    def _longer(self, text: _Text, symbol: int) -> _Text:
        """The text with one symbol more. One that left the beam comes back as itself: its longer forms may be there."""
        found = text.longer.get(symbol)
        if found is None:
            if symbol == self._space:
                found = _Text(symbol, text, "", self._finish(text)[1])
            else:
                found = _Text(symbol, text, text.word + self.characters.symbols[symbol], text.state)
            text.longer[symbol] = found
        return found

    def _finish(self, text: _Text) -> tuple[float, Any]:
        """What the last word of a text is worth, once it is whole, and the language model's state after it."""
        if self._scorer is None or not text.word:
            return 0.0, text.state
        if text.finished is None:
            text.finished = self._scorer.whole(text.word, text.state)
        return text.finished

    def _best(self, beam: _Beam) -> str:
        scores: dict[str, float] = {}
        for text, total in zip(beam.texts, beam.total.tolist(), strict=True):
            worth, state = self._finish(text)
            if self._scorer is not None:
                worth += self._scorer.end(state)
            written = self.characters.decode(text.symbols())
            # With and without a space at the end it is one text.
            scores[written] = float(np.logaddexp(scores.get(written, -np.inf), total + worth))
        return max(scores, key=scores.__getitem__)


def _scorer(characters: Characters, options: BeamOptions) -> WordScorer | None:
    if options.language_model is None:
        return None
    model = load_language_model(options.language_model, options.words)
    return WordScorer(model, characters, options.language_weight, options.word_bonus, options.unknown_penalty)
