"""Several channels to one."""

import numpy as np
from jaxtyping import Float32

from softspoken.audio.recording import Recording, logger
from softspoken.errors import AudioError

_CANCELLED = 0.2
"""Independent channels keep 1/n of their power when n are averaged, equal ones all; less than this share of 1/n is
what is left when they cancel."""
_AUDIBLE = 10 ** (-60 / 10)
_NAMES = {"left": 0, "right": 1}


class Mixer:
    """Takes the wanted channel of each block, or their mean; where they cancel, the louder one from there on."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._one: int | None = None

    def __call__(self, block: Float32[np.ndarray, "N C"], at_s: float) -> Float32[np.ndarray, " N"]:
        """`at_s`: where the block begins, for messages."""
        channels = block.shape[1]
        if self._recording.channel != "mix":
            wanted = _NAMES[self._recording.channel]
            if channels == 1:
                raise AudioError(f"'{self._recording}' has one channel, there is no {self._recording.channel} one")
            return np.ascontiguousarray(block[:, wanted])
        if channels == 1:
            return np.ascontiguousarray(block[:, 0])
        if self._one is None and np.isfinite(block).all():
            self._one = self._louder_if_cancelled(block, at_s)
        if self._one is not None:
            return np.ascontiguousarray(block[:, min(self._one, channels - 1)])
        with np.errstate(over="ignore", invalid="ignore"):  # Whoever reads refuses what is no sound.
            mono: np.ndarray = block.mean(axis=1, dtype=np.float32)
        return mono

    def _louder_if_cancelled(self, block: np.ndarray, at_s: float) -> int | None:
        power = np.square(block, dtype=np.float64).mean(axis=0)
        mixed = float(np.square(block.mean(axis=1, dtype=np.float64)).mean())
        if power.max() < _AUDIBLE or mixed * len(power) >= _CANCELLED * power.mean():
            return None
        louder = int(power.argmax())
        names = {0: "left", 1: "right"} if len(power) == 2 else {}
        logger.warning(
            "'%s': its channels cancel each other (from %.1f s on); the %s one is taken alone",
            self._recording,
            at_s,
            names.get(louder, f"{louder + 1}."),
        )
        return louder
