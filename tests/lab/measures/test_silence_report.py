"""What a prompt did with speaking and silent targets is counted as it was written."""

from pathlib import Path

import numpy as np
import pytest

from softspoken.audio import write_wav
from softspoken.decoding.result import Segment, Transcript, WindowEvidence
from softspoken.evaluation.manifest import EvaluationItem
from softspoken_lab.measures.observations import observe
from softspoken_lab.measures.silence import report


def test_a_report_counts_what_was_written(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 0.1 * np.sin(np.arange(16_000) / 20).astype(np.float32))
    items = [
        EvaluationItem(str(n), tmp_path / "a.wav", tmp_path / "a.wav", "" if n % 2 else "words", target=f"t{n % 4}")
        for n in range(8)
    ]
    answers = iter([("good", 0.9), ("", 0.1), ("", 0.2), ("oh", 0.7), ("day", 0.8), ("", 0.1), ("two", 0.9), ("", 0.3)])

    def transcribe(audio: np.ndarray, enrolment: np.ndarray) -> Transcript:
        text, speaking = next(answers)
        window = WindowEvidence(0.0, 1.0, 0.5, 0.5, -1.0, -0.5, {"presence": 0.5})
        return Transcript((Segment(0.0, 1.0, text),) if text else (), speaking=speaking, windows=(window,))

    found = report(list(observe(items, transcribe)), 0.0)
    assert (found.false_rejection.value, found.rejection.value) == (0.25, 0.75)
    assert found.detection is not None
    assert found.detection.rejection_asked.value == 0.5
    assert found.as_dict()["score"]["area_under_roc"]["value"] == pytest.approx(14 / 16)
