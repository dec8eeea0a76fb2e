"""Fixtures of the recogniser's room."""

from collections.abc import Iterator

import pytest
from prompt_samples import hook_count
from tiny import tiny_backbone

from softspoken.backbones import WhisperBackbone


@pytest.fixture(scope="session")
def shared_backbone() -> WhisperBackbone:
    return tiny_backbone()


@pytest.fixture
def backbone(shared_backbone: WhisperBackbone) -> Iterator[WhisperBackbone]:
    """A tiny frozen Whisper. After every test with it, whatever happened there, no hook has stayed behind."""
    yield shared_backbone
    assert hook_count(shared_backbone) == 0
