"""What a language model makes of words that are being written letter by letter."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.noise.characters import SPACE, Characters
from softspoken.noise.language_model import LanguageModel


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
