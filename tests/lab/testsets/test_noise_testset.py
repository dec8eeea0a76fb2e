"""The noisy test set: written whole, named as published, made again bit by bit; the published one read by its names."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from noise_folder import make_noise_folder
from speech_folder import make_speech_folder

from softspoken.audio import load_audio, write_audio, write_wav
from softspoken.data.corpus import is_development_talker
from softspoken.errors import AudioError, ConfigError, DataError
from softspoken_lab.noise.bank import NoiseBank, read_noise
from softspoken_lab.noise.corruption import Corruption, apply_corruption
from softspoken_lab.noise.testsets import TestUtterance, parse_noisy_name, read_noisy_testset, read_test_manifest
from softspoken_lab.testsets.noisy import NoisyTestSpec, write_noisy_testset

SMALL = NoisyTestSpec(per_condition=4, snr_db=(0.0, 10.0, 20.0), categories=("car", "babble", "ac_vacuum"), seed=3)


def make_speech(folder: Path, talkers: int = 3, utterances: int = 3) -> Path:
    manifest = make_speech_folder(folder, talkers, utterances, seconds=1.2)
    manifest.write_text(manifest.read_text().replace('"train"', '"test"'))
    return manifest


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> list[TestUtterance]:
    return read_test_manifest(make_speech(tmp_path_factory.mktemp("speech")))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> NoiseBank:
    return read_noise(make_noise_folder(tmp_path_factory.mktemp("noise"), seconds=2.0), "test")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, speech: list[TestUtterance], bank: NoiseBank) -> Path:
    return write_noisy_testset(speech, bank, tmp_path_factory.mktemp("sets") / "noisy", SMALL)


def rows_of(manifest: Path) -> list[dict]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def test_every_condition_has_its_utterances_and_published_names(written: Path, bank: NoiseBank) -> None:
    utterances = read_noisy_testset(written.parent)
    assert len(utterances) == 3 * 3 * 4 == len(list(written.parent.glob("*.wav")))
    conditions = Counter((one.noise_type, one.snr_db) for one in utterances)
    assert conditions == {(kind, snr): 4 for kind in ("Car", "Babble", "ACVacuum") for snr in (0.0, 10.0, 20.0)}
    for one in utterances:
        assert one.path.name == f"{one.source_id}_{one.noise_type}_{one.snr_db:g}db.wav"
        assert parse_noisy_name(one.path.name) == (one.source_id, one.noise_type, one.snr_db)
        assert one.text in ("ONE TWO", "THREE FOUR", "FIVE SIX")
        assert bank.clip(str(one.noise_id)).split == "test"
    paper = NoisyTestSpec()
    assert len(paper.categories) * len(paper.levels) * paper.per_condition == 4200


def test_all_kinds_disturb_the_same_utterances_and_speakers_take_turns(written: Path) -> None:
    utterances = read_noisy_testset(written.parent)
    for snr_db in (0.0, 10.0, 20.0):
        chosen = [
            {o.source_id for o in utterances if (o.noise_type, o.snr_db) == (kind, snr_db)}
            for kind in ("Car", "Babble")
        ]
        assert chosen[0] == chosen[1]
    assert len({one.source_id for one in utterances}) == 9
    assert set(Counter(one.speaker for one in utterances).values()) == {12}
    # Both recordings of every kind are in use.
    assert all(n == 6 for n in Counter(one.noise_id for one in utterances).values())


def test_the_level_is_the_one_in_the_name(written: Path, speech: list[TestUtterance]) -> None:
    clean = {one.id: one for one in speech}
    for row in rows_of(written):
        spoken = load_audio(clean[row["source_id"]].path).astype(np.float64) * row["gain"]
        added = load_audio(written.parent / row["path"]).astype(np.float64) - spoken
        powers = np.array([(spoken[i : i + 320] ** 2).mean() for i in range(0, spoken.size - 319, 320)])
        active = powers[powers >= powers.max() / 1000].mean()
        assert 10 * np.log10(active / (added**2).mean()) == pytest.approx(row["snr_db"], abs=0.05)


def test_the_manifest_makes_every_file_again(
    tmp_path, written: Path, speech: list[TestUtterance], bank: NoiseBank
) -> None:
    clean = {one.id: one for one in speech}
    fresh = NoiseBank(bank.clips)
    for row in rows_of(written)[::5]:
        corruption = Corruption(row["noise_id"], row["start_s"], row["snr_db"])
        spoken = load_audio(clean[row["source_id"]].path)
        write_wav(tmp_path / "again.wav", apply_corruption(spoken, corruption, fresh))
        assert (tmp_path / "again.wav").read_bytes() == (written.parent / row["path"]).read_bytes()


def test_the_same_seed_writes_the_same_bytes(
    tmp_path, written: Path, speech: list[TestUtterance], bank: NoiseBank
) -> None:
    again = write_noisy_testset(speech[::-1], bank, tmp_path / "again", SMALL)
    assert again.read_bytes() == written.read_bytes()
    for file in written.parent.glob("*.wav"):
        assert (again.parent / file.name).read_bytes() == file.read_bytes()


def test_other_noise_has_each_category_as_a_kind_at_drawn_levels(tmp_path, speech: list[TestUtterance]) -> None:
    office = read_noise(make_noise_folder(tmp_path / "noise", ("keyboard", "paper"), seconds=1.0), "test")
    spec = NoisyTestSpec(per_condition=9, draw="uniform", categories=())
    told = []
    manifest = write_noisy_testset(speech, office, tmp_path / "ood", spec, lambda *done: told.append(done))
    utterances = read_noisy_testset(manifest.parent)
    assert Counter(one.noise_type for one in utterances) == {"Keyboard": 9, "Paper": 9}
    levels = [one.snr_db for one in utterances]
    assert 0 <= min(levels) < 7 < 13 < max(levels) <= 20
    assert all(round(level, 1) == level for level in levels)
    assert all(parse_noisy_name(one.path.name).snr_db == one.snr_db for one in utterances)
    assert told[-1] == (18, 18)


def test_what_cannot_be_written_leaves_nothing(tmp_path, speech: list[TestUtterance], bank: NoiseBank) -> None:
    out = tmp_path / "set"
    for spec, said in (
        (NoisyTestSpec(per_condition=10), "there are 9; ask for 9 at most"),
        (NoisyTestSpec(per_condition=1, categories=("car", "rocket")), "no noise for rocket; the noise has: ac_vacuum"),
    ):
        with pytest.raises(DataError, match=said):
            write_noisy_testset(speech, bank, out, spec)
    write_audio(tmp_path / "silent.flac", np.zeros(16_000, np.float32))
    silent = [*speech[:1], TestUtterance("silent", tmp_path / "silent.flac", "NOTHING", "made:s9")]
    with pytest.raises(AudioError, match=r"silent\.flac' with noise 'made:.*speech is silent"):
        write_noisy_testset(silent, bank, out, NoisyTestSpec(per_condition=2))
    assert [path.name for path in tmp_path.iterdir()] == ["silent.flac"]
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    with pytest.raises(DataError, match="not an empty folder"):
        write_noisy_testset(speech, bank, out, SMALL)
    for bad in ({"per_condition": 0}, {"snr_db": ()}, {"snr_db": (5.0, 5.0)}):
        with pytest.raises(ConfigError):
            NoisyTestSpec(**bad)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("61-70968-0000_Babble_5db.wav", ("61-70968-0000", "Babble", 5.0)),
        ("1089-134686-0003_AirportStation_20dB.wav", ("1089-134686-0003", "AirportStation", 20.0)),
        ("1089-134686-0003_AC_Vacuum_0db.wav", ("1089-134686-0003", "ACVacuum", 0.0)),
        ("1089-134686-0003_AC_-5db.wav", ("1089-134686-0003", "ACVacuum", -5.0)),
        ("0_jackson_3_Cafe_12.5db.wav", ("0_jackson_3", "Cafe", 12.5)),
        ("61-70968-0000.wav", None),
        ("61-70968-0000_Babble.wav", None),
    ],
)
def test_published_names_say_what_is_in_the_file(name: str, parts: tuple | None) -> None:
    assert parse_noisy_name(name) == parts


def test_the_published_set_is_read_with_librispeech_transcripts(tmp_path) -> None:
    chapter = tmp_path / "LibriSpeech" / "test-clean" / "61" / "70968"
    chapter.mkdir(parents=True)
    (chapter / "61-70968.trans.txt").write_text("61-70968-0000 HE BEGAN A CONFUSED COMPLAINT\n61-70968-0001 GIVE NOT\n")
    folder = tmp_path / "Noisy"
    folder.mkdir()
    for name in ("61-70968-0000_Babble_5db.wav", "61-70968-0001_Car_20db.wav"):
        write_audio(folder / name, np.full(16_000, 0.1, np.float32))
    first, second = read_noisy_testset(folder, tmp_path / "LibriSpeech")
    assert (first.text, first.speaker, first.noise_type, first.noise_id, first.snr_db, first.source_id) == (
        *("HE BEGAN A CONFUSED COMPLAINT", "61", "Babble", None, 5.0, "61-70968-0000"),
    )
    assert second.text == "GIVE NOT"
    with pytest.raises(DataError, match="give the LibriSpeech folder"):
        read_noisy_testset(folder)
    with pytest.raises(DataError, match=r"no \*\.trans\.txt"):
        read_noisy_testset(folder, folder)
    write_audio(folder / "62-1-0000_Babble_5db.wav", np.full(16_000, 0.1, np.float32))
    with pytest.raises(DataError, match="no transcript of '62-1-0000'"):
        read_noisy_testset(folder, chapter)
    with pytest.raises(DataError, match="neither a manifest"):
        read_noisy_testset(chapter)


def test_a_file_that_is_gone_is_named(tmp_path, speech: list[TestUtterance], bank: NoiseBank) -> None:
    manifest = write_noisy_testset(speech, bank, tmp_path / "set", NoisyTestSpec(per_condition=1))
    first = rows_of(manifest)[0]["path"]
    (manifest.parent / first).unlink()
    with pytest.raises(DataError, match=r"manifest\.jsonl:1: no audio at"):
        read_noisy_testset(manifest.parent)


def test_clean_sets_come_by_split_and_corpus(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path, talkers=40, utterances=1, seconds=0.2)
    rows = rows_of(manifest)
    rows[0] |= {"split": "test"}
    rows[1] |= {"split": "test", "corpus": "other"}
    rows[2] |= {"split": "test", "transcript_verified": False}
    rows[3] |= {"split": "test", "text": None}
    rows[4] |= {"split": "development"}
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    test = read_test_manifest(manifest)
    assert [(one.id, one.speaker, one.noise_type) for one in test] == [
        ("s0-0", "made:s0", None),
        ("s1-0", "other:s1", None),
    ]
    assert [one.id for one in read_test_manifest(manifest, corpora=["other"])] == ["s1-0"]
    train, development = (read_test_manifest(manifest, split) for split in ("train", "development"))
    assert not {one.speaker for one in train} & {one.speaker for one in development}
    assert len(train) + len(development) == 36
    held_back = [one for one in development if one.id != "s4-0"]
    assert len(held_back) == len(development) - 1
    assert held_back
    assert all(is_development_talker(*one.speaker.split(":")) for one in held_back)
    with pytest.raises(DataError, match="no utterance of split 'test' of gone; it has: development of made, test of"):
        read_test_manifest(manifest, corpora=["gone"])
