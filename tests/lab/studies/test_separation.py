"""Separation first: a command that separates, the source that is chosen, and what goes wrong with commands."""

import shlex
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from voices import PitchEmbedder, voice

from softspoken.audio import write_audio
from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import ConfigError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken_lab.studies.separation import (
    SeparationOptions,
    nearest_source,
    separate,
    separated,
    separation_named,
)

LOW, HIGH, OTHER = 200.0, 1200.0, 700.0
SEPARATOR = """
import sys
import numpy as np, soundfile
mixture, folder = sys.argv[1], sys.argv[2]
audio, rate = soundfile.read(mixture)
spectrum = np.fft.rfft(audio)
hertz = np.fft.rfftfreq(len(audio), 1 / rate)
for name, keep in (("1.wav", hertz > 800), ("0.flac", hertz <= 800), ("2.wav", hertz < 0)):
    soundfile.write(folder + "/" + name, np.fft.irfft(spectrum * keep, len(audio)), rate)
open(sys.argv[3], "a").write("ran\\n")
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go, to see that none stays."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def separator(tmp_path: Path) -> str:
    """Splits at 800 Hz into two sources and a silent one, and notes that it ran."""
    script = tmp_path / "my separator.py"
    script.write_text(SEPARATOR)
    return shlex.join([sys.executable, str(script), "{mixture}", "{folder}", str(tmp_path / "runs")])


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code, "{mixture}", "{folder}"])


def mixture() -> np.ndarray:
    return voice(2.0, LOW, seed=1) + voice(2.0, HIGH, seed=2)


def test_sources_come_in_order_and_silent_ones_are_left_out(separator: str, scratch: Path) -> None:
    low, high = separate(mixture(), SeparationOptions(separator))
    for source, pitch in ((low, LOW), (high, HIGH)):
        spectrum = np.abs(np.fft.rfft(source))
        assert np.fft.rfftfreq(len(source), 1 / 16_000)[spectrum.argmax()] == pytest.approx(pitch, abs=10)
    assert list(scratch.iterdir()) == []


def test_the_source_nearest_to_the_enrolment_is_taken_if_near_enough() -> None:
    embedder = PitchEmbedder()
    sources = [voice(2.0, LOW, seed=1), voice(2.0, HIGH, seed=2)]
    assert nearest_source(sources, voice(3.0, HIGH, seed=3), embedder, 0.7) is sources[1]
    assert nearest_source(sources, voice(3.0, LOW, seed=4), embedder, 0.7) is sources[0]
    assert nearest_source(sources, voice(3.0, 5 * HIGH, seed=5), embedder, 0.9) is None
    assert nearest_source([], voice(3.0, LOW), embedder, -1.0) is None


def test_each_target_gets_its_source_and_a_silent_one_nothing(tmp_path: Path, separator: str) -> None:
    write_audio(tmp_path / "mixture.flac", mixture())
    items = []
    for name, pitch in (("low", LOW), ("high", HIGH), ("nobody", OTHER)):
        write_audio(tmp_path / f"{name}.flac", voice(3.0, pitch, seed=9))
        items.append(EvaluationItem(name, tmp_path / "mixture.flac", tmp_path / f"{name}.flac", ""))

    def pitch_of(audio: np.ndarray) -> Transcript:
        hertz = np.fft.rfftfreq(len(audio), 1 / 16_000)[np.abs(np.fft.rfft(audio)).argmax()]
        return Transcript((Segment(0.0, 1.0, f"{hertz:.0f}"),))

    method = separated(PitchEmbedder(), pitch_of, SeparationOptions(separator, threshold=0.9), "mine")
    assert [method.transcribe(item).text for item in items] == ["200", "1200", ""]
    # All three are about one recording.
    assert (tmp_path / "runs").read_text().count("ran") == 1


def test_names_give_command_and_threshold() -> None:
    command = "sep {mixture} {folder}"
    assert separation_named("cascade") is None
    assert separation_named(f"separate:{command}") == SeparationOptions(command)
    assert separation_named(f"separate:0.5:{command}") == SeparationOptions(command, threshold=0.5)
    with_colon = "sep --model a:b {mixture} {folder}"
    assert separation_named(f"separate:{with_colon}") == SeparationOptions(with_colon)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("separate", "needs a command"),
        ("separate:sep {folder}", "no {mixture}"),
        ("separate:sep {mixture}", "no {folder}"),
        ("separate:sep '{mixture} {folder}", "quoted"),
        ("separate:7:sep {mixture} {folder}", "between -1 and 1"),
    ],
)
def test_a_command_that_cannot_be_one_is_refused_before_it_runs(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        separation_named(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-separator {mixture} {folder}", "cannot run"),
        (python("import sys; print('loading'); sys.exit('no weights here')"), "code 1 .'no weights here'"),
        (python("print('no weights here'); exit(1)"), "code 1 .'no weights here'"),
        (python("pass"), "wrote no WAV or FLAC"),
        (python("import sys; open(sys.argv[2] + '/notes.txt', 'w').write('x')"), "wrote no WAV or FLAC"),
    ],
    ids=["absent", "failing", "failing-quietly", "nothing", "no-audio"],
)
def test_a_failing_command_is_one_clear_line_and_leaves_nothing(
    command: str, said: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As programs run elsewhere: what they print comes when they end, behind their complaint.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with pytest.raises(ConfigError, match=said) as caught:
        separate(mixture(), SeparationOptions(command))
    assert "\n" not in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_a_command_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path, scratch: Path) -> None:
    child = "import sys, time; time.sleep(1.5); open(sys.argv[1], 'w').write('alive')"
    parent = (
        "import subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-c', {child!r}, {str(tmp_path / 'alive')!r}]); time.sleep(60)"
    )
    with pytest.raises(ConfigError, match=r"longer than 0\.5 s"):
        separate(mixture(), SeparationOptions(python(parent), timeout_s=0.5))
    assert list(scratch.iterdir()) == []
    # Long enough for the child to have written, had it lived on.
    time.sleep(2.0)
    assert not (tmp_path / "alive").exists()


def test_the_item_that_failed_is_named(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.flac", mixture())
    item = EvaluationItem("a", tmp_path / "a.flac", tmp_path / "a.flac", "")
    method = separated(PitchEmbedder(), lambda audio: Transcript(()), SeparationOptions(python("pass")), "mine")
    with pytest.raises(ConfigError, match="item 'a': the separator"):
        method.transcribe(item)
