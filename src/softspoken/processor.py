"""What this processor is good at."""

from typing import Any

import torch


def multiplies_bfloat16() -> bool:
    """Whether it has instructions for products in bfloat16; without them these are slower than float32."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16", False) or known.get("amx_bf16", False))
