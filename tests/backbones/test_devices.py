"""A device that is not there."""

import pytest

from softspoken.backbones import load_backbone
from softspoken.errors import BackboneError
from softspoken_lab.noise.encoders import load_encoder


@pytest.mark.parametrize("load", [load_backbone, load_encoder])
@pytest.mark.parametrize("device", ["cuda:99", "toaster"])
def test_one_line_before_anything_is_fetched(load: object, device: str) -> None:
    with pytest.raises(BackboneError, match=f"device '{device}' cannot be used here") as caught:
        load("no such backbone", device)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
