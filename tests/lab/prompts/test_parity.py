"""The authors' implementation's own numbers (small random weights) come out of ours: import, inject, compare."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import tiny_backbone
from torch import Tensor
from whisper_files import build_model

from softspoken.backbones import Features, WhisperBackbone
from softspoken.backbones.openai import convert_openai
from softspoken.errors import PromptError, PromptMismatch
from softspoken.prompts import SoftPrompts, inject
from softspoken_lab.prompts.authors import import_authors

VARIANTS = ("shallow", "deep", "deep_mlp")
TOLERANCE = 1e-4


class ReferenceTokenizer:
    """The reference has no vocabulary; only the token before the slots matters, and it differs a row."""

    def __init__(self, start_of_previous: int) -> None:
        self.ids = {"<|endoftext|>": 200, "<|startoftranscript|>": 201, "<|notimestamps|>": 203, "<|nospeech|>": 204}
        self.ids["<|startofprev|>"] = start_of_previous

    def token_to_id(self, token: str) -> int | None:
        return self.ids.get(token)


@dataclass(frozen=True)
class Reference:
    path: Path
    tensors: dict[str, Tensor]
    length: int
    heads: int

    def backbone(self, start_of_previous: int = 202) -> WhisperBackbone:
        frozen = {name[8:]: tensor for name, tensor in self.tensors.items() if name.startswith("whisper.")}
        config, weights = convert_openai(frozen, self.heads, self.heads, str(self.path))
        model = build_model(config, weights, str(self.path))
        return WhisperBackbone(model, ReferenceTokenizer(start_of_previous), "reference", "reference")

    @property
    def prompts(self) -> dict[str, Tensor]:
        """The authors' state dict, as their training script writes it."""
        return {name[8:]: tensor for name, tensor in self.tensors.items() if name.startswith("prompts.")}


@pytest.fixture(params=VARIANTS)
def reference(request: pytest.FixtureRequest, shared_reference: Path) -> Reference:
    return load_reference(shared_reference, request.param)


def load_reference(folder: Path, variant: str) -> Reference:
    path = folder / f"ts_whisper_{variant}.safetensors"
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    return Reference(path, load_file(path), config["prompt_length"], config["heads"])


