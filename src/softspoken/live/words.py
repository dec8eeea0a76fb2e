"""Words of a growing window: which of them two attempts agree on, and where the window may be cut behind them."""

from collections.abc import Sequence
from dataclasses import dataclass

from softspoken.backbones.tokens import TIMESTAMP_STEP_S, WhisperTokens
from softspoken.decoding.search import DecodedWindow
from softspoken.decoding.segments import split
from softspoken.decoding.words import word_groups


@dataclass(frozen=True)
class HeardWord:
    """A word of an attempt; times in seconds from the start of its window."""

    text: str
    start_s: float
    end_s: float
    end: int
    """Tokens of the attempt up to and with this word."""
    closes_s: float | None = None
    """The timestamp that follows: a sentence ends here."""


def heard_words(found: DecodedWindow, tokens: WhisperTokens, language: str) -> list[HeardWord]:
    """The words of an attempt that was asked for words (`DecodingOptions.words`)."""
    places = iter([place for place, token in enumerate(found.tokens) if token < tokens.timestamp_begin])
    heard: list[HeardWord] = []
    for piece, words in zip(split(found.tokens, tokens), found.words, strict=True):
        groups = word_groups(piece.tokens, tokens, language)
        for number, (group, word) in enumerate(zip(groups, words, strict=True)):
            end = 1 + [next(places) for _ in group][-1]
            closes_s = piece.end_s if number == len(groups) - 1 else None
            heard.append(HeardWord(word.text, word.start_s, word.end_s, end, closes_s))
    return heard


def agreed(before: Sequence[str], now: Sequence[str]) -> int:
    """How many first words two attempts have in common, whatever their case and punctuation (LocalAgreement-2, Liu et
    al. 2020, "Low-latency sequence-to-sequence speech recognition")."""
    count = 0
    for one, other in zip(before, now, strict=False):
        if _plain(one) != _plain(other):
            break
        count += 1
    return count


def _plain(word: str) -> str:
    return "".join(sign for sign in word.casefold() if sign.isalnum()) or word


def moved(prefix: Sequence[int], behind: HeardWord, tokens: WhisperTokens) -> tuple[int, ...]:
    """What of a prefix lies behind a word that ends a sentence, as a prefix of the window that begins there."""
    assert behind.closes_s is not None
    steps = round(behind.closes_s / TIMESTAMP_STEP_S)
    # The sentence's own last timestamp goes with it.
    rest = prefix[behind.end + 1 :]
    begin = tokens.timestamp_begin
    return tuple(token if token < begin else max(token - steps, begin) for token in rest)
