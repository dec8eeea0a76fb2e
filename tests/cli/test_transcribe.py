"""`softspoken transcribe`: what goes where, and what is refused, with a stand-in for the models."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from click.testing import Result
from tiny import tiny_backbone, tone
from told_talkers import PITCHES_HZ, Told, recording, turns
from typer.testing import CliRunner
from voices import PitchEmbedder, voice

import softspoken.backbones
from softspoken.audio import Recording, write_wav
from softspoken.cli import outputs
from softspoken.cli.outputs import Output
from softspoken.cli.transcribe import transcribe
from softspoken.cli.transcribe_options import enrolled_names
from softspoken.cli.wanted import Wanted
from softspoken.decoding import (
    Conversation,
    DecodingOptions,
    Journal,
    PromptedTranscriber,
    Segment,
    TargetSpeakerTranscriber,
    Transcript,
)
from softspoken.defaults import BACKBONE_SIZES
from softspoken.errors import AudioError, BackboneError, ConfigError, PromptError, SpeakerNotFound
from softspoken.prompts.checkpoint import SHIPPED
from softspoken.speakers import Enrolment, EnrolmentStore

SEGMENTS = (Segment(0.0, 1.5, "good morning"), Segment(2.0, 3.25, "and good bye"))


class Voice:
    warnings = ("two voices?",)
    vector = np.ones(4, np.float32)

    def __init__(self, name: str) -> None:
        self.name = name


class Standin:
    """Hears the same in every file, and nothing in files called silent."""

    identity = "stand-in"
    embedder = PitchEmbedder()

    @property
    def store(self) -> EnrolmentStore:
        return EnrolmentStore()

    def voice(self, speaker: str) -> Voice:
        return Voice(speaker)

    def why_empty(self, transcript: Transcript) -> str:
        return "nothing that 'ada' says (0.31, 0.50 is needed); try --insist"

    def transcribe(
        self,
        file: Recording,
        voice: Voice,
        options: object,
        *,
        on_segment: Callable[[Segment], object],
        journal: Journal | None = None,
    ) -> Transcript:
        segments = []
        for segment in self.heard(file, options):
            segments.append(segment)
            on_segment(segment)
        return Transcript(tuple(segments), "en", 4.0, 0.8, "ada")

    def transcribe_conversation(
        self,
        file: Recording,
        voices: list[Voice],
        options: object,
        *,
        on_segment: Callable[[Segment], object],
        journal: Journal | None = None,
    ) -> Conversation:
        """The first voice says the first sentence, the second one the second."""
        said = [(voice.name, segment) for voice, segment in zip(voices, self.heard(file, options), strict=False)]
        for name, segment in said:
            on_segment(replace(segment, speaker=name))
        return Conversation(tuple(Transcript((segment,), "en", 4.0, 0.8, name) for name, segment in said))

    def heard(self, file: Recording, options: object) -> Iterator[Segment]:
        stem = Path(file.name).stem
        if stem == "broken":
            raise AudioError(f"'{file}' is broken; get it again")
        yield from () if stem == "silent" else SEGMENTS
        if stem == "endless":
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TargetSpeakerTranscriber, "from_pretrained", lambda *args, **kwargs: Standin())


@pytest.fixture(autouse=True)
def recordings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for name in ("a", "b", "silent", "broken", "endless"):
        write_wav(folder / f"{name}.wav", np.asarray(tone(0.5)))
    soundfile.write(folder / "call.wav", np.stack([tone(0.5), 0.1 * tone(0.5)], axis=1), 16_000)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SOFTSPOKEN_HOME", str(folder))
    vector = np.eye(4, dtype=np.float32)[0]
    EnrolmentStore().add([Enrolment("ada", "campplus", vector, 5.0, "2026-01-01T00:00:00+00:00", ("a",))])
    return folder


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model may be loaded."""

    def loaded(*args: object, **kwargs: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(TargetSpeakerTranscriber, "from_pretrained", loaded)


def run(*arguments: str, given: bytes | None = None) -> Result:
    app = typer.Typer()
    app.command()(transcribe)
    return CliRunner().invoke(app, list(arguments), input=given)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("content", [None, b"", b"hello, this is text"])
def test_what_is_no_recording_is_refused_before_a_model_is_loaded(content: bytes | None, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.wav"
    if content is not None:
        wrong.write_bytes(content)
    result = run(str(wrong), "--speaker", "ada")
    assert isinstance(result.exception, AudioError)
    assert str(wrong) in str(result.exception)
    both = run(str(wrong), "nowhere.wav", "--speaker", "ada")
    assert both.exit_code == 1
    assert "2 of 2 recordings" in both.stderr


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["a.wav"], ConfigError, "whose words"),
        (["a.wav", "--plain", "--speaker", "ada"], ConfigError, "leave out"),
        (["a.wav", "--plain", "--everyone"], ConfigError, "leave out"),
        (["a.wav", "--plain", "--vad"], ConfigError, "--prompt short"),
        (["a.wav", "--speaker", "ada", "--speaker", "ada"], ConfigError, "given 2 times"),
        (["a.wav", "--speaker", "ada", "--speaker", "adda"], SpeakerNotFound, "close to it: ada"),
        (["a.wav", "--speaker", "ada", "--store", "no.db"], ConfigError, "no.db does not exist"),
        (["a.wav", "--speaker", "ada", "--resume"], ConfigError, "--out"),
        (["a.wav", "--speaker", "adda"], SpeakerNotFound, "close to it: ada"),
        (["a.wav", "--speaker", "clip.wav"], AudioError, "clip.wav"),
        (["a.wav", "--speaker", "ada", "--language", "klingon"], ConfigError, "no language 'klingon'"),
        (["a.wav", "--speaker", "ada", "--language", "German"], ConfigError, "--backbone base"),
        (["a.wav", "--speaker", "ada", "--out", "no/x.srt"], ConfigError, "no folder"),
        (["a.wav", "--speaker", "ada", "--out", "."], ConfigError, "is a folder"),
        (["a.wav", "--speaker", "ada", "--out", "x.srt", "--out-dir", "d"], ConfigError, "give one of them"),
        (["a.wav", "--speaker", "ada", "--out-dir", "b.wav"], ConfigError, "cannot be made"),
        (["a.wav", "b.wav", "--speaker", "ada", "--format", "srt"], ConfigError, "--out-dir"),
        (["a.wav", "--speaker", "ada", "--channel", "left"], AudioError, "has one channel"),
        (["-", "-", "--speaker", "ada"], ConfigError, "given twice"),
        (["a.wav", "--speaker", "ada", "--backbone", "tinny"], BackboneError, "did you mean tiny"),
        (["a.wav", "--speaker", "ada", "--prompt", "shiped"], PromptError, "did you mean shipped"),
        (["a.wav", "--speaker", "ada", "--device", "gpu"], ConfigError, "no device 'gpu'"),
    ],
)
def test_arguments_are_checked_before_a_model_is_loaded(
    arguments: list[str], error: type[Exception], words: str
) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, error), result.exception
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