@pytest.mark.parametrize("folded", [False, True])
def test_reproduces_the_authors_outputs(reference: Reference, folded: bool) -> None:
    tensors = reference.tensors
    slots = 1 + reference.length
    # `inject` makes room for the slots itself; the reference mel has it already.
    mel = tensors["input.mel"]
    assert not mel[..., : 2 * slots].any()
    mel = mel[..., 2 * slots :]
    for row in range(mel.shape[0]):
        tokens = tensors["input.decoder_tokens"][row : row + 1]
        backbone = reference.backbone(start_of_previous=int(tokens[0, 0]))
        prompts = import_authors(reference.path, backbone)
        seen: list[Tensor] = []
        watch = backbone.stacks["decoder"].norm.register_forward_hook(lambda *args, seen=seen: seen.append(args[2]))
        voice = tensors["input.xvector"][row : row + 1]
        with torch.no_grad(), inject(backbone, prompts.fold() if folded else prompts, speaker=voice):
            encoded = backbone.encode(Features(mel[row : row + 1], torch.tensor([mel.shape[2]])))
            logits = backbone.decode(tokens[:, slots:], encoded)
            every_position = backbone.logits(seen[0])
        watch.remove()
        expected = tensors["output.logits"][row : row + 1]
        torch.testing.assert_close(
            encoded.states, tensors["output.encoder"][row : row + 1], atol=TOLERANCE, rtol=TOLERANCE
        )
        torch.testing.assert_close(logits, expected[:, slots:], atol=TOLERANCE, rtol=TOLERANCE)
        torch.testing.assert_close(every_position, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_folding_equals_the_authors_folding(shared_reference: Path) -> None:
    reference = load_reference(shared_reference, "deep_mlp")
    folded = import_authors(reference.path, reference.backbone()).fold().state_dict()
    for stack in ("encoder", "decoder"):
        expected = reference.tensors[f"folded.{stack}"]
        torch.testing.assert_close(folded[f"stacks.{stack}.vectors"], expected, atol=1e-6, rtol=1e-5)


def test_the_shapes_tell_the_configuration(reference: Reference) -> None:
    config = import_authors(reference.path, reference.backbone()).config
    assert config.encoder is not None
    assert config.speaker is not None
    assert (config.encoder.length, config.placement) == (reference.length, "shifted")
    assert config.encoder.depth == ("deep" if "deep" in reference.path.stem else "input")
    assert config.reparameterisation == ("separate" if reference.path.stem.endswith("mlp") else "none")
    assert (config.speaker.dimension, config.speaker.into) == (512, "encoder")


# What follows needs no reference: the same names with random numbers, for a tiny backbone.


def authors_state(depth: int = 2, length: int = 3, width: int = 32, mlps: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    state = {
        "soft_prompt_extra_encoder": normal(depth, length, width),
        "soft_prompt_extra_decoder": normal(depth, length, width),
        "spk_embed_layer.weight": normal(width, 512),
        "spk_embed_layer.bias": normal(width),
    }
    for stack in ("encoder", "decoder"):
        for index in range(mlps):
            name = f"mlp_{stack}.{index}.net"
            state[f"{name}.0.weight"] = normal(width // 2, width)
            state[f"{name}.0.bias"] = normal(width // 2)
            state[f"{name}.2.weight"] = normal(width, width // 2)
            state[f"{name}.2.bias"] = normal(width)
            state[f"{name}.3.weight"] = normal(width)
            state[f"{name}.3.bias"] = normal(width)
    return state


def imported(path: Path, content: object) -> SoftPrompts:
    torch.save(content, path)
    return import_authors(path, tiny_backbone())


@pytest.mark.parametrize("wrapping", ["plain", "module.", "prompt_layer.", "state_dict", "beside the frozen model"])
def test_finds_the_prompts_in_every_wrapping(tmp_path: Path, wrapping: str) -> None:
    state = authors_state(mlps=2)
    content: dict[str, object] = dict(state)
    if wrapping.endswith("."):
        content = {wrapping + name: tensor for name, tensor in state.items()}
    elif wrapping == "state_dict":
        content = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    elif wrapping != "plain":
        content = dict(state) | {"model.encoder.ln_post.weight": torch.ones(32)}
    found = imported(tmp_path / "model_exp_9", content)
    assert torch.equal(found.state_dict()["stacks.decoder.vectors"], state["soft_prompt_extra_decoder"])
    assert torch.equal(found.state_dict()["projections.encoder.weight"], state["spk_embed_layer.weight"])
    assert found.config.reparameterisation == "separate"


def test_reads_safetensors_like_pt(tmp_path: Path) -> None:
    state = authors_state()
    save_file(state, tmp_path / "prompt.safetensors")
    one = import_authors(tmp_path / "prompt.safetensors", tiny_backbone()).state_dict()
    other = imported(tmp_path / "prompt.pt", state).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_one_mlp_for_all_layers_is_the_shared_reparameterisation(tmp_path: Path) -> None:
    found = imported(tmp_path / "a.pt", authors_state(mlps=1))
    assert found.config.reparameterisation == "shared"
    assert torch.isfinite(found.fold().state_dict()["stacks.encoder.vectors"]).all()


def test_an_imported_prompt_steers_the_backbone(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    prompts = imported(tmp_path / "a.pt", authors_state())
    features = Features(torch.randn(1, 80, 100), torch.tensor([100]))
    with torch.no_grad(), inject(backbone, prompts, speaker=torch.randn(1, 512)):
        one = backbone.encode(features).states
    with torch.no_grad(), inject(backbone, prompts, speaker=torch.randn(1, 512)):
        other = backbone.encode(features).states
    assert not torch.allclose(one, other, atol=1e-3)


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ({"weight": torch.ones(2)}, PromptError, "no checkpoint of the authors' code"),
        ({}, PromptError, "no tensors"),
        (without(authors_state(), "spk_embed_layer.weight"), PromptError, "spk_embed_layer.weight"),
        (without(authors_state(), "spk_embed_layer.bias"), PromptError, "lacks"),
        (authors_state() | {"extra": torch.ones(2)}, PromptError, "'extra'"),
        (authors_state(width=16), PromptMismatch, "width 16"),
        (authors_state(depth=5), PromptMismatch, "5 layers"),
        (authors_state() | {"spk_embed_layer.bias": torch.ones(5)}, PromptError, r"shape \(5,\)"),
        (authors_state() | {"spk_embed_layer.bias": torch.full((32,), torch.nan)}, PromptError, "finite"),
        (authors_state(depth=1) | {"soft_prompt_extra_decoder": torch.ones(3, 32)}, PromptError, "shape"),
        (without(authors_state(mlps=2), "mlp_encoder.1.net.3.bias"), PromptError, "lacks"),
        ({"a": authors_state(), "b": authors_state()}, PromptError, "several"),
    ],
)
def test_refuses_other_checkpoints_in_one_line(
    tmp_path: Path, content: object, error: type[PromptError], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        imported(tmp_path / "a.pt", content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_refuses_unreadable_files_in_one_line(tmp_path: Path, name: str) -> None:
    for content in (b"", b"not a checkpoint", b"\x80\x04N."):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PromptError) as caught:
            import_authors(tmp_path / name, tiny_backbone())
        assert "\n" not in str(caught.value)
    with pytest.raises(PromptError, match="no file"):
        import_authors(tmp_path / "missing", tiny_backbone())


def test_never_unpickles_objects(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="other objects"):
        imported(tmp_path / "a.pt", {"state_dict": authors_state(), "args": ReferenceTokenizer(1)})
