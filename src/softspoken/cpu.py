"""What this processor is good at."""

import time
from functools import cache
from typing import Any

import torch
from torch import Tensor

_SIZE = 384
_ROUNDS = 5


@cache
def multiplies_bfloat16() -> bool:
    """Whether matrix products in bfloat16 are faster than in float32, timed once where there are instructions for them.

    The instructions alone do not tell: with AVX512_BF16 a product takes a quarter of the time on one maker's processor
    and twice the time on another's.
    """
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if not (known.get("avx512_bf16", False) or known.get("amx_bf16", False)):
        return False
    exact = torch.ones(_SIZE, _SIZE)
    rounded = exact.bfloat16()
    times_s = [(_product_s(exact), _product_s(rounded)) for _ in range(_ROUNDS)]
    return min(r for _, r in times_s) < min(e for e, _ in times_s)


def _product_s(matrix: Tensor) -> float:
    started = time.perf_counter()
    matrix @ matrix
    return time.perf_counter() - started
