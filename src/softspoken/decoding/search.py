"""From encoder states to tokens: search, and the fallback to sampling for rows whose result cannot be right."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int

from softspoken.backbones.tokens import TIMESTAMP_COUNT, TIMESTAMP_STEP_S
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.result import Word
from softspoken.decoding.rules import Allowed, Rules, apply_allowed, log_softmax, logsumexp, suppress
from softspoken.decoding.strategies import Hypothesis, Limits, beam, highest, sample
from softspoken.engines.base import EncodedAudio, Engine
from softspoken.engines.cache import Prefill
from softspoken.errors import ConfigError

SPARE_TOKENS = 16
"""Allowed on top of `tokens_per_s`, for windows of a second or two."""

Speaks = Callable[[Sequence[float]], Sequence[bool | None]]
"""From every row's log-probability of an empty transcript: whether anybody whose words are wanted speaks there. False:
nothing is written; True: something is; None: search decides."""


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
    empty_logprob: float | None = None
    """Log-probability that the decoder gives to an empty transcript (see `empty_logprobs`), whatever was written; None
    where nobody asked (`Speaks`)."""
    words: tuple[tuple[Word, ...], ...] = ()
    """By piece of `segments.split`, with times in seconds within the window; see `words.with_words`."""


def compression_ratio(text: str) -> float:
    """Bytes of the text by its bytes compressed; 1 for an empty one. Repetitive text has a high ratio."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 1.0


def decode_batch(
    encoded: EncodedAudio,
    options: DecodingOptions | None = None,
    *,
    window_s: Sequence[float],
    seeds: Sequence[int] | None = None,
    speaks: Speaks | None = None,
    prefixes: Sequence[tuple[int, ...]] | None = None,
) -> list[DecodedWindow]:
    """Transcribe encoded windows, one result a row. A row's result does not depend on the others.

    Args:
        encoded: what an engine heard, under the prompts that it was given.
        window_s: seconds of audio in each row; no timestamp lies behind it.
        seeds: of the sampling, by row; None: 0, 1, 2, ... They are added to `options.seed`.
        speaks: asked before anything is written; None: search decides in every row.
        prefixes: tokens that each row begins with, text and timestamps; who has some is known to speak. None: none.

    Raises:
        ConfigError: a language the backbone does not have, or no room for a token.
    """
    options = DecodingOptions() if options is None else options
    rows = encoded.rows
    if len(window_s) != rows:
        raise ConfigError(f"{len(window_s)} window lengths for {rows} encoded rows; give one a row")
    if rows == 0:
        return []
    engine = encoded.engine
    begun = [()] * rows if prefixes is None else list(prefixes)
    prefilled = encoded.prefill(engine.tokens.start(options.language, options.timestamps), begun)
    limits = _limits(engine, prefilled, options, window_s, begun)
    rules = Rules(engine.tokens, options)
    # Worked out for those who ask alone: it costs steps of the decoder.
    empty: list[float | None] = [None] * rows
    decided: Sequence[bool | None] = [None] * rows
    if speaks is not None and not all(begun):
        logprobs = empty_logprobs(prefilled, rules, limits.last_times).tolist()
        empty = [None if prefix else logprob for prefix, logprob in zip(begun, logprobs, strict=True)]
        decided = [None if prefix else said for prefix, said in zip(begun, speaks(logprobs), strict=True)]
    search = _Search(prefilled, limits, range(rows) if seeds is None else seeds)
    found = search.windows([row for row in range(rows) if decided[row] is None], rules, options)
    if True in decided:
        # Whoever is known to speak is not taken for silence by another measure.
        sure = options.model_copy(update={"no_speech_threshold": None})
        insisting = Rules(engine.tokens, sure, insist=True)
        found |= search.windows([row for row in range(rows) if decided[row] is True], insisting, sure)
    no_speech = prefilled.no_speech.tolist()
    return [
        replace(found[row], empty_logprob=logprob) if row in found else _nothing(logprob, no_speech[row])
        for row, logprob in enumerate(empty)
    ]


def _nothing(empty_logprob: float | None, no_speech: float) -> DecodedWindow:
    sure = 0.0 if empty_logprob is None else empty_logprob
    return DecodedWindow((), "", sure, no_speech, 0.0, 1.0, looped=False, silent=True, empty_logprob=empty_logprob)


