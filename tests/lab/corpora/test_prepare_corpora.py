"""Manifests of public corpora, from small folders in their real layouts; what is missing is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from noise_folder import hiss
from voices import voice

from softspoken.audio import write_audio
from softspoken.data.manifest import read_manifest
from softspoken.errors import DataError, MissingExtra
from softspoken_lab.corpora import layout
from softspoken_lab.corpora.prepare import prepare_corpus
from softspoken_lab.noise.bank import read_noise
from softspoken_lab.noise.testsets import read_test_manifest


def put(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, hiss(seconds))
    return path


def librispeech(root: Path) -> Path:
    for part, speaker in (("train-clean-100", "103"), ("dev-clean", "84"), ("test-clean", "61")):
        chapter = root / "LibriSpeech" / part / speaker / "7"
        chapter.mkdir(parents=True)
        lines = []
        for number in range(2):
            name = f"{speaker}-7-000{number}"
            write_audio(chapter / f"{name}.flac", voice(1.0 + number))
            lines.append(f"{name} GOOD DAY {'ONE' if number else 'TWO'}\n")
        (chapter / f"{speaker}-7.trans.txt").write_text("".join(lines))
    return root


def musan(root: Path) -> Path:
    for place in ("noise/free-sound/noise-free-sound-0000", "noise/sound-bible/noise-sound-bible-0001"):
        put(root / "musan" / f"{place}.wav")
    put(root / "musan" / "speech" / "librivox" / "speech-librivox-0000.wav")
    return root


def wham(root: Path) -> Path:
    for part in ("tr", "cv", "tt"):
        path = root / "wham_noise" / part / f"01da030c_{part}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.stack([hiss(0.5), hiss(0.5, seed=1)], axis=1), 16_000)
    return root


ESC50 = (
    ("1-100032-A-0.wav", 1, "dog"),
    ("5-17367-A-36.wav", 5, "vacuum_cleaner"),
    ("2-1-A-32.wav", 2, "keyboard_typing"),
)


def esc50(root: Path) -> Path:
    lines = ["filename,fold,target,category,esc10,src_file,take\n"]
    for name, fold, category in ESC50:
        put(root / "ESC-50-master" / "audio" / name)
        lines.append(f"{name},{fold},0,{category},False,100032,A\n")
    (root / "ESC-50-master" / "meta").mkdir()
    (root / "ESC-50-master" / "meta" / "esc50.csv").write_text("".join(lines))
    return root


def fsd50k(root: Path) -> Path:
    truth = root / "FSD50K.ground_truth"
    truth.mkdir(parents=True)
    (truth / "dev.csv").write_text(
        "fname,labels,mids,split\n"
        '1,"Computer_keyboard,Typing,Domestic_sounds_and_home_sounds","/m/01m2v,/m/0316dw",train\n'
        '2,"Printer,Mechanisms","/m/01b82r,/t/dd00077",val\n'
        '3,"Speech,Typing,Human_voice","/m/09x0r,/m/0316dw",train\n'
        '4,"Bark,Dog","/m/05tny_,/m/0bt9lr",train\n'
    )
    (truth / "eval.csv").write_text('fname,labels,mids\n5,"Subway_and_metro_and_underground,Train","/m/0195fx"\n')
    for name in "1234":
        put(root / "FSD50K.dev_audio" / f"{name}.wav")
    put(root / "FSD50K.eval_audio" / "5.wav")
    return root


def demand(root: Path) -> Path:
    for environment in ("TCAR", "PCAFETER", "NPARK"):
        for channel in ("ch01", "ch02"):
            put(root / environment / f"{channel}.wav")
    return root


def folder(root: Path) -> Path:
    put(root / "office" / "fan.wav")
    put(root / "cafe" / "morning.flac")
    return root


LAYOUTS = {made.__name__: made for made in (librispeech, musan, wham, esc50, fsd50k, demand, folder)}


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[..., dict[str, dict]]:
    """Prepares a corpus made in its layout; the manifest's lines by id."""

    def prepare(corpus: str, *only: str, split: str | None = None) -> dict[str, dict]:
        source = tmp_path / corpus
        if not source.exists():
            LAYOUTS[corpus](source)
        done = prepare_corpus(corpus, source, tmp_path / "manifest.jsonl", only, split)  # type: ignore[arg-type]
        rows = [json.loads(line) for line in done.manifest.read_text().splitlines()]
        assert done.recordings == len(rows) == sum(done.splits.values())
        return {row["id"]: row for row in rows}

    return prepare


