"""The demo: its recordings, its word marking, and its page, on made-up transcripts."""

import json
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from softspoken.cli.demo import demo
from softspoken.demo import DemoReport, load_recordings, render_page, run_demo, write_page
from softspoken.demo.page import waveform_svg
from softspoken.demo.recordings import DemoRecordings, FloatArray, read_clip
from softspoken.demo.words import Mark, mark_by_talker, mark_for_target, split_words, word_errors
from softspoken.errors import ConfigError, DataError


@dataclass(frozen=True)
class FakeTranscript:
    text: str


class FakeTranscriber:
    """Says another text at every call, each with characters that HTML must escape."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def transcribe(self, audio: FloatArray, speaker: FloatArray) -> FakeTranscript:
        assert len(speaker) > len(audio) / 4
        return self._next()

    def transcribe_plain(self, audio: FloatArray) -> FakeTranscript:
        return self._next()

    def _next(self) -> FakeTranscript:
        text = f"<script>alert({len(self.texts)})</script> the \"invoice\" & 'maps' of https://example.org/"
        self.texts.append(text)
        return FakeTranscript(f" {text} ")


@pytest.fixture(scope="module")
def recordings() -> DemoRecordings:
    return load_recordings()


@pytest.fixture(scope="module")
def transcriber() -> FakeTranscriber:
    return FakeTranscriber()


@pytest.fixture(scope="module")
def report(recordings: DemoRecordings, transcriber: FakeTranscriber) -> DemoReport:
    return DemoReport(recordings, tuple(run_demo(recordings, transcriber)), load_s=1.0)


@pytest.fixture(scope="module")
def page(report: DemoReport) -> str:
    return render_page(report)


class TestRecordings:
    def test_manifest_is_true(self, recordings: DemoRecordings) -> None:
        for mixture in recordings.mixtures:
            audio = read_clip(mixture.file)
            assert len(audio) / 16_000 == pytest.approx(mixture.duration_s, abs=0.02)
            first, second = mixture.talkers
            both_s = min(t.offset_s + t.duration_s for t in (first, second)) - second.offset_s
            assert both_s / mixture.duration_s == pytest.approx(mixture.overlap, abs=0.02)
            assert mixture.overlap >= 0.5
            assert not {t.voice for t in mixture.talkers} & set(mixture.silent)

    def test_enrolments_are_long_enough_and_loud_enough(self, recordings: DemoRecordings) -> None:
        for voice in recordings.voices:
            audio = read_clip(voice.enrolment)
            assert 8 <= len(audio) / 16_000 <= 12
            assert 0.1 < np.abs(audio).max() < 0.95

    def test_some_voice_is_silent_and_some_pair_is_not_equally_loud(self, recordings: DemoRecordings) -> None:
        differences = {m.talkers[0].gain_db - m.talkers[1].gain_db for m in recordings.mixtures}
        assert differences == {-3.0, 0.0, 3.0}
        assert any(mixture.silent for mixture in recordings.mixtures)

    def test_all_stay_under_three_megabytes(self, recordings: DemoRecordings) -> None:
        folder = recordings.voices[0].enrolment.parent
        assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000

    def test_damage_is_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="cannot be read"):
            load_recordings(tmp_path)
        (tmp_path / "demo.json").write_text(json.dumps({"voices": [], "mixtures": [{"name": "x"}], "spellings": {}}))
        with pytest.raises(DataError, match="install the package again"):
            load_recordings(tmp_path)
        (tmp_path / "noise.flac").write_bytes(b"not audio")
        with pytest.raises(DataError, match=r"noise\.flac"):
            read_clip(tmp_path / "noise.flac")


class TestPage:
    def test_holds_every_transcript_escaped(self, page: str, transcriber: FakeTranscriber) -> None:
        raw = [unescape(text) for text in re.findall(r'data-raw="([^"]*)"', page)]
        assert raw == transcriber.texts
        assert "<script>alert" not in page

    def test_holds_what_was_said(self, page: str, report: DemoReport) -> None:
        for mixture in report.mixtures:
            for talker in mixture.mixture.talkers:
                assert f"<p>{talker.text}</p>" in page

    def test_one_player_a_mixture_and_one_a_voice_asked_for(self, page: str, report: DemoReport) -> None:
        assert page.count('<audio class="mixture"') == len(report.mixtures) == page.count("<svg ")
        voices = {voice for mixture in report.mixtures for voice in mixture.speakers}
        assert page.count('<audio class="enrolment"') == len(voices)

    def test_loads_nothing_from_outside(self, page: str) -> None:
        outside = re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["'](?!data:)""", page)
        assert outside == []
        without_transcripts = page.replace("https://example.org/", "")
        assert not re.search(r"https?://|url\(|@import|//cdn", without_transcripts)

    def test_is_written_whole(self, report: DemoReport, page: str, tmp_path: Path) -> None:
        written = write_page(report, tmp_path / "new" / "folder")
        assert written.read_text(encoding="utf-8") == page
        assert [path.name for path in written.parent.iterdir()] == ["index.html"]

    def test_waveform_of_silence_is_flat_and_finite(self) -> None:
        assert "nan" not in waveform_svg(np.zeros(16_000, np.float32))