def test_lines_go_to_stdout_and_talk_to_stderr() -> None:
    result = run("a.wav", "--speaker", "ada")
    assert result.exit_code == 0
    assert result.stdout == "good morning\nand good bye\n"
    assert "two voices?" in result.stderr


def test_a_silent_target_prints_nothing_and_says_how_near_it_was() -> None:
    result = run("silent.wav", "--speaker", "ada")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0.31, 0.50 is needed" in result.stderr


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles(name: str) -> None:
    result = run("a.wav", "--speaker", "ada", "--format", name)
    assert result.stdout.count("-->") == 2


def test_json_is_one_line_a_recording() -> None:
    result = run("a.wav", "silent.wav", "--speaker", "ada", "--format", "json")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["file"], first["text"], len(first["segments"])) == ("a.wav", "good morning and good bye", 2)
    assert (second["text"], second["segments"]) == ("", [])


@pytest.mark.parametrize(("name", "mark"), [("x.srt", "-->"), ("x.VTT", "WEBVTT"), ("x.json", '"segments"')])
def test_the_name_of_the_file_says_its_format(name: str, mark: str, tmp_path: Path) -> None:
    run("a.wav", "--speaker", "ada", "--out", str(tmp_path / name))
    assert mark in (tmp_path / name).read_text()


def test_a_folder_takes_a_file_for_each_recording(tmp_path: Path) -> None:
    result = run("a.wav", "silent.wav", "--speaker", "ada", "--format", "srt", "--out-dir", str(tmp_path / "new"))
    assert result.exit_code == 0
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["a.srt", "silent.srt"]


