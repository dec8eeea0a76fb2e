"""Noise shift: prompts for a new environment from recordings of its noise, without training (section 3.3).

P* = [P_content, P_noise * v]: the vectors of the noise set are multiplied, number by number, with the mean acoustic
representation v of the noise. Shapes: L layers of prompts, N prompt vectors, D width.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from softspoken.audio import SAMPLE_RATE_HZ, SHORTEST_S
from softspoken.backbones.base import Backbone
from softspoken.errors import ConfigError, PromptError
from softspoken.frozen import Frozen
from softspoken.prompts.rows import PromptRows
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.results import Condition, Counts, NoiseFile, RoleSplit, ShiftInfo, ShiftResult
from softspoken_lab.analysis.subject import (
    Report,
    TestSet,
    Vectors,
    check_sets,
    conditions,
    frozen_condition,
    full,
    score_all,
    set_infos,
)
from softspoken_lab.noise.bank import NoiseBank
from softspoken_lab.noise.folder import LoadedRecognizer
from softspoken_lab.noise.model import mean_pooled, prompted_states

_WINDOW_S = 10.0
"""Recordings are heard in windows of at most this long; a rest of less than half a second is left out."""
_REST_S = 0.5
Representation = Literal["output", "input"]


class ShiftOptions(Frozen):
    """What v is, and how it acts."""

    representation: Representation | None = None
    """`output`: the encoder's last layer, which is how the paper's words read. `input`: what enters the layer in which
    the prompts stand. None: `output`, but for deep prompts `input`, so that every layer has a v of its own."""
    scale: Literal["paper", "unit"] = "paper"
    """`paper`: the product as it is. `unit`: v is divided by its root mean square, so that it turns the vectors more
    than it stretches them (beyond the paper)."""
    level_dbfs: float | None = -25.0
    """All recordings are brought to this level (effective value), as they differ widely; None: as they are."""


@dataclass(frozen=True)
class Shifted:
    """A recogniser with shifted prompts, and how they were made."""

    name: str
    recognizer: LoadedRecognizer
    vectors: Vectors
    info: ShiftInfo


def shift_prompts(
    subject: CTCSubject,
    noise: NoiseBank,
    split: RoleSplit,
    options: ShiftOptions | None = None,
    *,
    report: Report | None = None,
) -> Shifted:
    """Shift the noise set of the subject's prompts to the environment that `noise` recorded; content vectors stay.

    Save it with `.recognizer.save(folder)`: its history says which recordings (with their digests), which vectors and
    which representation. Raises ConfigError without prompts or without a noise set, AudioError for a silent recording.
    """
    options = ShiftOptions() if options is None else options
    vectors = subject.vectors
    chosen = [number - 1 for number in split.noise]
    if not chosen:
        raise ConfigError("the noise set is empty: there is nothing to shift; choose the roles by the clusters instead")
    if max(chosen) >= vectors.shape[1]:
        raise ConfigError(f"no prompt {max(chosen) + 1}; there are {vectors.shape[1]}, numbered from 1")
    kind = options.representation
    if kind is None:
        kind = "output" if vectors.shape[0] == 1 else "input"
    means = noise_means(subject.backbone, subject.rows, noise, kind, vectors.shape[0], options.level_dbfs, report)
    factors = scaled(means, options.scale)
    changed = shifted_vectors(vectors, chosen, factors)
    info = ShiftInfo(
        noise_prompts=split.noise,
        representation=kind,
        scale=options.scale,
        level_dbfs=options.level_dbfs,
        files=tuple(noise_file(noise, index) for index in range(len(noise))),
        v_rms=tuple(float(one) for one in means.pow(2).mean(dim=1).sqrt()),
        v_mean=tuple(float(one) for one in means.mean(dim=1)),
        norm_ratio=float(changed[:, chosen].norm(dim=-1).mean() / vectors[:, chosen].norm(dim=-1).mean()),
    )
    name = "shifted" if options.scale == "paper" else "shifted, unit"
    return Shifted(name, with_changed(subject.recognizer, changed, info, split), changed, info)


def shifted_vectors(vectors: Vectors, noise: Sequence[int], factors: Float[Tensor, "L D"]) -> Vectors:
    """`vectors` with those of numbers `noise` (from 0) multiplied by their layer's factors."""
    changed = vectors.clone()
    changed[:, list(noise)] = vectors[:, list(noise)] * factors[:, None].to(vectors)
    return changed


