"""Words of a growing window: which of them two attempts agree on, and where the window may be cut behind them."""

from collections.abc import Sequence
from dataclasses import dataclass

from softspoken.backbones.tokens import TIMESTAMP_STEP_S, WhisperTokens
from softspoken.decoding.result import UNSPACED

_BROKEN = "�"
"""A character that lacks some of its bytes."""


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


def heard_words(ids: Sequence[int], tokens: WhisperTokens, window_s: float, language: str) -> list[HeardWord]:
    """The words of a window's tokens. Between two timestamps a word's share of the time is that of its letters."""
    found: list[HeardWord] = []
    piece: list[tuple[str, int]] = []
    start_s = 0.0

    def close(end_s: float, written: bool) -> None:
        letters, at = sum(len(text) for text, _ in piece), start_s
        for number, (text, end) in enumerate(piece):
            until = at + max(end_s - start_s, 0.0) * len(text) / letters
            closes = end_s if written and number == len(piece) - 1 else None
            found.append(HeardWord(text, at, until, end, closes))
            at = until
        piece.clear()

    word: list[int] = []
    for place, token in enumerate(ids):
        if token < tokens.timestamp_begin:
            if word and _begins(token, word, tokens, language):
                _add(word, place, piece, tokens)
            word.append(token)
            continue
        _add(word, place, piece, tokens)
        seconds = min(tokens.seconds(token), window_s)
        close(seconds, written=True)
        start_s = seconds
    _add(word, len(ids), piece, tokens)
    close(window_s, written=False)
    return found


def _begins(token: int, word: Sequence[int], tokens: WhisperTokens, language: str) -> bool:
    """Whether a token begins another word."""
    if language in UNSPACED:
        return not tokens.decode(word).endswith(_BROKEN)
    return tokens.decode([token]).startswith(" ")


def _add(word: list[int], end: int, piece: list[tuple[str, int]], tokens: WhisperTokens) -> None:
    text = tokens.decode(word).strip()
    if text:
        piece.append((text, end))
    word.clear()


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
