"""The probe never sees a recording twice, finds what is there, and nothing where nothing is."""

from pathlib import Path

import numpy as np
import pytest
from made_noise import write_noise
from tiny_subjects import tiny_subject, write_manifest

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken.errors import ConfigError, DataError
from softspoken_lab.analysis.probe import cross_validate, probe_noise, shuffled_kinds
from softspoken_lab.analysis.probe_data import ProbeOptions, corrupted, plan_probe
from softspoken_lab.analysis.results import ProbeResult, RoleSplit
from softspoken_lab.noise.bank import NoiseBank, NoiseClip, read_noise
from softspoken_lab.noise.testsets import TestUtterance, read_test_manifest

KINDS = {"car": (50.0, 400.0), "babble": (2000.0, 5000.0)}
FEW = ProbeOptions(folds=2, per_cell=4, snr_db=(0.0, 5.0), trees=40, permutations=2, longest_s=1.0)


class SilentBank(NoiseBank):
    """Noise whose audio is made up: the plan looks at nothing but its loudness."""

    def audio(self, clip: NoiseClip) -> np.ndarray:
        return np.full(SAMPLE_RATE_HZ, 0.1, dtype=np.float32)


def random_layout(seed: int) -> tuple[list[TestUtterance], NoiseBank, ProbeOptions]:
    rng = np.random.default_rng(seed)
    folds = int(rng.integers(2, 5))
    speech = [
        TestUtterance(
            f"u{i}", Path("x"), "words", "s", source_id=f"r{rng.integers(12)}" if rng.random() < 0.5 else None
        )
        for i in range(int(rng.integers(30, 60)))
    ]
    clips = [
        NoiseClip(f"{kind}-{i}", "x", "A", kind, "test", 1.0)
        for kind in ("car", "metro", "cafe", "babble")
        for i in range(int(rng.integers(folds - 1, folds + 4)) if kind != "car" else folds)
    ]
    clips += [NoiseClip(f"traffic-{i}", "x", "A", "traffic", "test", 1.0) for i in range(folds + 1)]
    options = ProbeOptions(folds=folds, per_cell=int(rng.integers(1, 9)), seed=seed, longest_s=0.5)
    return speech, SilentBank(clips), options


@pytest.mark.parametrize("seed", range(25))
def test_no_recording_is_in_two_parts(seed: int) -> None:
    speech, noise, options = random_layout(seed)
    plan = plan_probe(speech, noise, options)
    for of in (lambda one: one.noise_id, lambda one: one.speech_id):
        parts: dict[str, set[int]] = {}
        for example in plan.examples:
            parts.setdefault(of(example), set()).add(example.fold)
        assert {len(folds) for folds in parts.values()} == {1}
    for example in plan.examples:
        source = example.speech.source_id
        assert example.speech_id == (source if source is not None else example.speech.id)
        assert example.corruption.noise_id == example.noise_id
    kinds = {"Car", "Metro", "Cafe", "Babble", "Traffic"}
    assert set(plan.kinds) | set(plan.left_out) == kinds
    assert not set(plan.kinds) & set(plan.left_out)
    for fold in range(options.folds):
        # All kinds disturb the same utterances at the same levels.
        by_kind = {
            kind: sorted(
                (one.speech.id, one.corruption.snr_db) for one in plan.examples if one.fold == fold and one.kind == kind
            )
            for kind in plan.kinds
        }
        assert len({str(rows) for rows in by_kind.values()}) == 1
        assert len(by_kind["Car"]) == options.per_cell


def test_kinds_with_too_few_recordings_are_named() -> None:
    clips = [NoiseClip(f"{kind}-{i}", "x", "A", kind, "test", 1.0) for kind in ("car", "metro") for i in range(3)]
    clips.append(NoiseClip("cafe-0", "x", "B", "cafe", "test", 1.0))
    speech = [TestUtterance(f"u{i}", Path("x"), "words", "s") for i in range(6)]
    plan = plan_probe(speech, SilentBank(clips), ProbeOptions(per_cell=2))
    assert plan.left_out == {"Cafe": "1 recording"}
    with pytest.raises(DataError, match="Cafe, 1 recording"):
        plan_probe(speech, SilentBank(clips[3:]), ProbeOptions())
    with pytest.raises(DataError, match="2 recordings of speech for 3 folds"):
        plan_probe(speech[:2], SilentBank(clips), ProbeOptions())


