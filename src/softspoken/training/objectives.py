"""Losses, as functions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from softspoken.backbones.base import valid_positions

IGNORED = -100


def cross_entropy(logits: Float[Tensor, "K V"], labels: Int[Tensor, "K"]) -> Float[Tensor, ""]:
    """Mean over K predicted tokens."""
    return F.cross_entropy(logits.float(), labels)


def state_distance(
    student: Float[Tensor, "B T D"], teacher: Float[Tensor, "B T D"], lengths: Int[Tensor, "B"]
) -> Float[Tensor, ""]:
    """Squared distance of encoder states over the valid frames, relative to the teacher's variance (0: equal)."""
    valid = valid_positions(lengths, student.shape[1])
    student, teacher = student[valid].float(), teacher[valid].float()
    spread = (teacher - teacher.mean(dim=0)).pow(2).mean()
    return (student - teacher).pow(2).mean() / spread.clamp(min=1e-6)


def token_divergence(student: Float[Tensor, "K V"], teacher: Float[Tensor, "K V"]) -> Float[Tensor, ""]:
    """KL(teacher || student), mean over K predicted tokens."""
    log_student = F.log_softmax(student.float(), dim=-1)
    log_teacher = F.log_softmax(teacher.float(), dim=-1)
    return torch.mean((log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1))


def activity_error(
    found: Float[Tensor, "B T"], true: Float[Tensor, "B T"], lengths: Int[Tensor, "B"]
) -> Float[Tensor, ""]:
    """Binary cross-entropy of how likely the target speaks, mean over the valid frames."""
    valid = valid_positions(lengths, found.shape[1])
    return F.binary_cross_entropy(found[valid].float().clamp(1e-4, 1 - 1e-4), true[valid].float())


def ctc(
    log_probs: Float[Tensor, "B T V"],
    lengths: Int[Tensor, "B"],
    labels: Int[Tensor, "B U"],
    label_lengths: Int[Tensor, "B"],
) -> Float[Tensor, ""]:
    """Connectionist temporal classification (Graves et al. 2006), blank 0, in float32, as SUPERB weighs it.

    Mean over the rows of each one's loss a label. A row whose label does not fit its frames counts as zero and gives no
    gradient; `backbones.characters.check_frames` finds such utterances before training does.
    """
    frames_first = log_probs.float().transpose(0, 1)
    return F.ctc_loss(frames_first, labels, lengths, label_lengths, blank=0, reduction="mean", zero_infinity=True)
