"""The order of items in which those of a batch are about equally long, so that little of it is padding."""

from collections.abc import Callable

import numpy as np

from softspoken.errors import ConfigError

_POOL = 2
"""Keeps these draws apart from others of the same seed."""


class Pools:
    """Takes `pool` items at a time, sorts them by length, and deals them out in batches in a drawn order.

    Every item comes once, and where it comes depends on the seed and its number alone.
    """

    def __init__(self, size: int, pool: int, batch: int, seed: int, duration_s: Callable[[int], float]) -> None:
        """`pool` 1: the items in their own order. Raises ConfigError for a pool or batch below 1."""
        if pool < 1 or batch < 1:
            raise ConfigError(f"a pool of {pool} items, dealt out in batches of {batch}; give 1 or more of both")
        self.size, self.batch, self.seed, self.duration_s = size, batch, seed, duration_s
        # Whole batches: one that straddles two pools would hold long and short items.
        self.pool = max(pool // batch, 1) * batch if pool > 1 else 1
        self._dealt: tuple[int, list[int]] = (-1, [])

    def place(self, index: int) -> int:
        """The item that comes at `index`."""
        if self.pool == 1:
            return index
        number, position = divmod(index, self.pool)
        if self._dealt[0] != number:
            self._dealt = (number, self._deal(number))
        return self._dealt[1][position]

    def _deal(self, number: int) -> list[int]:
        first = number * self.pool
        durations = {place: self.duration_s(place) for place in range(first, min(first + self.pool, self.size))}
        places = sorted(durations, key=lambda place: (durations[place], place))
        runs = [places[start : start + self.batch] for start in range(0, len(places), self.batch)]
        # A last, shorter run stays last, so that the others begin where batches begin.
        whole = [run for run in runs if len(run) == self.batch]
        order = np.random.default_rng([self.seed, _POOL, number]).permutation(len(whole))
        return [place for run in [*(whole[i] for i in order), *runs[len(whole) :]] for place in run]
