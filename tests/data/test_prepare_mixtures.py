"""Corpora of mixed speech, from small folders in their exact layouts: what is asked, with whose other speech."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mixture_folders import (
    make_ami,
    make_libricss,
    make_librimix,
    make_librispeech,
    make_librispeechmix,
    utterance_s,
)

from softspoken.audio import load_audio
from softspoken.data.mixture_corpus import MixtureOptions
from softspoken.data.prepare_mixtures import prepare_mixtures
from softspoken.errors import ConfigError, DataError, MissingExtra
from softspoken.evaluation.manifest import read_evaluation_manifest

Rows = list[dict]
MAKERS: dict[str, Callable[[Path], Path]] = {
    "librimix": make_librimix,
    "librispeechmix": make_librispeechmix,
    "libricss": make_libricss,
    "ami": make_ami,
}


def prepare(corpus: str, source: Path, out: Path, *only: str, **options: object) -> dict[str, Rows]:
    """The rows of every part, with absolute paths."""
    parts = {}
    for part in prepare_mixtures(corpus, source, out, only, MixtureOptions(**options)):  # type: ignore[arg-type]
        rows = [json.loads(line) for line in part.manifest.read_text().splitlines()]
        assert part.items == len(rows) > 0
        assert part.silent == sum(not row["text"] for row in rows)
        assert len({row["audio"] for row in rows}) == part.mixtures
        for row in rows:
            for key in ("audio", "clean"):
                if key in row:
                    row[key] = part.manifest.parent / row[key]
            names = row["enrolment"] if isinstance(row["enrolment"], list) else [row["enrolment"]]
            row["enrolment"] = [part.manifest.parent / name for name in names]
        parts[part.manifest.parent.name] = rows
    return parts


def by_id(rows: Rows) -> dict[str, dict]:
    return {row["id"]: row for row in rows}


def enrolled_with(row: dict) -> set[str]:
    return {clip["utterance"] for clip in row["enrolment_sources"]}


def sources_of(row: dict) -> set[str]:
    return {source["utterance"] for source in row["sources"]}


@pytest.fixture(scope="module")
def libri2mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libri2Mix, max alone, beside LibriSpeech."""
    root = tmp_path_factory.mktemp("storage")
    make_librimix(root)
    return root


@pytest.fixture(scope="module")
def at_8_khz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage8k")
    make_librimix(root, rate_hz=8000)
    return root


@pytest.fixture
def damaged(libri2mix: Path, tmp_path: Path) -> Path:
    """A copy of Libri2Mix and LibriSpeech to be damaged."""
    return Path(shutil.copytree(libri2mix, tmp_path / "storage"))


