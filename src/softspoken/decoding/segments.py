"""From the tokens of a window to segments, and to the place where the next window begins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from softspoken.backbones.tokens import WhisperTokens
from softspoken.decoding.result import Segment
from softspoken.decoding.search import DecodedWindow

SHORTEST_ADVANCE_S = 1.0
"""A window is not left earlier than this: little would be heard anew, at the cost of a whole window."""


SHORT_WINDOW_S = 2.0
"""Models hear words in a shorter window that nobody had the time to say."""
FASTEST_WORDS_PER_S = 6.0
FASTEST_SIGNS_PER_S = 25.0
"""Letters, for languages that write no spaces, and for one long word."""
LONGEST_WORD_S = 1.5
"""Nobody takes longer for one."""
USUAL_WORD_S = 0.4


@dataclass(frozen=True)
class Piece:
    """Text between two timestamps of a window; times in seconds within it, None where the model wrote none."""

    start_s: float | None
    end_s: float | None
    tokens: tuple[int, ...]


def split(ids: Sequence[int], tokens: WhisperTokens) -> list[Piece]:
    """Cut at the timestamps. A last piece without an end is still being said when the window ends."""
    pieces: list[Piece] = []
    start: float | None = None
    text: list[int] = []
    opened = False
    for token in ids:
        if token < tokens.timestamp_begin:
            text.append(token)
            opened = True
            continue
        seconds = tokens.seconds(token)
        if opened and text:
            pieces.append(Piece(start, seconds, tuple(text)))
            start, text, opened = None, [], False
        else:
            start, opened = seconds, True
    if opened:
        pieces.append(Piece(start, None, tuple(text)))
    return pieces


def can_be_said(text: str, seconds: float) -> bool:
    """Whether somebody has the time to say this; of windows of some seconds it is not asked."""
    if seconds >= SHORT_WINDOW_S:
        return True
    words, signs = len(text.split()), sum(sign.isalnum() for sign in text)
    # A word may begin before the window and another end behind it.
    return words <= 1 + FASTEST_WORDS_PER_S * seconds and signs <= 8 + FASTEST_SIGNS_PER_S * seconds


def window_segments(window: DecodedWindow, tokens: WhisperTokens, *, offset_s: float, window_s: float) -> list[Segment]:
    """All segments of a window that begins at `offset_s` of the recording and is `window_s` long."""
    if window.silent or not can_be_said(window.text, window_s):
        return []
    return _segments(split(window.tokens, tokens), window, tokens, offset_s, window_s)


def seek(
    window: DecodedWindow, tokens: WhisperTokens, *, offset_s: float, window_s: float
) -> tuple[list[Segment], float]:
    """The segments that are complete, and after how many seconds the next window begins.

    A sentence that the window's end cuts off is left to the next window, which begins with it (Radford et al. 2022,
    section 3.8 and the released transcription code).
    """
    if window.silent or not can_be_said(window.text, window_s):
        return [], window_s
    pieces = split(window.tokens, tokens)
    last = pieces[-1] if pieces else None
    cut = last is not None and last.end_s is None and len(pieces) > 1
    if not cut or last is None or last.start_s is None or last.start_s < SHORTEST_ADVANCE_S:
        return _segments(pieces, window, tokens, offset_s, window_s), window_s
    return _segments(pieces[:-1], window, tokens, offset_s, window_s), min(last.start_s, window_s)


def _segments(
    pieces: Sequence[Piece], window: DecodedWindow, tokens: WhisperTokens, offset_s: float, window_s: float
) -> list[Segment]:
    found: list[Segment] = []
    words = window.words if window.words else ((),) * len(pieces)
    for piece, said in zip(pieces, words, strict=False):
        text = tokens.decode(piece.tokens).strip()
        if not text:
            continue
        start_s = 0.0 if piece.start_s is None else min(piece.start_s, window_s)
        end_s = window_s if piece.end_s is None else min(piece.end_s, window_s)
        if said:
            start_s, end_s = said[0].start_s, said[-1].end_s
        found.append(
            Segment(
                start_s=round(offset_s + start_s, 3),
                end_s=round(offset_s + max(start_s, end_s), 3),
                text=text,
                tokens=piece.tokens,
                avg_logprob=window.avg_logprob,
                no_speech_prob=window.no_speech_prob,
                temperature=window.temperature,
                words=tuple(word.moved(offset_s) for word in said),
            )
        )
    return found


def edged(segment: Segment) -> Segment:
    """The segment from its voice's own first word to its last: one that lasts too long is put beside its neighbour.

    The alignment of words knows sound and silence, not whose sound it is: beside another voice a first word may last
    from the window's beginning, and a last one to where the other ends. A segment of fewer than two words with times
    stays as it is.
    """
    words = list(segment.words)
    if len(words) < 2:
        return segment
    start_s, end_s = segment.start_s, segment.end_s
    if words[0].end_s - words[0].start_s > LONGEST_WORD_S:
        start_s = round(words[1].start_s - USUAL_WORD_S, 3)
        words[0] = replace(words[0], start_s=start_s, end_s=words[1].start_s)
    if words[-1].end_s - words[-1].start_s > LONGEST_WORD_S:
        end_s = round(words[-1].start_s + USUAL_WORD_S, 3)
        words[-1] = replace(words[-1], end_s=end_s)
    return replace(segment, start_s=start_s, end_s=end_s, words=tuple(words))