def test_a_planted_signal_is_found_and_its_absence_is_chance() -> None:
    rng = np.random.default_rng(0)
    options = ProbeOptions(folds=3, trees=30)
    recordings = np.repeat(np.arange(18), 12)
    folds, labels = recordings % 3, recordings // 3 % 3
    noise = rng.standard_normal((recordings.size, 10))
    planted = noise.copy()
    planted[np.arange(labels.size), labels] += 3.0
    assert np.mean(cross_validate(planted, labels, folds, options).folds) > 0.85
    # Every recording has a mark of its own: whoever saw it in training would know its kind.
    marked = noise + 5.0 * rng.standard_normal((18, 10))[recordings]
    assert np.mean(cross_validate(marked, labels, folds, options).folds) < 0.62
    assert abs(np.mean(cross_validate(noise, labels, folds, options).folds) - 1 / 3) < 0.12


def test_shuffling_keeps_whole_recordings_and_parts() -> None:
    recordings = [f"n{i}" for i in range(8) for _ in range(3)]
    labels = np.repeat([0, 0, 1, 1, 0, 0, 1, 1], 3)
    folds = np.repeat([0, 1] * 4, 3)
    shuffled = list(shuffled_kinds(labels, folds, recordings, ProbeOptions(permutations=5)))
    assert len(shuffled) == 5
    for changed in shuffled:
        for name in set(recordings):
            assert len(set(changed[np.array(recordings) == name].tolist())) == 1
        for fold in (0, 1):
            assert sorted(changed[folds == fold]) == sorted(labels[folds == fold])


def test_the_probe_of_a_prompt(tmp_path: Path) -> None:
    """Two noises as different as low and high tones: a random encoder tells them, prompts or not."""
    noise = read_noise(write_noise(tmp_path / "noise", KINDS, clips=4))
    speech = read_test_manifest(write_manifest(tmp_path / "speech", 8))
    subject = tiny_subject(tmp_path / "recognizer")
    split = RoleSplit(by="given", content=(1, 2), noise=(3, 4))
    told: list[tuple[int, int]] = []
    found = probe_noise(subject, speech, noise, split, FEW, report=lambda done, total: told.append((done, total)))
    assert [row.name for row in found.conditions] == ["full", "content", "noise", "none"]
    assert found.examples == 2 * 4 * 2
    assert found.noise_recordings == 8
    assert found.chance == 0.5
    assert len(found.permuted) == 2
    assert told[-1] == (16, 16)
    for row in found.conditions:
        assert len(row.folds) == 2
        assert row.accuracy.value == pytest.approx(np.mean(row.folds))
        assert sum(map(sum, row.confusion)) == found.examples
    assert found.conditions[-1].accuracy.value > 0.7
    assert found.conditions[-1].difference is None
    assert ProbeResult.model_validate_json(found.model_dump_json()) == found
    assert len(found.rows()) == 8


def test_all_conditions_hear_the_same(tmp_path: Path) -> None:
    noise = read_noise(write_noise(tmp_path / "noise", KINDS))
    speech = read_test_manifest(write_manifest(tmp_path / "speech", 4))
    first, second = plan_probe(speech, noise, FEW), plan_probe(speech, noise, FEW)
    assert first == second
    assert np.array_equal(corrupted(first.examples[0], noise, 1.0), corrupted(second.examples[0], noise, 1.0))


def test_a_frozen_baseline_cannot_be_probed_for_its_prompts(tmp_path: Path) -> None:
    noise = read_noise(write_noise(tmp_path / "noise", KINDS))
    speech = read_test_manifest(write_manifest(tmp_path / "speech", 4))
    with pytest.raises(ConfigError, match="m = 0"):
        probe_noise(tiny_subject(tmp_path / "frozen", None), speech, noise, options=FEW)


def test_silence_has_no_kind(tmp_path: Path) -> None:
    folder = tmp_path / "noise"
    manifest = write_noise(folder, KINDS, clips=2)
    write_audio(folder / "car-0.flac", np.zeros(SAMPLE_RATE_HZ, np.float32))
    with pytest.raises(Exception, match=r"car-0\.flac' is silent"):
        plan_probe(read_test_manifest(write_manifest(tmp_path / "speech", 4)), read_noise(manifest), FEW)
