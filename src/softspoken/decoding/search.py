"""From encoder states to tokens: search, and the fallback to sampling for rows whose result cannot be right."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from softspoken.backbones import Encoded, WhisperBackbone
from softspoken.backbones.tokens import TIMESTAMP_COUNT, TIMESTAMP_STEP_S
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.rules import Rules
from softspoken.decoding.state import Prefill, prefill
from softspoken.decoding.strategies import Hypothesis, Limits, beam, sample
from softspoken.errors import ConfigError

SPARE_TOKENS = 16
"""Allowed on top of `tokens_per_s`, for windows of a second or two."""


@dataclass(frozen=True)
class DecodedWindow:
    """What was written for one window."""

    tokens: tuple[int, ...]
    """Text and timestamp ids, without the forced start and the end."""
    text: str
    avg_logprob: float
    no_speech_prob: float
    temperature: float
    compression_ratio: float
    looped: bool
    """No attempt got out of a repetition; `tokens` hold its phrase once."""
    silent: bool
    """Taken as no speech: `tokens` are what was written nevertheless, and count as nothing."""


def compression_ratio(text: str) -> float:
    """Bytes of the text by its bytes compressed; 1 for an empty one. Repetitive text has a high ratio."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 1.0


@torch.no_grad()
def decode_batch(
    backbone: WhisperBackbone,
    encoded: Encoded,
    options: DecodingOptions | None = None,
    *,
    window_s: Sequence[float],
    seeds: Sequence[int] | None = None,
) -> list[DecodedWindow]:
    """Transcribe encoded windows, one result a row. A row's result does not depend on the others.

    Called inside `inject(...)`, the windows are decoded under its prompts; they are run once, in the prefill.

    Args:
        encoded: states (B, T, D); prompt rows in front are the decoder's to see.
        window_s: seconds of audio in each row; no timestamp lies behind it.
        seeds: of the sampling, by row; None: 0, 1, 2, ... They are added to `options.seed`.

    Raises:
        ConfigError: a language the backbone does not have, or no room for a token.
    """
    options = DecodingOptions() if options is None else options
    rows = encoded.states.shape[0]
    if len(window_s) != rows:
        raise ConfigError(f"{len(window_s)} window lengths for {rows} encoded rows; give one a row")
    if rows == 0:
        return []
    seeds = range(rows) if seeds is None else seeds
    start = backbone.tokens.start(options.language, options.timestamps)
    prefilled = prefill(backbone, encoded, start)
    limits = _limits(backbone, prefilled, options, window_s)
    rules = Rules(backbone.tokens, options, encoded.states.device)
    no_speech = prefilled.no_speech.tolist()

    pending = list(range(rows))
    tried: dict[int, list[DecodedWindow]] = {row: [] for row in pending}
    for temperature in options.temperatures:
        found = _attempt(prefilled, pending, rules, limits, options, temperature, seeds)
        for row, hypothesis in found.items():
            tried[row].append(_decoded(hypothesis, rules, no_speech[row], temperature, options))
        pending = [row for row in pending if _failed(tried[row][-1], options)]
        if not pending:
            break
    return [_best(tried[row], options) for row in range(rows)]


def _limits(
    backbone: WhisperBackbone, prefilled: Prefill, options: DecodingOptions, window_s: Sequence[float]
) -> Limits:
    room = backbone.max_tokens - prefilled.positions
    if room < 1:
        raise ConfigError(
            f"prompt and start tokens take {prefilled.positions} of {backbone.max_tokens} decoder positions; "
            "use a shorter decoder prompt"
        )
    wanted = [
        round(seconds * options.tokens_per_s) + SPARE_TOKENS if options.max_tokens is None else options.max_tokens
        for seconds in window_s
    ]
    last = [max(0, min(int(seconds / TIMESTAMP_STEP_S + 1e-6), TIMESTAMP_COUNT - 1)) for seconds in window_s]
    return Limits([min(most, room) for most in wanted], last)


def _attempt(
    prefilled: Prefill,
    rows: Sequence[int],
    rules: Rules,
    limits: Limits,
    options: DecodingOptions,
    temperature: float,
    seeds: Sequence[int],
) -> dict[int, Hypothesis]:
    if temperature == 0.0 and options.beam_size > 1:
        return beam(prefilled, rows, rules, limits, options)
    # Another temperature, other dice.
    mixed = [(options.seed * 1_000_003 + seed) * 101 + round(100 * temperature) for seed in seeds]
    return sample(prefilled, rows, rules, limits, temperature, mixed)


def _decoded(
    hypothesis: Hypothesis, rules: Rules, no_speech: float, temperature: float, options: DecodingOptions
) -> DecodedWindow:
    tokens = hypothesis.tokens
    text = rules.tokens.decode(tokens)
    ratio = compression_ratio(text.strip())
    if hypothesis.looped:
        tokens = tuple(rules.without_loop(tokens))
        text = rules.tokens.decode(tokens)
    unsure = options.logprob_threshold is None or hypothesis.avg_logprob < options.logprob_threshold
    silent = options.no_speech_threshold is not None and no_speech > options.no_speech_threshold and unsure
    return DecodedWindow(
        tokens=tokens,
        text=text,
        avg_logprob=hypothesis.avg_logprob,
        no_speech_prob=no_speech,
        temperature=temperature,
        compression_ratio=ratio,
        looped=hypothesis.looped,
        silent=silent,
    )


def _repetitive(window: DecodedWindow, options: DecodingOptions) -> bool:
    limit = options.compression_ratio_threshold
    return window.looped or (limit is not None and window.compression_ratio > limit)


def _failed(window: DecodedWindow, options: DecodingOptions) -> bool:
    """Whether to try again: repetitive or unlikely text, unless it was taken as silence anyway."""
    if window.silent:
        return False
    unlikely = options.logprob_threshold is not None and window.avg_logprob < options.logprob_threshold
    return unlikely or _repetitive(window, options)


def _best(tried: Sequence[DecodedWindow], options: DecodingOptions) -> DecodedWindow:
    """The last attempt if it passed; else the likeliest of those that do not repeat themselves."""
    if not _failed(tried[-1], options):
        return tried[-1]
    return max(tried, key=lambda window: (not _repetitive(window, options), window.avg_logprob))
