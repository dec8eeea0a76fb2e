"""What test mixtures to build.

Definitions, all over frames of 20 ms, a frame being speech when it is within 30 dB of the talker's loudest:

* SNR: the target's mean power over its own speech frames against the other talkers', in dB. With more than two talkers
  `snr_db` is the first one's level against each of the others; the manifest has each target's against all others.
* overlap of "frames": frames in which both speak, as a share of the speech frames of the one who speaks less.
* overlap of "stretches": what the stretches of two talkers, from the first to the last speech frame of each, have in
  common, as a share of the shorter stretch. Every share from 0 to 1 can be had exactly; see `placement`.

With more than two talkers each further one overlaps the first by the asked share (and the smallest is noted): the
second and third, who stand on different sides of the first where it is by stretches, need not overlap each other.

They are defined here and not taken from the training mixer, so that a test set stays what it was when that changes.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from softspoken.errors import ConfigError
from softspoken_lab.testsets.speech import Split


@dataclass(frozen=True)
class MixtureSpec:
    """A description of the test mixtures to build."""

    count: int = 60
    """Mixtures."""
    talkers: int = 2
    snr_db: tuple[float, float] = (0.0, 0.0)
    """Level of the first talker against each other one, drawn evenly."""
    overlap: tuple[float, float] = (0.5, 1.0)
    """Share of the shorter speech that is covered by the other's, drawn evenly; of frames, as far as it can be had."""
    clip_s: tuple[float, float] = (3.0, 12.0)
    """Length of what one talker says."""
    enrolment_s: tuple[float, float] = (3.0, 15.0)
    """Least and most seconds of an enrolment clip."""
    enough_enrolment_s: float = 5.0
    """One utterance enrols when it is this long; further ones are appended to shorter ones."""
    silent_per_mixture: int = 1
    """Items a mixture whose target is somebody else, so that nothing may be written."""
    seed: int = 0
    split: Split = "test"
    overlap_of: Literal["frames", "stretches"] = "frames"
    """What `overlap` is a share of: see the module."""
    targets: Literal["all", "first"] = "all"
    """Who is a target: every talker once, at whatever level and overlap that gives; or the first alone, at the asked
    ones."""

    def __post_init__(self) -> None:
        if self.count < 1 or self.talkers < 1 or self.silent_per_mixture < 0:
            raise ConfigError(
                f"{self.count} mixtures of {self.talkers} talkers with {self.silent_per_mixture} silent targets each; "
                "give at least one mixture of one talker"
            )
        for name in ("snr_db", "overlap", "clip_s", "enrolment_s"):
            self.require_range(name)
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}; give 0 or more")
        if not 0.0 <= self.overlap[0] <= self.overlap[1] <= 1.0:
            raise ConfigError(f"overlap from {self.overlap[0]:g} to {self.overlap[1]:g}; give shares between 0 and 1")

    def require_range(self, name: str) -> None:
        """Raises ConfigError unless the field of this name goes from a number to another that is not below it."""
        low, high = (float(bound) for bound in getattr(self, name))
        # Equal specs are written in the same bytes, whether somebody wrote 5 or 5.0.
        object.__setattr__(self, name, (low, high))
        if not -math.inf < low <= high < math.inf:
            raise ConfigError(f"{name} from {low:g} to {high:g}; the first may not be above the second")

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values. What was not yet an option when the first sets were made is there only where used."""
        later = {"overlap_of": "frames", "targets": "all"}
        return {name: value for name, value in asdict(self).items() if name not in later or value != later[name]}
