"""When each word of a window was said: the decoder's cross-attention, aligned to the text.

Some heads look at the sound of a token while it is written (`alignment_heads`). OpenAI's code warps the text along what
they look at, and a word lasts until the next one begins. Three things make times better here (tiny.en, clean speech of
development talkers: a median error of 30 ms instead of 100). The heads look before or behind a sound, tiny.en's a tenth
of a second, so what they look at is moved (`late_frames`). A frame counts by the logarithm of what it gets, so that no
peak outweighs all else. And between two words the path may pass through silence, which suits a frame the better the
softer it is.

U tokens, T frames of 20 ms, K heads, N states of the path.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.features import FRAME_RATE_HZ
from softspoken.backbones.tokens import WhisperTokens
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.result import UNSPACED, Word
from softspoken.decoding.search import DecodedWindow
from softspoken.decoding.segments import split
from softspoken.engines.attention import late_frames
from softspoken.engines.base import EncodedAudio

FRAME_S = 1 / FRAME_RATE_HZ
FRAME = round(SAMPLE_RATE_HZ * FRAME_S)
LEAST = 1e-3
"""Added to what a frame gets of a head: less tells nothing."""
QUIETEST_DB = 50.0
"""Sound so far below the loudest of a window is silence whatever else there is."""
SILENT, LOUD = 3.0, -4.0
"""How well silence suits a frame: `SILENT + LOUD * loudness`; chosen, as all of these, on development talkers."""


def with_words(
    heard: EncodedAudio,
    found: Sequence[DecodedWindow],
    audio: Sequence[Float[np.ndarray, " _"]],
    options: DecodingOptions,
) -> list[DecodedWindow]:
    """The windows with their words and times, where `options.words` asks for them.

    `heard` is what they were decoded from, and `audio` the sound of each row (mono, 16 kHz).
    """
    tokens = heard.engine.tokens
    texts = [[piece.tokens for piece in split(window.tokens, tokens)] for window in found]
    rows = [row for row, window in enumerate(found) if any(texts[row]) and not window.silent]
    if not options.words or not rows:
        return list(found)
    start = tokens.start(options.language, timestamps=False)
    attended = heard.attention(start, [sum(texts[row], ()) for row in rows], rows)
    timed = list(found)
    for row, attention in zip(rows, attended, strict=True):
        pieces = [word_groups(text, tokens, options.language) for text in texts[row]]
        groups = [group for piece in pieces for group in piece]
        frames = min(attention.weights.shape[2], -(-audio[row].size // FRAME))
        fit = token_fit(attention.weights[:, :-1], frames, late_frames(heard.engine.backbone.config))
        spans = align(fit, [len(group) for group in groups], loudness(audio[row], frames))
        words = iter(_words(groups, spans, attention.logprobs, tokens))
        timed[row] = replace(found[row], words=tuple(tuple(islice(words, len(piece))) for piece in pieces))
    return timed


def _words(
    groups: Sequence[Sequence[int]],
    spans: Sequence[tuple[float, float]],
    logprobs: Float32[np.ndarray, " U"],
    tokens: WhisperTokens,
) -> list[Word]:
    found: list[Word] = []
    first = 0
    for group, (start_s, end_s) in zip(groups, spans, strict=True):
        probability = float(np.exp(logprobs[first : first + len(group)]).mean())
        first += len(group)
        found.append(Word(start_s, end_s, tokens.decode(group).strip(), round(probability, 4)))
    return found


def word_groups(ids: Sequence[int], tokens: WhisperTokens, language: str | None = None) -> list[list[int]]:
    """The tokens of each word, punctuation with the word that it belongs to. In a language without spaces a word is a
    character, or as many as share a token."""
    spaced = language not in UNSPACED
    groups: list[list[int]] = []
    last = ""
    unread: list[int] = []
    for token in ids:
        unread.append(token)
        part = tokens.decode(unread)
        if part.endswith("\ufffd") or not part.strip():
            # The token ends within a character, or before a word.
            continue
        begins = not spaced or part.startswith(" ")
        if groups and not (begins and _sounds(part) and _sounds(last)):
            groups[-1] += unread
            last += part
        else:
            groups.append(unread)
            last = part
        unread = []
    if unread:
        groups = [*groups[:-1], [*groups[-1], *unread]] if groups else [unread]
    return groups


def _sounds(text: str) -> bool:
    """Whether there is anything but punctuation in it."""
    return any(sign.isalnum() for sign in text)


def token_fit(weights: Float32[np.ndarray, "K U _"], frames: int, late: int) -> Float32[np.ndarray, "U T"]:
    """How well each of so many frames suits each token, by what some heads look at, `late` frames behind a sound: 0 is
    the mean of the tokens."""
    places = np.arange(frames) + late
    inside = (places >= 0) & (places < weights.shape[2])
    seen = np.zeros((weights.shape[1], frames), np.float32)
    seen[:, inside] = weights.mean(axis=0)[:, places[inside]]
    scores = np.log(seen / np.maximum(seen.sum(axis=1, keepdims=True), 1e-9) + LEAST)
    found: np.ndarray = scores - scores.mean(axis=0, keepdims=True)
    return found


def loudness(audio: Float[np.ndarray, " _"], frames: int) -> Float32[np.ndarray, " T"]:
    """Of each frame, from 0 (silence of this window) to 1 (its loudest sounds)."""
    # Differences weigh high frequencies more, as consonants have them.
    power = np.square(np.diff(audio, prepend=audio[:1]).astype(np.float64))
    power = np.pad(power, (0, max(0, frames * FRAME - power.size)))[: frames * FRAME].reshape(frames, FRAME).mean(1)
    # "same" would be three frames at least.
    level = 10 * np.log10(np.convolve(power, (0.25, 0.5, 0.25))[1:-1] + 1e-10)
    low, high = np.percentile(level, (5, 95))
    low = max(low, high - QUIETEST_DB)
    found: np.ndarray = np.clip((level - low) / (high - low + 1e-9), 0.0, 1.0)
    return found.astype(np.float32)


def align(
    fit: Float32[np.ndarray, "U T"], sizes: Sequence[int], loud: Float32[np.ndarray, " T"]
) -> list[tuple[float, float]]:
    """Start and end of each word in seconds: the best way through the frames, word by word, with silence between.

    Args:
        fit: of tokens to frames.
        sizes: tokens of each word; they sum up to U.
        loud: see `loudness`.
    """
    tokens, frames = fit.shape
    if frames < tokens:
        # Nobody says a token in less than a frame: the words share what time there is.
        ends = np.cumsum(sizes) * frames * FRAME_S / tokens
        return [(round(float(end), 3), round(float(end), 3)) for end in ends]
    words = np.repeat(np.arange(len(sizes)), sizes)
    first = np.flatnonzero(np.diff(words, prepend=-1))
    # States: silence, then the tokens of a word, silence, and so on; who begins a word may come from the last one.
    scores = np.insert(fit, np.append(first, tokens), SILENT + LOUD * loud, axis=0)
    owner = np.insert(words, np.append(first, tokens), -1)
    may_skip = np.insert(np.isin(np.arange(tokens), first), np.append(first, tokens), False)
    path = owner[_best_path(scores, may_skip)]
    found = []
    for word in range(len(sizes)):
        own = np.flatnonzero(path == word)
        found.append((round(float(own[0]) * FRAME_S, 3), round(float(own[-1] + 1) * FRAME_S, 3)))
    return found


def _best_path(scores: Float32[np.ndarray, "N T"], may_skip: Bool[np.ndarray, " N"]) -> Int[np.ndarray, " T"]:
    """The state of each frame on the way with the highest sum, from the first or second state to one of the last two,
    each for at least a frame, but those in front of one that `may_skip` them."""
    states, frames = scores.shape
    best = np.full(states + 2, -np.inf)
    """Of the ways that end in each state; two more in front for those that nothing leads to."""
    best[2:4] = scores[:2, 0]
    barrier = np.where(may_skip, 0.0, -np.inf)
    came = np.zeros((frames, states), np.int8)
    for frame in range(1, frames):
        ways = np.stack((best[2:], best[1:-1], best[:-2] + barrier))
        came[frame] = ways.argmax(axis=0)
        best[2:] = ways.max(axis=0) + scores[:, frame]
    path = np.zeros(frames, np.int64)
    state = states - 1 if best[-1] >= best[-2] else states - 2
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(came[frame, state])
    return path