def _limits(
    engine: Engine,
    prefilled: Prefill,
    options: DecodingOptions,
    window_s: Sequence[float],
    prefixes: Sequence[tuple[int, ...]],
) -> Limits:
    room = engine.max_tokens - prefilled.positions
    if room < 1:
        raise ConfigError(
            f"prompt and start tokens take {prefilled.positions} of {engine.max_tokens} decoder positions; "
            "use a shorter decoder prompt"
        )
    wanted = [
        round(seconds * options.tokens_per_s) + SPARE_TOKENS if options.max_tokens is None else options.max_tokens
        for seconds in window_s
    ]
    last = [max(0, min(int(seconds / TIMESTAMP_STEP_S + 1e-6), TIMESTAMP_COUNT - 1)) for seconds in window_s]
    # A prefix has its room already.
    most = [min(most, room + len(prefix)) for most, prefix in zip(wanted, prefixes, strict=True)]
    return Limits(most, last, prefixes)


@dataclass(frozen=True)
class _Search:
    """Attempts on the rows of a prefill, one temperature after the other."""

    prefilled: Prefill
    limits: Limits
    seeds: Sequence[int]

    def windows(self, rows: Sequence[int], rules: Rules, options: DecodingOptions) -> dict[int, DecodedWindow]:
        """What is written for these rows."""
        pending = list(rows)
        no_speech = self.prefilled.no_speech.tolist()
        tried: dict[int, list[DecodedWindow]] = {row: [] for row in pending}
        for temperature in options.temperatures:
            if not pending:
                break
            for row, hypothesis in self._attempt(pending, rules, options, temperature).items():
                tried[row].append(_decoded(hypothesis, rules, no_speech[row], temperature, options))
            pending = [row for row in pending if _failed(tried[row][-1], options)]
        return {row: _best(tried[row], options) for row in rows}

    def _attempt(
        self, rows: Sequence[int], rules: Rules, options: DecodingOptions, temperature: float
    ) -> dict[int, Hypothesis]:
        if temperature == 0.0 and options.beam_size > 1:
            return beam(self.prefilled, rows, rules, self.limits, options)
        # Another temperature, other dice.
        mixed = [(options.seed * 1_000_003 + seed) * 101 + round(100 * temperature) for seed in self.seeds]
        return sample(self.prefilled, rows, rules, self.limits, temperature, mixed)


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


FOLLOWED_TIMES = 2
"""First timestamps behind which the end's probability is looked up; behind the unlikelier ones it is taken to be the
same. Each costs a step of the decoder."""


def empty_logprobs(
    prefilled: Prefill, rules: Rules, last_times: Sequence[int], followed: int = FOLLOWED_TIMES
) -> Float32[np.ndarray, "R"]:
    """Log-probability that a transcript drawn from the model holds no text, for each window of the prefill.

    It is of what may be written at all: special tokens and suppressed notation do not count, and text follows its
    timestamps. Without timestamps nothing is written if the end comes first. With them also if the end comes right
    behind the first timestamp, whichever that is: the grammar (`allowed_next`) leaves no other way. That the end may
    come first is granted even where `options.start` forbids it, so that plain and prompted decoding can be compared.

    Args:
        last_times: each window's last timestamp, in steps.
        followed: see `FOLLOWED_TIMES`; as many as there are timestamps gives the exact sum.
    """
    end, begin = rules.tokens.end_of_text, rules.tokens.timestamp_begin
    logits = suppress(prefilled.logits, rules.never)
    if not rules.timestamps:
        return log_softmax(logits)[:, end]
    first = [Allowed(text=False, end=True, first=0, last=last) for last in last_times]
    logprobs = log_softmax(apply_allowed(logits, first, begin, end))
    times = logprobs[:, begin:]
    likeliest, steps = highest(times, followed)
    ended = np.stack([_end_behind(prefilled, rules, begin + column) for column in steps.T], axis=1)
    with np.errstate(invalid="ignore"):
        behind = logsumexp(times) + logsumexp(likeliest + ended) - logsumexp(likeliest)
    # Not a number: no timestamp may be written.
    behind = np.where(np.isnan(behind), np.float32(-np.inf), behind)
    found: np.ndarray = np.logaddexp(logprobs[:, end], behind)
    return found


def _end_behind(prefilled: Prefill, rules: Rules, tokens: Int[np.ndarray, "R"]) -> Float32[np.ndarray, "R"]:
    """Log-probability of the end behind a first timestamp, which only text or the end may follow."""
    rows = prefilled.live(range(len(tokens)))
    logits = suppress(rows.step(tokens.tolist()), rules.never)
    behind = [Allowed(text=True, end=True, first=0, last=-1)] * len(tokens)
    end = rules.tokens.end_of_text
    return log_softmax(apply_allowed(logits, behind, rules.tokens.timestamp_begin, end))[:, end]
