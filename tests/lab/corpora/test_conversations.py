"""Made conversations: the wanted overlap, nobody twice at once, references that say what is in the recording."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mixture_folders import make_ami
from prepared_mixtures import prepare
from voices import voice

from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_audio
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken_lab.corpora.conversations import ConversationSpec, make_conversations
from softspoken_lab.corpora.references import RTTM, SEGLST, STM, Said
from softspoken_lab.measures.meetings import read_rttm, read_seglst

TALKERS = 4


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four talkers with a minute of speech each, in utterances of 2 to 6 s."""
    folder = tmp_path_factory.mktemp("speech")
    rows = []
    for talker in range(TALKERS):
        for number in range(16):
            seconds = 2.0 + number % 5
            name = f"{talker}-{number:02d}"
            write_audio(folder / f"{name}.wav", voice(seconds, 300.0 * (talker + 1), seed=number))
            words = [[f"w{talker}x{number}y{k}", k * seconds / 4, (k + 1) * seconds / 4] for k in range(4)]
            rows.append(
                {"id": name, "path": f"{name}.wav", "split": "test", "corpus": "made", "speaker": str(talker)}
                | {"text": " ".join(word for word, _, _ in words), "duration_s": seconds, "words": words}
            )
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "manifest.jsonl"


SPEC = ConversationSpec(count=2, talkers=3, duration_s=60.0, overlap=0.2, seed=3)


@pytest.fixture(scope="module")
def made(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_conversations([speech], tmp_path_factory.mktemp("made") / "set", SPEC).manifest


def rows_of(manifest: Path) -> list[dict]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def test_a_conversation_is_as_long_and_as_dense_as_asked_for(made: Path) -> None:
    for row in rows_of(made):
        assert row["duration_s"] == pytest.approx(60, abs=20)
        assert row["overlap"] == pytest.approx(0.2, abs=0.08)
        assert len(row["talkers"]) == 3
    assert len(read_evaluation_manifest(made)) == 2 * (3 + 1)


def test_nobody_speaks_twice_at_once_or_is_enrolled_with_what_is_said(made: Path) -> None:
    for session, said in read_seglst(made.parent / SEGLST).items():
        for talker in {one.speaker for one in said}:
            own = sorted((one.start_s, one.end_s) for one in said if one.speaker == talker)
            assert all(before[1] <= after[0] for before, after in pairwise(own)), session
    for row in rows_of(made):
        spoken = {source["utterance"] for source in row["sources"]}
        assert not spoken & {clip["utterance"] for clip in row["enrolment_sources"]}
        assert (row["text"] == "") == (row["target"] not in row["talkers"])


def test_the_references_say_what_is_heard(made: Path) -> None:
    turns, said = read_rttm(made.parent / RTTM), read_seglst(made.parent / SEGLST)
    for row in rows_of(made):
        session = row["session"]
        assert sorted(turns[session]) == sorted(row["talkers"])
        own = [one for one in said[session] if one.speaker == row["target"]]
        assert " ".join(one.text for one in own) == row["text"]
        assert [word for word, _, _ in row.get("words", ())] == row["text"].split()
        for word, start_s, end_s in row.get("words", ()):
            assert any(word in one.text and one.start_s - 0.1 <= start_s < end_s <= one.end_s + 0.1 for one in own)
        audio = load_audio(made.parent / row["audio"])
        silent = np.ones(len(audio), bool)
        for spans in turns[session].values():
            for start_s, end_s in spans:
                silent[round((start_s - 0.1) * SAMPLE_RATE_HZ) : round((end_s + 0.1) * SAMPLE_RATE_HZ)] = False
        assert np.abs(audio[silent]).max(initial=0.0) < 0.01
    lines = (made.parent / STM).read_text().splitlines()
    assert len(lines) == sum(map(len, said.values()))


def test_the_same_spec_gives_the_same_bytes(speech: Path, made: Path, tmp_path: Path) -> None:
    again = make_conversations([speech], tmp_path / "set", SPEC).manifest
    for path in sorted(made.parent.rglob("*")):
        if path.is_file():
            assert (again.parent / path.relative_to(made.parent)).read_bytes() == path.read_bytes()


def test_impossible_conversations_are_refused(speech: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 to 6 talkers"):
        ConversationSpec(talkers=7)
    with pytest.raises(ConfigError, match="30 to 7200 s"):
        ConversationSpec(duration_s=5.0)
    with pytest.raises(DataError, match=r"4 talkers .* 6 are needed"):
        make_conversations([speech], tmp_path / "set", ConversationSpec(talkers=5, duration_s=60.0))


def test_speech_goes_on_over_short_gaps() -> None:
    words = (("a", 1.0, 1.4), ("b", 1.6, 2.0), ("c", 3.0, 3.5))
    assert Said("x", 0.9, 3.6, "a b c", words).speech == ((1.0, 2.0), (3.0, 3.5))
    assert Said("x", 0.9, 3.6, "a b c").speech == ((0.9, 3.6),)


def test_whole_meetings_of_a_corpus_have_references(tmp_path: Path) -> None:
    source = make_ami(tmp_path / "ami")
    prepare("ami", source, tmp_path / "out", "test", variant="ihm-mix/sessions")
    said = read_seglst(tmp_path / "out" / "test" / SEGLST)
    rows = rows_of(tmp_path / "out" / "test" / "manifest.jsonl")
    assert {row["session"] for row in rows} == set(said) == {"ES2004a", "ES2004b"}
    for row in rows:
        assert row["text"] == " ".join(one.text for one in said[row["session"]] if one.speaker == row["target"])
