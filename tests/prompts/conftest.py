"""Fixtures of the prompts room."""

from pathlib import Path

import pytest
from prompt_samples import CONFIGS, FACTS, prompts_of

from softspoken.backbones import WhisperBackbone
from softspoken.prompts import PromptConfig
from softspoken.prompts.checkpoint import save_prompts


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> PromptConfig:
    return CONFIGS[request.param]


@pytest.fixture
def stored(tmp_path: Path, backbone: WhisperBackbone) -> Path:
    folder = tmp_path / "stored"
    save_prompts(prompts_of(), folder, backbone=backbone, **FACTS)
    return folder
