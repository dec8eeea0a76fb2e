"""Fixtures of the prompts room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_samples import CONFIGS, FACTS, hook_count, prompts_of
from tiny import tiny_backbone

from softspoken.backbones import WhisperBackbone
from softspoken.prompts import PromptConfig
from softspoken.prompts.checkpoint import save_prompts


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> PromptConfig:
    return CONFIGS[request.param]


@pytest.fixture(scope="session")
def shared_backbone() -> WhisperBackbone:
    return tiny_backbone()


@pytest.fixture
def backbone(shared_backbone: WhisperBackbone) -> Iterator[WhisperBackbone]:
    """A tiny frozen Whisper. After every test with it, whatever happened there, no hook has stayed behind."""
    yield shared_backbone
    assert hook_count(shared_backbone) == 0


@pytest.fixture
def stored(tmp_path: Path, backbone: WhisperBackbone) -> Path:
    folder = tmp_path / "stored"
    save_prompts(prompts_of(), folder, backbone=backbone, **FACTS)
    return folder