@pytest.fixture(scope="module")
def librimix(libri2mix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libri2Mix, max and min, and Libri3Mix, beside LibriSpeech."""
    root = Path(shutil.copytree(libri2mix, tmp_path_factory.mktemp("both") / "storage"))
    make_librimix(root, "min")
    make_librimix(root, talkers=3)
    return root


# LibriMix


def test_librimix_asks_for_every_talker_with_their_words_in_librispeech(librimix: Path, tmp_path) -> None:
    parts = prepare("librimix", librimix / "Libri2Mix", tmp_path)
    assert {name: {row["split"] for row in rows} for name, rows in parts.items()} == {
        "train-100": {"train"},
        "dev": {"development"},
        "test": {"test"},
    }
    rows = by_id(parts["test"])
    assert {name: (row["target"], row["text"]) for name, row in rows.items()} == {
        "61-7-0000_121-7-0003-0": ("librispeech_test-clean:61", "one one"),
        "61-7-0000_121-7-0003-1": ("librispeech_test-clean:121", "two four"),
        "237-7-0001_61-7-0002-0": ("librispeech_test-clean:237", "three two"),
        "237-7-0001_61-7-0002-1": ("librispeech_test-clean:61", "one three"),
    }
    one, other = (load_audio(rows[f"61-7-0000_121-7-0003-{number}"]["clean"]) for number in (0, 1))
    np.testing.assert_allclose(one + other, load_audio(rows["61-7-0000_121-7-0003-0"]["audio"]), atol=1e-4)
    assert not one[round(utterance_s(0) * 16_000) :].any()


def test_librimix_enrols_with_15_s_of_the_same_reader_that_are_not_in_the_mixture(librimix: Path, tmp_path) -> None:
    for rows in prepare("librimix", librimix / "Libri2Mix", tmp_path).values():
        for row in rows:
            speaker = row["target"].partition(":")[2]
            assert {name.partition("-")[0] for name in enrolled_with(row)} == {speaker}
            assert not enrolled_with(row) & sources_of(row)
            seconds = sum(soundfile.info(path).duration for path in row["enrolment"])
            assert seconds == sum(utterance_s(int(name[-1])) for name in enrolled_with(row))
            assert 15.0 <= seconds < 30.0


def test_librimix_is_read_by_evaluate_and_lists_files_where_it_trains(librimix: Path, tmp_path) -> None:
    parts = prepare("librimix", librimix / "Libri2Mix", tmp_path)
    for name in ("dev", "test"):
        items = read_evaluation_manifest(tmp_path / name / "manifest.jsonl")
        assert [item.id for item in items] == [row["id"] for row in parts[name]]
        assert all(item.clean is not None and not item.silent for item in items)
    assert sorted(path.name for path in (tmp_path / "train-100").iterdir()) == ["manifest.jsonl", "spec.json"]
    assert all("LibriSpeech/train-clean-100" in str(path) for row in parts["train-100"] for path in row["enrolment"])


def test_a_seed_fixes_enrolments(librimix: Path, tmp_path) -> None:
    def enrolments(name: str, seed: int) -> list[list[dict]]:
        rows = prepare("librimix", librimix / "Libri2Mix", tmp_path / name, "test", seed=seed)["test"]
        return [row["enrolment_sources"] for row in rows]

    first = enrolments("first", 4)
    assert enrolments("again", 4) == first
    assert enrolments("other", 5) != first
    manifests = [(tmp_path / name / "test" / "manifest.jsonl").read_bytes() for name in ("first", "again")]
    assert manifests[0] == manifests[1]
    assert json.loads((tmp_path / "first" / "test" / "spec.json").read_text())["seed"] == 4


def test_min_asks_only_for_talkers_who_are_heard_to_the_end(librimix: Path, tmp_path) -> None:
    (part,) = prepare_mixtures(
        "librimix", librimix / "Libri2Mix", tmp_path, ["test"], MixtureOptions(variant="min/mix_both")
    )
    items = read_evaluation_manifest(part.manifest)
    assert [item.text for item in items] == ["one one", "three two"]
    assert list(part.left_out.values()) == [2]
    assert {load_audio(item.audio).size for item in items} == {
        round(utterance_s(0) * 16_000),
        round(utterance_s(1) * 16_000),
    }
    assert all("min/test/mix_both" in str(item.audio) for item in items)


def test_libri3mix_has_three_targets_a_mixture(librimix: Path, tmp_path) -> None:
    rows = prepare("librimix", librimix / "Libri3Mix", tmp_path, "test", variant="max/mix_both")["test"]
    assert len(rows) == 6
    assert all(len(row["talkers"]) == 3 and len(row["interferer"]) == 2 for row in rows)
    assert {row["clean"].parent.name for row in rows} == {"s1", "s2", "s3"}


def test_silent_targets_are_somebody_else(librimix: Path, tmp_path) -> None:
    rows = prepare("librimix", librimix / "Libri2Mix", tmp_path, "test", silent_per_mixture=1)["test"]
    silent = [row for row in rows if not row["text"]]
    assert len(silent) == 2
    for row in silent:
        assert row["target"] not in row["talkers"]
        assert row["tags"] == ["silent"]
        assert "clean" not in row
    assert all(item.silent for item in read_evaluation_manifest(tmp_path / "test" / "manifest.jsonl")[2::3])


@pytest.mark.parametrize("place", ["", "Libri2Mix", "Libri2Mix/wav16k", "Libri2Mix/wav16k/max"])
def test_librimix_is_found_from_above_and_below(libri2mix: Path, tmp_path, place: str) -> None:
    assert len(prepare("librimix", libri2mix / place, tmp_path / "out", "test")["test"]) == 4


def test_two_librimixes_at_once_are_refused(librimix: Path, tmp_path) -> None:
    with pytest.raises(DataError, match=r"Libri2Mix/wav16k/max and .*Libri3Mix/wav16k/max; give one of them"):
        prepare("librimix", librimix, tmp_path)


@pytest.mark.parametrize("place", ["", "Libri2Mix", "Libri2Mix/wav8k", "Libri2Mix/wav8k/max"])
def test_8_khz_is_refused_and_why_is_said(at_8_khz: Path, tmp_path, place: str) -> None:
    with pytest.raises(DataError, match=r"LibriMix at 8 kHz alone; 16000 Hz are needed, .*'--freqs 16k'") as error:
        prepare("librimix", at_8_khz / place, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_8_khz_recordings_in_a_folder_of_that_name_are_refused(at_8_khz: Path, tmp_path) -> None:
    shutil.copytree(at_8_khz, tmp_path / "storage")
    (tmp_path / "storage" / "Libri2Mix" / "wav8k").rename(tmp_path / "storage" / "Libri2Mix" / "wav16k")
    with pytest.raises(DataError, match="has 8000 Hz, 16000 Hz are needed"):
        prepare("librimix", tmp_path / "storage" / "Libri2Mix", tmp_path / "out", "test")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda root: remove(root / "Libri2Mix/wav16k/max/metadata/mixture_test_mix_clean.csv"),
            "has recordings of 'test', but no 'metadata/mixture_test_mix_clean.csv'",
        ),
        (
            lambda root: remove(root / "Libri2Mix/wav16k/max/test/mix_clean/61-7-0000_121-7-0003.wav"),
            "LibriMix is not complete: no '.*mix_clean/61-7-0000_121-7-0003.wav'",
        ),
        (
            lambda root: remove(root / "Libri2Mix/wav16k/max/test/s2/61-7-0000_121-7-0003.wav"),
            "LibriMix is not complete: no '.*s2/61-7-0000_121-7-0003.wav'",
        ),
        (
            lambda root: remove(root / "LibriSpeech/test-clean/61/7/61-7.trans.txt"),
            "LibriSpeech's transcripts have no '61-7-0000'",
        ),
        (
            lambda root: [remove(path) for path in (root / "LibriSpeech/test-clean").rglob("*.trans.txt")],
            r"test-clean' has no transcripts \(\*.trans.txt\)",
        ),
        (lambda root: (root / "LibriSpeech").rename(root / "Elsewhere"), "no LibriSpeech at '.*give --librispeech"),
        (
            lambda root: soundfile.write(
                root / "Libri2Mix/wav16k/max/test/mix_clean/61-7-0000_121-7-0003.wav", np.zeros(800), 16_000
            ),
            r"has 800 samples, 'mixture_test_mix_clean.csv' says 60000; generate it again",
        ),
        (
            lambda root: (root / "Libri2Mix/wav16k/max/metadata/mixture_test_mix_clean.csv").write_text(
                "mixture_ID,mixture_path,source_1_path,length\n"
            ),
            "has no column 'source_2_path'",
        ),
    ],
)
def test_what_is_missing_of_librimix_is_named(
    damaged: Path, tmp_path, damage: Callable[[Path], object], said: str
) -> None:
    damage(damaged)
    with pytest.raises((DataError, ConfigError), match=said) as error:
        prepare("librimix", damaged / "Libri2Mix", tmp_path / "out", "test")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").glob("*")), "nothing is left of a part that failed"


def test_a_part_that_was_not_generated_is_refused(librimix: Path, tmp_path) -> None:
    with pytest.raises(DataError, match="has no part 'train-360'; it has: train-100, dev, test"):
        prepare("librimix", librimix / "Libri2Mix", tmp_path, "train-360")


def test_librispeech_may_lie_elsewhere(damaged: Path, tmp_path) -> None:
    (damaged / "LibriSpeech").rename(tmp_path / "speech")
    assert prepare("librimix", damaged / "Libri2Mix", tmp_path / "out", "dev", librispeech=tmp_path / "speech")


def test_too_little_other_speech_is_used_as_far_as_it_goes_and_none_is_left_out(damaged: Path, tmp_path) -> None:
    lists = damaged / "LibriSpeech" / "dev-clean"
    for speaker, kept in (("84", 2), ("174", 0)):
        file = lists / speaker / "7" / f"{speaker}-7.trans.txt"
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(lines[:kept] if kept else lines[3:4]))
    (part,) = prepare_mixtures("librimix", damaged / "Libri2Mix", tmp_path / "out", ["dev"])
    (item,) = read_evaluation_manifest(part.manifest)
    assert (item.text, soundfile.info(item.enrolment).duration) == ("one one", utterance_s(1))
    assert part.left_out == {"with under 3 s of other speech to enrol with": 1}


# LibriSpeechMix


@pytest.fixture(scope="module")
def librispeechmix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_librispeechmix(tmp_path_factory.mktemp("librispeechmix"))


def test_librispeechmix_enrols_with_its_own_profiles(librispeechmix: Path, tmp_path) -> None:
    parts = prepare("librispeechmix", librispeechmix, tmp_path, silent_per_mixture=2)
    assert {name: rows[0]["split"] for name, rows in parts.items()} == {
        "dev-clean-2mix": "development",
        "test-clean-2mix": "test",
    }
    one, other, silent = parts["test-clean-2mix"]
    assert [(row["target"], row["text"]) for row in (one, other, silent)] == [
        ("librispeech_test-clean:61", "one one"),
        ("librispeech_test-clean:121", "two two"),
        # The one profile whose reader is not in the mixture.
        ("librispeech_test-clean:237", ""),
    ]
    for row, speaker in ((one, "61"), (other, "121"), (silent, "237")):
        assert enrolled_with(row) == {f"{speaker}-7-0002", f"{speaker}-7-0005"}
        assert soundfile.info(row["enrolment"][0]).duration == utterance_s(2) + utterance_s(5)
    tracks = [load_audio(row["clean"]) for row in (one, other)]
    np.testing.assert_allclose(tracks[0] + tracks[1], load_audio(one["audio"]), atol=1e-4)
    assert not tracks[1][: int(1.23456 * 16_000)].any()
    assert len(read_evaluation_manifest(tmp_path / "test-clean-2mix" / "manifest.jsonl")) == 3


def test_lists_of_librispeechmix_with_other_profiles_are_chosen_by_name(librispeechmix: Path, tmp_path) -> None:
    rows = prepare("librispeechmix", librispeechmix, tmp_path, "test-clean-2mix-8prof-1utt")
    assert {len(row["enrolment_sources"]) for row in rows["test-clean-2mix-8prof-1utt"]} == {1}


def change_list(root: Path, **changes: object) -> None:
    path = root / "list" / "test-clean-2mix.jsonl"
    row = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in row.items() if value is not None}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda root: change_list(root, speaker_profile=None),
            "no 'speaker_profile'; use LibriSpeechMix's lists",
        ),
        (lambda root: change_list(root, texts=["ONE"]), "'texts' does not fit 'wavs'"),
        (
            lambda root: change_list(root, speaker_profile_index=[0, 1]),
            "profile 0 is not that of librispeech_test-clean:61",
        ),
        (lambda root: change_list(root, speaker_profile_index=[9, 1]), "'speaker_profile' does not fit 'wavs'"),
        (lambda root: remove(root / "data/test-clean-2mix/test-clean-2mix-0000.wav"), "LibriSpeechMix is not complete"),
        (
            lambda root: (root / "data").rename(root / "dada"),
            "has no folder 'data'; make the mixtures with its own run.sh",
        ),
        (lambda root: (root / "list").rename(root / "lost"), "has no folder 'list'"),
    ],
)
def test_what_is_wrong_with_librispeechmix_is_said(tmp_path, damage: Callable[[Path], object], said: str) -> None:
    damage(make_librispeechmix(tmp_path / "corpus"))
    with pytest.raises(DataError, match=said):
        prepare("librispeechmix", tmp_path / "corpus", tmp_path / "out", "test-clean-2mix")


# LibriCSS and AMI


@pytest.fixture(scope="module")
def libricss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_libricss(tmp_path_factory.mktemp("libricss"))


def test_libricss_asks_for_all_that_a_talker_says_in_a_segment(libricss: Path, tmp_path) -> None:
    parts = prepare("libricss", libricss, tmp_path)
    assert list(parts) == ["0S", "0L", "OV10", "OV20", "OV30", "OV40"]
    rows = by_id(parts["0S"])
    assert {name: row["text"] for name, row in rows.items()} == {
        "0S_session0-000-0": "two two",
        "0S_session0-000-1": "one one three three",
        "0S_session0-001-0": "four four six six",
        "0S_session0-001-1": "five five",
    }
    assert rows["0S_session0-000-0"]["target"] == "librispeech_test-clean:121"
    session = next((libricss / "for_release" / "0S").iterdir()) / "record" / "raw_recording.wav"
    first = soundfile.read(session, stop=12 * 16_000, dtype="float32")[0][:, 0]
    np.testing.assert_allclose(load_audio(rows["0S_session0-000-0"]["audio"]), first, atol=1e-4)
    assert {row["overlap"] for row in parts["0S"]} == {0.0}
    # Two turns of 3 s, one of them 0.5 s into the other: 0.5 of 8.5 s.
    assert max(row["overlap"] for row in parts["OV40"]) == pytest.approx(0.5 / 8.5, abs=0.01)


def test_libricss_enrols_from_other_sessions_with_other_words(libricss: Path, tmp_path) -> None:
    texts = {}
    for table in libricss.rglob("meeting_info.txt"):
        condition = table.parent.parent.parent.name
        for line in table.read_text().splitlines()[1:]:
            start_s, _, _, _, text = line.split("\t")
            texts[f"{condition}_session0", float(start_s)] = text.lower()
    for rows in prepare("libricss", libricss, tmp_path).values():
        for row in rows:
            assert not enrolled_with(row) & sources_of(row)
            inside = {
                text
                for (session, start_s), text in texts.items()
                if session in sources_of(row) and row["sources"][0]["start_s"] <= start_s < row["sources"][0]["end_s"]
            }
            assert inside
            assert not {texts[clip["utterance"], clip["start_s"]] for clip in row["enrolment_sources"]} & inside
            assert soundfile.info(row["enrolment"][0]).duration == pytest.approx(15.0)


def test_whole_sessions_are_one_channel(libricss: Path, tmp_path) -> None:
    array = prepare("libricss", libricss, tmp_path / "a", "OV40", variant="sdm/sessions")["OV40"]
    assert [row["id"] for row in array] == ["OV40_session0-0", "OV40_session0-1"]
    assert soundfile.info(array[0]["audio"]).channels == 1
    assert soundfile.info(array[0]["audio"]).duration == 25.0
    mixed = prepare("libricss", libricss, tmp_path / "b", "OV40", variant="ihm-mix/sessions")["OV40"]
    assert mixed[0]["audio"].parts[-2:] == ("clean", "mix.wav")


def test_libricss_is_refused_where_a_condition_is_missing(tmp_path) -> None:
    source = make_libricss(tmp_path / "corpus")
    (source / "for_release" / "OV20").rename(source / "OV20")
    with pytest.raises(DataError, match="has no 'OV20'; LibriCSS is read whole"):
        prepare("libricss", source, tmp_path / "out", "0S")
    (source / "OV20").rename(source / "for_release" / "OV20")
    remove(source / "for_release" / "all_res.json")
    with pytest.raises(DataError, match=r"LibriCSS is not complete: no '.*all_res.json'"):
        prepare("libricss", source, tmp_path / "out", "0S")


@pytest.mark.parametrize("mic", ["ihm-mix", "sdm"])
def test_ami_is_cut_where_nobody_speaks(tmp_path, mic: str) -> None:
    source = make_ami(tmp_path / "ami", mic)
    rows = by_id(prepare("ami", source, tmp_path / "out", "test", variant=f"{mic}/segments")["test"])
    assert len(rows) == 8
    one = rows["ES2004a-000-1"]
    assert (one["target"], one["text"]) == ("ami:MEE001", "OK oneAa OK twoAa OK threeAa")
    assert one["words"][:2] == [["OK", 0.1, 2.1], ["oneAa", 2.1, 4.1]]
    assert one["duration_s"] == pytest.approx(29.2)
    assert rows["ES2004a-001-0"]["overlap"] == pytest.approx(0.6, abs=0.01)
    assert {row["split"] for row in rows.values()} == {"test"}
    assert read_evaluation_manifest(tmp_path / "out" / "test" / "manifest.jsonl")[1].words


def test_ami_enrols_with_what_is_said_alone_elsewhere(tmp_path) -> None:
    source = make_ami(tmp_path / "ami")
    (dev, test) = prepare_mixtures("ami", source, tmp_path / "out")
    rows = [json.loads(line) for line in test.manifest.read_text().splitlines()]
    for row in rows:
        (stretch,) = row["sources"]
        for clip in row["enrolment_sources"]:
            same = clip["utterance"] == stretch["utterance"]
            assert not (same and clip["start_s"] < stretch["end_s"] and stretch["start_s"] < clip["end_s"])
            # The turns in which both speak begin at 33 s.
            assert clip["end_s"] <= 33
    # In their only meeting, two talkers have 12 s alone, all of them in its first stretch.
    assert dev.left_out["with under 3 s of other speech to enrol with"] == 2
    assert dev.split == "development"


def test_whole_meetings_are_the_corpus_s_own_files(tmp_path) -> None:
    source = make_ami(tmp_path / "ami")
    rows = prepare("ami", source, tmp_path / "out", "test", variant="ihm-mix/sessions")["test"]
    assert {row["audio"].name for row in rows} == {"ES2004a.Mix-Headset.wav", "ES2004b.Mix-Headset.wav"}
    assert all(enrolled_with(row) and not enrolled_with(row) & sources_of(row) for row in rows)


def test_what_is_missing_of_ami_is_named(tmp_path) -> None:
    source = make_ami(tmp_path / "ami")
    with pytest.raises(DataError, match=r"has no recordings '\*/audio/\*.Array1-01.wav'; get AMI's sdm"):
        prepare("ami", source, tmp_path / "out", variant="sdm/segments")
    with pytest.raises(DataError, match="has no part with recordings and words 'train'; it has: dev, test"):
        prepare("ami", source, tmp_path / "out", "train")
    notes = source / "ami_public_manual_1.6.2"
    notes.rename(source / "notes")
    with pytest.raises(DataError, match=r"AMI's annotations\); get ami_public_manual_1.6.2.zip"):
        prepare("ami", source, tmp_path / "out")
    (source / "ami_public_manual_1.6.2.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"unpack '.*1\.6\.2\.zip' into '.*ami_public_manual_1.6.2'"):
        prepare("ami", source, tmp_path / "out")


# All of them


@pytest.mark.parametrize("corpus", list(MAKERS))
def test_every_corpus_refuses_what_it_is_not(tmp_path, corpus: str) -> None:
    make_librispeech(tmp_path / "other", {"test-clean": ("61",)})
    with pytest.raises(DataError, match=f"is not a folder; unpack {corpus}"):
        prepare(corpus, tmp_path / "none", tmp_path / "out")
    with pytest.raises(DataError, match="has no") as error:
        prepare(corpus, tmp_path / "other", tmp_path / "out")
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match=f"{corpus} has no variant 'stereo'; choose one of: "):
        prepare(corpus, tmp_path / "other", tmp_path / "out", variant="stereo")


def test_a_part_that_is_there_is_not_written_again(libricss: Path, tmp_path) -> None:
    prepare("libricss", libricss, tmp_path, "0S")
    with pytest.raises(DataError, match=r"0S' is there already; remove it"):
        prepare("libricss", libricss, tmp_path, "0S")
    assert prepare("libricss", libricss, tmp_path, "0L")


def test_without_lhotse_its_extra_is_named(libricss: Path, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softspoken.data import layout

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(layout, "import_module", refuse)
    with pytest.raises(MissingExtra, match=r"preparing libricss needs the package 'lhotse'"):
        prepare("libricss", libricss, tmp_path)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="neither may be below 0"):
        MixtureOptions(silent_per_mixture=-1)
