"""The step of training for speech in noise: a batch of utterances to the CTC loss."""

from dataclasses import dataclass

from torch import Tensor, nn

from softspoken.backbones import Backbone
from softspoken.data.ctc_batches import CTCBatch
from softspoken.training.objectives import ctc


@dataclass(frozen=True)
class NoiseObjective:
    """CTC over characters ("Soft prompts as zero-shot learners", section 2.2)."""

    backbone: Backbone

    def __call__(self, trained: nn.Module, batch: CTCBatch) -> dict[str, Tensor]:
        """`loss`, a character. `trained`: a `PromptedCTC`, possibly wrapped for several devices."""
        features = self.backbone.features(batch.audio)
        log_probs, lengths = trained(self.backbone, features)
        return {"loss": ctc(log_probs, lengths, batch.labels, batch.label_lengths)}
