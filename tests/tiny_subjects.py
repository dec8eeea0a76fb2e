"""Small subjects for tests of the analyses: a tiny recogniser, and one whose errors are planned."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from made_noise import speech_like
from tiny import tiny_backbone
from tiny_recognizer import new_recognizer
from torch import Tensor

from softspoken.audio import write_audio
from softspoken.backbones import Backbone
from softspoken.prompts import PromptConfig
from softspoken.prompts.config import Depth
from softspoken_lab.analysis.ctc_subject import BatchOptions, CTCSubject
from softspoken_lab.analysis.results import Counts, SubjectInfo
from softspoken_lab.analysis.subject import Report, Subject, TestSet
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.folder import LoadedRecognizer, load_recognizer, save_recognizer
from softspoken_lab.noise.testsets import TestUtterance

BACKBONE = tiny_backbone(3, max_frames=120)


def recognizer_of(
    folder: Path, config: PromptConfig | None, backbone: Backbone = BACKBONE, seed: int = 1
) -> LoadedRecognizer:
    """Saved and loaded again."""
    model = new_recognizer(backbone, config, seed)
    save_recognizer(model, folder, backbone=backbone, characters=Characters(), training={"steps": 0})
    return load_recognizer(folder, backbone)


def tiny_subject(
    folder: Path,
    length: int | None = 4,
    depth: Depth = "input",
    backbone: Backbone = BACKBONE,
    batch: BatchOptions | None = None,
) -> CTCSubject:
    """`length` None: a frozen baseline."""
    config = None if length is None else noise_prompts(length, depth)
    return CTCSubject(recognizer_of(folder, config, backbone), backbone, "tiny", batch)


def write_set(folder: Path, name: str = "clean", seconds: Sequence[float] = (0.9, 1.3, 0.7, 1.1)) -> TestSet:
    """Made-up utterances on disk; the first two are made of one recording."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for number, length_s in enumerate(seconds):
        path = folder / f"{name}-{number}.flac"
        write_audio(path, speech_like(length_s, number))
        items.append(
            TestUtterance(
                f"{name}-{number}",
                path,
                "one two three four",
                "made:a",
                source_id=f"{name}-{max(number, 1)}",
                duration_s=length_s,
            )
        )
    return TestSet(name, tuple(items))


def write_manifest(folder: Path, utterances: int = 4, split: str = "test") -> Path:
    """A speech manifest of made-up utterances."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(utterances):
        write_audio(folder / f"u{number}.flac", speech_like(1.0, number))
        rows.append(
            {
                "id": f"u{number}",
                "path": f"u{number}.flac",
                "split": split,
                "corpus": "made",
                "speaker": f"s{number % 2}",
                "text": "ONE TWO THREE",
                "duration_s": 1.0,
            }
        )
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return manifest


class PlannedSubject(Subject):
    """Prompts of which some help on clean speech and others in noise: what is lost without each is known."""

    def __init__(self, clean_cost: Sequence[int], noisy_cost: Sequence[int], vectors: Float[Tensor, "L N D"]) -> None:
        """Errors (of 20 words an utterance) that an utterance gets more without each prompt."""
        self.costs = {"clean": clean_cost, "noisy": noisy_cost}
        self._vectors = vectors

    @property
    def info(self) -> SubjectInfo:
        count = self._vectors.shape[1]
        return SubjectInfo(name="planned", kind="ctc", backbone="none", prompts=count, digest="planned")

    @property
    def vectors(self) -> Float[Tensor, "L N D"]:
        return self._vectors

    def score(
        self, test_set: TestSet, variants: Sequence[Float[Tensor, "L _ D"] | None], report: Report | None = None
    ) -> Counts:
        def errors(vectors: Tensor | None, utterance: int) -> int:
            gone = [
                index
                for index in range(self.vectors.shape[1])
                if vectors is None or not bool((vectors == self.vectors[:, index : index + 1]).all(-1).all(0).any())
            ]
            # Not every utterance needs every prompt.
            return 2 + sum(self.costs[test_set.name][index] for index in gone if (index + utterance) % 4)

        size = len(test_set.items)
        return Counts(
            sources=tuple(str(number) for number in range(size)),
            words=(20,) * size,
            errors=tuple(tuple(errors(one, number) for number in range(size)) for one in variants),
        )


def planned_sets(count: int = 24) -> list[TestSet]:
    items = tuple(TestUtterance(str(number), Path("none.wav"), "words", "a") for number in range(count))
    return [TestSet("clean", items), TestSet("noisy", items)]


def random_vectors(layers: int, count: int, width: int, seed: int = 0) -> Float[Tensor, "L N D"]:
    return torch.randn(layers, count, width, generator=torch.Generator().manual_seed(seed))
