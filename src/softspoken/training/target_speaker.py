"""The step of target-speaker training: a batch of targets in mixtures to losses."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softspoken.backbones import Encoded, WhisperBackbone
from softspoken.data.batches import Batch
from softspoken.prompts import PromptConfig, inject
from softspoken.prompts.modules import activity_of
from softspoken.training.config import ObjectiveConfig
from softspoken.training.objectives import cross_entropy, state_distance, token_divergence


@dataclass(frozen=True)
class TargetSpeakerObjective:
    """Cross-entropy on the target's words, and self-distillation from the same model hearing the target alone."""

    backbone: WhisperBackbone
    prompts: PromptConfig
    config: ObjectiveConfig

    def __call__(self, prompts: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The weighted sum as `loss`, and each part. `prompts`: the module, possibly wrapped for several devices."""
        backbone, config, weights = self.backbone, self.prompts, self.config
        features = backbone.features(batch.audio)
        given = activity_of(batch.scores, config.frames) if config.frames is not None else None
        rows = prompts(batch.voices if config.speaker is not None else None)
        slots = rows.encoder.slots if rows.encoder is not None else 0
        with inject(backbone, rows, activity=given):
            encoded = backbone.encode(features)
            logits = backbone.decode(batch.tokens, encoded)
        parts = {"cross_entropy": cross_entropy(logits, batch.labels)}
        if weights.states > 0 or weights.tokens > 0:
            with torch.no_grad():
                taught = self._teach(batch, encoded.states.shape[1] - slots)
            if weights.states > 0:
                student = encoded.states[:, slots:]
                parts["states"] = state_distance(student, taught.states[:, : student.shape[1]], encoded.lengths - slots)
            if weights.tokens > 0:
                with torch.no_grad():
                    wanted = backbone.decode(batch.tokens, taught)
                parts["tokens"] = token_divergence(logits, wanted, batch.labels)
        total = sum(value * getattr(weights, name) for name, value in parts.items())
        assert isinstance(total, Tensor)
        return {"loss": total, **parts}

    def _teach(self, batch: Batch, frames: int) -> Encoded:
        """The frozen model's states of the clean targets. Talkers of one mixture share nothing, so all are encoded."""
        window_s = 30.0 if self.config.teacher_window == "30s" else None
        taught = self.backbone.encode(self.backbone.features(batch.clean, window_s))
        assert taught.states.shape[1] >= frames
        return taught


@torch.no_grad()
def voice_contrast(objective: TargetSpeakerObjective, prompts: nn.Module, batches: list[Batch]) -> dict[str, float]:
    """Loss on the target's words with the right voice and with another voice of the same mixture, and the gap.

    As long as the gap is zero the prompt has only learned the domain, not to listen to the voice. Each batch must hold
    pairs: rows 2i and 2i+1 are two targets of one mixture.
    """
    sums = torch.zeros(2)
    for batch in batches:
        swap = torch.arange(batch.voices.shape[0]) ^ 1
        wrong = Batch(
            batch.audio,
            batch.clean,
            batch.voices[swap],
            batch.scores[swap],
            batch.tokens,
            batch.labels,
            batch.texts,
            batch.speakers,
        )
        plain = TargetSpeakerObjective(objective.backbone, objective.prompts, ObjectiveConfig())
        for column, case in enumerate((batch, wrong)):
            sums[column] += float(plain(prompts, case)["cross_entropy"])
    right, wrong_voice = (sums / len(batches)).tolist()
    return {"right_voice": right, "wrong_voice": wrong_voice, "gap": wrong_voice - right}
