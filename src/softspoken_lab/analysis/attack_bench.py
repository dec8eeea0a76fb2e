"""What attacks on a prompt cost, by strength, and whether `softspoken prompt doctor` sees them.

All that no attack changes is computed once: voices, their scores in the recordings, plain Whisper's words.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from softspoken.audio import load_audio
from softspoken.backbones import load_backbone
from softspoken.decoding import DecodingOptions, TargetSpeakerTranscriber, Transcript
from softspoken.decoding.conditioning import LENIENT
from softspoken.decoding.together import Request, transcribe_together
from softspoken.demo import load_recordings
from softspoken.demo.health import Signs, complaints, examine
from softspoken.engines import EngineName, Precision, load_engine
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.prompts import LoadedPrompts, load_prompts
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import (
    Difference,
    Score,
    UtteranceScore,
    paired_difference,
    score_utterance,
    summarize,
)
from softspoken.speakers import DEFAULT_EMBEDDER, Clip, Enrolment, RecentWindows, load_embedder
from softspoken.speakers.enrolment import enrol
from softspoken_lab.analysis.attack_examples import Examples
from softspoken_lab.analysis.attacks import Loss, Setting, attacked

GRADIENT_ITEMS = 6
"""Of the manifest's end: what a gradient attack is made on. They are not scored."""
_TOGETHER = 12
_OPTIONS = DecodingOptions(temperatures=(0.0,))
"""One attempt: with the samples that a failed one is followed by, differences would be a matter of luck."""
_REMEMBERED = 1000


@dataclass(frozen=True)
class AttackRow:
    """A prompt: the sound one, the same under an attack, or another one that is tried beside it."""

    name: str
    """'none', the attack, or the other prompt's reference."""
    strength: float | None
    score: Score
    cost: Difference
    """Word error rate above the sound prompt's, on the same items."""
    words_of_others: int
    """Wrong words that somebody else says in the recording, over all items."""
    signs: Mapping[str, Signs]
    """The doctor's, by recording."""
    complaints: tuple[str, ...]
    """Of the doctor, without a sound prompt to compare with."""
    compared: tuple[str, ...]
    """Of the doctor, with the sound prompt to compare with."""
    seconds: float
    """Of the processor, all threads together."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class AttackBench:
    """One sound prompt, its backbone and the items that prompts are scored on."""

    def __init__(
        self,
        prompt: str,
        manifest: Path,
        limit: int | None = None,
        engine: EngineName = "auto",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> None:
        """`limit`: so many items, spread over the manifest; the engine's arguments: see `load_engine`."""
        self.loaded = load_prompts(prompt)
        info = self.loaded.info
        self._embedder = RecentWindows(load_embedder(info.embedder or DEFAULT_EMBEDDER), _REMEMBERED)
        self._engine = load_engine(info.backbone.name, engine, precision, threads=threads)
        items = read_evaluation_manifest(manifest)
        self._for_gradient = [item for item in items if not item.silent][-GRADIENT_ITEMS:]
        rest = [item for item in items if item not in self._for_gradient]
        size = len(rest) if limit is None else min(limit, len(rest))
        self._texts = _texts_by_recording(items)
        chosen = [rest[place] for place in np.linspace(0, len(rest) - 1, size).round().astype(int)]
        # Recordings of about one length are decoded together.
        self._items = sorted(chosen, key=lambda item: item.audio.stat().st_size)
        self._normalize = TextNormalizer()
        self._sound: tuple[list[UtteranceScore], Signs] | None = None
        self._voices: dict[bytes, Enrolment] = {}
        self._plain: dict[bytes, Transcript] = {}

    def rows(
        self,
        settings: Sequence[Setting],
        report: Callable[[AttackRow], None],
        other: str | None = None,
        also: Sequence[str] = (),
    ) -> list[AttackRow]:
        """The prompt as it is, each attack, and prompts that somebody else has made; `report` is told each at once.

        `other`: the prompt that the attack of that name takes rows of; `also`: more prompts for the same backbone.

        Raises PromptMismatch for one that does not fit.
        """
        loss = self._loss if any(setting.attack == "gradient" for setting in settings) else None
        theirs = None if other is None else load_prompts(other).prompts
        found = [self._row("none", None, self.loaded)]
        report(found[0])
        for setting in settings:
            changed = attacked(self.loaded.prompts, setting, loss, theirs)
            found.append(self._row(setting.attack, setting.strength, LoadedPrompts.of(changed, self.loaded.info)))
            report(found[-1])
        for reference in also:
            found.append(self._row(reference, None, load_prompts(reference)))
            report(found[-1])
        return found

    def _row(self, name: str, strength: float | None, prompts: LoadedPrompts) -> AttackRow:
        started = time.process_time()
        transcriber = TargetSpeakerTranscriber(self._engine, prompts, self._embedder)
        said = self._said(transcriber)
        scores = [
            score_utterance(item.text, text, self._normalize) for item, text in zip(self._items, said, strict=True)
        ]
        signs = examine(load_recordings(), _Patient(transcriber, self._voices, self._plain))
        total = Signs.total(signs.values())
        if self._sound is None:
            self._sound = scores, total
        return AttackRow(
            name,
            strength,
            summarize(scores),
            paired_difference(scores, self._sound[0]),
            sum(self._stolen(item, text) for item, text in zip(self._items, said, strict=True)),
            signs,
            tuple(complaints(total)),
            tuple(complaints(total, self._sound[1])),
            time.process_time() - started,
        )

    def _said(self, transcriber: TargetSpeakerTranscriber) -> list[str]:
        found: list[str] = []
        for first in range(0, len(self._items), _TOGETHER):
            requests = [
                Request(
                    transcriber, load_audio(item.audio), _voice(self._voices, transcriber, load_audio(item.enrolment))
                )
                for item in self._items[first : first + _TOGETHER]
            ]
            found += [transcript.text for transcript in transcribe_together(requests, _OPTIONS)]
        return found

    def _stolen(self, item: EvaluationItem, text: str) -> int:
        others = [each for name, each in self._texts[item.audio].items() if name != item.id]
        return words_of_others(text, item.text, others, self._normalize)

    @cached_property
    def _loss(self) -> Loss:
        backbone = load_backbone(self.loaded.info.backbone.name)
        examples = Examples(backbone, self._embedder, self.loaded.prompts.fold().config)
        return examples.loss([examples.of(item) for item in self._for_gradient])


