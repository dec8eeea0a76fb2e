"""Noise-shifted prompts: the noise set moves, the content set stays bitwise, and the history says how."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from made_noise import write_noise
from tiny_subjects import BACKBONE, tiny_subject, write_set

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken.errors import AudioError, ConfigError, DataError
from softspoken.prompts.config import Depth
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.results import RoleSplit, ShiftResult
from softspoken_lab.analysis.shift import (
    ShiftOptions,
    compare_shifts,
    noise_means,
    scaled,
    shift_prompts,
    shifted_vectors,
)
from softspoken_lab.noise.bank import NoiseBank, read_noise
from softspoken_lab.noise.folder import load_recognizer
from softspoken_lab.noise.model import prompted_states

SPLIT = RoleSplit(by="given", content=(1, 3), noise=(2, 4))


@pytest.fixture
def noise(tmp_path: Path) -> NoiseBank:
    return read_noise(write_noise(tmp_path / "noise", {"office": (300.0, 3000.0)}, clips=2))


def test_a_shift_by_one_changes_nothing(tmp_path: Path) -> None:
    vectors = tiny_subject(tmp_path / "recognizer", depth="deep").vectors
    assert torch.equal(shifted_vectors(vectors, [1, 3], torch.ones(vectors.shape[0], vectors.shape[2])), vectors)


@pytest.mark.parametrize("depth", ["input", "deep"])
@pytest.mark.parametrize("scale", ["paper", "unit"])
def test_noise_vectors_are_multiplied_and_content_vectors_stay(
    tmp_path: Path, noise: NoiseBank, depth: Depth, scale: str
) -> None:
    subject = tiny_subject(tmp_path / "recognizer", depth=depth)
    before = {name: tensor.clone() for name, tensor in BACKBONE.module.state_dict().items()}
    own = subject.vectors.clone()
    shifted = shift_prompts(subject, noise, SPLIT, ShiftOptions(scale=scale))  # type: ignore[arg-type]
    representation = "output" if depth == "input" else "input"
    assert shifted.info.representation == representation
    means = noise_means(BACKBONE, subject.rows, noise, representation, own.shape[0], -25.0)  # type: ignore[arg-type]
    assert torch.equal(shifted.vectors[:, [0, 2]], own[:, [0, 2]])
    factors = scaled(means, shifted.info.scale)
    torch.testing.assert_close(shifted.vectors[:, [1, 3]], own[:, [1, 3]] * factors[:, None])
    assert not torch.allclose(shifted.vectors[:, [1, 3]], own[:, [1, 3]])
    if scale == "unit":
        torch.testing.assert_close(factors.pow(2).mean(dim=1), torch.ones(own.shape[0]))
    assert torch.equal(subject.vectors, own)
    assert all(torch.equal(tensor, before[name]) for name, tensor in BACKBONE.module.state_dict().items())


def test_v_is_the_mean_over_recordings_of_the_mean_over_time(tmp_path: Path, noise: NoiseBank) -> None:
    subject = tiny_subject(tmp_path / "recognizer")
    expected = []
    for clip in noise.clips:
        found = prompted_states(BACKBONE, BACKBONE.features([noise.audio(clip)]), subject.rows)
        expected.append(found.states[-1][0, : int(found.lengths[0])].mean(dim=0))
    means = noise_means(BACKBONE, subject.rows, noise, "output", 1)
    torch.testing.assert_close(means[0], torch.stack(expected).mean(dim=0), rtol=1e-4, atol=1e-5)


def test_each_layer_of_a_deep_prompt_has_its_own_v(tmp_path: Path, noise: NoiseBank) -> None:
    subject = tiny_subject(tmp_path / "recognizer", depth="deep")
    one = noise.of(categories=("office",))
    means = noise_means(BACKBONE, subject.rows, one, "input", 2)
    assert not torch.allclose(means[0], means[1])
    everywhere = noise_means(BACKBONE, subject.rows, one, "output", 2)
    assert torch.equal(everywhere[0], everywhere[1])


def test_a_shifted_recogniser_remembers_where_it_comes_from(tmp_path: Path, noise: NoiseBank) -> None:
    subject = tiny_subject(tmp_path / "recognizer")
    shifted = shift_prompts(subject, noise, SPLIT)
    shifted.recognizer.save(tmp_path / "office")
    loaded = load_recognizer(tmp_path / "office", BACKBONE)
    assert loaded.prompts is not None
    (entry,) = loaded.prompts.history
    assert entry["change"] == "noise shift"
    assert entry["noise_prompts"] == [2, 4]
    assert entry["from_digest"] == subject.info.digest
    digests = {file["name"]: file["sha256"] for file in entry["files"]}
    for clip in noise.clips:
        assert digests[clip.id] == hashlib.sha256(Path(clip.path).read_bytes()).hexdigest()
    again = CTCSubject(loaded, BACKBONE)
    torch.testing.assert_close(again.vectors, shifted.vectors)
    assert again.info.digest != subject.info.digest


def test_shifts_are_compared_on_the_same_utterances(tmp_path: Path, noise: NoiseBank) -> None:
    subject = tiny_subject(tmp_path / "recognizer")
    shifts = [shift_prompts(subject, noise, SPLIT, ShiftOptions(scale=scale)) for scale in ("paper", "unit")]
    test_set = write_set(tmp_path / "noisy", "office")
    found = compare_shifts(subject, [test_set], shifts, SPLIT)
    assert [row.name for row in found.shifted] == ["shifted", "shifted, unit"]
    alone = CTCSubject(shifts[0].recognizer, BACKBONE).score(test_set, [shifts[0].vectors])
    assert found.shifted[0].wer["office"].value == pytest.approx(sum(alone.errors[0]) / sum(alone.words))
    assert ShiftResult.model_validate_json(found.model_dump_json()) == found


def test_recordings_of_any_level_give_one_v_when_levelled(tmp_path: Path) -> None:
    subject = tiny_subject(tmp_path / "recognizer")
    quiet, loud = tmp_path / "quiet", tmp_path / "loud"
    for folder, gain in ((quiet, 0.05), (loud, 0.8)):
        folder.mkdir()
        sound = np.random.default_rng(0).standard_normal(SAMPLE_RATE_HZ).astype(np.float32) * 0.2
        write_audio(folder / "hiss.wav", gain * sound)
    means = [noise_means(BACKBONE, subject.rows, read_noise(folder), "input", 1, -25.0) for folder in (quiet, loud)]
    torch.testing.assert_close(means[0], means[1], rtol=0.02, atol=0.02)


# What cannot be shifted


def test_what_cannot_be_shifted_is_refused_in_one_line(tmp_path: Path, noise: NoiseBank) -> None:
    subject = tiny_subject(tmp_path / "recognizer")
    with pytest.raises(ConfigError, match="the noise set is empty"):
        shift_prompts(subject, noise, RoleSplit(by="given", content=(1, 2, 3, 4), noise=()))
    with pytest.raises(ConfigError, match="no prompt 7"):
        shift_prompts(subject, noise, RoleSplit(by="given", content=(1,), noise=(7,)))
    with pytest.raises(ConfigError, match="m = 0"):
        shift_prompts(tiny_subject(tmp_path / "frozen", None), noise, SPLIT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings in"):
        read_noise(tmp_path / "empty")


def test_a_silent_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    write_audio(tmp_path / "noise" / "nothing.wav", np.zeros(SAMPLE_RATE_HZ, np.float32))
    with pytest.raises(AudioError, match="silent"):
        shift_prompts(tiny_subject(tmp_path / "recognizer"), read_noise(tmp_path / "noise"), SPLIT)
