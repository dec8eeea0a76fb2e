"""What stands around the talkers of a test mixture: a room that reverberates, noise at an exact level, or nothing.

Drawn from generators of their own, so that the talkers of a mixture stay the same whatever is around them.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.levels import mean_power, speech_power
from softspoken_lab.noise.bank import NoiseBank, draw_start, stretch
from softspoken_lab.testsets.mixtures import PEAK, Scene, dry
from softspoken_lab.testsets.rooms import Response, Room, draw_room, reverberation_time_s, simulate

_ROOM, _NOISE = 1, 2


@dataclass(frozen=True)
class Surroundings:
    """Where mixtures are recorded; the n-th one of a seed always in the same room, with noise of the same recording."""

    seed: int
    rt60_s: tuple[float, float] | None = None
    """Reverberation time, drawn evenly; None: no room."""
    noise_snr_db: tuple[float, float] | None = None
    """Level of the first talker against the noise, drawn evenly; None: no noise."""
    noise: NoiseBank | None = None

    def around(self, index: int, tracks: Float[np.ndarray, "K N"]) -> Scene:
        """Mixture number `index` of talkers who are dry and at their levels.

        All levels are those of the clean tracks: of the speech frames of the direct and early sound where there is a
        room, so that the talkers' levels against each other stay what they were. The noise is added as it was
        recorded: it has a room of its own. It has the same mean power from the first sample to the last.

        Raises MissingExtra when a room is asked for without pyroomacoustics; ConfigError, AudioError, DataError for a
        room or noise that cannot be had.
        """
        if self.rt60_s is None and (self.noise is None or self.noise_snr_db is None):
            return dry(index, tracks)
        facts: dict[str, Any] = {}
        clean, heard = tracks, tracks
        if self.rt60_s is not None:
            clean, heard, facts["room"] = self._in_room(index, tracks)
        audio = heard.sum(axis=0)
        against_noise: tuple[float, ...] = ()
        if self.noise is not None and self.noise_snr_db is not None:
            noise, facts["noise"] = self._noise(index, clean)
            audio = audio + noise
            against_noise = tuple(_ratio_db(speech_power(one), mean_power(noise)) for one in clean)
        gain = np.float32(PEAK / max(float(np.abs(audio).max()), float(np.abs(clean).max())))
        return Scene(audio * gain, clean * gain, facts, against_noise)

    def _in_room(
        self, index: int, tracks: Float[np.ndarray, "K N"]
    ) -> tuple[Float[np.ndarray, "K M"], Float[np.ndarray, "K M"], dict[str, Any]]:
        """Early and whole sound of each talker, at the level that the dry one has, and what the room is."""
        assert self.rt60_s is not None
        room, responses = _room(self.seed, index, len(tracks), self.rt60_s)
        size = tracks.shape[1] + max(response.samples.size - response.direct for response in responses)
        clean = np.zeros((len(tracks), size), dtype=np.float32)
        heard = np.zeros_like(clean)
        for number, (track, response) in enumerate(zip(tracks, responses, strict=True)):
            early, whole = response.early(track), response.heard(track)
            gain = np.float32(math.sqrt(speech_power(track) / max(speech_power(early), 1e-20)))
            clean[number, : early.size], heard[number, : whole.size] = early * gain, whole * gain
        facts = {
            "rt60_s": round(reverberation_time_s(responses), 3),
            "rt60_asked_s": round(room.rt60_s, 3),
            "size_m": room.size_m,
            "microphone_m": room.microphone_m,
            "talkers_m": room.talkers_m,
            "distances_m": [round(distance_m, 3) for distance_m in room.distances_m],
            "absorption": round(room.absorption, 4),
        }
        return clean, heard, facts

    def _noise(self, index: int, clean: Float[np.ndarray, "K M"]) -> tuple[Float[np.ndarray, " M"], dict[str, Any]]:
        """Noise at its level, and which it is. A kind is drawn before the recording, so that all are heard alike."""
        assert self.noise is not None
        assert self.noise_snr_db is not None
        rng = np.random.default_rng([self.seed, _NOISE, index])
        snr_db = float(rng.uniform(*self.noise_snr_db))
        groups = tuple(self.noise.by_category.values())
        clips = groups[rng.integers(len(groups))]
        clip = clips[rng.integers(len(clips))]
        recording = self.noise.audio(clip)
        size = clean.shape[1]
        start_s = draw_start(rng, recording, size)
        noise = stretch(recording, start_s, size).astype(np.float64)
        scale = math.sqrt(speech_power(clean[0]) / max(mean_power(noise), 1e-20) * 10 ** (-snr_db / 10))
        return (noise * scale).astype(np.float32), {
            "id": clip.id,
            "category": clip.category,
            "start_s": round(start_s, 6),
            "duration_s": round(size / SAMPLE_RATE_HZ, 3),
        }


@lru_cache(maxsize=64)
def _room(seed: int, index: int, talkers: int, rt60_s: tuple[float, float]) -> tuple[Room, tuple[Response, ...]]:
    """Kept, since the cells of a grid are recorded in the same rooms, and one takes seconds."""
    room = draw_room(np.random.default_rng([seed, _ROOM, index]), talkers, rt60_s)
    return room, simulate(room)


def _ratio_db(power: float, other: float) -> float:
    return round(10 * math.log10(max(power, 1e-20) / max(other, 1e-20)), 3)
