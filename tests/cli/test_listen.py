"""`softspoken listen`: raw sound in, words out as they are confirmed, with a stand-in for the model."""

import io
import json
import signal
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
import pytest
import typer
from click.testing import Result
from tiny import tone
from typer.testing import CliRunner

from softspoken.audio import SAMPLE_RATE_HZ, write_wav
from softspoken.cli import listen as command
from softspoken.errors import ConfigError, SpeakerNotFound
from softspoken.live import Confirmed, LiveEvent, Pace, Partial, Said
from softspoken.speakers import Enrolment, EnrolmentStore


class Standin:
    """A word a second, for each voice in turn; a stretch is four words."""

    def __init__(self, names: list[str | None]) -> None:
        self._names, self._heard, self._told = names, 0, 0
        self.finished = False

    @property
    def position_s(self) -> float:
        return self._heard / SAMPLE_RATE_HZ

    def feed(self, samples: np.ndarray) -> list[LiveEvent]:
        self._heard += samples.size
        events: list[LiveEvent] = []
        while self._told < int(self.position_s):
            number, self._told = self._told, self._told + 1
            name = self._names[(number // 4) % len(self._names)]
            events += [Confirmed(name, f"word{number}", float(number), number + 1.0), Partial(name, "perhaps")]
            if number % 4 == 3:
                text = " ".join(f"word{n}" for n in range(number - 3, number + 1))
                events += [Partial(name, ""), Said(name, text, number - 3.0, number + 1.0)]
        return events

    def finish(self) -> list[LiveEvent]:
        self.finished = True
        first = self._told // 4 * 4
        words = [f"word{n}" for n in range(first, self._told)]
        name = self._names[(first // 4) % len(self._names)]
        last: list[LiveEvent] = [Pace(1.2)]
        return [*last, Said(name, " ".join(words), float(first), float(self._told))] if words else last


@pytest.fixture(autouse=True)
def enrolled(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSPOKEN_HOME", str(tmp_path_factory.mktemp("home")))
    vectors = np.eye(4, dtype=np.float32)
    voices = [Enrolment(name, "campplus", vectors[n], 5.0, "", ("a",)) for n, name in enumerate(("ada", "ben"))]
    EnrolmentStore().add(voices)


def run(arguments: list[str], seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Result, Standin]:
    made: list[Standin] = []

    def load(speakers: list[str], *others: Any) -> Standin:
        made.append(Standin(list(speakers) or [None]))
        return made[0]

    monkeypatch.setattr(command, "_load", load)
    app = typer.Typer()
    app.command()(command.listen)
    result = CliRunner().invoke(app, arguments, input=bytes(round(seconds * SAMPLE_RATE_HZ) * 2))
    return result, made[0] if made else Standin([None])


def test_words_come_as_lines_of_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    result, live = run(["-", "--raw", "16000", "--plain"], 10.0, monkeypatch)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["word0 word1 word2 word3", "word4 word5 word6 word7", "word8 word9"]
    assert live.finished
    assert "every 1.2 s" in result.stderr


def test_several_voices_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "talk.json"
    arguments = ["-", "--raw", "16000", "--speaker", "ada", "--speaker", "ben", "--out", str(out)]
    result, _ = run(arguments, 9.0, monkeypatch)
    assert result.stdout.splitlines() == [
        "ada: word0 word1 word2 word3",
        "ben: word4 word5 word6 word7",
        "ada: word8",
    ]
    content = json.loads(out.read_text())
    assert [one["text"].split()[-1] for one in content["segments"]] == ["word3", "word7", "word8"]
    assert content["duration_s"] == 9.0


def test_everyone_is_all_enrolled_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(["-", "--raw", "16000", "--everyone"], 5.0, monkeypatch)
    assert result.stdout.splitlines() == ["ada: word0 word1 word2 word3", "ben: word4"]
    EnrolmentStore().delete("ada")
    EnrolmentStore().delete("ben")
    result, _ = run(["-", "--raw", "16000", "--everyone"], 5.0, monkeypatch)
    assert isinstance(result.exception, ConfigError)


def test_an_unknown_voice_is_told_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    result, live = run(["-", "--raw", "16000", "--speaker", "nobody"], 1.0, monkeypatch)
    assert isinstance(result.exception, SpeakerNotFound)
    assert live.position_s == 0


def test_ctrl_c_keeps_what_was_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken_off(source: object, rate_hz: int) -> Any:
        yield np.zeros(5 * SAMPLE_RATE_HZ, np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr("softspoken.audio.streams.raw_stream", broken_off)
    out = tmp_path / "talk.srt"
    result, live = run(["-", "--raw", "16000", "--speaker", "ada", "--out", str(out)], 0.0, monkeypatch)
    assert (result.exit_code, live.finished) == (0, True)
    assert "word0 word1 word2 word3" in out.read_text()
    assert "word4" in out.read_text()


def test_a_terminal_shows_what_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stdout", shown)
    screen = command._Screen(several=False)
    screen.write(None, "one two")
    screen.partial(None, "three perhaps")
    screen.write(None, "three")
    screen.over(None)
    text = shown.getvalue()
    assert "\x1b[2mthree perhaps\x1b[22m" in text
    assert text.endswith("\r\x1b[Kone two three\n")
    assert "perhaps" not in text.rpartition("\x1b[K")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--plain", "--speaker", "ada"],
        ["--everyone", "--plain"],
        [],
        ["-", "--plain"],
        ["--raw", "16000", "--plain"],
        ["talk.wav", "--plain"],
        ["-", "--raw", "16000", "--plain", "--language", "de"],
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(arguments, 0.0, monkeypatch)
    assert isinstance(result.exception, ConfigError)


def test_the_clip_of_a_voice_is_not_written_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clip = tmp_path / "clip.wav"
    write_wav(clip, np.asarray(tone(4.0)))
    before = clip.read_bytes()
    result, _ = run(["-", "--raw", "16000", "--speaker", str(clip), "--out", str(clip)], 1.0, monkeypatch)
    assert isinstance(result.exception, ConfigError), result.exception
    assert clip.read_bytes() == before


def test_what_was_said_is_kept_if_the_reader_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Left(io.StringIO):
        def write(self, text: str) -> int:
            if "word2" in text:
                raise BrokenPipeError
            return super().write(text)

    monkeypatch.setattr("sys.stdout", Left())
    kept = command._Kept(tmp_path / "talk.txt", None, [])
    seconds = (np.zeros(SAMPLE_RATE_HZ, np.float32) for _ in range(100))
    live: Any = Standin([None])
    command._follow(live, seconds, command._Screen(several=False), kept)
    assert (tmp_path / "talk.txt").read_text() == "word0 word1 word2\n"


DEAF = """
import typer
from softspoken.cli import listen
from softspoken.cli.main import run_app
class Deaf:
    position_s = 0.0
    def feed(self, samples): return ()
    def finish(self): return ()
listen._load = lambda *given: Deaf()
app = typer.Typer(name="softspoken")
app.command()(listen.listen)
run_app(app)
"""


def test_ctrl_c_while_nothing_comes_in_is_an_orderly_end() -> None:
    given = [sys.executable, "-c", DEAF, "-", "--raw", "16000", "--plain"]
    with Popen(given, stdin=PIPE, stderr=PIPE) as live:
        assert live.stderr is not None
        assert b"listening" in live.stderr.readline()
        time.sleep(0.2)
        live.send_signal(signal.SIGINT)
        assert (live.wait(30), live.stderr.read()) == (0, b"")


def test_no_rate_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(["-", "--raw", "0", "--plain"], 0.0, monkeypatch)
    assert result.exit_code == 2
    assert "--raw" in result.stderr
