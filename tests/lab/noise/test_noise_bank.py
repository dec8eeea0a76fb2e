"""Noise recordings: every source read or refused in one line; a stretch of any length without a joint to be heard."""

import json

import numpy as np
import pytest
import soundfile
from noise_folder import hiss, make_noise_folder

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken.data.corpus import AudioCache
from softspoken.errors import AudioError, DataError, SoftspokenError
from softspoken_lab.noise.bank import PAPER_CATEGORIES, read_noise, stretch, type_name, type_of


def refusal(error: pytest.ExceptionInfo[SoftspokenError]) -> str:
    """The message, which is one line."""
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_papers_kinds_have_their_types_and_names() -> None:
    assert [type_of(category) for category in PAPER_CATEGORIES] == ["A"] * 3 + ["B"] * 4
    assert [type_name(category) for category in PAPER_CATEGORIES] == [
        *("Car", "Metro", "Traffic"),
        *("Babble", "AirportStation", "Cafe", "ACVacuum"),
    ]
    assert {type_name(spelling) for spelling in ("AC/Vacuum", "acvacuum", "AC", "ac-vacuum")} == {"ACVacuum"}
    assert (type_name("airplane_cabin"), type_of("airplane_cabin")) == ("AirplaneCabin", "other")
    assert type_of("keyboard") == "ood-office"


def test_a_manifest_is_read_by_split_and_filtered_by_kind(tmp_path) -> None:
    manifest = make_noise_folder(tmp_path)
    bank = read_noise(manifest, split="test")
    assert {clip.split for clip in bank.clips} == {"test"}
    assert len(bank) == 2 * len(PAPER_CATEGORIES)
    assert set(bank.of(types=["A"]).by_category) == {"car", "metro", "traffic"}
    assert {clip.category for clip in bank.of(categories=["cafe"]).clips} == {"cafe"}
    assert len(read_noise(manifest)) == 2 * len(bank)
    assert [clip.id for clip in read_noise(tmp_path, "test").clips] == [clip.id for clip in bank.clips]
    train = read_noise(manifest, "train")
    assert not {clip.id for clip in train.clips} & {clip.id for clip in bank.clips}


def test_a_plain_folder_has_its_folders_as_categories(tmp_path) -> None:
    for place in ("cafe/a.wav", "cafe/deep/b.flac", "kitchen/c.wav"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / place, hiss(1.0))
    (tmp_path / "README.txt").write_text("what this is")
    write_audio(tmp_path / "d.wav", hiss(1.5))
    bank = read_noise(tmp_path, split="ood")
    assert {clip.id: (clip.type, clip.category) for clip in bank.clips} == {
        "cafe/a.wav": ("B", "cafe"),
        "cafe/deep/b.flac": ("B", "cafe"),
        "kitchen/c.wav": ("other", "kitchen"),
        "d.wav": ("other", tmp_path.name),
    }
    assert {clip.split for clip in bank.clips} == {"ood"}
    assert bank.clip("d.wav").duration_s == pytest.approx(1.5)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_another_rate_is_resampled(tmp_path, rate_hz: int) -> None:
    at = np.arange(2 * rate_hz) / rate_hz
    soundfile.write(tmp_path / "tone.wav", np.stack([0.1 * np.sin(2 * np.pi * 1000 * at)] * 2, axis=1), rate_hz)
    bank = read_noise(tmp_path)
    audio = bank.audio(bank.clips[0])
    assert audio.size == pytest.approx(2 * SAMPLE_RATE_HZ, abs=2)
    assert np.abs(np.fft.rfft(audio[:SAMPLE_RATE_HZ])).argmax() == 1000


