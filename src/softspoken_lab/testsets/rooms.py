"""Reverberation: a shoebox room with a microphone and talkers in it, drawn from a seeded generator and simulated.

Image sources for the first reflections and ray tracing for the rest (pyroomacoustics: Scheibler et al., ICASSP 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError, MissingExtra

SPEED_OF_SOUND_M_PER_S = 343.0
EARLY_S = 0.05
"""Reflections up to so long after the direct sound are early: they carry the words, later ones smear them."""
RT60_S = (0.1, 2.0)
"""Shortest and longest reverberation time that can be asked for."""
Point = tuple[float, float, float]


@dataclass(frozen=True)
class RoomRanges:
    """What rooms are drawn from, evenly; lengths in metres."""

    length_m: tuple[float, float] = (3.5, 8.0)
    width_m: tuple[float, float] = (3.0, 6.0)
    height_m: tuple[float, float] = (2.4, 3.5)
    distance_m: tuple[float, float] = (0.5, 2.5)
    """From the microphone to a talker."""
    microphone_height_m: tuple[float, float] = (0.7, 1.4)
    talker_height_m: tuple[float, float] = (1.1, 1.8)
    from_wall_m: float = 0.5
    apart_m: float = 0.5
    """Least distance of two talkers."""
    scattering: float = 0.15
    image_order: int = 10
    """Reflections up to this order are image sources; those after them, rays."""
    rays: int = 5000
    attempts: int = 1000


@dataclass(frozen=True)
class Room:
    """A drawn room."""

    size_m: Point
    microphone_m: Point
    talkers_m: tuple[Point, ...]
    rt60_s: float
    """Asked for; see `reverberation_time_s` for what came of it."""
    seed: int
    """Of the rays."""

    @property
    def absorption(self) -> float:
        """Share of the energy that every wall swallows, so that the asked time is had (Eyring's formula)."""
        volume = float(np.prod(self.size_m))
        surface = 2 * sum(a * b for a, b in combinations(self.size_m, 2))
        # 0.161 s/m = 24 ln 10 / (speed of sound).
        return float(1 - np.exp(-24 * np.log(10) / SPEED_OF_SOUND_M_PER_S * volume / (surface * self.rt60_s)))

    @property
    def distances_m(self) -> tuple[float, ...]:
        """From the microphone to each talker."""
        return tuple(float(np.linalg.norm(np.subtract(at, self.microphone_m))) for at in self.talkers_m)


@dataclass(frozen=True)
class Response:
    """What one talker's place makes of a click: its impulse response at 16 kHz."""

    samples: Float[np.ndarray, " R"]
    direct: int
    """Sample at which the direct sound arrives."""

    def heard(self, dry: Float[np.ndarray, " N"]) -> Float[np.ndarray, " M"]:
        """Speech as the microphone hears it, M = N + R - 1 - direct: the time of flight is taken out, the tail kept."""
        return _convolved(dry, self.samples)[self.direct :]

    def early(self, dry: Float[np.ndarray, " N"]) -> Float[np.ndarray, " M"]:
        """The same with nothing but the direct sound and the reflections up to 50 ms after it; as long as `heard`."""
        short = self.samples.copy()
        short[self.direct + round(EARLY_S * SAMPLE_RATE_HZ) :] = 0.0
        return _convolved(dry, short)[self.direct :]


def draw_room(
    rng: np.random.Generator, talkers: int, rt60_s: tuple[float, float], ranges: RoomRanges | None = None
) -> Room:
    """A room for so many talkers, its reverberation time drawn from `rt60_s`; the microphone is near its middle.

    Raises ConfigError when there is no room for that many.
    """
    ranges = RoomRanges() if ranges is None else ranges
    asked_s = float(rng.uniform(*rt60_s))
    size = np.array([rng.uniform(*bounds) for bounds in (ranges.length_m, ranges.width_m, ranges.height_m)])
    microphone = size / 2 + np.append(rng.uniform(-0.5, 0.5, 2), 0.0)
    microphone[2] = rng.uniform(*ranges.microphone_height_m)
    placed: list[Any] = []
    for _ in range(ranges.attempts):
        if len(placed) == talkers:
            break
        at = np.append(
            rng.uniform(ranges.from_wall_m, size[:2] - ranges.from_wall_m), rng.uniform(*ranges.talker_height_m)
        )
        near, far = ranges.distance_m
        if near <= np.linalg.norm(at - microphone) <= far and all(
            np.linalg.norm(at - other) >= ranges.apart_m for other in placed
        ):
            placed.append(at)
    if len(placed) < talkers:
        raise ConfigError(f"no place for {talkers} talkers in a room of {size.round(1)} m; ask for fewer talkers")
    return Room(_point(size), _point(microphone), tuple(map(_point, placed)), asked_s, int(rng.integers(2**31)))


def simulate(room: Room, ranges: RoomRanges | None = None) -> tuple[Response, ...]:
    """One response a talker. The same room gives the same samples.

    Raises MissingExtra without pyroomacoustics.
    """
    ranges = RoomRanges() if ranges is None else ranges
    try:
        import pyroomacoustics
    except ImportError as error:
        raise MissingExtra("pyroomacoustics", "rooms", "reverberation") from error
    # Rays on several threads would take their random numbers in any order.
    pyroomacoustics.constants.set("num_threads", 1)
    pyroomacoustics.constants.set("c", SPEED_OF_SOUND_M_PER_S)
    pyroomacoustics.random.seed(room.seed)
    box = pyroomacoustics.ShoeBox(
        room.size_m,
        fs=SAMPLE_RATE_HZ,
        materials=pyroomacoustics.Material(room.absorption, ranges.scattering),
        max_order=ranges.image_order,
        ray_tracing=True,
        air_absorption=False,
    )
    box.set_ray_tracing(n_rays=ranges.rays, receiver_radius=0.5)
    box.add_microphone(room.microphone_m)
    for place in room.talkers_m:
        box.add_source(place)
    box.compute_rir()
    # The fractional delays of the images are filters of this length, centred.
    before = pyroomacoustics.constants.get("frac_delay_length") // 2
    responses = []
    for samples, distance_m in zip(box.rir[0], room.distances_m, strict=True):
        direct = round(distance_m / SPEED_OF_SOUND_M_PER_S * SAMPLE_RATE_HZ) + before
        responses.append(Response(np.asarray(samples, dtype=np.float32), direct))
    return tuple(responses)


def reverberation_time_s(responses: Sequence[Response]) -> float:
    """Mean over responses of the time in which sound falls by 60 dB, from its fall between -5 and -35 dB (T30)."""
    return float(np.mean([_decay_s(response.samples) for response in responses]))


def _decay_s(samples: Float[np.ndarray, " R"]) -> float:
    # Schroeder: energy still to come, from each moment on.
    energy = np.cumsum(samples[::-1].astype(np.float64) ** 2)[::-1]
    level_db = 10 * np.log10(np.maximum(energy / energy[0], 1e-12))
    begin, end = int(np.argmax(level_db <= -5.0)), int(np.argmax(level_db <= -35.0))
    slope_db_per_s = np.polyfit(np.arange(begin, end) / SAMPLE_RATE_HZ, level_db[begin:end], 1)[0]
    return float(-60.0 / slope_db_per_s)


def _convolved(dry: Float[np.ndarray, " N"], response: Float[np.ndarray, " R"]) -> Float[np.ndarray, " M"]:
    size = dry.size + response.size - 1
    fast = 1 << (size - 1).bit_length()
    spectrum = np.fft.rfft(dry.astype(np.float64), fast) * np.fft.rfft(response.astype(np.float64), fast)
    return np.fft.irfft(spectrum, fast)[:size].astype(np.float32)


def _point(values: Any) -> Point:
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z
