"""Test mixtures in a room and in noise: those of `softspoken_lab.testsets.mixtures`, recorded in `Surroundings`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softspoken.errors import ConfigError
from softspoken_lab.noise.bank import NoiseBank
from softspoken_lab.testsets.mixtures import MixtureSpec, build_mixtures
from softspoken_lab.testsets.rooms import RT60_S
from softspoken_lab.testsets.surroundings import Surroundings


@dataclass(frozen=True)
class SceneSpec(MixtureSpec):
    """What test mixtures to build, and what stands around their talkers."""

    noise_snr_db: tuple[float, float] | None = None
    """Level of the first talker against noise, drawn evenly; None: no noise."""
    rt60_s: tuple[float, float] | None = None
    """Reverberation time of a room, drawn evenly; None: no room."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise_snr_db", "rt60_s"):
            if getattr(self, name) is not None:
                self.require_range(name)
        if self.rt60_s is not None and not RT60_S[0] <= self.rt60_s[0] <= self.rt60_s[1] <= RT60_S[1]:
            raise ConfigError(
                f"reverberation of {self.rt60_s[0]:g} to {self.rt60_s[1]:g} s; give times from {RT60_S[0]:g} to "
                f"{RT60_S[1]:g} s"
            )

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values; a room and noise only where there are any."""
        return {
            name: value
            for name, value in super().as_dict().items()
            if name not in ("noise_snr_db", "rt60_s") or value is not None
        }


def build_scenes(
    speech_manifest: str | Path, out_dir: str | Path, spec: SceneSpec, noise: NoiseBank | None = None
) -> Path:
    """Build a test set as `build_mixtures` does and return its manifest.

    With noise its lines have `noise` and the target's `noise_snr_db`. In a room they have `room` (with the
    reverberation time that was had), and `clean` is the direct sound and the reflections of the first 50 ms.

    Raises as `build_mixtures` does; ConfigError for a level of noise without noise; MissingExtra for a room without
    pyroomacoustics.
    """
    if (spec.noise_snr_db is None) != (noise is None):
        raise ConfigError("noise needs both recordings and a level; give both or neither")
    around = Surroundings(spec.seed, spec.rt60_s, spec.noise_snr_db, noise).around
    return build_mixtures(speech_manifest, out_dir, spec, around)
