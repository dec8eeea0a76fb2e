"""n-gram language models for the beam search of CTC: ARPA text files, and KenLM's binary ones.

An ARPA file is read here, so that it needs nothing installed; a binary one (of many millions of n-grams) by KenLM.
Katz back-off as in Stolcke, "SRILM" (2002): `P(w | h) = p(hw)` where the file has `hw`, else `b(h) P(w | h')` with h'
one word shorter.
"""

import gzip
import io
import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from softspoken.errors import DataError, MissingExtra

_NATURAL = math.log(10.0)
"""The files' logarithms are decimal."""
_KENLM_BINARY = b"mmap lm http://kheafield.com/code"
_START, _END, _UNKNOWN = "<s>", "</s>", "<unk>"
_NEVER = -99.0
"""What ARPA files write for log10 of zero."""
_LONGEST_LINE = 100_000


class LanguageModel(ABC):
    """Words one after the other. A state is what the model remembers of the words so far; opaque to the caller."""

    start: Any
    """The state before the first word."""

    @abstractmethod
    def words(self) -> Iterable[str]:
        """The vocabulary, as the model writes it."""

    @abstractmethod
    def score(self, state: Any, word: str) -> tuple[float, Any]:
        """Natural log-probability of the word after `state`, and the state after it."""

    @abstractmethod
    def end(self, state: Any) -> float:
        """Natural log-probability that the sentence ends here."""


class ArpaModel(LanguageModel):
    """An n-gram model with back-off, read from ARPA text."""

    def __init__(self, order: int, grams: dict[str, tuple[float, float]]) -> None:
        """`grams`: words joined by spaces -> (log10 probability, log10 back-off weight)."""
        self.start: tuple[str, ...] = (_START,) if order > 1 else ()
        self.order = order
        self._grams = grams

    def words(self) -> Iterable[str]:
        return (gram for gram in self._grams if " " not in gram and gram not in (_START, _END, _UNKNOWN))

    def score(self, state: tuple[str, ...], word: str) -> tuple[float, tuple[str, ...]]:
        known = word if word in self._grams else _UNKNOWN
        after = (*state, known)[-(self.order - 1) :] if self.order > 1 else ()
        return self._log10(state, known) * _NATURAL, after

    def end(self, state: tuple[str, ...]) -> float:
        return self._log10(state, _END) * _NATURAL

    def _log10(self, history: tuple[str, ...], word: str) -> float:
        back_off = 0.0
        for first in range(len(history) + 1):
            found = self._grams.get(" ".join((*history[first:], word)))
            if found is not None:
                return back_off + found[0]
            back_off += self._grams.get(" ".join(history[first:]), (0.0, 0.0))[1]
        return back_off + _NEVER


class KenLMModel(LanguageModel):
    """A model that KenLM holds (extra `beam`). It does not tell its vocabulary: that comes beside it."""

    def __init__(self, path: Path, words: Iterable[str]) -> None:
        try:
            import kenlm
        except ImportError as error:
            raise MissingExtra("kenlm", "beam", f"the binary language model '{path}'") from error
        try:
            self._model: Any = kenlm.Model(str(path))
        except (OSError, RuntimeError) as error:
            raise DataError(f"language model '{path}' cannot be read by KenLM: {_one_line(error)}") from error
        self._state = kenlm.State
        self.start = kenlm.State()
        self._model.BeginSentenceWrite(self.start)
        self._words = [word for word in words if word in self._model]
        if not self._words:
            raise DataError(f"language model '{path}' has none of the words listed for it; give the list of its words")

    def words(self) -> Iterable[str]:
        return self._words

    def score(self, state: Any, word: str) -> tuple[float, Any]:
        after = self._state()
        return self._model.BaseScore(state, word, after) * _NATURAL, after

    def end(self, state: Any) -> float:
        return float(self._model.BaseScore(state, _END, self._state())) * _NATURAL


def load_language_model(path: str | Path, words: str | Path | None = None) -> LanguageModel:
    """An n-gram model from an ARPA file (`.gz` too) or one of KenLM's binary files.

    `words`: a text file with the vocabulary, which a binary file does not tell. Raises DataError in one line for a file
    that is neither, is damaged or lacks its words, MissingExtra for a binary one without KenLM.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no language model at '{path}'; give an ARPA file (.arpa, .arpa.gz) or a KenLM binary")
    with path.open("rb") as file:
        opening = file.read(len(_KENLM_BINARY))
    if opening == _KENLM_BINARY:
        return KenLMModel(path, _read_words(path, words))
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if opening[:2] == b"\x1f\x8b"
            else path.open(encoding="utf-8") as file
        ):
            return _read_arpa(_lines(file, path), path)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            f"language model '{path}' is neither ARPA text nor a KenLM binary: {_one_line(error)}"
        ) from error


def _read_words(path: Path, words: str | Path | None) -> list[str]:
    if words is None:
        raise DataError(
            f"language model '{path}' is binary and does not tell its words; give a file with its words too"
        )
    try:
        return Path(words).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the words of '{path}' cannot be read from '{words}': {_one_line(error)}") from error


def _read_arpa(lines: Iterator[str], path: Path) -> ArpaModel:
    counts = _read_counts(lines, path)
    grams: dict[str, tuple[float, float]] = {}
    for order, count in enumerate(counts, start=1):
        if f"\\{order}-grams:" not in islice(_filled(lines), 1):
            raise _damaged(path, f"the {order}-grams do not begin where the header says")
        for line in islice(_filled(lines), count):
            fields = line.split()
            try:
                if len(fields) not in (order + 1, order + 2):
                    raise ValueError
                weight = float(fields[-1]) if len(fields) == order + 2 else 0.0
                grams[" ".join(fields[1 : order + 1])] = (float(fields[0]), weight)
            except ValueError:
                raise _damaged(path, f"{line!r} is not one of its {count} {order}-grams") from None
    if "\\end\\" not in islice(_filled(lines), 1):
        raise _damaged(path, r"no '\end\' after the last n-gram")
    if _END not in grams:
        raise _damaged(path, f"'{_END}' is not among its words")
    return ArpaModel(len(counts), grams)


def _read_counts(lines: Iterator[str], path: Path) -> list[int]:
    """The number of n-grams of each order, from the header; reading goes on after it."""
    for line in islice(_filled(lines), 1000):
        if line == "\\data\\":
            break
    else:
        raise _damaged(path, r"no line '\data\'")
    counts: list[int] = []
    for line in lines:
        if not line.strip():
            break
        name, _, count = line.strip().partition("=")
        if name != f"ngram {len(counts) + 1}" or not count.strip().isdigit():
            raise _damaged(path, f"{line.strip()!r} is not a number of n-grams")
        counts.append(int(count))
    if not counts:
        raise _damaged(path, "it counts no n-grams")
    return counts


def _lines(file: io.TextIOBase, path: Path) -> Iterator[str]:
    """Its lines. Of a compressed file that is one endless line, no more than the longest is ever held."""
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise _damaged(path, f"a line of more than {_LONGEST_LINE:,} characters")
        yield line


def _filled(lines: Iterator[str]) -> Iterator[str]:
    return (line.strip() for line in lines if line.strip())


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"language model '{path}' is not a whole ARPA file: {what}; make or fetch it again")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
