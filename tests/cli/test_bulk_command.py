"""`softspoken bulk transcribe`: whose words, what is refused, and a small kill study with real workers."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from told_talkers import PITCHES_HZ, Told, recording, turns
from typer.testing import CliRunner
from voices import PitchEmbedder, voice
from whisper_files import tiny_model, write_ctranslate2

from softspoken.audio import write_wav
from softspoken.bulk import Item
from softspoken.cli.bulk_worker import Transcribing
from softspoken.cli.main import app
from softspoken.cli.wanted import Wanted
from softspoken.decoding import Conversation, DecodingOptions, Segment, Transcript
from softspoken.errors import AudioError, ConfigError, SpeakerNotFound
from softspoken.packages import CACHE_VARIABLE
from softspoken.speakers import Enrolment, EnrolmentStore, resolve_voice

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"
"""In which the study is."""


class Standin:
    """Follows voices, and writes who they are and how long the recording is."""

    embedder = PitchEmbedder()

    def __init__(self, store: EnrolmentStore) -> None:
        self.store = store

    def voice(self, speaker: str) -> Enrolment:
        return resolve_voice(speaker, self.store, self.embedder)

    def transcribe(self, audio: Any, speaker: Enrolment, options: object, **told: object) -> Transcript:
        from softspoken.audio import load_audio

        return Transcript((Segment(0.0, 1.0, speaker.name),), "en", len(load_audio(audio)) / 16_000, 1.0, speaker.name)

    def transcribe_conversation(self, audio: Any, voices: Any, options: object, **told: object) -> Conversation:
        return Conversation(tuple(self.transcribe(audio, one, options) for one in voices))


@pytest.fixture
def store(tmp_path: Path) -> EnrolmentStore:
    store = EnrolmentStore(tmp_path / "team.db")
    for name, pitch_hz in (("ada", 300), ("boris", 1500)):
        store.enrol(name, [voice(6, pitch_hz)], PitchEmbedder())
    return store


@pytest.fixture
def wanted(store: EnrolmentStore) -> Wanted:
    following: Any = Standin(store)
    return Wanted(following, [], DecodingOptions(), "known")


def test_a_recording_may_say_whose_words(wanted: Wanted, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", voice(4, 900))
    path = str(tmp_path / "a.wav")
    every = Transcribing(wanted, ("boris",))
    assert every(Item("a", path))["text"] == "boris"
    assert every(Item("a", path, ("ada",)))["text"] == "ada"
    assert [one["name"] for one in every(Item("a", path, ("ada", "boris")))["speakers"]] == ["ada", "boris"]
    with pytest.raises(SpeakerNotFound, match="no enrolled voice 'carla'"):
        every(Item("a", path, ("carla",)))
    with pytest.raises(ConfigError, match="2 voices are called 'ada'"):
        every(Item("a", path, ("ada", "ada")))


def test_a_part_a_url_and_what_is_not_there(wanted: Wanted, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", voice(4, 900))
    every, path = Transcribing(wanted, ("ada",)), str(tmp_path / "a.wav")
    assert every(Item("a", path, start_s=1.0, duration_s=2.0))["duration_s"] == 2.0
    assert every(Item("a", path, start_s=1.0))["duration_s"] == 3.0
    assert every(Item("a", f"file://{path}")) == every(Item("a", path))
    with pytest.raises(AudioError, match=r"'file:///nowhere.wav' cannot be fetched"):
        every(Item("a", "file:///nowhere.wav"))
    with pytest.raises(AudioError, match=r"'/nowhere.wav' does not exist"):
        every(Item("a", "/nowhere.wav"))
    (tmp_path / "b.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="'b' is empty"):
        every(Item("b", str(tmp_path / "b.wav")))


def test_known_voices_are_found_where_nobody_is_named(
    wanted: Wanted, store: EnrolmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = turns((1, 1, 8), (0, 9, 15), (1, 16, 22), (0, 23, 28), seconds=30, talkers=2)
    monkeypatch.setattr("softspoken.speakers.diarisation.load_segmentation", lambda: Told(truth))
    write_wav(tmp_path / "talk.wav", recording(truth))
    item = Item("talk", str(tmp_path / "talk.wav"))
    store.delete_all()
    assert Transcribing(wanted, ())(item)["segments"] == []
    store.enrol("eva", [voice(6, PITCHES_HZ[0])], PitchEmbedder())
    assert Transcribing(wanted, ())(item)["text"] == "eva"
    part = replace(item, start_s=0.0, duration_s=30.0)
    everyone = Transcribing(replace(wanted, everyone="all"), ())(part)["speakers"]
    assert [one["name"] for one in everyone] == ["eva", "Speaker 1"]


def refused(*words: str) -> Exception:
    result = CliRunner().invoke(app, ["bulk", "transcribe", *words])
    assert isinstance(result.exception, Exception), result.output
    return result.exception


def test_what_does_not_go_together(tmp_path: Path, store: EnrolmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSPOKEN_HOME", str(tmp_path / "mine"))
    (tmp_path / "in").mkdir()
    write_wav(tmp_path / "in" / "a.wav", voice(4, 900))
    given = [str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert "whose words? no voice is enrolled in" in str(refused(*given))
    assert "--plain follows no voice" in str(refused(*given, "--plain", "--speaker", "ada"))
    assert "--plain follows no voice" in str(refused(*given, "--plain", "--everyone"))
    assert "does not exist" in str(refused(*given, "--speakers", str(tmp_path / "none.db")))
    assert "no enrolled voice 'carla'" in str(refused(*given, "--speakers", str(store.path), "--speaker", "carla"))
    (tmp_path / "m.jsonl").write_text(json.dumps({"path": "in/a.wav", "speakers": "ada"}))
    assert "--plain follows no voice" in str(refused(str(tmp_path / "m.jsonl"), "--out", str(tmp_path), "--plain"))
    assert not (tmp_path / "out" / "job.json").exists()


@pytest.mark.timeout(600)
def test_a_small_kill_study(tmp_path: Path) -> None:
    """24 recordings, 10 of them bad, two kills of workers and one of the command; see `tools/bulk_kill_study.py`."""
    model, speech = write_ctranslate2(tiny_model(), tmp_path / "model"), tmp_path / "speech"
    speech.mkdir()
    write_wav(speech / "a.wav", voice(3, 300).astype(np.float32))
    command = [sys.executable, str(TOOLS / "bulk_kill_study.py"), "--speech", str(speech), "--backbone", str(model)]
    command += ["--files", "24", "--bad", "10", "--kills", "2", "--workers", "2", "--json", str(tmp_path / "report")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), CACHE_VARIABLE: str(tmp_path / "cache")}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=580)
    report = json.loads((tmp_path / "report").read_text())
    assert report["records"] == 24
    assert len(report["reasons"]) == 10
    assert len(report["killed"]["kills"]) == 3
    assert report["killed"]["runs"] == 2
    assert report["bytes as undisturbed"] == {"2": True}


@pytest.mark.parametrize("name", ["part-00000.jsonl", "failures.jsonl"])
def test_no_record_is_written_over_the_manifest(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"path": "a.wav"}\n')
    result = CliRunner().invoke(app, ["bulk", "transcribe", str(tmp_path / name), "--plain", "--out", str(tmp_path)])
    assert isinstance(result.exception, ConfigError), result.exception
    assert "is one of the inputs" in str(result.exception)
    assert (tmp_path / name).read_text() == '{"path": "a.wav"}\n'