def test_only_what_can_be_saved_is_to_be_saved(recordings: Path) -> None:
    (recordings / "cut.wav").write_bytes((recordings / "a.wav").read_bytes()[:-8000])
    assert "take what is there with --partial" in str(run("cut.wav", "--speaker", "ada").exception)
    assert "--partial" not in str(run("a.wav", "--speaker", "cut.wav").exception)
    assert run("cut.wav", "--speaker", "ada", "--partial").exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such names")
@pytest.mark.parametrize("name", ["x.json", "x.rttm"])
def test_names_that_are_not_utf8(name: str, recordings: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.wav")
    (recordings / "a.wav").rename(recordings / odd)
    assert run(odd, "b.wav", "--speaker", "ada", "--out", str(tmp_path / name)).exit_code == 0
    assert "?" in (tmp_path / name).read_text("utf-8")


@pytest.mark.parametrize("bad", ["broken.wav", "nowhere.wav"])
def test_one_bad_recording_of_a_batch_loses_nothing(bad: str, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    result = run("a.wav", bad, "b.wav", "--speaker", "ada", "--out", str(out))
    assert result.exit_code == 1
    assert out.read_text() == 2 * "good morning\nand good bye\n"
    assert "1 of 3 recordings" in result.stderr
    assert bad in result.stderr.splitlines()[-1]
    assert [file.name for file in tmp_path.iterdir()] == ["out.txt"]


def test_ctrl_c_keeps_what_is_there_and_says_where(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = run("a.wav", "endless.wav", "b.wav", "--speaker", "ada", "--out", str(out))
    assert result.exit_code == 130
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert "partial" not in first
    assert second["partial"] is True
    assert second["text"] == "good morning and good bye"
    assert "endless.wav" in result.stderr
    assert f"in {out}" in result.stderr


def test_several_voices_are_one_transcript(tmp_path: Path) -> None:
    vector = np.eye(4, dtype=np.float32)[1]
    EnrolmentStore().add([Enrolment("boris", "campplus", vector, 5.0, "2026-01-01T00:00:00+00:00", ("a",))])
    both = ["--speaker", "ada", "--speaker", "boris"]
    assert run("a.wav", *both).stdout == "ada: good morning\nboris: and good bye\n"
    assert "<v boris>and good bye" in run("a.wav", *both, "--format", "vtt").stdout
    assert run("a.wav", *both, "--out", str(tmp_path / "x.rttm")).exit_code == 0
    assert [line.split()[7] for line in (tmp_path / "x.rttm").read_text().splitlines()] == ["ada", "boris"]


def test_a_store_of_ones_own(tmp_path: Path) -> None:
    vector = np.eye(4, dtype=np.float32)[1]
    EnrolmentStore(tmp_path / "team.db").add([Enrolment("carla", "campplus", vector, 5.0, "2026-01-01", ("a",))])
    assert run("a.wav", "--speaker", "carla", "--store", str(tmp_path / "team.db")).exit_code == 0
    assert isinstance(run("a.wav", "--speaker", "carla").exception, SpeakerNotFound)


def test_what_a_stopped_run_leaves_for_the_next_goes_when_that_is_done(tmp_path: Path) -> None:
    out = ["--speaker", "ada", "--out-dir", str(tmp_path)]
    stopped = run("a.wav", "endless.wav", *out)
    assert stopped.exit_code == 130
    assert "--resume goes on there" in stopped.stderr
    names = {"a.txt", "endless.txt", "a.txt.unfinished", "endless.txt.unfinished"}
    assert {file.name for file in tmp_path.iterdir()} == names
    assert run("a.wav", *out, "--resume").exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == names - {"a.txt.unfinished"}


def test_out_follows_links_and_replaces_no_device(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    run("a.wav", "--speaker", "ada", "--out", str(tmp_path / "link.txt"))
    assert (tmp_path / "link.txt").is_symlink()
    assert "good morning" in (tmp_path / "real.txt").read_text()
    run("a.wav", "--speaker", "ada", "--out", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_each_channel_is_a_recording(tmp_path: Path) -> None:
    result = run("call.wav", "--speaker", "ada", "--channel", "each", "--out-dir", str(tmp_path))
    assert result.exit_code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["call.left.txt", "call.right.txt"]
    sides = run("call.wav", "--speaker", "ada", "--channel", "each", "--format", "rttm").stdout
    assert list(dict.fromkeys(line.split()[1] for line in sides.splitlines())) == ["call.left", "call.right"]


def test_the_standard_input(recordings: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_transcribe import piped; piped()"
    )
    for raw, content in (([], (recordings / "a.wav").read_bytes()), (["--raw", "16000"], b"\1\2" * 16_000)):
        command = [sys.executable, "-c", program, "-", "--speaker", "ada", *raw]
        tests = Path(__file__).parent.parent
        result = subprocess.run(command, input=content, capture_output=True, env=_with_tests(tests), check=False)
        assert result.stdout == b"good morning\nand good bye\n", result.stderr.decode()


def _with_tests(tests: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}


def piped() -> None:
    """The command with a stand-in, in a process of its own."""
    TargetSpeakerTranscriber.from_pretrained = lambda *args, **kwargs: Standin()  # type: ignore
    app = typer.Typer()
    app.command()(transcribe)
    app()


def test_the_shell_completes_names() -> None:
    assert enrolled_names("a") == ["ada"]
    assert enrolled_names("b") == []


def test_plain_needs_no_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softspoken.backbones, "load_backbone", lambda *args: tiny_backbone(0))
    write_wav(tmp_path / "a.wav", np.asarray(tone(2.0)))
    result = run(str(tmp_path / "a.wav"), "--plain", "--engine", "torch", "--format", "json", "--no-timestamps")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert content["duration_s"] == 2.0
    assert content["speakers"] == []


@pytest.mark.parametrize("followed", [True, False])
def test_engine_and_precision_are_handed_on(followed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Everybody(Standin):
        def heard(self, file: Recording, options: Any) -> Iterator[Segment]:
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
    engine = ["openvino", "int8"]
    assert asked == (
        ["shipped", "base", "cpu", None, *engine] if followed else ["short", "base", "cpu", *engine, "speech"]
    )


def test_a_language_is_written_as_people_write_it() -> None:
    for written in ("German", "de-AT", "DE", "deutsch"):
        assert DecodingOptions(language=written).language == "de"


def test_a_prompt_brings_its_model_s_languages(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "base", tmp_path / "mine")
    for prompt in ("base", str(tmp_path / "mine")):
        assert run("a.wav", "--speaker", "ada", "--prompt", prompt, "--language", "de").exit_code == 0
    for prompt in ("tiny.en", "shipped"):
        result = run("a.wav", "--speaker", "ada", "--prompt", prompt, "--language", "de")
        assert "'tiny.en', which knows English only" in str(result.exception)


def test_the_names_of_models_are_those_that_can_be_loaded() -> None:
    from softspoken.backbones.embedded import EMBEDDED
    from softspoken.backbones.hub import HUB_SIZES

    assert set(BACKBONE_SIZES) == {*EMBEDDED, *HUB_SIZES}


def test_a_mistake_loads_nothing_large(recordings: Path) -> None:
    """No model, no PyTorch: a second and a hundred megabytes on a machine with nothing else to do."""
    large = "{'torch', 'transformers', 'openvino', 'av'}"
    program = "import sys\nfrom softspoken.cli.main import run\ntry: run()\nfinally: "
    program += f"print(sorted({large} & set(sys.modules)))"
    for words in (
        ["transcribe", "a.wav", "--speaker", "adda"],
        ["transcribe", "nowhere.wav", "--plain"],
        ["speaker", "enrol", "eve", "nowhere.wav"],
        ["prompt", "train", "nowhere.toml"],
        ["evaluate", "nowhere.jsonl"],
    ):
        result = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
        assert result.returncode == 1, result.stderr
        assert result.stdout == "[]\n", (words, result.stdout)
        assert len(result.stderr.splitlines()) == 1, result.stderr


@pytest.fixture
def talk(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recording of 'eva', who is enrolled, and of two strangers; one of them says next to nothing."""
    truth = turns((1, 1, 8), (0, 9, 15), (1, 16, 22), (0, 23, 28), (2, 28, 29.8), seconds=30, talkers=3)
    monkeypatch.setattr("softspoken.speakers.diarisation.load_segmentation", lambda: Told(truth))
    write_wav(recordings / "talk.wav", recording(truth))
    EnrolmentStore().enrol("eva", [voice(6, PITCHES_HZ[0])], PitchEmbedder())
    return "talk.wav"


def test_everyone_is_who_is_there(talk: str) -> None:
    result = run(talk, "--everyone", "--format", "json")
    assert result.exit_code == 0
    assert "talk.wav: eva, Speaker 1" in result.stderr
    assert "too little for a voice: Speaker 3" in result.stderr
    assert [one["speaker"] for one in json.loads(result.stdout)["segments"]] == ["eva", "Speaker 1"]


def test_strangers_are_left_out_where_they_are_not_wanted(talk: str) -> None:
    result = run(talk, "--known-only")
    assert "talk.wav: eva" in result.stderr
    assert "Speaker" not in result.stderr.partition(";")[0]


def test_nobody_is_there(talk: str) -> None:
    EnrolmentStore().delete("eva")
    result = run(talk, "--known-only", "--format", "json")
    assert result.exit_code == 0
    assert "talk.wav: nobody" in result.stderr
    assert json.loads(result.stdout)["segments"] == []


def test_everyone_needs_a_recording_that_can_be_read_twice(talk: str) -> None:
    result = run("-", "--everyone", given=Path(talk).read_bytes())
    assert isinstance(result.exception, ConfigError)
    assert "give a file" in str(result.exception)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav", "--speaker", "ada", "--out", "a.wav"], "--out a.wav is one of the inputs"),
        (["a.wav", "--speaker", "ada", "--out", "link.wav"], "--out link.wav is one of the inputs"),
        (["a.wav", "--speaker", "b.wav", "--out", "b.wav"], "--out b.wav is one of the inputs"),
        (["sound.txt", "--speaker", "ada", "--out-dir", "."], "would be sound.txt, one of the inputs"),
        (["a.wav", "more/a.wav", "--speaker", "ada", "--out-dir", "new"], "'a.wav' and 'more/a.wav' would both"),
    ],
)
def test_nothing_is_written_over(arguments: list[str], words: str, recordings: Path) -> None:
    """Neither an input nor another recording's transcript."""
    (recordings / "link.wav").symlink_to("a.wav")
    (recordings / "more").mkdir()
    for copy in ("sound.txt", "more/a.wav"):
        (recordings / copy).write_bytes((recordings / "a.wav").read_bytes())
    before = {file: file.read_bytes() for file in recordings.rglob("*.*") if file.is_file()}
    result = run(*arguments)
    assert isinstance(result.exception, ConfigError), result.exception
    assert words in str(result.exception)
    assert {file: file.read_bytes() for file in recordings.rglob("*.*") if file.is_file()} == before


def test_recordings_of_one_name_in_one_file_have_a_journal_each(tmp_path: Path) -> None:
    output = Output.of(tmp_path / "x.txt", None, None, ["c1/talk.wav", "c2/talk.wav"], [])
    assert output.journal("c1/talk.wav") != output.journal("c2/talk.wav")


@pytest.mark.parametrize(("name", "kept"), [("a.wav", True), ("broken.wav", False)])
def test_only_a_bad_recording_ends_what_a_run_can_go_on_from(
    name: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(out: Path, text: str) -> None:
        raise ConfigError(f"--out {out} cannot be written")

    monkeypatch.setattr(outputs, "_write", full)
    result = run(name, "--speaker", "ada", "--out-dir", str(tmp_path))
    assert isinstance(result.exception, ConfigError if kept else AudioError)
    assert [file.suffix for file in tmp_path.iterdir()] == ([".unfinished"] if kept else [])


def test_ctrl_c_while_voices_are_looked_for_keeps_what_was_written_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looking(wanted: Wanted, recording: Recording, say: object) -> Wanted:
        if recording.name == "b.wav":
            raise KeyboardInterrupt
        return wanted

    monkeypatch.setattr(Wanted, "in_recording", looking)
    result = run("a.wav", "b.wav", "--speaker", "ada", "--out", str(tmp_path / "x.txt"))
    assert result.exit_code == 130
    assert (tmp_path / "x.txt").read_text() == "good morning\nand good bye\n"
    assert result.stderr.count("softspoken: stopped in 'b.wav'") == 1
