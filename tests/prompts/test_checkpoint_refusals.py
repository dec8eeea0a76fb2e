"""Stored prompts that are damaged, foreign or hostile are refused, in one line that says what to do."""

import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from prompt_samples import NOT_AN_OBJECT, STORED_CONFIG, reseal
from safetensors.torch import load_file, save
from tiny import tiny_backbone
from torch import Tensor

from softspoken.backbones import WhisperBackbone
from softspoken.errors import PromptDamaged, PromptError, PromptMismatch
from softspoken.prompts.checkpoint import load_prompts
from softspoken.prompts.folder import CONFIG_FILE, TENSOR_FILE


def refused(folder: Path, error: type[PromptError], said: str, backbone: WhisperBackbone | None = None) -> None:
    with pytest.raises(PromptError, match=said) as caught:
        load_prompts(folder, backbone)
    assert caught.type is error
    assert "\n" not in str(caught.value)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    reseal(folder)


def replace_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change tensors and put the right digests beside them, as a careless or hostile tool would."""
    tensors = load_file(folder / TENSOR_FILE)
    change(tensors)
    content = save(tensors)
    (folder / TENSOR_FILE).write_bytes(content)
    edit_config(folder, digest=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("name", [CONFIG_FILE, TENSOR_FILE])
def test_a_missing_file(stored: Path, name: str) -> None:
    (stored / name).unlink()
    refused(stored, PromptDamaged, f"has no {name}")


def test_a_run_given_for_its_prompt(stored: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stored, run / "prompt")
    refused(run, PromptError, f"'{run}' is a run; give '{run / 'prompt'}'")


@pytest.mark.parametrize("content", NOT_AN_OBJECT)
def test_a_config_that_is_no_config(stored: Path, content: bytes) -> None:
    (stored / CONFIG_FILE).write_bytes(content)
    reseal(stored)
    refused(stored, PromptDamaged, CONFIG_FILE)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"format_version": 2}, PromptError, "format 2, this version reads up to 1; update softspoken"),
        ({"format_version": 0}, PromptDamaged, "format_version 0; expected 1"),
        ({"format_version": True}, PromptDamaged, "format_version True"),
        ({"format_version": "1"}, PromptDamaged, "format_version '1'"),
        ({"window": "5s"}, PromptDamaged, "window"),
        ({"colour": "blue"}, PromptDamaged, "colour: this version knows no such field"),
        ({"digest": "abc"}, PromptDamaged, "digest"),
        ({"digest": "0" * 64}, PromptDamaged, "digest.*000000000000.*refused"),
        ({"prompts": {"encoder": {"length": 0}}}, PromptDamaged, r"prompts\.encoder\.length"),
        (
            {"prompts": STORED_CONFIG.model_dump() | {"reparameterisation": "none", "decoder": None}},
            PromptMismatch,
            "belong",
        ),
        (
            {"prompts": STORED_CONFIG.model_dump() | {"reparameterisation": "none", "encoder": {"length": 4}}},
            PromptMismatch,
            r"shape \(2, 3, 32\), its config says \(2, 4, 32\)",
        ),
        ({"prompts": STORED_CONFIG.model_dump()}, PromptMismatch, "missing"),
        (
            {"backbone": {"name": "x", "fingerprint": "x", "width": 32, "layers": {"encoder": 2}}},
            PromptMismatch,
            "decoder",
        ),
        (
            {"backbone": {"name": "x", "fingerprint": "x", "width": 10**30, "layers": {"encoder": 2, "decoder": 2}}},
            PromptDamaged,
            "width",
        ),
    ],
)
def test_a_config_that_does_not_hold(
    stored: Path, changes: dict[str, object], error: type[PromptError], said: str
) -> None:
    edit_config(stored, **changes)
    refused(stored, error, said)


@pytest.mark.parametrize("position", [0, 9, 200, -1])
def test_any_changed_byte_of_the_tensors(stored: Path, position: int) -> None:
    content = bytearray((stored / TENSOR_FILE).read_bytes())
    content[position] ^= 1
    (stored / TENSOR_FILE).write_bytes(bytes(content))
    refused(stored, PromptDamaged, f"was changed: {TENSOR_FILE}.*refused")
    reseal(stored)
    refused(stored, PromptDamaged, "digest")


def test_truncated_tensors(stored: Path) -> None:
    content = (stored / TENSOR_FILE).read_bytes()
    (stored / TENSOR_FILE).write_bytes(content[: len(content) // 2])
    refused(stored, PromptDamaged, "no longer of its kind")


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", struct.pack("<Q", 1 << 60) + b"{}"])
def test_something_else_under_the_right_digest(stored: Path, content: bytes) -> None:
    (stored / TENSOR_FILE).write_bytes(content)
    edit_config(stored, digest=hashlib.sha256(content).hexdigest())
    refused(stored, PromptDamaged, "not a safetensors file")


def test_tensors_that_do_not_hold(stored: Path, tmp_path: Path) -> None:
    vectors = "stacks.encoder.vectors"

    def nan(tensors: dict[str, Tensor]) -> None:
        tensors[vectors][1, 2, 3] = torch.nan

    def infinite(tensors: dict[str, Tensor]) -> None:
        tensors["speaker_scale"][0] = torch.inf

    cases: list[tuple[Callable[[dict[str, Tensor]], object], type[PromptError], str]] = [
        (lambda tensors: tensors.pop(vectors), PromptMismatch, f"'{vectors}' is missing"),
        (lambda tensors: tensors.update(more=torch.ones(1)), PromptMismatch, "'more' does not belong"),
        (lambda tensors: tensors.update({vectors: torch.ones(1)}), PromptMismatch, r"shape \(1,\)"),
        (lambda tensors: tensors.update({vectors: tensors[vectors].long()}), PromptDamaged, "int64"),
        (nan, PromptDamaged, "NaN"),
        (infinite, PromptDamaged, "NaN or infinity"),
    ]
    for index, (change, error, said) in enumerate(cases):
        folder = tmp_path / str(index)
        shutil.copytree(stored, folder)
        replace_tensors(folder, change)
        refused(folder, error, said)


def test_another_backbone(stored: Path) -> None:
    other = tiny_backbone(seed=7)
    refused(stored, PromptMismatch, "trained on backbone 'tiny-0'.*got 'tiny-7'.*load backbone 'tiny-0'", other)


def test_a_renamed_backbone_is_the_same_backbone(stored: Path, backbone: WhisperBackbone) -> None:
    same = tiny_backbone()
    same.name = "elsewhere/whisper"
    load_prompts(stored).check(same)
