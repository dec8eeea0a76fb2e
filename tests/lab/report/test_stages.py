"""Results kept on disk: found again for the same inputs, computed again for others or when damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel
from tiny_subjects import write_set

from softspoken.errors import ConfigError, DataError
from softspoken.evaluation import stage_cache
from softspoken.evaluation.stage_cache import StageCache
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.noise.bank import NoiseBank, NoiseClip
from softspoken_lab.report.stages import digest_of_folder, digest_of_noise, digest_of_set

INPUTS = {"subject": "a", "options": {"seeds": 2, "levels": (0.1, 5)}}


class Found(BaseModel):
    numbers: tuple[float, ...]
    by_k: dict[int, float] = {}


class Counter:
    """Computes the same each time, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Found:
        self.calls += 1
        return Found(numbers=(0.1 + 0.2, 1 / 3), by_k={2: 0.25})


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, notes: list[str]) -> StageCache:
    return StageCache(tmp_path / "cache", notes.append)


def test_a_result_is_computed_once_and_comes_back_as_it_was(cache: StageCache, notes: list[str]) -> None:
    compute = Counter()
    first = cache.get("curve", INPUTS, Found, compute)
    again = StageCache(cache.folder, notes.append).get("curve", INPUTS, Found, compute)
    assert (compute.calls, first.kept, again.kept) == (1, False, True)
    assert again.result == first.result == Counter()()
    assert again.seconds == first.seconds
    assert notes == []


@pytest.mark.parametrize(
    "other", [{**INPUTS, "subject": "b"}, {**INPUTS, "options": {"seeds": 3, "levels": (0.1, 5)}}, {"subject": "a"}]
)
def test_other_inputs_are_another_result(cache: StageCache, other: dict[str, object]) -> None:
    compute = Counter()
    cache.get("curve", INPUTS, Found, compute)
    cache.get("curve", other, Found, compute)
    cache.get("clusters", INPUTS, Found, compute)
    assert compute.calls == 3


def test_another_version_computes_again(cache: StageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Counter()
    cache.get("curve", INPUTS, Found, compute)
    monkeypatch.setattr(stage_cache, "__version__", "99.0")
    assert not cache.get("curve", INPUTS, Found, compute).kept


def damage(path: Path, how: str) -> None:
    content = json.loads(path.read_text())
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "not text":
        path.write_bytes(b"\xff\x00\xfe")
    elif how == "a list":
        path.write_text("[1, 2]")
    elif how == "a number":
        path.write_text("7")
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    elif how == "deep":
        path.write_text("[" * 100_000)
    else:
        change = {
            "edited": {"result": {**content["result"], "numbers": [0.0, 0.0]}},
            "other inputs": {"inputs": {**content["inputs"], "subject": "b"}},
            "other format": {"format": 0},
            "no time": {"seconds": None},
        }
        path.write_text(json.dumps({**content, **change[how]}))


@pytest.mark.parametrize(
    "how",
    [
        "cut",
        "empty",
        "not text",
        "a list",
        "a number",
        "a folder",
        "deep",
        "edited",
        "other inputs",
        "other format",
        "no time",
    ],
)
def test_what_is_damaged_is_computed_again_and_said(cache: StageCache, notes: list[str], how: str) -> None:
    compute = Counter()
    path = cache.path("curve", INPUTS)
    cache.get("curve", INPUTS, Found, compute)
    damage(path, how)
    again = cache.get("curve", INPUTS, Found, compute)
    assert (compute.calls, again.kept, again.result) == (2, False, Counter()())
    assert str(path) in notes[0]
    assert "computed again" in notes[0]
    assert all("\n" not in note for note in notes)


def test_what_is_of_another_kind_is_computed_again(cache: StageCache, notes: list[str]) -> None:
    class Other(BaseModel):
        words: list[str]

    cache.get("curve", INPUTS, Found, Counter())
    assert cache.get("curve", INPUTS, Other, lambda: Other(words=["a"])).result.words == ["a"]
    assert "not a Other" in notes[0]


def test_what_fails_leaves_nothing_behind(cache: StageCache) -> None:
    def fail() -> Found:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get("curve", INPUTS, Found, fail)
    assert list(cache.folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_no_result(cache: StageCache, notes: list[str]) -> None:
    cache.folder.rmdir()
    assert cache.get("curve", INPUTS, Found, Counter()).result == Counter()()
    assert "is not kept" in notes[0]


def test_a_file_in_the_place_of_the_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigError, match="--cache"):
        StageCache(tmp_path / "cache", print)


def test_a_set_is_what_it_holds_wherever_it_lies(tmp_path: Path) -> None:
    here, there = write_set(tmp_path / "a"), write_set(tmp_path / "b")
    digest = digest_of_set(here)
    assert digest == digest_of_set(there)
    changed = [replace(here.items[0], text="other words"), *here.items[1:]]
    assert digest != digest_of_set(TestSet("clean", tuple(changed)))
    assert digest != digest_of_set(TestSet("clean", here.items[1:]))
    first = there.items[0].path
    first.write_bytes(first.read_bytes()[:-1] + b"\x01")
    assert digest != digest_of_set(there)
    first.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        digest_of_set(there)


def test_noise_is_its_recordings_and_their_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"one")
    clip = NoiseClip("a", str(tmp_path / "a.wav"), "A", "car", "test", 1.0)
    digest = digest_of_noise(NoiseBank([clip]))
    assert digest != digest_of_noise(NoiseBank([replace(clip, category="metro")]))
    (tmp_path / "a.wav").write_bytes(b"two")
    assert digest != digest_of_noise(NoiseBank([clip]))


def test_a_folder_is_its_facts_and_tensors(tmp_path: Path) -> None:
    (tmp_path / "prompt").mkdir()
    (tmp_path / "recognizer.json").write_text("{}")
    (tmp_path / "prompt" / "prompts.safetensors").write_bytes(b"1")
    digest = digest_of_folder(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    assert digest == digest_of_folder(tmp_path)
    (tmp_path / "prompt" / "prompts.safetensors").write_bytes(b"2")
    assert digest != digest_of_folder(tmp_path)
