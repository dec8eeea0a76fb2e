"""`softspoken transcribe`: what goes where, and what is refused, with a stand-in for the models."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from tiny import tiny_backbone, tone
from typer.testing import CliRunner

import softspoken.engines.load
from softspoken.audio import write_wav
from softspoken.cli.transcribe import transcribe
from softspoken.decoding import DecodingOptions, PromptedTranscriber, Segment, TargetSpeakerTranscriber, Transcript
from softspoken.errors import AudioError, ConfigError

SEGMENTS = (Segment(0.0, 1.5, "good morning"), Segment(2.0, 3.25, "and good bye"))


class Voice:
    warnings = ("two voices?",)


class Standin:
    """Hears the same in every file, and nothing in files called silent."""

    def voice(self, speaker: str) -> Voice:
        return Voice()

    def transcribe(self, file: Path, voice: Voice, options: object) -> Transcript:
        return Transcript(tuple(self.stream(file, voice, options)), "en", 4.0, 0.8, "ada")

    def stream(self, file: Path, voice: Voice, options: object) -> Iterator[Segment]:
        if file.stem == "broken":
            raise AudioError(f"'{file}' is broken; get it again")
        yield from () if file.stem == "silent" else SEGMENTS


@pytest.fixture(autouse=True)
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TargetSpeakerTranscriber, "from_pretrained", lambda *args, **kwargs: Standin())


@pytest.fixture(autouse=True)
def recordings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("recordings")
    for name in ("a", "b", "silent", "broken"):
        write_wav(folder / f"{name}.wav", np.asarray(tone(0.5)))
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("content", [None, b"", b"hello, this is text"])
def test_what_is_no_recording_is_refused_before_a_model_is_loaded(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*args: object, **kwargs: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(TargetSpeakerTranscriber, "from_pretrained", loaded)
    wrong = tmp_path / "wrong.wav"
    if content is not None:
        wrong.write_bytes(content)
    result = run("a.wav", str(wrong), "--speaker", "ada")
    assert isinstance(result.exception, AudioError)
    assert str(wrong) in str(result.exception)
    assert result.stdout == ""


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(transcribe)
    return CliRunner().invoke(app, list(arguments))


def test_lines_go_to_stdout_and_talk_to_stderr() -> None:
    result = run("a.wav", "--speaker", "ada")
    assert result.exit_code == 0
    assert result.stdout == "good morning\nand good bye\n"
    assert "two voices?" in result.stderr


def test_a_silent_target_prints_nothing() -> None:
    result = run("silent.wav", "--speaker", "ada")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing said" in result.stderr


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles(name: str) -> None:
    result = run("a.wav", "--speaker", "ada", "--format", name)
    assert result.stdout.count("-->") == 2
    assert isinstance(run("a.wav", "b.wav", "--speaker", "ada", "--format", name).exception, ConfigError)


def test_json_is_one_line_a_recording() -> None:
    result = run("a.wav", "silent.wav", "--speaker", "ada", "--format", "json")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["file"], first["text"], len(first["segments"])) == ("a.wav", "good morning and good bye", 2)
    assert (second["text"], second["segments"]) == ("", [])


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    result = run("a.wav", "b.wav", "--speaker", "ada", "--out", str(out))
    assert result.stdout == ""
    assert out.read_text() == 2 * "good morning\nand good bye\n"
    failed = run("a.wav", "broken.wav", "--speaker", "ada", "--out", str(tmp_path / "other.txt"))
    assert isinstance(failed.exception, AudioError)
    assert isinstance(run("a.wav", "--speaker", "ada", "--out", str(tmp_path / "no" / "x")).exception, ConfigError)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("arguments", [[], ["--plain", "--speaker", "ada"], ["--plain", "--vad"]])
def test_whose_words_must_be_clear(arguments: list[str]) -> None:
    assert isinstance(run("a.wav", *arguments).exception, ConfigError)


def test_plain_needs_no_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softspoken.engines.load, "load_backbone", lambda *args: tiny_backbone(0))
    write_wav(tmp_path / "a.wav", np.asarray(tone(2.0)))
    result = run(str(tmp_path / "a.wav"), "--plain", "--engine", "torch", "--format", "json", "--no-timestamps")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert content["duration_s"] == 2.0
    assert content["presence"] is None


@pytest.mark.parametrize("followed", [True, False])
def test_engine_and_precision_are_handed_on(followed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Everybody(Standin):
        def transcribe(self, file: Path, speaker: object, options: DecodingOptions) -> Transcript:
            return Transcript(tuple(self.stream(file, speaker, options)), "en", 4.0)

        def stream(self, file: Path, speaker: object, options: DecodingOptions) -> Iterator[Segment]:
            asked.append(options.windows.cut)
            yield from SEGMENTS

    def made(*given: object, **named: object) -> Standin:
        asked.extend([*given, *named.values()])
        return Standin() if followed else Everybody()

    monkeypatch.setattr(TargetSpeakerTranscriber, "from_pretrained", made)
    monkeypatch.setattr(PromptedTranscriber, "from_pretrained", made)
    who = ["--speaker", "ada"] if followed else ["--plain", "--prompt", "short", "--vad"]
    result = run("a.wav", *who, "--engine", "openvino", "--precision", "int8", "--backbone", "base")
    assert result.stdout == "good morning\nand good bye\n"
    engine = ["cpu", "openvino", "int8"]
    assert asked == (["shipped", "base", *engine] if followed else ["short", "base", *engine, "speech"])