def scaled(means: Float[Tensor, "L D"], scale: Literal["paper", "unit"]) -> Float[Tensor, "L D"]:
    """The factors of the product."""
    if scale == "paper":
        return means
    return means / means.pow(2).mean(dim=1, keepdim=True).sqrt().clamp(min=torch.finfo(means.dtype).tiny)


@torch.no_grad()
def noise_means(
    backbone: Backbone,
    rows: PromptRows,
    noise: NoiseBank,
    representation: Representation,
    layers: int,
    level_dbfs: float | None = None,
    report: Report | None = None,
) -> Float[Tensor, "L D"]:
    """v for each of `layers` layers of prompts: the mean over recordings of their states' mean over time, under `rows`.

    `output` gives the same v to every layer; `input` gives layer l what enters it.
    """
    totals = []
    for done, clip in enumerate(noise.clips, start=1):
        audio = noise.audio(clip)
        if level_dbfs is not None:
            audio = audio * (10 ** (level_dbfs / 20) / float(np.sqrt(np.mean(audio.astype(np.float64) ** 2))))
        totals.append(_clip_mean(backbone, rows, audio.astype(np.float32), representation, layers))
        if report is not None:
            report(done, len(noise))
    return torch.stack(totals).mean(dim=0)


def _clip_mean(
    backbone: Backbone, rows: PromptRows, audio: Float[np.ndarray, " N"], representation: Representation, layers: int
) -> Float[Tensor, "L D"]:
    size = round(_WINDOW_S * SAMPLE_RATE_HZ)
    limit = getattr(backbone, "max_frames", None)
    if limit is not None:
        # Tiny models have few positions; shifted prompts take some of them.
        slots = rows.encoder.slots if rows.encoder is not None else 0
        size = min(size, (limit - slots) * SAMPLE_RATE_HZ // 50)
    total, frames = torch.zeros(layers, backbone.stacks["encoder"].width, device=backbone.device), 0
    for start in range(0, audio.size, size):
        part = audio[start : start + size]
        if part.size < max(SHORTEST_S, _REST_S if start else 0.0) * SAMPLE_RATE_HZ:
            continue
        found = prompted_states(backbone, backbone.features([part]), rows)
        states = found.states[-1:] * layers if representation == "output" else found.states[:layers]
        count = int(found.lengths[0])
        total += torch.stack([mean_pooled(one, found.lengths)[0] for one in states]) * count
        frames += count
    return total / frames


def with_changed(recognizer: LoadedRecognizer, vectors: Vectors, info: ShiftInfo, split: RoleSplit) -> LoadedRecognizer:
    """The recogniser with the encoder's vectors replaced, and the change written into its history."""
    prompts = recognizer.model.prompts
    if prompts is None:
        raise ConfigError("a frozen baseline (m = 0) has no prompts to shift; give a recogniser with prompts")
    if not bool(vectors.isfinite().all()):
        raise PromptError("the shifted prompts are not finite; check the noise recordings, or use scale 'unit'")
    changed = prompts.fold()
    changed.load_state_dict({**changed.state_dict(), "stacks.encoder.vectors": vectors})
    history = {
        "change": "noise shift",
        "paper": "arXiv 2309.09413, section 3.3",
        "roles_by": split.by,
        **info.model_dump(mode="json"),
    }
    return recognizer.with_prompts(changed.eval(), history)


def noise_file(noise: NoiseBank, index: int) -> NoiseFile:
    """Name and digest of a recording."""
    clip = noise.clips[index]
    digest = hashlib.sha256(Path(clip.path).read_bytes()).hexdigest()
    return NoiseFile(name=clip.id, sha256=digest, duration_s=clip.duration_s)


def compare_shifts(
    subject: CTCSubject,
    sets: Sequence[TestSet],
    shifted: Sequence[Shifted],
    split: RoleSplit,
    *,
    frozen: dict[str, Counts] | None = None,
    report: Report | None = None,
) -> ShiftResult:
    """Word error rates of the prompts and of one or more shifts of them (table 4), on noise out of the domain.

    `frozen`: the errors of a baseline (`score_frozen`). Raises DataError for unusable sets.
    """
    check_sets(sets)
    whole = full(subject)
    counts = score_all(subject, sets, [whole.vectors, *(one.vectors for one in shifted)], report)
    names = [(whole.name, whole.prompts), *((one.name, whole.prompts) for one in shifted)]
    base, *rest = conditions(names, counts)
    rows: tuple[Condition, ...] = tuple(rest)
    return ShiftResult(
        subject=subject.info,
        sets=set_infos(counts),
        frozen=frozen_condition(frozen, counts),
        full=base,
        shifted=rows,
        shifts=tuple(one.info for one in shifted),
        split=split,
    )
