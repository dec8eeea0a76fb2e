"""What peers are given, and the paper's way of evaluating with openai-whisper."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bench_fakes import spec
from tiny import tiny_backbone
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from whisper_files import openai_checkpoint, tiny_model

import softspoken_lab.bench.weights
from softspoken.backbones.openai import load_openai, rename_openai
from softspoken.errors import ConfigError
from softspoken_lab.bench import specs
from softspoken_lab.bench.config import BenchConfig
from softspoken_lab.bench.contract import AbsentError, Item
from softspoken_lab.bench.run import run_bench, start
from softspoken_lab.bench.specs import ContenderSpec
from softspoken_lab.bench.weights import Weights, rename_transformers, save_openai


def test_openais_names_come_back() -> None:
    state = tiny_backbone().module.state_dict()
    back = rename_openai(rename_transformers(state))
    assert set(back) == {name for name in state if not name.startswith("proj_out.")}
    assert all(torch.equal(back[name], state[name]) for name in back)


def test_openais_file_is_as_openai_writes_it(tmp_path: Path) -> None:
    model = tiny_model()
    path = save_openai(model, tmp_path / "model.pt")
    written, expected = torch.load(path, weights_only=True), openai_checkpoint(model)
    assert written["dims"] == expected["dims"]
    assert set(written["model_state_dict"]) == set(expected["model_state_dict"])
    config, _ = load_openai(path)
    assert config.d_model == model.config.d_model
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_package_that_is_missing_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tiny_model()
    stored = SimpleNamespace(tokenizer=Tokenizer(WordLevel()), name="tiny")
    monkeypatch.setattr(softspoken_lab.bench.weights, "read_whisper", lambda reference: stored)
    monkeypatch.setattr(softspoken_lab.bench.weights, "model_of", lambda stored: model)
    monkeypatch.setattr(softspoken_lab.bench.weights, "WhisperTokens", lambda *facts: facts)
    weights = Weights("tiny", tmp_path)
    with pytest.raises(AbsentError, match=r"^not installed$"):
        start(weights, BenchConfig(), spec("peer", module="no_such_package"))
    with pytest.raises(AbsentError, match="CTranslate2's form"):
        weights.path("ctranslate2")
    assert weights.path("openai") == weights.path("openai")


def test_every_contender_has_a_name_of_its_own() -> None:
    everybody: list[ContenderSpec] = [*specs.plain(), *specs.short(together=True), *specs.target()]
    everybody += [*specs.peers(together=True), specs.hooks()]
    names = [one.name for one in everybody]
    assert len(set(names)) == len(names)
    assert "faster-whisper-int8" in specs.peer_names()


@pytest.mark.parametrize(("suites", "peers", "said"), [(["x"], (), "no suite 'x'"), ([], ("y",), "no peer 'y'")])
def test_unknown_names_are_refused_in_one_line(suites: list[str], peers: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        next(run_bench(suites, ["tiny.en"], BenchConfig(peers=peers)))
    assert "\n" not in str(caught.value)


@pytest.fixture
def small_whisper() -> Any:
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    dims = whisper.ModelDimensions(
        n_mels=80, n_audio_ctx=1500, n_audio_state=16, n_audio_head=2, n_audio_layer=2,
        n_vocab=51864, n_text_ctx=448, n_text_state=16, n_text_head=2, n_text_layer=2,
    )  # fmt: skip
    model = whisper.Whisper(dims)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model.eval()


def test_hooks_put_prompts_before_every_layer_and_leave_nothing(small_whisper: Any) -> None:
    from softspoken_lab.bench.openai_whisper import PROMPT_LENGTH, Hooked

    seen: dict[str, list[torch.Tensor]] = {"encoder": [], "decoder": []}
    hooked = Hooked(small_whisper)
    blocks = {"encoder": small_whisper.encoder.blocks[1], "decoder": small_whisper.decoder.blocks[1]}
    for name, block in blocks.items():
        block.attn_ln.register_forward_pre_hook(lambda module, given, name=name: seen[name].append(given[0]))
    list(hooked.hear(Item(np.zeros(16_000, np.float32), tokens=(5, 2))))
    slots = slice(1, 1 + PROMPT_LENGTH)
    assert torch.equal(seen["encoder"][0][0, slots], hooked._encoder[1])
    assert torch.equal(seen["decoder"][0][0, slots], hooked._decoder[1])
    # For each voice the encoder once; the decoder once for all that is given and once for each token.
    assert len(seen["encoder"]) == 2
    assert [states.shape[1] for states in seen["decoder"]].count(1) == 5 + 2
    assert not any(block._forward_pre_hooks for block in blocks.values())
