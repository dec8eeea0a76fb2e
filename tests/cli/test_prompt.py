"""`softspoken prompt`: data on stdout, one line and exit code 1 for whatever is wrong."""

import json
import sys
from pathlib import Path

import pytest
from prompt_samples import SILENCE
from tiny import LAYERS, WIDTH, tiny_backbone
from typer.testing import CliRunner

import softspoken.backbones
from softspoken.backbones import WhisperBackbone
from softspoken.cli import main
from softspoken.cli.prompt import app
from softspoken.errors import BackboneError
from softspoken.prompts import PromptConfig, SoftPrompts, StackPrompt, load_prompts, save_prompts


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> WhisperBackbone:
    """Instead of weights that would have to be fetched: 'tiny' and 'base' are random models."""
    models = {"tiny": tiny_backbone(), "base": tiny_backbone(seed=3)}

    def load_backbone(reference: str) -> WhisperBackbone:
        if reference not in models:
            raise BackboneError(f"no backbone '{reference}'")
        return models[reference]

    monkeypatch.setattr(softspoken.backbones, "load_backbone", load_backbone)
    return models["tiny"]


@pytest.fixture
def stored(tmp_path: Path, backbone: WhisperBackbone) -> Path:
    config = PromptConfig(encoder=StackPrompt(length=4), decoder=None, reparameterisation="separate")
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    save_prompts(prompts, tmp_path / "stored", backbone=backbone, training={"steps": 7}, silence=SILENCE)
    return tmp_path / "stored"


def said(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr, through the real entry point."""
    monkeypatch.setattr(sys, "argv", ["softspoken", "prompt", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main.run()
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_info_for_people(stored: Path) -> None:
    text = said("info", stored)
    info = load_prompts(stored).info
    assert f"{info.trained_parameters:,}\n" in text
    assert f"{info.deployed_parameters:,} ({info.share_percent:.2f} % of the backbone)" in text
    known = ("tiny-0", "(verified)", "4 vectors, deep", "decoder prompts      none", "steps", "probability 0.3 on")
    for expected in known:
        assert expected in text


def test_info_for_programs(stored: Path) -> None:
    described = json.loads(said("info", stored, "--json"))
    info = load_prompts(stored).info
    assert described["digest_ok"] is True
    assert described["folder"] == str(stored)
    assert described["deployed_parameters"] == info.deployed_parameters
    assert described["trained_parameters"] == info.trained_parameters
    assert described["share_percent"] == pytest.approx(info.share_percent)
    assert described["backbone"]["fingerprint"] == info.backbone.fingerprint
    assert described["prompts"]["encoder"] == {"length": 4, "depth": "deep", "rank": 0}


def test_verify_says_that_it_is_whole(stored: Path) -> None:
    assert "whole" in said("verify", stored)
    assert "belongs to 'tiny'" in said("verify", stored, "--backbone", "tiny")


def test_push_sends_the_verified_folder(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Path, str, bool]] = []

    def upload(folder: Path, repository: str, private: bool) -> str:
        sent.append((folder, repository, private))
        return "hub/owner/name"

    monkeypatch.setattr("softspoken.prompts.folder.upload_prompts", upload)
    assert said("push", stored, "owner/name", "--private") == "hub/owner/name\n"
    assert sent == [(stored, "owner/name", True)]


@pytest.mark.parametrize("command", ["info", "verify", "push"])
def test_a_damaged_prompt_is_refused(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr("softspoken.prompts.folder.upload_prompts", lambda *a, **k: pytest.fail("it was sent"))
    path = stored / "prompts.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    line = failed(monkeypatch, capsys, command, stored, *(["owner/name"] if command == "push" else []))
    assert "was changed: prompts.safetensors: tensor" in line
    assert "refused" in line


def test_what_is_not_there_is_one_line(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no prompt 'nothing'" in failed(monkeypatch, capsys, "info", "nothing")
    assert "no folder" in failed(monkeypatch, capsys, "verify", tmp_path / "nothing")
    assert "no folder" in failed(monkeypatch, capsys, "push", "tiny.en", "owner/name")
    assert "load backbone 'tiny-0'" in failed(monkeypatch, capsys, "verify", stored, "--backbone", "base")
