"""`softspoken speaker`: what a user types, sees, and gets when something is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from voices import PitchEmbedder, voice

import softspoken.speakers
from softspoken.audio import write_wav
from softspoken.cli.speaker import app
from softspoken.errors import AudioError, ConfigError, EnrolmentError, SpeakerNotFound
from softspoken.speakers import EnrolmentStore


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOFTSPOKEN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(softspoken.speakers, "load_embedder", lambda reference: PitchEmbedder())
    write_wav(tmp_path / "anna.wav", voice(6, 300))
    write_wav(tmp_path / "bob.wav", voice(6, 1500))
    return tmp_path


def typed(*words: object) -> Result:
    """Run; an unexpected end is the test's own failure."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def listed() -> list[dict[str, object]]:
    voices: list[dict[str, object]] = json.loads(typed("list", "--json").stdout)
    return voices


def test_fetched_ahead_of_time(home: Path) -> None:
    assert typed("fetch").stdout == "pitch is ready: 8 dimensions\n"


def test_the_life_of_a_voice(home: Path) -> None:
    enrolled = typed("enrol", "Anna", home / "anna.wav", home / "anna.wav", "--from", 1, "--to", 5)
    assert enrolled.exit_code == 0
    assert enrolled.stdout == ""
    assert "enrolled 'Anna' from 8.0 s of speech in 2 clips" in enrolled.stderr
    typed("enrol", "Bob", home / "bob.wav")
    assert [row["name"] for row in listed()] == ["Anna", "Bob"]
    table = typed("list").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["NAME", "Anna", "Bob"]
    shown = json.loads(typed("show", "Anna", "--json").stdout)
    assert shown["dimension"] == 8
    assert len(shown["sources"]) == 2
    assert "1 s to 5 s" in typed("show", "Anna").stdout
    typed("rename", "Anna", "Hanna")
    typed("remove", "Bob", "Bob")
    assert [row["name"] for row in listed()] == ["Hanna"]


def test_export_and_import(home: Path) -> None:
    typed("enrol", "Anna", home / "anna.wav")
    typed("enrol", "Bob", home / "bob.wav")
    (home / "voices.json").write_text(typed("export").stdout, "utf-8")
    typed("import", home / "voices.json", "--store", home / "other.db")
    assert typed("export", "--store", home / "other.db").stdout == typed("export").stdout
    assert [one["name"] for one in json.loads(typed("export", "Bob").stdout)["voices"]] == ["Bob"]
    with pytest.raises(EnrolmentError, match="enrolled already"):
        typed("import", home / "voices.json")
    typed("import", home / "voices.json", "--replace")
    with pytest.raises(EnrolmentError, match="cannot read"):
        typed("import", home / "nowhere.json")


def test_two_voices_are_refused_or_said(home: Path) -> None:
    import numpy as np

    write_wav(home / "both.wav", np.concatenate([voice(9, 300), voice(5, 1500)]))
    with pytest.raises(EnrolmentError, match="accept the one"):
        typed("enrol", "both", home / "both.wav")
    result = typed("enrol", "both", home / "both.wav", "--accept-mixed")
    assert result.exit_code == 0
    assert "holds two voices" in result.stderr
    assert [row["name"] for row in listed()] == ["both"]


def test_what_cannot_be_enrolled_costs_no_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed("enrol", "Anna", home / "anna.wav")
    monkeypatch.setattr(softspoken.speakers, "load_embedder", None)
    with pytest.raises(AudioError, match="does not exist"):
        typed("enrol", "Bob", home / "nowhere.wav")
    with pytest.raises(EnrolmentError, match="enrolled already"):
        typed("enrol", "Anna", home / "bob.wav")


def test_all_voices_are_removed(home: Path) -> None:
    typed("enrol", "Anna", home / "anna.wav")
    typed("enrol", "Bob", home / "bob.wav")
    with pytest.raises(ConfigError, match="which voices"):
        typed("remove")
    with pytest.raises(SpeakerNotFound):
        typed("remove", "Anna", "Carl")
    assert len(listed()) == 2
    assert "'Anna', 'Bob'" in typed("remove", "--all").stderr
    assert listed() == []


def test_export_without_clips(home: Path) -> None:
    typed("enrol", "Anna", home / "anna.wav")
    for flags, kept in ((["--clips"], True), (["--no-clips"], False), ([], False)):
        (one,) = json.loads(typed("export", *flags).stdout)["voices"]
        assert (one["clip"] is not None) is kept


