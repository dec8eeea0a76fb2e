"""`softspoken-lab import`, `average`."""

from pathlib import Path

import pytest
import torch
from prompt_samples import SILENCE, prompts_of
from tiny import LAYERS, WIDTH, tiny_backbone
from typer.testing import CliRunner

import softspoken.backbones
from softspoken.backbones import WhisperBackbone
from softspoken.errors import PromptMismatch
from softspoken.prompts import load_prompts, save_prompts
from softspoken_lab.cli.main import app


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> WhisperBackbone:
    """Instead of weights that would have to be fetched."""
    tiny = tiny_backbone()
    monkeypatch.setattr(softspoken.backbones, "load_backbone", lambda reference: tiny)
    return tiny


@pytest.fixture
def authors_file(tmp_path: Path) -> Path:
    state = {
        "soft_prompt_extra_encoder": torch.randn(LAYERS, 4, WIDTH),
        "soft_prompt_extra_decoder": torch.randn(LAYERS, 4, WIDTH),
        "spk_embed_layer.weight": torch.randn(WIDTH, 512),
        "spk_embed_layer.bias": torch.randn(WIDTH),
    }
    torch.save(state, tmp_path / "model_exp_9")
    return tmp_path / "model_exp_9"


def said(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_import_writes_a_prompt_for_the_backbone(tmp_path: Path, authors_file: Path, backbone: WhisperBackbone) -> None:
    out = tmp_path / "out"
    assert "parameters for backbone 'tiny-0'" in said("import", authors_file, "--backbone", "tiny", "--out", out)
    loaded = load_prompts(out, backbone)
    assert (loaded.info.embedder, loaded.info.window) == ("speechbrain/x-vector", "30s")
    original = torch.load(authors_file, weights_only=True)["soft_prompt_extra_decoder"]
    assert torch.equal(loaded.prompts.state_dict()["stacks.decoder.vectors"], original)


def test_average_writes_the_mean(backbone: WhisperBackbone, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    save_prompts(prompts_of(), stored, backbone=backbone, silence=SILENCE)
    assert "the mean of 2 prompts" in said("average", stored, stored, "--out", tmp_path / "mean", "--half")
    mean, one = load_prompts(tmp_path / "mean"), load_prompts(stored)
    wanted = one.prompts.fold().state_dict()["stacks.encoder.vectors"]
    assert torch.allclose(mean.prompts.state_dict()["stacks.encoder.vectors"], wanted, atol=1e-2)
    assert mean.info.silence is None
    assert mean.info.trained_parameters == mean.info.deployed_parameters


def test_a_failed_import_writes_nothing(tmp_path: Path, authors_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(softspoken.backbones, "load_backbone", lambda reference: tiny_backbone(width=16))
    with pytest.raises(PromptMismatch, match="width 32"):
        said("import", authors_file, "--backbone", "tiny", "--out", out)
    assert not out.exists()
