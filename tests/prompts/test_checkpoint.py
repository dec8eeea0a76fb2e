"""Prompts on disk: what is saved is what is loaded, and writing is all or nothing."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from prompt_samples import FACTS, assert_equal, check_interrupted_save, contents, prompts_of
from tiny import tiny_backbone

from softspoken.backbones import WhisperBackbone
from softspoken.errors import ConfigError, PromptError, PromptMismatch
from softspoken.prompts import EnrolmentPrompt, FramePrompt, PromptConfig, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import BackboneRef, PromptInfo, load_prompts, save_prompts
from softspoken.prompts.folder import CARD_FILE, PROMPT_FILES, TENSOR_FILE
from softspoken.prompts.signatures import SIGNATURE_FILE


def test_saved_folded_is_loaded(stored: Path, backbone: WhisperBackbone) -> None:
    loaded = load_prompts(stored, backbone)
    assert_equal(loaded.prompts, prompts_of().fold())
    assert not loaded.prompts.training
    assert contents(stored).keys() == {*PROMPT_FILES} - {SIGNATURE_FILE}
    assert {name: getattr(loaded.info, name) for name in FACTS} == FACTS


def test_saved_with_reparameterisation_is_loaded_for_going_on(tmp_path: Path, backbone: WhisperBackbone) -> None:
    save_prompts(prompts_of(), tmp_path / "p", backbone=backbone, keep_reparameterisation=True)
    loaded = load_prompts(tmp_path / "p").prompts
    assert_equal(loaded, prompts_of())
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in loaded.parameters())


@pytest.mark.parametrize(
    "config",
    [
        PromptConfig(),
        PromptConfig(encoder=StackPrompt(depth="input"), decoder=None, speaker=None),
        PromptConfig(encoder=None, decoder=None, speaker=None, frames=FramePrompt()),
        PromptConfig(encoder=None, speaker=SpeakerPrompt(into="both"), placement="shifted"),
    ],
)
def test_every_configuration_survives(tmp_path: Path, backbone: WhisperBackbone, config: PromptConfig) -> None:
    save_prompts(prompts_of(config), tmp_path / "p", backbone=backbone)
    assert_equal(load_prompts(tmp_path / "p", backbone).prompts, prompts_of(config))


def test_float16_is_half_the_size_and_close(tmp_path: Path, backbone: WhisperBackbone) -> None:
    for dtype in ("float32", "float16"):
        save_prompts(prompts_of(), tmp_path / dtype, backbone=backbone, dtype=dtype)
    small = (tmp_path / "float16" / TENSOR_FILE).stat().st_size
    assert small < 0.7 * (tmp_path / "float32" / TENSOR_FILE).stat().st_size
    one, other = (load_prompts(tmp_path / dtype).prompts.state_dict() for dtype in ("float32", "float16"))
    assert all(tensor.dtype == torch.float32 for tensor in other.values())
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, atol=1e-3, rtol=1e-3)
    # Statistics of the voices keep their precision.
    assert torch.equal(other["speaker_scale"], one["speaker_scale"])


def test_saving_does_not_change_the_prompts_and_repeats_bitwise(tmp_path: Path, backbone: WhisperBackbone) -> None:
    prompts = prompts_of()
    first = save_prompts(prompts, tmp_path / "one", backbone=backbone, **FACTS)
    assert_equal(prompts, prompts_of())
    assert save_prompts(prompts, tmp_path / "two", backbone=backbone, **FACTS) == first
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_numbers_of_parameters(stored: Path, backbone: WhisperBackbone) -> None:
    info = load_prompts(stored).info
    assert info.trained_parameters == prompts_of().parameter_count
    assert info.deployed_parameters == prompts_of().fold().parameter_count < info.trained_parameters
    assert info.share_percent == pytest.approx(100 * info.deployed_parameters / backbone.parameter_count)


@pytest.mark.parametrize(
    ("size", "width", "layers", "millions"),
    [("tiny", 384, 4, 0.246), ("base", 512, 6, 0.361), ("small", 768, 12, 0.689)],
)
def test_deployed_numbers_are_the_papers(size: str, width: int, layers: int, millions: float) -> None:
    config = PromptConfig(speaker=SpeakerPrompt(dimension=512), reparameterisation="separate")
    reference = BackboneRef(name=size, fingerprint="x", width=width, layers={"encoder": layers, "decoder": layers})
    info = PromptInfo(prompts=config, backbone=reference, digest="0" * 64)
    assert info.deployed_parameters / 1e6 == pytest.approx(millions, abs=5e-4)


def test_the_card_says_what_one_needs(stored: Path, backbone: WhisperBackbone) -> None:
    card = (stored / CARD_FILE).read_text()
    info = load_prompts(stored).info
    assert info.share_percent is not None
    for expected in (
        backbone.fingerprint,
        f"{info.trained_parameters:,}",
        f"{info.deployed_parameters:,} ({info.share_percent:.2f} % of the backbone)",
        "- steps: 12",
        "| method | WER | note |",
        "| this prompt | 0.31 | a \\| b |",
        'from_pretrained("FOLDER OR REPOSITORY")',
        "apache-2.0",
    ):
        assert expected in card
    assert card.startswith("---\nlicense:")
    assert "Enrolment clip" not in card


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (EnrolmentPrompt(clip_s=2.5), "- Enrolment clip: 2.5 s of it are heard, whole;"),
        (EnrolmentPrompt(form="queries", queries=3), "- Enrolment clip: 4 s of it are heard, pooled into 3 vectors;"),
    ],
)
def test_the_card_tells_that_the_clip_is_heard(
    tmp_path: Path, backbone: WhisperBackbone, heard: EnrolmentPrompt, expected: str
) -> None:
    save_prompts(prompts_of(PromptConfig(enrolment=heard)), tmp_path / "p", backbone=backbone)
    assert expected in (tmp_path / "p" / CARD_FILE).read_text()


def test_the_card_names_the_hub_model(tmp_path: Path, backbone: WhisperBackbone) -> None:
    reference = BackboneRef.of(backbone)
    for name, base in (("tiny.en", "openai/whisper-tiny.en"), ("someone/whisper", "someone/whisper"), ("/a/b", None)):
        named = reference.model_copy(update={"name": name})
        save_prompts(prompts_of(), tmp_path / "p", backbone=named, task="noise")
        lines = (tmp_path / "p" / CARD_FILE).read_text().splitlines()
        assert [line for line in lines if line.startswith("base_model")] == (
            [] if base is None else [f'base_model: "{base}"']
        )


# Writing: all or nothing


def test_numbers_that_cannot_be_stored(tmp_path: Path, backbone: WhisperBackbone) -> None:
    prompts = prompts_of()
    with torch.no_grad():
        prompts.stacks["encoder"].vectors[0, 0, 0] = 1e6
    with pytest.raises(PromptError, match="save it as float32"):
        save_prompts(prompts, tmp_path / "p", backbone=backbone, keep_reparameterisation=True, dtype="float16")
    with torch.no_grad():
        prompts.stacks["encoder"].vectors[0, 0, 0] = torch.nan
    with pytest.raises(PromptError, match="earlier checkpoint"):
        save_prompts(prompts, tmp_path / "p", backbone=backbone)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "facts", [{"colour": "blue"}, {"window": "5s"}, {"training": {"x": object()}}, {"digest": "0" * 64}]
)
def test_impossible_facts(tmp_path: Path, backbone: WhisperBackbone, facts: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        save_prompts(prompts_of(), tmp_path / "p", backbone=backbone, **facts)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_prompts_are_not_stored_for_another_backbone(tmp_path: Path) -> None:
    with pytest.raises(PromptMismatch, match="width 16"):
        save_prompts(prompts_of(), tmp_path / "p", backbone=tiny_backbone(width=16))


def test_a_prompt_folder_is_replaced_and_nothing_is_left_beside_it(stored: Path, backbone: WhisperBackbone) -> None:
    save_prompts(prompts_of(seed=9), stored, backbone=backbone)
    assert_equal(load_prompts(stored).prompts, prompts_of(seed=9).fold())
    assert [path.name for path in stored.parent.iterdir()] == ["stored"]


@pytest.mark.parametrize("others", [["thesis.tex"], [*PROMPT_FILES, "thesis.tex"], [CARD_FILE]])
def test_a_folder_with_other_things_is_not_touched(
    tmp_path: Path, backbone: WhisperBackbone, others: list[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in others:
        (folder / name).write_text("mine")
    with pytest.raises(PromptError, match="give a new folder"):
        save_prompts(prompts_of(), folder, backbone=backbone)
    assert contents(folder) == dict.fromkeys(others, b"mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_is_not_replaced(tmp_path: Path, backbone: WhisperBackbone) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(PromptError, match="is a file"):
        save_prompts(prompts_of(), tmp_path / "mine", backbone=backbone)
    with pytest.raises(PromptError, match="cannot write"):
        save_prompts(prompts_of(), tmp_path / "mine" / "below", backbone=backbone)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("fails_at", [1, 2])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_one(
    stored: Path, backbone: WhisperBackbone, monkeypatch: pytest.MonkeyPatch, fails_at: int, failure: BaseException
) -> None:
    def save() -> None:
        save_prompts(prompts_of(seed=9), stored, backbone=backbone)

    check_interrupted_save(save, stored, monkeypatch, fails_at, failure)


def test_an_interrupted_first_save_leaves_nothing(
    tmp_path: Path, backbone: WhisperBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: Path) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PromptError, match="Permission denied"):
        save_prompts(prompts_of(), tmp_path / "p", backbone=backbone)
    assert list(tmp_path.iterdir()) == []
