from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from softspoken import cpu as processor
from softspoken.cpu import multiplies_bfloat16


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    multiplies_bfloat16.cache_clear()
    yield
    multiplies_bfloat16.cache_clear()


def able_to(monkeypatch: pytest.MonkeyPatch, *instructions: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(instructions, True), raising=False)


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16"])
@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_the_clock_settles_it(instructions: str, ratio: float, monkeypatch: pytest.MonkeyPatch) -> None:
    able_to(monkeypatch, "avx512_f", instructions)
    asked: list[torch.dtype] = []

    def product_s(matrix: Tensor) -> float:
        asked.append(matrix.dtype)
        # The first of each is a slow one, as the first product of a process is.
        slow = 100.0 if asked.count(matrix.dtype) == 1 else 1.0
        return slow * (ratio if matrix.dtype == torch.bfloat16 else 1.0)

    monkeypatch.setattr(processor, "_product_s", product_s)
    assert multiplies_bfloat16() == (ratio < 1.0)
    assert set(asked) == {torch.float32, torch.bfloat16}
    timed = len(asked)
    multiplies_bfloat16()
    assert len(asked) == timed


def test_without_instructions_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    able_to(monkeypatch, "avx512_f")
    monkeypatch.setattr(processor, "_product_s", lambda matrix: pytest.fail("timed"))
    assert multiplies_bfloat16() is False


def test_a_product_takes_time() -> None:
    small, large = (min(processor._product_s(torch.ones(n, n)) for _ in range(5)) for n in (8, 512))
    assert 0.0 < small < large
