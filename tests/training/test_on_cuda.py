"""Training steps on a GPU: finite, and like those on the processor."""

import pytest
import torch
from small_mixtures import small_mixtures
from tiny import LAYERS, WIDTH, tiny_backbone

from softspoken.data.batches import collate
from softspoken.prompts import EnrolmentPrompt, FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.training.config import ObjectiveConfig
from softspoken.training.objective import TargetSpeakerObjective
from softspoken.training.run import development_wer

PROMPTS = PromptConfig(
    encoder=StackPrompt(length=3),
    decoder=StackPrompt(length=3),
    speaker=SpeakerPrompt(dimension=8, into="frames"),
    frames=FramePrompt(keyed=4),
    enrolment=EnrolmentPrompt(clip_s=1.0),
)
CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")],
)


def gradients(tmp_path, device: str, rounded: bool) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss of a batch and the prompts' gradients, in bfloat16 with a rounded backbone or exactly."""
    backbone = tiny_backbone().to(device)
    if rounded:
        backbone.round_weights(torch.bfloat16)
    data = small_mixtures(tmp_path)
    data.clips = True
    batch = collate([data[0], data[1]], backbone.tokens, 40).to(torch.device(device))
    torch.manual_seed(0)
    prompts = SoftPrompts(PROMPTS, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    for parameter in prompts.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    prompts = prompts.to(device)
    objective = TargetSpeakerObjective(backbone, PROMPTS, ObjectiveConfig(states=1.0))
    with torch.autocast(device, dtype=torch.bfloat16, enabled=rounded):
        loss = objective(prompts, batch)["loss"]
        loss.backward()
    return float(loss.detach()), {name: p.grad.cpu() for name, p in prompts.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_step_in_bfloat16_with_rounded_weights_is_like_an_exact_one(tmp_path, device: str) -> None:
    exact, expected = gradients(tmp_path / "exact", "cpu", rounded=False)
    loss, found = gradients(tmp_path / "rounded", device, rounded=True)
    assert loss == pytest.approx(exact, rel=0.05)
    assert found.keys() == expected.keys()
    joined, wanted = (torch.cat([grads[name].flatten() for name in sorted(expected)]) for grads in (found, expected))
    assert torch.isfinite(joined).all()
    assert torch.cosine_similarity(joined, wanted, dim=0) > 0.95


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_rounded_backbone_transcribes_under_autocast(tmp_path, device: str) -> None:
    backbone = tiny_backbone().to(device)
    backbone.round_weights(torch.bfloat16)
    data = small_mixtures(tmp_path)
    config = PROMPTS.model_copy(update={"enrolment": None})
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS}).to(device)
    batch = collate([data[0]], backbone.tokens, 40).to(torch.device(device))
    with torch.autocast(device, dtype=torch.bfloat16):
        objective = TargetSpeakerObjective(backbone, config, ObjectiveConfig())
        assert development_wer(objective, prompts, [batch])["wer"] > 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_prompts_on_a_gpu_give_what_they_give_on_the_processor(tmp_path) -> None:
    exact, expected = gradients(tmp_path / "here", "cpu", rounded=False)
    loss, found = gradients(tmp_path / "there", "cuda", rounded=False)
    assert loss == pytest.approx(exact, rel=1e-3)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=0.02, atol=2e-4)
