"""Voices are told apart without PyTorch and its company: a fresh interpreter, with the published weights."""

import subprocess
import sys
from pathlib import Path

import pytest

import softspoken
from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_audio

HEAVY = ("torch", "transformers", "lhotse", "sklearn", "pandas")

CODE = """
import sys
from softspoken.audio import load_audio
from softspoken.speakers import EnrolmentStore, FrameScores, load_embedder
from softspoken.speakers.diarisation import diarise

embedder = load_embedder()
enrolled = EnrolmentStore(sys.argv[2]).enrol("ada", [sys.argv[1]], embedder)
audio = load_audio(sys.argv[1])
for one in (embedder, embedder.rounding()):
    scores = FrameScores.measure(one, audio, 0.8, 0.4).against(enrolled.vector[None])
    assert scores.shape == (1, 300), scores.shape
print(len(diarise(audio, embedder).voices))
print(*[name for name in {heavy!r} if name in sys.modules])
"""


@pytest.mark.embedded
def test_enrolment_scores_and_diarisation_need_no_pytorch(tmp_path: Path) -> None:
    spoken = load_audio(Path(softspoken.__file__).parent / "assets" / "demo" / "voice_ada.flac")
    write_audio(tmp_path / "ada.wav", spoken[: 6 * SAMPLE_RATE_HZ])
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(heavy=HEAVY), str(tmp_path / "ada.wav"), str(tmp_path / "voices.db")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    talkers, imported = done.stdout.split("\n", 1)
    assert int(talkers) >= 0
    assert imported.split() == []


def test_importing_the_room_imports_neither_pytorch_nor_openvino() -> None:
    heavy = (*HEAVY, "openvino")
    code = f"import sys, softspoken.speakers; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.split() == []


def test_what_learns_needs_no_openvino() -> None:
    code = "import sys; sys.modules['openvino'] = None; import softspoken.training.run, softspoken.data.campplus_torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
