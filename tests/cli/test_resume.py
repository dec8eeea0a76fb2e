"""`softspoken transcribe --resume`: a run that was killed goes on, and writes the bytes of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import typer
from tiny import tiny_backbone, tone

from softspoken.audio import write_wav
from softspoken.cli.transcribe import transcribe
from softspoken.decoding import PlainTranscriber, plain
from softspoken.engines import load_engine

HERE = Path(__file__).parent


def slowly(seconds: str) -> None:
    """The command on a small random model, which rests before each window; in a process of its own."""
    transcriber = PlainTranscriber(load_engine(tiny_backbone(5), "torch"))
    PlainTranscriber.from_pretrained = lambda *args, **kwargs: transcriber  # type: ignore
    decode = plain.decode_batch

    def decoded(*args: object, **kwargs: object) -> object:
        time.sleep(float(seconds))
        return decode(*args, **kwargs)  # type: ignore

    plain.decode_batch = decoded  # type: ignore
    app = typer.Typer()
    app.command()(transcribe)
    app()


def started(folder: Path, out: Path, seconds: float, *more: str) -> "subprocess.Popen[bytes]":
    program = f"import sys; sys.path[:0] = {[str(HERE), str(HERE.parent)]!r}; from test_resume import slowly"
    command = [sys.executable, "-c", f"{program}; slowly({str(seconds)!r})", str(folder / "talk.wav"), "--plain"]
    given = [*command, "--words", "--out", str(out), *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(given, stderr=subprocess.PIPE, env=environment)


def test_a_killed_run_goes_on_and_writes_the_same_bytes(tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", tone(11.0, 3))
    out, whole = tmp_path / "out.json", tmp_path / "whole.json"
    journal = tmp_path / "out.json.talk.wav.unfinished"
    run = started(tmp_path, out, 0.4)
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_text().count("\n") < 2:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL
    known = journal.read_text().splitlines()[1:2]
    again = started(tmp_path, out, 0.0, "--resume")
    _, talk = again.communicate(timeout=200)
    assert again.returncode == 0, talk
    assert b"going on at" in talk
    assert not journal.exists()
    uninterrupted = started(tmp_path, whole, 0.0)
    _, talk = uninterrupted.communicate(timeout=200)
    assert uninterrupted.returncode == 0, talk
    assert out.read_bytes() == whole.read_bytes()
    assert all(json.loads(line)["windows"] == number for number, line in enumerate(known, start=1))
    assert {file.name for file in tmp_path.iterdir()} == {"talk.wav", out.name, whole.name}
