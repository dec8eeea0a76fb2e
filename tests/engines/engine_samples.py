"""Prompts of every kind with their voices, clips and activity, and a script of decoder steps that all ways run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from injected_decoding import Prefill as InjectedPrefill
from injected_decoding import prefill
from tiny import LAYERS, WIDTH, tone
from torch import Tensor

from softspoken.backbones import WhisperBackbone
from softspoken.engines import EncodedAudio, Engine, Prefill
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt, inject
from softspoken.prompts.compiled import CompiledPrompts, CompiledRows, unprompted
from softspoken.prompts.config import EnrolmentPrompt
from softspoken.prompts.modules import clip_states

S = 16
SECONDS = (1.0, 2.6, 1.9)
"""Windows of different buckets, so that a batch of them is padded."""

_DEEP = {"encoder": StackPrompt(length=4), "decoder": StackPrompt(length=3)}
_VOICE = SpeakerPrompt(dimension=S)

KINDS: dict[str, PromptConfig | None] = {
    "authors": PromptConfig(**_DEEP, speaker=_VOICE, placement="shifted", reparameterisation="separate"),
    "unshifted": PromptConfig(**_DEEP, speaker=_VOICE),
    "input": PromptConfig(
        encoder=StackPrompt(length=4, depth="input"),
        decoder=StackPrompt(length=3, depth="input"),
        speaker=SpeakerPrompt(dimension=S, into="both"),
    ),
    "voice in both": PromptConfig(
        encoder=StackPrompt(length=4), decoder=None, speaker=SpeakerPrompt(dimension=S, into="both")
    ),
    "decoder voice": PromptConfig(**_DEEP, speaker=SpeakerPrompt(dimension=S, into="decoder")),
    "keyed": PromptConfig(
        **_DEEP, speaker=SpeakerPrompt(dimension=S, into="frames"), frames=FramePrompt(keyed=5, mute_db=10)
    ),
    "keyed alone": PromptConfig(
        encoder=None,
        decoder=None,
        speaker=SpeakerPrompt(dimension=S, into="frames"),
        frames=FramePrompt(keyed=6),
    ),
    "plain frames": PromptConfig(**_DEEP, speaker=None, frames=FramePrompt()),
    "enrolment": PromptConfig(**_DEEP, speaker=None, enrolment=EnrolmentPrompt(clip_s=0.6)),
    "appended": PromptConfig(encoder=StackPrompt(length=4), decoder=None, speaker=None, placement="appended"),
    "none": None,
}


@dataclass(frozen=True)
class Sample:
    """Prompts, and what they are told about each row of a batch."""

    prompts: SoftPrompts | None
    speaker: Tensor | None = None
    clips: Tensor | None = None
    activity: Tensor | None = None

    def row(self, index: int) -> "Sample":
        return self.rows([index])

    def rows(self, chosen: Sequence[int]) -> "Sample":
        index = list(chosen)
        return Sample(
            self.prompts,
            None if self.speaker is None else self.speaker[index],
            None if self.clips is None else self.clips[:, index],
            None if self.activity is None else self.activity[index],
        )

    @contextmanager
    def injected(self, backbone: WhisperBackbone) -> Iterator[None]:
        with torch.no_grad():
            if self.prompts is None:
                yield
                return
            with inject(backbone, self.prompts(self.speaker, self.clips), activity=self.activity):
                yield

    def compiled(self, engine: Engine) -> CompiledRows:
        if self.prompts is None:
            return unprompted(engine.backbone)
        compiled = CompiledPrompts(engine.backbone, self.prompts.config, self.prompts.arrays())
        return compiled.rows(*(None if part is None else part.numpy() for part in (self.speaker, self.clips)))

    def heard(self, engine: Engine, audio: Sequence[np.ndarray]) -> EncodedAudio:
        activity = None if self.activity is None else self.activity.numpy()
        return engine.encode(engine.features(audio), self.compiled(engine), activity)


def sample(backbone: WhisperBackbone, kind: str, rows: int = len(SECONDS), seed: int = 1) -> Sample:
    """Large random prompts of a kind, with voices, clips and activity for so many rows."""
    config = KINDS[kind]
    if config is None:
        return Sample(None)
    generator = torch.Generator().manual_seed(seed)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS}).eval()
    with torch.no_grad():
        for tensor in prompts.parameters():
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    clips = [tone(0.5, seed + row) for row in range(rows)]
    return Sample(
        prompts,
        torch.randn(rows, S, generator=generator) if config.speaker is not None else None,
        clip_states(backbone, clips, config.enrolment) if config.enrolment is not None else None,
        # Not as long as the frames: what is missing counts as 0.
        torch.rand(rows, 120, generator=generator) if config.frames is not None else None,
    )


Started = Prefill | InjectedPrefill


def windows(rows: Sequence[int] = range(len(SECONDS))) -> list[np.ndarray]:
    return [tone(SECONDS[row], row) for row in rows]


def injected_start(backbone: WhisperBackbone, given: Sample, audio: Sequence[np.ndarray]) -> InjectedPrefill:
    """The reference; to be called, and used, inside `given.injected(backbone)`."""
    return prefill(backbone, backbone.encode(backbone.features(audio)), backbone.tokens.start(timestamps=True))


def engine_start(engine: Engine, given: Sample, audio: Sequence[np.ndarray]) -> Prefill:
    return given.heard(engine, audio).prefill(engine.tokens.start(timestamps=True))


def few_steps(started: Started) -> list[np.ndarray]:
    """Scores of the first tokens of all rows, by row in the first axis."""
    batch = started.logits.shape[0]
    rows = started.live(range(batch))
    found = [started.logits, started.no_speech, *(rows.step([token] * batch) for token in (5, 260, 7))]
    return [np.asarray(part) for part in found]


STEPS = 36
"""More than a bucket of the cache."""


def many_steps(started: Started) -> list[np.ndarray]:
    """What search may do to a batch of three windows: long texts, rows dropped, reordered and repeated, branches."""
    assert started.logits.shape[0] == 3
    found = [started.logits, started.no_speech]
    rows = started.live([0, 1, 2])
    found += [rows.step([step, step + 100, step + 200]) for step in range(STEPS)]
    rows.keep([2, 0], [2, 0])
    found += [rows.step([8, 9]), rows.step([10, 11])]
    rows.keep([1, 0, 1], [0, 2, 0])
    found.append(rows.step([12, 13, 14]))
    # Beams of one window, in another order, then of a single row.
    rows.keep([2, 0, 2], [0, 0, 0])
    found.append(rows.step([15, 16, 17]))
    rows.keep([1], [0])
    found.append(rows.step([18]))
    # Another attempt begins where the first began.
    again = started.live([1])
    found += [again.step([20]), again.step([21])]
    beams = started.live([2, 2, 1])
    found.append(beams.step([22, 23, 24]))
    return [np.asarray(part) for part in found]


def assert_close(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray], atol: float = 1e-4) -> None:
    assert len(found) == len(wanted)
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        np.testing.assert_allclose(one, other, atol=atol, rtol=0.0, err_msg=f"step {number}")
