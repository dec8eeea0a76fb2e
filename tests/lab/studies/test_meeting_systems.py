"""Systems that write conversations down: whose a word is, who is known, what is kept."""

import json
from pathlib import Path

import pytest

from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.stage_cache import StageCache
from softspoken_lab.corpora.references import RTTM, SEGLST
from softspoken_lab.measures.meetings import Said
from softspoken_lab.studies.meetings import Answer, MeetingSystems, given_to, read_meetings

TURNS = {"Speaker 1": [(0.0, 5.0), (10.0, 12.0)], "Speaker 2": [(4.0, 9.0)]}


def test_a_word_goes_to_the_voice_that_speaks_most_of_its_time() -> None:
    said = [Said("", 1.0, 2.0, "a"), Said("", 4.0, 6.0, "b"), Said("", 9.5, 9.9, "c"), Said("", 9.0, 9.2, "d")]
    assert [one.speaker for one in given_to(said, TURNS)] == ["Speaker 1", "Speaker 2", "Speaker 1", "Speaker 2"]
    assert given_to(said, {}) == said


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [
        {"session": "one", "audio": "one.flac", "enrolment": f"{name}.flac", "text": text, "target": name}
        for name, text in (("ada", "hello"), ("boris", "good evening"), ("carla", ""))
    ]
    for name in ("one", "ada", "boris", "carla"):
        (tmp_path / f"{name}.flac").write_bytes(name.encode())
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [{"session_id": "one", "speaker": "ada", "start_time": 0, "end_time": 1, "words": "hello"}]
    (tmp_path / SEGLST).write_text(json.dumps(said))
    (tmp_path / RTTM).write_text("SPEAKER one 1 0 1 <NA> <NA> ada <NA> <NA>\n")
    return tmp_path / "manifest.jsonl"


def test_who_is_known_and_who_is_not_there(manifest: Path) -> None:
    (meeting,) = read_meetings(manifest)
    assert [voice.name for voice in meeting.voices] == ["ada", "boris", "carla"]
    assert meeting.absent == ("carla",)
    (meeting,) = read_meetings(manifest, strangers=1)
    assert [voice.name for voice in meeting.voices] == ["ada", "carla"]


def test_a_manifest_of_something_else_is_refused(manifest: Path) -> None:
    manifest.write_text('{"audio": "one.flac", "enrolment": "ada.flac", "text": ""}\n')
    with pytest.raises(DataError, match="no voice of a conversation"):
        read_meetings(manifest)


def test_answers_are_kept_by_what_they_depend_on(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (meeting,) = read_meetings(manifest)
    made: list[str] = []

    def plain(self: MeetingSystems, asked: object) -> Answer:
        made.append("plain")
        return Answer(said=(Said("everybody", 0.0, 1.0, "hello"),))

    monkeypatch.setattr(MeetingSystems, "_plain_only", plain)
    systems = MeetingSystems(StageCache(manifest.parent / "kept", print), None)
    first = systems.answer("plain", meeting)
    assert systems.answer("plain", meeting) == first
    assert made == ["plain"]
    given = systems.answer(f"rttm:{manifest.parent / RTTM}", meeting)
    assert [one.speaker for one in given.said] == ["ada"]
    assert given.turns == {"ada": [(0.0, 1.0)]}
    assert made == ["plain"]
    MeetingSystems(StageCache(manifest.parent / "kept", print), None, greedy=True).answer("plain", meeting)
    assert made == ["plain", "plain"]
    with pytest.raises(ConfigError, match="no system 'magic'; choose ours"):
        systems.answer("magic", meeting)
