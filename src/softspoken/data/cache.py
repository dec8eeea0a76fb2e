"""Audio held in memory, up to a limit."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

LIMIT_BYTES = 4 * 1024**3
"""About 18 hours at 16 kHz."""


class AudioCache:
    """Waveforms by name; those unused for longest are dropped when all together take more than `limit_bytes`."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: str, load: Callable[[], np.ndarray]) -> np.ndarray:
        """The waveform of that name, loaded if it is not there."""
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        waveform = load()
        self._kept[name] = waveform
        self._bytes += waveform.nbytes
        while self._bytes > self.limit_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return waveform