def kinds(rows: dict[str, dict]) -> dict[str, tuple[str, str, str]]:
    return {identity: (row["type"], row["category"], row["split"]) for identity, row in rows.items()}


def test_librispeech_becomes_a_speech_manifest(rows_of, tmp_path) -> None:
    rows = rows_of("librispeech")
    assert {(row["corpus"], row["split"]) for row in rows.values()} == {
        ("librispeech_train-clean-100", "train"),
        ("librispeech_dev-clean", "development"),
        ("librispeech_test-clean", "test"),
    }
    assert rows["61-7-0001"]["text"] == "GOOD DAY ONE"
    assert rows["61-7-0001"]["path"] == "librispeech/LibriSpeech/test-clean/61/7/61-7-0001.flac"
    assert [one.duration_s for one in read_manifest(tmp_path / "manifest.jsonl")] == [1.0, 2.0]
    test = read_test_manifest(tmp_path / "manifest.jsonl")
    assert [(one.id, one.speaker) for one in test] == [
        ("61-7-0000", "librispeech_test-clean:61"),
        ("61-7-0001", "librispeech_test-clean:61"),
    ]
    assert set(rows_of("librispeech", "dev-clean")) == {"84-7-0000", "84-7-0001"}


def test_musan_is_its_noise_unless_other_parts_are_asked_for(rows_of, tmp_path) -> None:
    rows = rows_of("musan")
    assert set(rows) == {"musan:noise-free-sound-0000", "musan:noise-sound-bible-0001"}
    assert {row["category"] for row in rows.values()} == {"noise"}
    assert len(read_noise(tmp_path / "manifest.jsonl")) == 2
    assert set(rows_of("musan", "speech")) == {"musan:speech-librivox-0000"}


def test_wham_keeps_its_division_and_is_read_as_one_channel(rows_of, tmp_path) -> None:
    assert kinds(rows_of("wham")) == {
        "wham:01da030c_tr": ("other", "wham", "train"),
        "wham:01da030c_cv": ("other", "wham", "development"),
        "wham:01da030c_tt": ("other", "wham", "test"),
    }
    bank = read_noise(tmp_path / "manifest.jsonl", "test")
    assert bank.audio(bank.clips[0]).shape == (8000,)
    assert set(rows_of("wham", "tt")) == {"wham:01da030c_tt"}


def test_esc50_is_divided_by_fold_and_chosen_by_category(rows_of) -> None:
    assert kinds(rows_of("esc50")) == {
        "esc50:1-100032-A-0": ("other", "dog", "train"),
        "esc50:5-17367-A-36": ("B", "ac_vacuum", "test"),
        "esc50:2-1-A-32": ("ood-office", "keyboard", "train"),
    }
    assert kinds(rows_of("esc50", "office", split="ood")) == {"esc50:2-1-A-32": ("ood-office", "keyboard", "ood")}


def test_fsd50k_is_chosen_by_label_and_speech_is_no_noise(rows_of) -> None:
    assert kinds(rows_of("fsd50k", "office")) == {
        "fsd50k:1": ("ood-office", "keyboard", "train"),
        "fsd50k:2": ("ood-office", "printer", "development"),
    }
    assert kinds(rows_of("fsd50k", "Subway_and_metro_and_underground")) == {"fsd50k:5": ("A", "metro", "test")}
    assert set(rows_of("fsd50k")) == {f"fsd50k:{number}" for number in range(1, 6)}


def test_demand_is_one_channel_of_each_environment(rows_of) -> None:
    assert kinds(rows_of("demand")) == {
        "demand:TCAR": ("A", "car", "train"),
        "demand:PCAFETER": ("B", "cafe", "train"),
        "demand:NPARK": ("other", "npark", "train"),
    }
    assert kinds(rows_of("demand", "TCAR", split="test")) == {"demand:TCAR": ("A", "car", "test")}


def test_a_folder_of_noise_is_taken_by_its_folders(rows_of, tmp_path) -> None:
    rows = rows_of("folder", split="ood")
    assert kinds(rows) == {
        "folder:cafe/morning.flac": ("B", "cafe", "ood"),
        "folder:office/fan.wav": ("ood-office", "office", "ood"),
    }
    assert {row["duration_s"] for row in rows.values()} == {0.5}