class TestReport:
    def test_json_is_plain_data(self, report: DemoReport) -> None:
        content = json.loads(json.dumps(report.as_json()))
        assert [entry["name"] for entry in content["mixtures"]] == [r.mixture.name for r in report.mixtures]
        silent = [s for entry in content["mixtures"] for s in entry["speakers"] if not s["present"]]
        assert sum(s["errors"] for s in silent) == content["silent_words"] > 0

    def test_perfect_transcripts_have_no_errors(self, recordings: DemoRecordings) -> None:
        for mixture in recordings.mixtures:
            for talker in mixture.talkers:
                said = split_words(talker.text, recordings.spellings)
                plain = split_words(talker.text.lower().replace(",", "").rstrip("."), recordings.spellings)
                assert word_errors(said, plain) == 0


class TestCommand:
    @pytest.fixture(autouse=True)
    def _fake_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Loader:
            @staticmethod
            def from_pretrained(prompt: str) -> FakeTranscriber:
                return FakeTranscriber()

        monkeypatch.setattr("softspoken.decoding.TargetSpeakerTranscriber", Loader, raising=False)

    def run(self, *arguments: str) -> Result:
        app = typer.Typer()
        app.command()(demo)
        return CliRunner().invoke(app, list(arguments))

    def test_prints_every_transcript_and_writes_the_page(self, tmp_path: Path, recordings: DemoRecordings) -> None:
        result = self.run("--out", str(tmp_path / "page"))
        assert result.exit_code == 0
        assert (tmp_path / "page" / "index.html").is_file()
        for mixture in recordings.mixtures:
            assert mixture.title in result.stdout
            assert all(f"→ {talker.voice}" in result.stdout for talker in mixture.talkers)
        calls = sum(1 + len(mixture.talkers) + len(mixture.silent) for mixture in recordings.mixtures)
        assert all(f"alert({call})" in result.stdout for call in range(calls))

    def test_json_alone_on_stdout_and_no_page(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        content = json.loads(self.run("--json", "--no-page").stdout)
        assert content["page"] is None
        assert len(content["mixtures"]) == 5
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_the_way_is_an_expected_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        for out in (tmp_path / "file", tmp_path / "file" / "below"):
            assert isinstance(self.run("--out", str(out)).exception, ConfigError)
        assert (tmp_path / "file").read_text() == "mine"


class TestWords:
    spellings = {"thirty five": "35", "a quarter past seven": "715"}  # noqa: RUF012

    def test_spellings_case_and_punctuation_do_not_count(self) -> None:
        said = split_words("She wants Thirty five chairs, at a quarter past seven.", self.spellings)
        heard = split_words("she wants 35 chairs at 7:15", self.spellings)
        assert word_errors(said, heard) == 0
        assert word_errors(said, split_words("thirty-five chairs", self.spellings)) == 4

    @pytest.mark.parametrize(
        ("said", "heard", "errors"),
        [("a b c", "", 3), ("", "a b", 2), ("a b c", "a x c", 1), ("a b c", "b c d", 2), ("", "", 0)],
    )
    def test_word_errors(self, said: str, heard: str, errors: int) -> None:
        assert word_errors(split_words(said, {}), split_words(heard, {})) == errors

    def test_marks_lose_no_word(self) -> None:
        talkers = [split_words("we moved the review", {}), split_words("my train leaves at nine", {})]
        heard = split_words("we train blue review", {})
        marked = mark_for_target(heard, talkers, target=0)
        assert [word.shown for word in marked if word.mark is not Mark.MISSING] == ["we", "train", "blue", "review"]
        assert [(word.shown, word.mark) for word in marked if word.mark is not Mark.RIGHT] == [
            ("moved", Mark.MISSING),
            ("the", Mark.MISSING),
            ("train", Mark.OTHER),
            ("blue", Mark.WRONG),
        ]

    def test_a_silent_target_has_no_right_word(self) -> None:
        talkers = [split_words("we moved the review", {}), split_words("my train leaves", {})]
        marked = mark_for_target(split_words("we leaves um", {}), talkers, target=None)
        assert [(word.mark, word.talker) for word in marked] == [(Mark.OTHER, 0), (Mark.OTHER, 1), (Mark.WRONG, None)]

    def test_everybody_s_transcript_names_who_said_it(self) -> None:
        talkers = [split_words("we moved the review", {}), split_words("my train leaves", {})]
        marked = mark_by_talker(split_words("we moved my train um", {}), talkers)
        assert [word.talker for word in marked] == [0, 0, 1, 1, None]
