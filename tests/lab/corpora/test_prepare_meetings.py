"""LibriCSS and AMI, from small folders in their exact layouts: what is asked, with whose other speech."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mixture_folders import make_ami, make_libricss
from prepared_mixtures import by_id, enrolled_with, prepare, remove, sources_of

from softspoken.audio import load_audio
from softspoken.errors import DataError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken_lab.corpora.prepare_mixtures import prepare_mixtures


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