def test_paths_elsewhere_are_absolute(tmp_path) -> None:
    source = folder(tmp_path / "noise")
    done = prepare_corpus("folder", source, tmp_path / "lists" / "manifest.jsonl")
    assert all(Path(clip.path).is_absolute() for clip in read_noise(done.manifest).clips)


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ("librispeech", "has no LibriSpeech subset"),
        ("musan", "has no folder 'noise'"),
        ("wham", "has no folder tr, cv or tt"),
        ("esc50", "has no meta/esc50.csv"),
        ("fsd50k", r"has no folder 'FSD50K\.ground_truth'"),
        ("demand", r"has no folder with a ch01\.wav"),
        ("folder", "no recordings in"),
    ],
)
def test_another_folder_is_refused_in_one_line(tmp_path, corpus, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=said) as error:
        prepare_corpus(corpus, tmp_path / "empty", tmp_path / "manifest.jsonl")
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="is not a folder; unpack"):
        prepare_corpus(corpus, tmp_path / "gone", tmp_path / "manifest.jsonl")
    assert not (tmp_path / "manifest.jsonl").exists()


@pytest.mark.parametrize(
    ("corpus", "gone", "said"),
    [
        (
            "librispeech",
            "LibriSpeech/test-clean/61/7/61-7-0001.flac",
            "LibriSpeech is not complete: no '.*61-7-0001.flac'",
        ),
        ("librispeech", "LibriSpeech/test-clean/61/7/61-7.trans.txt", r"test-clean' has no transcripts"),
        ("wham", "wham_noise/cv/01da030c_cv.wav", "has no part 'cv'; it has: tr, tt"),
        ("esc50", "ESC-50-master/audio/2-1-A-32.wav", "ESC-50 is not complete"),
        ("fsd50k", "FSD50K.dev_audio/2.wav", "FSD50K is not complete: no '.*2.wav'"),
    ],
)
def test_an_incomplete_corpus_names_what_is_missing(tmp_path, corpus, gone: str, said: str) -> None:
    source = LAYOUTS[corpus](tmp_path / corpus)
    (source / gone).unlink()
    with pytest.raises(DataError, match=said):
        prepare_corpus(corpus, source, tmp_path / "manifest.jsonl")


@pytest.mark.parametrize(
    ("corpus", "only", "said"),
    [
        (
            "librispeech",
            "train-clean-360",
            "no subset 'train-clean-360'; it has: train-clean-100, dev-clean, test-clean",
        ),
        ("musan", "jazz", "no part 'jazz'; it has: noise, speech"),
        ("esc50", "cat", "no category 'cat'; it has: dog"),
        ("fsd50k", "Meow", "no label 'Meow'"),
        ("demand", "TBUS", "no environment 'TBUS'; it has: NPARK, PCAFETER, TCAR"),
        ("folder", "attic", "no category 'attic'; it has: cafe, office"),
    ],
)
def test_a_part_that_is_not_there_is_refused(tmp_path, corpus, only: str, said: str) -> None:
    source = LAYOUTS[corpus](tmp_path / corpus)
    with pytest.raises(DataError, match=said):
        prepare_corpus(corpus, source, tmp_path / "manifest.jsonl", [only])


def test_damaged_recordings_and_lists_are_one_line(tmp_path) -> None:
    source = librispeech(tmp_path / "speech")
    (source / "LibriSpeech/test-clean/61/7/61-7-0001.flac").write_bytes(b"not audio")
    with pytest.raises(DataError, match=r"LibriSpeech' cannot be read .*unpack it again") as error:
        prepare_corpus("librispeech", source, tmp_path / "manifest.jsonl")
    assert "\n" not in str(error.value)
    source = esc50(tmp_path / "esc")
    (source / "ESC-50-master" / "meta" / "esc50.csv").write_text("filename,category\na.wav,dog\n")
    with pytest.raises(DataError, match="has no column 'fold'"):
        prepare_corpus("esc50", source, tmp_path / "manifest.jsonl")


def test_without_lhotse_the_extra_is_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(layout, "import_module", refuse)
    with pytest.raises(
        MissingExtra, match=r"preparing musan needs the package 'lhotse': pip install 'softspoken\[lab\]'"
    ):
        prepare_corpus("musan", musan(tmp_path / "musan"), tmp_path / "manifest.jsonl")
    assert prepare_corpus("demand", demand(tmp_path / "demand"), tmp_path / "manifest.jsonl").recordings == 3
