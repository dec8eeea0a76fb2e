"""How likely the decoder itself finds it that there is nothing to write.

R rows (windows of a prefill), V vocabulary.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from softspoken.decoding.rules import Allowed, Rules, apply_allowed, suppress
from softspoken.decoding.state import Started

FOLLOWED_TIMES = 2
"""First timestamps behind which the end's probability is looked up; behind the unlikelier ones it is taken to be the
same. Each costs a step of the decoder."""


@torch.no_grad()
def empty_logprobs(
    prefilled: Started, rules: Rules, last_times: Sequence[int], followed: int = FOLLOWED_TIMES
) -> Float[Tensor, "R"]:
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
        return logits.log_softmax(-1)[:, end]
    first = [Allowed(text=False, end=True, first=0, last=last) for last in last_times]
    logprobs = apply_allowed(logits, first, begin, end).log_softmax(-1)
    times = logprobs[:, begin:]
    likeliest, steps = times.topk(min(followed, times.shape[1]), dim=-1)
    ended = torch.stack([_end_behind(prefilled, rules, begin + column) for column in steps.T], dim=1)
    behind = (likeliest + ended).logsumexp(-1) - likeliest.logsumexp(-1)
    # Not a number: no timestamp may be written.
    behind = (times.logsumexp(-1) + behind).nan_to_num(nan=float("-inf"), neginf=float("-inf"))
    return torch.logaddexp(logprobs[:, end], behind)


def _end_behind(prefilled: Started, rules: Rules, tokens: Tensor) -> Float[Tensor, "R"]:
    """Log-probability of the end behind a first timestamp, which only text or the end may follow."""
    rows = prefilled.live(range(len(tokens)))
    logits = suppress(rows.step(tokens.tolist()), rules.never)
    behind = [Allowed(text=True, end=True, first=0, last=-1)] * len(tokens)
    end = rules.tokens.end_of_text
    return apply_allowed(logits, behind, rules.tokens.timestamp_begin, end).log_softmax(-1)[:, end]
