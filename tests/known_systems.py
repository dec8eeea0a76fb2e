"""Systems to evaluate that need no model, and what they are asked."""

import json
from pathlib import Path

from softspoken.decoding.result import Segment, Transcript
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.runner import Method


def three_items(folder: Path) -> Path:
    """A manifest of two spoken items and a silent one."""
    (folder / "a.wav").touch()
    shared = {"audio": "a.wav", "enrolment": "a.wav"}
    texts = ["GOOD DAY", "MANY THANKS", ""]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(shared | {"text": text}) for text in texts))
    return path


def known_method(systems: object, name: str) -> Method:
    """In place of `Systems.method`: 'right' knows the words, 'deaf' writes nothing, 'talks' always the same."""
    answers = {"right": lambda item: item.text, "deaf": lambda item: "", "talks": lambda item: "good day"}
    answer = answers[name]

    def transcribe(item: EvaluationItem) -> Transcript:
        text = answer(item)
        return Transcript((Segment(0.0, 1.0, text),) if text else ())

    return Method(name, transcribe)
