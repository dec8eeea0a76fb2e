"""What a prompt does with speaking and silent targets, as it is stored: figures with intervals over talkers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softspoken.decoding import TargetSpeakerTranscriber
from softspoken.errors import DataError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken_lab.measures.detection import Detection, Measured, detection, measured, share
from softspoken_lab.measures.observations import Observation, Progress, observe


@dataclass(frozen=True)
class SilenceReport:
    """What a prompt did with speaking and silent targets, and what its score would allow."""

    false_rejection: Measured
    """Share of the speaking targets for whom nothing was written."""
    rejection: Measured
    """Share of the silent targets for whom nothing was written."""
    detection: Detection | None
    """Of the calibrated probability; None without one."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "false_rejection": self.false_rejection.as_dict(),
            "rejection": self.rejection.as_dict(),
            "score": None if self.detection is None else self.detection.as_dict(),
        }


def report(observations: Sequence[Observation], false_rejection: float = 0.01) -> SilenceReport:
    """Figures with intervals over talkers. Raises DataError unless there are both speaking and silent targets."""
    silent, talkers = [one.silent for one in observations], [one.talker for one in observations]
    if all(silent) or not any(silent):
        raise DataError(f"{sum(silent)} of {len(silent)} targets are silent; give a manifest with both kinds")
    nothing, kinds = np.array([float(not one.wrote) for one in observations]), np.array(silent)
    scores = [one.speaking for one in observations if one.speaking is not None]
    return SilenceReport(
        measured(share(of_silent=False), nothing, kinds, talkers),
        measured(share(of_silent=True), nothing, kinds, talkers),
        detection(scores, silent, talkers, false_rejection) if len(scores) == len(observations) else None,
    )


def measure_prompt(
    reference: str, manifests: Sequence[Path], false_rejection: float = 0.01, progress: Progress = iter
) -> tuple[SilenceReport, list[Observation]]:
    """What a prompt, as it is stored, does with speaking and silent targets."""
    items = [item for manifest in manifests for item in read_evaluation_manifest(manifest)]
    transcriber = TargetSpeakerTranscriber.from_pretrained(reference, engine="torch")
    observations = list(observe(progress(items), transcriber.transcribe))
    return report(observations, false_rejection), observations