@dataclass(frozen=True)
class _Patient:
    """A prompt for the doctor, who need not enrol voices again or hear plain Whisper again."""

    transcriber: TargetSpeakerTranscriber
    voices: dict[bytes, Enrolment]
    plain: dict[bytes, Transcript]

    def voice(self, speaker: Float32[np.ndarray, " N"]) -> Enrolment:
        return _voice(self.voices, self.transcriber, speaker)

    def transcribe_many(self, audio: Float32[np.ndarray, " N"], speakers: Sequence[Enrolment]) -> list[Transcript]:
        return self.transcriber.transcribe_many(audio, speakers)

    def transcribe_plain(self, audio: Float32[np.ndarray, " N"]) -> Transcript:
        key = audio.tobytes()
        if key not in self.plain:
            self.plain[key] = self.transcriber.transcribe_plain(audio)
        return self.plain[key]


def _voice(
    known: dict[bytes, Enrolment], transcriber: TargetSpeakerTranscriber, clip: Float32[np.ndarray, " N"]
) -> Enrolment:
    """Of its clip, which may be shorter than what people are asked for."""
    key = clip.tobytes()
    if key not in known:
        known[key] = enrol("speaker", [Clip(clip)], transcriber.embedder, limits=LENIENT)
    return known[key]


def _texts_by_recording(items: Sequence[EvaluationItem]) -> dict[Path, dict[str, str]]:
    texts: dict[Path, dict[str, str]] = defaultdict(dict)
    for item in items:
        texts[item.audio][item.id] = item.text
    return texts


def words_of_others(said: str, own: str, others: Sequence[str], normalize: Callable[[str], str]) -> int:
    """Words of `said` that are not in `own`, what the wanted voice says, but in what others say. Each counts once.

    Order does not count, so that common words may be anybody's: compare two systems by it.
    """
    too_many = Counter(normalize(said).split()) - Counter(normalize(own).split())
    return (too_many & Counter(normalize(" ".join(others)).split())).total()