def test_sources_without_noise_are_refused(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings in") as error:
        read_noise(tmp_path / "empty")
    assert "put wav" in refusal(error)
    with pytest.raises(DataError, match="no manifest at"):
        read_noise(tmp_path / "gone.jsonl")
    with pytest.raises(DataError, match="no source of noise"):
        read_noise([])
    manifest = make_noise_folder(tmp_path / "noise", ("car",))
    with pytest.raises(DataError, match=r"no noise of split 'ood' \(it has: test, train\)"):
        read_noise(manifest, "ood")
    with pytest.raises(DataError, match="there are: A/car/test, A/car/train"):
        read_noise(manifest).of(types=["B"])
    with pytest.raises(DataError, match="the id"):
        read_noise([manifest, manifest])
    with pytest.raises(DataError, match="no noise recording 'other'"):
        read_noise(manifest).clip("other")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", ":1: not JSON"),
        ("[]", ":1: got list"),
        ('{"id": "a", "path": "x.wav", "duration_s": 1}', r":1: not a noise recording \(KeyError\('category'\)\)"),
        ('{"id": "a", "path": "x.wav", "category": "car", "duration_s": "long"}', "not a noise recording"),
        ('{"id": "a", "path": "x.wav", "category": "car", "duration_s": 1}', "no audio at"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line: str, said: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=said) as error:
        read_noise(tmp_path)
    refusal(error)


def test_recordings_that_cannot_be_added_are_refused(tmp_path) -> None:
    write_audio(tmp_path / "silent.wav", np.zeros(SAMPLE_RATE_HZ, np.float32))
    write_audio(tmp_path / "short.wav", hiss(0.05))
    bank = read_noise(tmp_path)
    with pytest.raises(AudioError, match=r"silent\.wav' is silent .* remove it") as error:
        bank.audio(bank.clip("silent.wav"))
    refusal(error)
    with pytest.raises(AudioError, match=r"short\.wav' is too short") as error:
        bank.audio(bank.clip("short.wav"))
    refusal(error)
    (tmp_path / "broken.wav").write_bytes(b"this is no sound at all")
    with pytest.raises(AudioError, match=r"broken\.wav' is not audio") as error:
        read_noise(tmp_path)
    refusal(error)


def test_a_long_recording_is_taken_as_it_is() -> None:
    noise = hiss(3.0)
    np.testing.assert_array_equal(stretch(noise, 0.5, 16_000), noise[8_000:24_000])
    np.testing.assert_array_equal(stretch(noise, 0.0, noise.size), noise)


@pytest.mark.parametrize("start_s", [0.0, 0.3, 0.97, 0.999])
def test_a_short_recording_goes_on_without_click_or_dip(start_s: float) -> None:
    at = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    # Not a whole number of periods: cut and pasted, it would jump by more than a period's own steepest step.
    tone = np.sin(2 * np.pi * 100.37 * at).astype(np.float32)
    looped = stretch(tone, start_s, 5 * SAMPLE_RATE_HZ)
    assert looped.size == 5 * SAMPLE_RATE_HZ
    assert np.abs(np.diff(looped)).max() < 3 * np.abs(np.diff(tone)).max()
    steady = stretch(hiss(1.0), start_s, 5 * SAMPLE_RATE_HZ)
    power = (steady[: steady.size // 800 * 800].reshape(-1, 800) ** 2).mean(axis=1)
    assert power.min() > 0.7 * 0.05**2
    assert power.max() < 1.4 * 0.05**2
    assert np.isfinite(stretch(hiss(0.1), 0.05, 100_000)).all()


def test_the_cache_holds_what_fits_and_drops_what_is_unused_longest() -> None:
    cache, loaded = AudioCache(limit_bytes=2 * 4000), []

    def get(name: str) -> None:
        cache.get(name, lambda: loaded.append(name) or np.zeros(1000, np.float32))

    for name in ("a", "b", "a", "c", "a", "b"):
        get(name)
    assert loaded == ["a", "b", "c", "b"]
    assert len(cache) == 2


def test_the_shared_noise_is_read(shared_data) -> None:
    bank = read_noise(shared_data / "noise" / "manifest.jsonl", "test")
    assert set(PAPER_CATEGORIES) <= set(bank.by_category)
    rows = [json.loads(line) for line in (shared_data / "noise" / "manifest.jsonl").read_text().splitlines()]
    assert all(type_of(row["category"]) == row["type"] for row in rows)
