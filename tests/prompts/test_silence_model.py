"""A silence model is data beside a prompt: it travels with the folder, and changes nothing else in it."""

import json
import math
from pathlib import Path

import pytest
from prompt_samples import FACTS, assert_equal, contents, prompts_of, reseal
from pydantic import ValidationError
from tiny import tiny_backbone

from softspoken.errors import PromptDamaged, PromptError
from softspoken.prompts import load_prompts, save_prompts
from softspoken.prompts.silence import SilenceModel
from softspoken_lab.measures.silence_fit import store_silence

MODEL = SilenceModel(weights={"empty": -0.4, "presence": 12.0}, bias=-7.0, threshold=0.3, false_rejection=0.01)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    save_prompts(prompts_of(), tmp_path / "stored", backbone=tiny_backbone(), **FACTS)
    return tmp_path / "stored"


def test_a_probability_is_logistic_and_never_overflows() -> None:
    features = {"empty": 2.0, "presence": 0.7}
    odds = -0.4 * 2.0 + 12.0 * 0.7 - 7.0
    assert MODEL.log_odds(features) == pytest.approx(odds)
    assert MODEL.probability(features) == pytest.approx(1 / (1 + math.exp(-odds)))
    assert MODEL.probability({"empty": 1e6, "presence": 0.0}) == 0.0
    assert MODEL.probability({"empty": -1e6, "presence": 0.0}) == 1.0


def test_what_follows_from_a_probability() -> None:
    assert [MODEL.speaks(value) for value in (0.0, 0.299, 0.3, 1.0)] == [False, False, True, True]
    assert MODEL.model_copy(update={"threshold": 0.0}).speaks(0.0) is True


def test_storing_a_model_leaves_tensors_and_all_other_facts_alone(stored: Path, tmp_path: Path) -> None:
    before, files = load_prompts(stored), contents(stored)
    store_silence(stored, MODEL, tmp_path / "calibrated")
    assert contents(stored) == files
    after = load_prompts(tmp_path / "calibrated")
    assert after.info == before.info.model_copy(update={"silence": MODEL})
    assert after.info.digest == before.info.digest
    assert_equal(after.prompts, before.prompts)
    # In its own place, and back again.
    store_silence(stored, MODEL, stored)
    assert load_prompts(stored).info.silence == MODEL
    store_silence(stored, None, stored)
    assert contents(stored) == files


def test_saving_prompts_takes_a_model_as_a_fact(tmp_path: Path) -> None:
    save_prompts(prompts_of(), tmp_path / "stored", backbone=tiny_backbone(), silence=MODEL)
    assert load_prompts(tmp_path / "stored").info.silence == MODEL


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"weights": {"loudness": 1.0}}, "weights"),
        ({"weights": {}}, "weights"),
        ({"weights": {"empty": 0.0}}, "all 0"),
        ({"weights": {"empty": float("nan")}}, "weights"),
        ({"threshold": 1.5}, "threshold"),
    ],
)
def test_an_impossible_model_is_refused(stored: Path, change: dict[str, object], problem: str) -> None:
    content = MODEL.model_dump() | change
    with pytest.raises(ValidationError, match=problem):
        SilenceModel.model_validate(content)
    path = stored / "prompt_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"silence": content}))
    reseal(stored)
    with pytest.raises(PromptDamaged, match="silence"):
        load_prompts(stored)


def test_a_damaged_prompt_or_a_foreign_folder_is_not_written_to(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(PromptError, match=r"letter\.txt"):
        store_silence(stored, MODEL, tmp_path / "other")
    (stored / "prompts.safetensors").write_bytes(b"")
    with pytest.raises(PromptDamaged):
        store_silence(stored, MODEL, stored)
