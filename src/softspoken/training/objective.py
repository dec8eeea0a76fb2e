"""The losses of target-speaker training: from a batch of targets in mixtures to what a step minimises."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.backbones import WhisperBackbone
from softspoken.backbones.base import EncodedLayers, valid_positions
from softspoken.data.batches import IGNORED, Batch
from softspoken.prompts import PromptConfig, inject
from softspoken.prompts.modules import activity_of, clip_states
from softspoken.training.config import ObjectiveConfig
from softspoken.training.processes import Average, alone


@dataclass(frozen=True)
class TargetSpeakerObjective:
    """Cross-entropy on the target's words, and self-distillation from the same model hearing the target alone."""

    backbone: WhisperBackbone
    prompts: PromptConfig
    config: ObjectiveConfig
    beside: Callable[[], AbstractContextManager[object]] = nullcontext
    """In which the one who learns runs, never the teacher: where the laboratory trains weights beside prompts, the
    backbone has them in it."""
    window_s: float | None = None
    """Seconds of the window; None: as long as the mixture."""
    average: Average = alone
    """Over the processes that share a batch: losses are divided by what all of it holds."""

    def __call__(self, prompts: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The weighted sum as `loss`, and each part. `prompts`: the module, possibly wrapped for several devices."""
        backbone, weights = self.backbone, self.config
        given = conditioning(backbone, self.prompts, batch)
        features = backbone.features(batch.audio, self.window_s)
        rows = prompts(*given.of_prompts)
        slots = rows.encoder.slots if rows.encoder is not None else 0
        wanted = batch.labels != IGNORED
        with self.beside(), inject(backbone, rows, activity=given.activity):
            heard = backbone.encode_layers(features)
            logits = backbone.logits(backbone.decode_states(batch.tokens, heard.last)[wanted])
        parts = {"cross_entropy": cross_entropy(logits, batch.labels[wanted], self.average)}
        lengths = heard.lengths - slots
        if weights.states > 0 or weights.layers > 0 or weights.tokens > 0:
            student = [states[:, slots:] for states in heard.states]
            with torch.no_grad():
                taught = self._teach(batch, student[0].shape[1])
            teacher = [states[:, : student[0].shape[1]] for states in taught.states]
            if weights.states > 0:
                parts["states"] = state_distance(student[-1], teacher[-1], lengths, self.average)
            if weights.layers > 0:
                pairs = zip(student[1:-1], teacher[1:-1], strict=True)
                between = [state_distance(*pair, lengths, self.average) for pair in pairs]
                parts["layers"] = torch.stack(between).mean()
            if weights.tokens > 0:
                with torch.no_grad():
                    expected = backbone.logits(backbone.decode_states(batch.tokens, taught.last)[wanted])
                parts["tokens"] = token_divergence(logits, expected, self.average)
        total = sum(value * getattr(weights, name) for name, value in parts.items())
        assert isinstance(total, Tensor)
        return {"loss": total, **parts}

    def _teach(self, batch: Batch, frames: int) -> EncodedLayers:
        """The frozen model's states of the clean targets. Talkers of one mixture share nothing, so all are encoded."""
        window_s = 30.0 if self.config.teacher_window == "30s" else self.window_s
        taught = self.backbone.encode_layers(self.backbone.features(batch.clean, window_s))
        assert taught.states[-1].shape[1] >= frames
        return taught


@dataclass(frozen=True)
class Conditioning:
    """What the prompts need to know about the voices of a batch, and nothing else."""

    speaker: Float[Tensor, "B S"] | None
    activity: Float[Tensor, "B T"] | None
    clips: Float[Tensor, "L B F D"] | None

    @property
    def of_prompts(self) -> tuple[Tensor | None, Tensor | None]:
        """What `SoftPrompts` is called with."""
        return self.speaker, self.clips


def conditioning(backbone: WhisperBackbone, config: PromptConfig, batch: Batch) -> Conditioning:
    """For the voices of a batch; not to be called under a prompt."""
    clips = None
    if config.enrolment is not None:
        assert batch.clips is not None
        clips = clip_states(backbone, batch.clips, config.enrolment)
    return Conditioning(
        speaker=batch.voices if config.speaker is not None else None,
        activity=activity_of(batch.scores, config.frames) if config.frames is not None else None,
        clips=clips,
    )


@torch.no_grad()
def voice_contrast(objective: TargetSpeakerObjective, prompts: nn.Module, batches: list[Batch]) -> dict[str, float]:
    """Loss on the target's words with the right voice and with another voice of the same mixture, and the gap.

    As long as the gap is zero the prompt has only learned the domain, not to listen to the voice. Each batch must hold
    pairs: rows 2i and 2i+1 are two targets of one mixture.
    """
    sums = torch.zeros(2)
    # One process looks at the whole of it.
    plain = replace(objective, config=ObjectiveConfig(), average=alone)
    for batch in batches:
        for column, case in enumerate((batch, batch.voices_swapped())):
            sums[column] += float(plain(prompts, case)["cross_entropy"])
    right, wrong_voice = (sums / len(batches)).tolist()
    return {"right_voice": right, "wrong_voice": wrong_voice, "gap": wrong_voice - right}


def cross_entropy(
    logits: Float[Tensor, "K V"], labels: Int[Tensor, "K"], average: Average = alone
) -> Float[Tensor, ""]:
    """Mean over K predicted tokens."""
    total = F.cross_entropy(logits.float(), labels, reduction="sum")
    return total / _share(logits, average)


def state_distance(
    student: Float[Tensor, "B T D"],
    teacher: Float[Tensor, "B T D"],
    lengths: Int[Tensor, "B"],
    average: Average = alone,
) -> Float[Tensor, ""]:
    """Squared distance of encoder states over the valid frames, relative to the teacher's variance (0: equal)."""
    valid = valid_positions(lengths, student.shape[1])
    student, teacher = student[valid].float(), teacher[valid].float()
    frames = _share(teacher, average)
    middle = average(teacher.sum(dim=0)) / frames
    spread = average((teacher - middle).pow(2).mean(dim=1).sum()) / frames
    distance: Tensor = (student - teacher).pow(2).mean(dim=1).sum() / frames
    return distance / spread.clamp(min=1e-6)


def token_divergence(
    student: Float[Tensor, "K V"], teacher: Float[Tensor, "K V"], average: Average = alone
) -> Float[Tensor, ""]:
    """KL(teacher || student), mean over K predicted tokens."""
    log_student = F.log_softmax(student.float(), dim=-1)
    log_teacher = F.log_softmax(teacher.float(), dim=-1)
    divergence: Tensor = (log_teacher.exp() * (log_teacher - log_student)).sum() / _share(student, average)
    return divergence


def _share(rows: Float[Tensor, "K D"], average: Average) -> Float[Tensor, ""]:
    """What a sum over the rows is divided by: their number, in a batch that several processes share the mean of it."""
    return average(rows.new_full((), rows.shape[0], dtype=torch.float32)).clamp(min=1)
