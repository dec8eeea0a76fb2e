"""Several prompts at once, failures inside the context, and prompts that do not fit."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from prompt_samples import (
    CONFIGS,
    PARTS,
    S,
    activities,
    clips,
    heard,
    run,
    run_plain,
    some_tokens,
    trained,
    voices,
)
from tiny import LAYERS, WIDTH, tiny_backbone
from torch import Tensor

from softspoken.backbones import WhisperBackbone
from softspoken.errors import ConfigError, PromptError, PromptMismatch
from softspoken.prompts import PromptConfig, SoftPrompts, inject


def test_contexts_nest_and_unwind(backbone: WhisperBackbone) -> None:
    """The inner prompts act on top of the outer ones; leaving them restores exactly the outer ones' output."""
    outer, inner = trained(CONFIGS["encoder alone"]), trained(CONFIGS["decoder alone"])
    both = PromptConfig(encoder=PARTS, decoder=PARTS, speaker=None)
    features, tokens = heard(backbone, 0.7), some_tokens(backbone)
    with torch.no_grad(), inject(backbone, outer):
        before = backbone.decode(tokens, backbone.encode(features))
        with inject(backbone, inner):
            nested = backbone.decode(tokens, backbone.encode(features))
        after = backbone.decode(tokens, backbone.encode(features))
    assert torch.equal(before, after)
    joined = SoftPrompts(both, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    joined.load_state_dict(outer.state_dict() | inner.state_dict())
    torch.testing.assert_close(nested, run(backbone, joined, features)[1])


def test_a_second_prompt_on_the_same_stack_is_refused(backbone: WhisperBackbone) -> None:
    """Nested or from another thread: two prompts on one stack would silently mix."""
    first, second = trained(CONFIGS["encoder alone"]), trained(CONFIGS["frames alone"])
    scores = torch.ones(1, 60)
    features = heard(backbone, 0.5)
    alone = run(backbone, first, features)[1]

    def elsewhere() -> None:
        with inject(backbone, second, activity=scores):
            pytest.fail("the context was entered")

    with torch.no_grad(), inject(backbone, first):
        with pytest.raises(ConfigError, match="already runs under a prompt"):
            elsewhere()
        with ThreadPoolExecutor(1) as pool, pytest.raises(ConfigError, match="already runs under a prompt"):
            pool.submit(elsewhere).result()
        inside = backbone.decode(some_tokens(backbone), backbone.encode(features))
    assert torch.equal(inside, alone)
    run(backbone, second, features, activity=scores)


def test_two_backbones_run_under_their_own_prompts_at_once() -> None:
    prompts = trained(CONFIGS["deep"])
    voice = voices(CONFIGS["deep"], 1)
    models = [tiny_backbone(seed) for seed in (0, 1)]
    one_by_one = [run(model, prompts, heard(model, 0.6), voice)[1] for model in models]
    together = Barrier(2)

    def several(model: WhisperBackbone) -> list[Tensor]:
        features = heard(model, 0.6)
        together.wait(timeout=10)
        return [run(model, prompts, features, voice)[1] for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(several, models))
    for alone, repeated in zip(one_by_one, at_once, strict=True):
        for logits in repeated:
            torch.testing.assert_close(logits, alone)


def test_an_exception_inside_leaves_no_trace(backbone: WhisperBackbone, config: PromptConfig) -> None:
    features = heard(backbone, 0.5)
    plain, clip = run_plain(backbone, features)[1], clips(backbone, config, 1)
    with (
        pytest.raises(ZeroDivisionError),
        inject(backbone, trained(config), speaker=voices(config, 1), activity=activities(config, 1), clips=clip),
    ):
        raise ZeroDivisionError
    assert torch.equal(run_plain(backbone, features)[1], plain)


def test_a_failing_forward_leaves_no_trace(backbone: WhisperBackbone) -> None:
    """Two voices for a batch of three is found only when the batch arrives."""
    config = CONFIGS["deep"]
    features = heard(backbone, 0.5, 0.5, 0.5)
    with inject(backbone, trained(config), speaker=voices(config, 2)), pytest.raises(PromptMismatch, match="2 voices"):
        backbone.encode(features)


SMALL = {"encoder": LAYERS, "decoder": LAYERS}


@pytest.mark.parametrize(
    ("name", "width", "layers", "voice", "activity", "said"),
    [
        ("deep", WIDTH + 2, SMALL, S, None, "width 34.*width 32"),
        ("deep", WIDTH, {"encoder": 3, "decoder": 2}, S, None, "3 encoder layers"),
        ("deep", WIDTH, {"encoder": 2, "decoder": 5}, S, None, "5 decoder layers"),
        ("deep", WIDTH, SMALL, None, None, "give a speaker embedding of 8"),
        ("deep", WIDTH, SMALL, S + 1, None, "9 dimensions, the prompt expects 8"),
        ("encoder alone", WIDTH, SMALL, S, None, "follows no voice"),
        ("frames", WIDTH, SMALL, S, None, "activity"),
        ("frames alone", WIDTH + 2, SMALL, None, 60, "width 34"),
        ("frames alone", WIDTH, {"encoder": 3, "decoder": 2}, None, 60, "3 encoder layers"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    backbone: WhisperBackbone,
    name: str,
    width: int,
    layers: dict[str, int],
    voice: int | None,
    activity: int | None,
    said: str,
) -> None:
    prompts = SoftPrompts(CONFIGS[name], width, layers)
    speaker = None if voice is None else torch.randn(1, voice)
    scores = None if activity is None else torch.rand(1, activity)
    with (
        pytest.raises(PromptError, match=said) as caught,
        inject(backbone, prompts, speaker=speaker, activity=scores),
    ):
        pytest.fail("the context was entered")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        {"encoder": None, "decoder": None, "speaker": None},
        {"speaker": None, "frames": {"keyed": 2}},
        {"encoder": {"length": 0}},
        {"depth": "deep"},
    ],
)
def test_impossible_configurations_are_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no prompts at all|chosen by the voice|greater than|Extra inputs"):
        PromptConfig.model_validate(content)
