import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_speech import write_speech

from softspoken.audio import load_audio
from softspoken.data.corpus import is_development_talker
from softspoken.data.levels import speech_frames, speech_power
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken_lab.testsets.mixtures import MixtureSpec, build_mixtures
from softspoken_lab.testsets.speech import read_talkers


def rows_of(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixtures")
    speech = write_speech(folder / "speech")
    return build_mixtures(speech, folder / "out", MixtureSpec(count=4, snr_db=(-5.0, 5.0), seed=5))


def test_achieved_snr_and_overlap_are_those_of_the_manifest(built: Path) -> None:
    pairs = [(a, b) for a, b in zip(rows_of(built), rows_of(built)[1:], strict=False) if "clean" in a and "clean" in b]
    assert len(pairs) == 4
    for one, other in pairs:
        a, b = (load_audio(built.parent / row["clean"]) for row in (one, other))
        assert 10 * np.log10(speech_power(a) / speech_power(b)) == pytest.approx(one["snr_db"], abs=0.05)
        assert other["snr_db"] == pytest.approx(-one["snr_db"], abs=1e-3)
        assert -5.0 <= one["snr_db"] <= 5.0
        speaks_a, speaks_b = speech_frames(a), speech_frames(b)
        overlap = (speaks_a & speaks_b).sum() / min(speaks_a.sum(), speaks_b.sum())
        assert overlap == pytest.approx(one["overlap"], abs=0.02)
        assert one["overlap"] >= 0.5
    assert len({round(one["snr_db"]) for one, _ in pairs}) > 1


def test_a_mixture_is_the_sum_of_its_talkers_and_does_not_clip(built: Path) -> None:
    rows = rows_of(built)
    for audio in {row["audio"] for row in rows}:
        tracks = [load_audio(built.parent / row["clean"]) for row in rows if row["audio"] == audio and "clean" in row]
        mixed = load_audio(built.parent / audio)
        assert len(tracks) == 2
        assert np.abs(mixed - sum(tracks)).max() < 1e-4
        assert 0.1 < np.abs(mixed).max() < 1.0


def test_enrolments_are_other_speech_of_the_target_and_silent_targets_are_not_in_the_mixture(built: Path) -> None:
    rows = rows_of(built)
    sources = {load_audio(path)[1600:8000].tobytes() for path in built.parent.parent.glob("speech/*.flac")}
    for row in rows:
        enrolment = load_audio(built.parent / row["enrolment"])
        assert enrolment[1600:8000].tobytes() in sources
        if row["tags"] == ["silent"]:
            assert row["text"] == ""
            assert row["target"] not in row["talkers"]
        else:
            assert row["target"] in row["talkers"]
            own = next(
                s["utterance"] for s, name in zip(row["sources"], row["talkers"], strict=True) if name == row["target"]
            )
            spoken = load_audio(built.parent.parent / "speech" / f"{own}.flac")
            assert enrolment[1600:8000].tobytes() != spoken[1600:8000].tobytes()
    assert sum(row["tags"] == ["silent"] for row in rows) == 4
    assert len(read_evaluation_manifest(built)) == 12


def test_same_seed_same_bytes_other_seed_other_mixtures(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech")
    spec = MixtureSpec(count=2, seed=1)
    build_mixtures(speech, tmp_path / "one", spec)
    build_mixtures(speech, tmp_path / "two", spec)
    build_mixtures(speech, tmp_path / "three", MixtureSpec(count=2, seed=2))
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 2 + 6 + 4 + 2
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    one, three = (tmp_path / name / "manifest.jsonl" for name in ("one", "three"))
    assert one.read_text() != three.read_text()


def test_three_talkers_are_all_targets(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech", talkers=4)
    rows = rows_of(build_mixtures(speech, tmp_path / "out", MixtureSpec(count=1, talkers=3)))
    assert [len(row["interferer"]) for row in rows] == [2, 2, 2, 3]
    # Equal levels: each against the sum of two others.
    assert rows[0]["snr_db"] == pytest.approx(-3.01, abs=0.01)


def test_the_sexes_of_a_pair_are_tags_where_they_are_known(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech", talkers=4)
    sexes = {"t0": "F", "t1": "F", "t2": "M", "t3": None}
    rows = [row | {"gender": sexes[row["speaker"]]} for row in rows_of(speech)]
    speech.write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = set()
    for row in rows_of(build_mixtures(speech, tmp_path / "out", MixtureSpec(count=6))):
        pair = {sexes[name.removeprefix("made:")] for name in row["talkers"]}
        assert row["tags"][1:] == ([] if None in pair else ["same-sex" if len(pair) == 1 else "both-sexes"])
        seen.add(tuple(row["tags"][1:]))
    assert seen == {(), ("same-sex",), ("both-sexes",)}


def test_nothing_is_left_behind_by_a_refusal(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech", talkers=2)
    with pytest.raises(DataError, match="2 usable"):
        build_mixtures(speech, tmp_path / "out", MixtureSpec(count=1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(DataError, match="not an empty folder"):
        build_mixtures(speech, tmp_path / "full", MixtureSpec(count=1, silent_per_mixture=0))
    (tmp_path / "speech" / "t0-0.flac").write_bytes(b"no audio")
    (tmp_path / "speech" / "t0-1.flac").write_bytes(b"no audio")
    (tmp_path / "speech" / "t0-2.flac").write_bytes(b"no audio")
    with pytest.raises(Exception, match="t0-"):
        build_mixtures(speech, tmp_path / "out", MixtureSpec(count=1, silent_per_mixture=0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "speech"]


def test_impossible_specs_and_bad_speech_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="snr_db"):
        MixtureSpec(snr_db=(5.0, -5.0))
    with pytest.raises(ConfigError, match="overlap"):
        MixtureSpec(overlap=(0.5, 1.5))
    with pytest.raises(DataError, match="no manifest at"):
        read_talkers(tmp_path / "none.jsonl", "test", (3.0, 12.0), 3.0)
    bad = tmp_path / "manifest.jsonl"
    bad.write_text('{"id": "x"}\n')
    with pytest.raises(DataError, match=r"manifest.jsonl:1: not an utterance"):
        read_talkers(bad, "test", (3.0, 12.0), 3.0)


def test_development_and_training_talkers_never_meet(shared_data: Path) -> None:
    manifest = shared_data / "speech" / "manifest.jsonl"
    train, development, test = (
        {talker.name for talker in read_talkers(manifest, split, (3.0, 12.0), 3.0)}
        for split in ("train", "development", "test")
    )
    assert not train & development
    assert not (train | development) & test
    assert all(is_development_talker(*name.split(":", 1)) for name in development)
    assert len(development) > 10


def test_long_recordings_are_cut_at_segments_and_enrol_each_other_only_when_there_is_no_other(tmp_path: Path) -> None:
    base = {"path": "x.flac", "split": "test", "corpus": "c", "text": "ALL"}
    segments = [{"start_s": 0.0, "end_s": 5.0, "text": "ONE"}, {"start_s": 5.0, "end_s": 9.5, "text": "TWO"}]
    rows = [
        base | {"id": "only", "speaker": "a", "duration_s": 9.5, "segments": segments},
        base | {"id": "b1", "speaker": "b", "duration_s": 9.5, "segments": segments},
        base | {"id": "b2", "speaker": "b", "duration_s": 4.0, "transcript_verified": False},
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    a, b = read_talkers(manifest, "test", (3.0, 12.0), 3.0)
    assert [clip.text for clip in a.clips] == ["ONE", "TWO"]
    assert [span.text for span in a.enrolment_candidates(a.clips[0])] == ["TWO"]
    # b has another recording: whole utterances, and the unverified one only enrols.
    assert [clip.utterance for clip in b.clips] == ["b1"]
    assert [span.utterance for span in b.enrolment_candidates(b.clips[0])] == ["b2"]


def test_words_are_where_they_are_heard(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech")
    rows = rows_of(speech)
    for row in rows:
        # Each word one burst of the made-up speech, which begin every half second.
        row["words"] = [[word.lower(), 0.5 * n, 0.5 * n + 0.4] for n, word in enumerate(row["text"].split())]
        if row["id"] == "t0-0":
            del row["words"][-1]
    speech.write_text("".join(json.dumps(row) + "\n" for row in rows))
    built = build_mixtures(speech, tmp_path / "out", MixtureSpec(count=6, overlap=(0.3, 0.9), seed=3))
    spoken = [row for row in rows_of(built) if row["tags"] == ["speaking"]]
    moved = unknown = 0
    for row in spoken:
        place = next(s for s, name in zip(row["sources"], row["talkers"], strict=True) if name == row["target"])
        # An alignment that is not word for word the text is not believed.
        assert ("words" in row) == (place["utterance"] != "t0-0")
        unknown += "words" not in row
        frames = speech_frames(load_audio(built.parent / row["clean"]))
        for word, start_s, end_s in row.get("words", []):
            assert word in row["text"].lower()
            assert frames[round(start_s * 50) : round(end_s * 50)].all()
            assert not frames[round(end_s * 50) + 1 : round(end_s * 50) + 4].any()
        moved += place["offset_s"] > 0
    assert moved
    assert 0 < unknown < len(spoken)
    items = {item.id: item for item in read_evaluation_manifest(built)}
    assert all(items[row["id"]].words == tuple(map(tuple, row.get("words", []))) for row in rows_of(built))


def test_a_clip_cut_out_of_a_recording_keeps_its_own_words(tmp_path: Path) -> None:
    segments = [{"start_s": 0.0, "end_s": 5.0, "text": "ONE TWO"}, {"start_s": 5.0, "end_s": 9.5, "text": "THREE"}]
    row = {"id": "a", "path": "x.flac", "split": "test", "corpus": "c", "speaker": "a", "text": "ONE TWO THREE"}
    words = [["one", 0.5, 1.0], ["two", 4.0, 5.1], ["three", 6.0, 7.0]]
    (tmp_path / "m.jsonl").write_text(json.dumps(row | {"duration_s": 9.5, "segments": segments, "words": words}))
    (talker,) = read_talkers(tmp_path / "m.jsonl", "test", (3.0, 12.0), 3.0)
    assert [[word for word, _, _ in clip.words] for clip in talker.clips] == [["one", "two"], ["three"]]
