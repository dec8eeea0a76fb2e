"""How likely the decoder itself finds it that there is nothing to write.

R rows (windows of a prefill), V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from softspoken.decoding.rules import Allowed, Rules, apply_allowed, log_softmax, logsumexp, suppress
from softspoken.decoding.strategies import highest
from softspoken.engines.cache import Prefill

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
