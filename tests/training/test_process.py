from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState

from softspoken.training import run as process
from softspoken.training.run import new_accelerator


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """accelerate has one precision a process."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.parametrize("faster", [True, False])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_precision_that_slows_down_is_told_of(
    precision: str, faster: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "multiplies_bfloat16", lambda: faster)
    made = new_accelerator("bf16" if precision == "bf16" else "no")
    assert made.mixed_precision == precision
    assert ("slower" in capsys.readouterr().err) == (precision == "bf16" and not faster)