def test_voices_are_encrypted_on_request(home: Path) -> None:
    typed("enrol", "Anna", home / "anna.wav")
    before = typed("export", "--clips").stdout
    told = typed("encrypt", "--key", home / "key").stderr
    assert f"voices in {EnrolmentStore().path} (1) are encrypted; the key: file:{home / 'key'}" in told
    assert b"Anna" not in EnrolmentStore().path.read_bytes()
    assert typed("export", "--clips").stdout == before
    with pytest.raises(EnrolmentError, match="encrypted already"):
        typed("encrypt", "--key", home / "other")
    assert "readable again" in typed("decrypt").stderr
    assert b"Anna" in EnrolmentStore().path.read_bytes()


def test_no_voices_yet(home: Path) -> None:
    result = typed("list")
    assert result.stdout == ""
    assert "enrol one" in result.stderr
    assert listed() == []
    assert not (home / "home").exists()


def test_what_goes_wrong_leaves_no_trace(home: Path) -> None:
    write_wav(home / "short.wav", voice(1))
    with pytest.raises(EnrolmentError, match="expected at least 3 s"):
        typed("enrol", "Anna", home / "anna.wav", home / "short.wav")
    with pytest.raises(AudioError, match="does not exist"):
        typed("enrol", "Anna", home / "nowhere.wav")
    with pytest.raises(SpeakerNotFound):
        typed("remove", "Anna")
    assert listed() == []


def test_replace(home: Path) -> None:
    typed("enrol", "Anna", home / "anna.wav")
    with pytest.raises(EnrolmentError, match="--replace"):
        typed("enrol", "Anna", home / "bob.wav")
    typed("enrol", "Anna", home / "bob.wav", "--replace")
    assert "bob.wav" in str(listed()[0]["sources"])


def test_looking_at_voices_does_not_load_torch(home: Path) -> None:
    typed("enrol", "Anna", home / "anna.wav")
    code = (
        "import sys; from softspoken.cli.speaker import app; app(['list'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Anna" in result.stdout


@pytest.fixture
def talk(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of three voices, the first of whom is 'Anna'."""
    from told_talkers import PITCHES_HZ, Told, recording, turns

    truth = turns((0, 1, 8), (1, 6, 15), (2, 16, 22), (0, 21, 29), seconds=30, talkers=3)
    monkeypatch.setattr("softspoken.speakers.diarisation.load_segmentation", lambda: Told(truth))
    write_wav(home / "talk.wav", recording(truth))
    write_wav(home / "anna.wav", voice(6, PITCHES_HZ[0]))
    typed("enrol", "Anna", home / "anna.wav")
    return home / "talk.wav"


def test_voices_are_discovered_and_nobody_is_enrolled(talk: Path) -> None:
    before = listed()
    shown = typed("discover", talk).stdout.splitlines()
    assert [line.split("  ")[0] for line in shown] == ["VOICE", "Speaker 1", "Speaker 2", "Speaker 3"]
    assert "Anna (" in shown[1]
    assert "nobody" not in shown[1]
    assert not any("Anna" in line for line in shown[2:])
    rows = json.loads(typed("discover", talk, "--json", "--out", talk.parent / "clips").stdout)
    assert [row["known"] for row in rows] == [True, False, False]
    assert all(0 < row["alone_s"] < row["speaks_s"] for row in rows)
    assert sorted(path.name for path in (talk.parent / "clips").iterdir()) == [f"Speaker {n}.wav" for n in (1, 2, 3)]
    assert listed() == before


def test_a_discovered_voice_is_enrolled_by_its_owner_s_word(talk: Path) -> None:
    done = typed("discover", talk, "--enrol", "Speaker 2=carla")
    assert "enrolled 'carla' from" in done.stderr
    assert "alone from 8.1 to 15.0 s" in done.stderr
    assert [row["name"] for row in listed()] == ["Anna", "carla"]
    with pytest.raises(EnrolmentError, match="'Anna' is enrolled already"):
        typed("discover", talk, "--enrol", "Speaker 1=Anna")
    with pytest.raises(SpeakerNotFound, match=r"no 'Speaker 7' in .*; there are: Speaker 1, Speaker 2, Speaker 3"):
        typed("discover", talk, "--enrol", "Speaker 7=dora")
    with pytest.raises(ConfigError, match="give a voice of the recording and its name"):
        typed("discover", talk, "--enrol", "carla")


def test_no_clip_is_written_over_the_recording(home: Path) -> None:
    recording = (home / "anna.wav").rename(home / "Speaker 1.wav")
    before = recording.read_bytes()
    with pytest.raises(ConfigError, match="is one of the inputs"):
        typed("discover", recording, "--out", home)
    assert recording.read_bytes() == before
