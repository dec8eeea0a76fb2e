"""Stored recognisers: what goes in comes out; what is damaged, swapped or foreign is refused in one line."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from prompt_samples import NOT_AN_OBJECT, assert_equal, check_interrupted_save, contents, reseal
from safetensors.torch import load_file, save
from tiny import tiny_backbone, tone
from tiny_recognizer import HEAD, new_prompts, new_recognizer

from softspoken.backbones import WhisperBackbone
from softspoken.errors import ConfigError, PromptDamaged, PromptError, PromptMismatch
from softspoken.prompts.checkpoint import StoredType, find_prompts, load_prompts, save_prompts
from softspoken.prompts.folder import CARD_FILE, CONFIG_FILE, HEAD_FILE, PROMPT_FOLDER, RECOGNIZER_FILE, TENSOR_FILE
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.folder import RecognizerInfo, load_recognizer, save_recognizer
from softspoken_lab.noise.model import PromptedCTC

FACTS = {"steps": 12, "data": "some noisy speech"}
CHARACTERS = Characters()


def store(model: PromptedCTC, folder: Path, backbone: WhisperBackbone, dtype: StoredType = "float32") -> RecognizerInfo:
    return save_recognizer(model, folder, backbone=backbone, characters=CHARACTERS, training=dict(FACTS), dtype=dtype)


@pytest.fixture
def model(backbone: WhisperBackbone) -> PromptedCTC:
    return new_recognizer(backbone, noise_prompts(4))


@pytest.fixture
def folder(tmp_path: Path, backbone: WhisperBackbone, model: PromptedCTC) -> Path:
    place = tmp_path / "recognizer"
    store(model, place, backbone)
    return place


def refused(folder: Path, error: type[PromptError], said: str, backbone: WhisperBackbone | None = None) -> None:
    with pytest.raises(PromptError, match=said) as caught:
        load_recognizer(folder, backbone)
    assert caught.type is error
    assert "\n" not in str(caught.value)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    reseal(path.parent.parent if path.parent.name == PROMPT_FOLDER else path.parent)


# What goes in comes out


@torch.no_grad()
def test_what_was_saved_is_loaded_bitwise(folder: Path, backbone: WhisperBackbone, model: PromptedCTC) -> None:
    loaded = load_recognizer(folder, backbone)
    assert loaded.characters == CHARACTERS
    assert loaded.info.training == FACTS
    assert loaded.prompts is not None
    assert loaded.prompts.task == "noise"
    assert loaded.info.prompts_digest == loaded.prompts.digest
    saved, found = model.state_dict(), loaded.model.state_dict()
    assert saved.keys() == found.keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in found.items())
    features = backbone.features([tone(0.6)])
    assert torch.equal(loaded.model(backbone, features)[0], model(backbone, features)[0])


def test_a_frozen_baseline_has_no_prompts(tmp_path: Path, backbone: WhisperBackbone) -> None:
    bare = new_recognizer(backbone)
    store(bare, tmp_path / "r", backbone)
    assert not (tmp_path / "r" / PROMPT_FOLDER).exists()
    loaded = load_recognizer(tmp_path / "r", backbone)
    assert loaded.prompts is None
    assert loaded.model.prompts is None
    assert all(torch.equal(bare.state_dict()[name], tensor) for name, tensor in loaded.model.state_dict().items())
    with pytest.raises(PromptMismatch, match="no prompts to change"):
        loaded.with_prompts(new_prompts(backbone, noise_prompts(4)), {"change": "none"})


def test_reparameterised_prompts_are_folded(tmp_path: Path, backbone: WhisperBackbone) -> None:
    config = noise_prompts(3).model_copy(update={"reparameterisation": "separate"})
    model = new_recognizer(backbone, config)
    store(model, tmp_path / "r", backbone)
    loaded = load_recognizer(tmp_path / "r").model.prompts
    assert loaded is not None
    assert model.prompts is not None
    assert_equal(loaded, model.prompts.fold())


def test_float16_is_half_the_size_and_close(
    tmp_path: Path, folder: Path, backbone: WhisperBackbone, model: PromptedCTC
) -> None:
    store(model, tmp_path / "half", backbone, "float16")
    for name in (HEAD_FILE, f"{PROMPT_FOLDER}/{TENSOR_FILE}"):
        tensors, halves = load_file(folder / name), load_file(tmp_path / "half" / name)
        assert tensors.keys() == halves.keys()
        numbers = sum(tensor.numel() for key, tensor in tensors.items() if not key.startswith("speaker_"))
        assert sum(half.numel() for half in halves.values() if half.dtype == torch.float16) == numbers
    saved, found = model.state_dict(), load_recognizer(tmp_path / "half").model.state_dict()
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, saved[name], atol=1e-3, rtol=1e-3)


def test_saving_twice_gives_the_same_bytes(
    tmp_path: Path, folder: Path, backbone: WhisperBackbone, model: PromptedCTC
) -> None:
    store(model, tmp_path / "again", backbone)
    load_recognizer(folder).save(tmp_path / "from loaded")
    assert contents(tmp_path / "again") == contents(folder)
    assert contents(tmp_path / "from loaded") == contents(folder)


def test_changed_prompts_are_saved_with_their_history(tmp_path: Path, folder: Path, backbone: WhisperBackbone) -> None:
    loaded = load_recognizer(folder)
    assert loaded.prompts is not None
    other = new_prompts(backbone, noise_prompts(4), seed=5)
    loaded.with_prompts(other, {"change": "shifted"}).save(tmp_path / "shifted")
    found = load_recognizer(tmp_path / "shifted", backbone)
    assert found.prompts is not None
    assert found.model.prompts is not None
    assert_equal(found.model.prompts, other)
    assert found.prompts.history == [{"from_digest": loaded.prompts.digest, "change": "shifted"}]
    assert found.info.head_digest == loaded.info.head_digest
    twice = found.with_prompts(new_prompts(backbone, noise_prompts(4), seed=6), {"change": "again"}).prompts
    assert twice is not None
    assert [entry["change"] for entry in twice.history] == ["shifted", "again"]
    # The one it was made of is as it was.
    assert load_recognizer(folder).prompts == loaded.prompts


def test_its_prompts_are_found(folder: Path, model: PromptedCTC) -> None:
    assert find_prompts(folder) == folder / PROMPT_FOLDER
    assert model.prompts is not None
    assert_equal(load_prompts(str(folder)).prompts, model.prompts)


def test_the_card_says_how_to_use_it(folder: Path, backbone: WhisperBackbone) -> None:
    card = (folder / CARD_FILE).read_text()
    for word in (backbone.name, backbone.fingerprint, "softspoken-lab noise transcribe", "some noisy speech"):
        assert word in card


# What is refused


@pytest.mark.parametrize("name", [HEAD_FILE, f"{PROMPT_FOLDER}/{CONFIG_FILE}", f"{PROMPT_FOLDER}/{TENSOR_FILE}"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, PromptDamaged, Path(name).name)


def test_missing_prompts(folder: Path) -> None:
    shutil.rmtree(folder / PROMPT_FOLDER)
    refused(folder, PromptDamaged, "has no prompt/")
    reseal(folder)
    refused(folder, PromptDamaged, "no folder 'prompt'")


@pytest.mark.parametrize("made", [False, True])
def test_no_recogniser(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "r").mkdir()
    refused(tmp_path / "r", PromptError, "no recogniser in .*recognizer.json is missing.*give a folder")


def test_a_prompt_folder_is_no_recogniser(tmp_path: Path, folder: Path) -> None:
    refused(folder / PROMPT_FOLDER, PromptError, "no recogniser in")


@pytest.mark.parametrize("name", [HEAD_FILE, f"{PROMPT_FOLDER}/{TENSOR_FILE}"])
@pytest.mark.parametrize("position", [9, -1])
def test_any_changed_byte(folder: Path, name: str, position: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[position] ^= 1
    (folder / name).write_bytes(bytes(content))
    refused(folder, PromptDamaged, f"was changed: {name}.*refused")
    reseal(folder)
    refused(folder, PromptDamaged, "digest.*refused")


def test_prompts_of_another_recogniser(tmp_path: Path, folder: Path, backbone: WhisperBackbone) -> None:
    """They are whole, of the same shapes and backbone, and still refused: swapped prompts ruin recognition."""
    store(new_recognizer(backbone, noise_prompts(4), seed=9), tmp_path / "other", backbone)
    shutil.rmtree(folder / PROMPT_FOLDER)
    shutil.copytree(tmp_path / "other" / PROMPT_FOLDER, folder / PROMPT_FOLDER)
    load_prompts(folder)
    refused(folder, PromptDamaged, "was changed: prompt/")
    reseal(folder)
    refused(folder, PromptMismatch, "its prompts have digest .*its head belongs to .*refused")


def test_the_head_of_another_recogniser(tmp_path: Path, folder: Path, backbone: WhisperBackbone) -> None:
    store(new_recognizer(backbone, noise_prompts(4), seed=9), tmp_path / "other", backbone)
    shutil.copy(tmp_path / "other" / HEAD_FILE, folder / HEAD_FILE)
    refused(folder, PromptDamaged, "head.safetensors: tensor")
    reseal(folder)
    refused(folder, PromptDamaged, "digest")


def test_prompts_in_a_frozen_baseline(tmp_path: Path, folder: Path, backbone: WhisperBackbone) -> None:
    store(new_recognizer(backbone), tmp_path / "bare", backbone)
    shutil.copytree(folder / PROMPT_FOLDER, tmp_path / "bare" / PROMPT_FOLDER)
    refused(tmp_path / "bare", PromptMismatch, "frozen baseline but holds prompts")


def test_another_backbone(folder: Path) -> None:
    refused(folder, PromptMismatch, "backbone 'tiny-0'.*got 'tiny-3'.*load backbone 'tiny-0'", tiny_backbone(seed=3))


def test_prompts_made_for_another_backbone(tmp_path: Path, folder: Path) -> None:
    """Under the right digest: somebody has put a recogniser together by hand."""
    about = folder / PROMPT_FOLDER / CONFIG_FILE
    edit(about, backbone=json.loads(about.read_text())["backbone"] | {"fingerprint": "other"})
    refused(folder, PromptMismatch, "refused")


@pytest.mark.parametrize("content", NOT_AN_OBJECT)
def test_a_description_that_is_none(folder: Path, content: bytes) -> None:
    (folder / RECOGNIZER_FILE).write_bytes(content)
    reseal(folder)
    refused(folder, PromptDamaged, RECOGNIZER_FILE)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"format_version": 2}, PromptError, "format 2, this version reads up to 1; update softspoken"),
        ({"colour": "blue"}, PromptDamaged, "colour"),
        ({"head_digest": "0" * 64}, PromptDamaged, "digest"),
        ({"prompts_digest": "0" * 64}, PromptMismatch, "its head belongs to 000000000000"),
        ({"prompts_digest": None}, PromptMismatch, "holds prompts"),
        ({"head": HEAD.model_dump() | {"hidden": 9}}, PromptMismatch, "other tensors"),
        ({"head": HEAD.model_dump() | {"hidden": 0}}, PromptDamaged, r"head\.hidden"),
        ({"head": HEAD.model_dump() | {"hidden": 10**18}}, PromptDamaged, "impossible sizes"),
        ({"head": HEAD.model_dump() | {"layers": 10**9}}, PromptMismatch, "other tensors"),
        ({"characters": ["<blank>", "|", "A"]}, PromptMismatch, "other tensors"),
    ],
)
def test_a_description_that_does_not_hold(
    folder: Path, changes: dict[str, Any], error: type[PromptError], said: str
) -> None:
    edit(folder / RECOGNIZER_FILE, **changes)
    refused(folder, error, said)


def test_a_dictionary_that_is_none(folder: Path) -> None:
    edit(folder / RECOGNIZER_FILE, characters=["<blank>", "A", "B"])
    refused(folder, PromptDamaged, "recognizer.json.*space.*save it again")


@pytest.mark.parametrize("content", [b"", b"\x80\x04N."])
def test_something_else_under_the_right_digest(folder: Path, content: bytes) -> None:
    (folder / HEAD_FILE).write_bytes(content)
    edit(folder / RECOGNIZER_FILE, head_digest=hashlib.sha256(content).hexdigest())
    refused(folder, PromptDamaged, "not a safetensors file")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_none_in_the_head(folder: Path, value: float) -> None:
    tensors = load_file(folder / HEAD_FILE)
    tensors["output.bias"][0] = value
    content = save(tensors)
    (folder / HEAD_FILE).write_bytes(content)
    edit(folder / RECOGNIZER_FILE, head_digest=hashlib.sha256(content).hexdigest())
    refused(folder, PromptDamaged, "NaN, infinity or")


# Writing: all or nothing


@pytest.mark.parametrize("part", ["head", "prompts"])
def test_numbers_that_are_none_are_not_stored(
    tmp_path: Path, folder: Path, backbone: WhisperBackbone, model: PromptedCTC, part: str
) -> None:
    before = contents(folder)
    with torch.no_grad():
        next(getattr(model, part).parameters()).view(-1)[0] = torch.nan
    with pytest.raises(PromptError, match="not finite"):
        store(model, folder, backbone)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["recognizer"]


def test_facts_that_cannot_be_stored(tmp_path: Path, backbone: WhisperBackbone, model: PromptedCTC) -> None:
    with pytest.raises(ConfigError) as caught:
        save_recognizer(model, tmp_path / "r", backbone=backbone, characters=CHARACTERS, training={"x": object()})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_not_touched(
    tmp_path: Path, folder: Path, backbone: WhisperBackbone, model: PromptedCTC
) -> None:
    (folder / "thesis.tex").write_text("mine")
    before = contents(folder)
    with pytest.raises(PromptError, match=r"holds other things \('thesis.tex'\).*recogniser folder"):
        store(model, folder, backbone)
    assert contents(folder) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PromptError, match="is a file"):
        store(model, tmp_path / "file", backbone)


def test_prompts_and_recognisers_do_not_replace_each_other(
    tmp_path: Path, folder: Path, backbone: WhisperBackbone, model: PromptedCTC
) -> None:
    assert model.prompts is not None
    place = tmp_path / "prompt"
    save_prompts(model.prompts, place, backbone=backbone, task="noise")
    prompt, recognizer = contents(place), contents(folder)
    with pytest.raises(PromptError, match="give a new folder"):
        store(model, place, backbone)
    with pytest.raises(PromptError, match="give a new folder"):
        save_prompts(model.prompts, folder, backbone=backbone, task="noise")
    assert contents(place) == prompt
    assert contents(folder) == recognizer


def test_a_baseline_in_the_place_of_a_prompted_one_leaves_no_prompts(folder: Path, backbone: WhisperBackbone) -> None:
    store(new_recognizer(backbone), folder, backbone)
    assert load_recognizer(folder).prompts is None
    assert [path.name for path in folder.parent.iterdir()] == ["recognizer"]


@pytest.mark.parametrize("fails_at", [1, 2])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_one(
    folder: Path, backbone: WhisperBackbone, monkeypatch: pytest.MonkeyPatch, fails_at: int, failure: BaseException
) -> None:
    def save() -> None:
        store(new_recognizer(backbone, noise_prompts(4), seed=9), folder, backbone)

    check_interrupted_save(save, folder, monkeypatch, fails_at, failure)
