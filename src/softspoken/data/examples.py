"""Training examples: one mixture, seen once for each of its talkers, and now and then for a voice that is not in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch.utils.data import Dataset

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus, Piece
from softspoken.data.levels import scale_to
from softspoken.data.mixing import Mixture, draw_mixture, render
from softspoken.data.voices import VoiceCache
from softspoken.errors import ConfigError, DataError

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


FRAME_S = 0.02
ENROLMENT_S = (3.0, 12.0)
"""Seconds of speech an enrolment has in training."""

Scorer = Callable[[Float[np.ndarray, "N"], Float[np.ndarray, "K S"]], Float[np.ndarray, "K T"]]
"""A mixture (16 kHz) and K voices to the cosine of each voice in each frame of 20 ms."""
Embed = Callable[[Float[np.ndarray, "N"]], Float[np.ndarray, "S"]]


@dataclass(frozen=True)
class Voice:
    """What is known of a target: a speaker embedding, and where it is asked for, a clip it was made of (16 kHz)."""

    vector: Float[np.ndarray, "S"]
    clip: Float[np.ndarray, "M"] | None


@dataclass(frozen=True)
class Example:
    """One target in one mixture."""

    audio: Float[np.ndarray, "N"]
    """The mixture, 16 kHz."""
    clean: Float[np.ndarray, "N"]
    """The target alone, as it stands in the mixture; silence where the target is not in it."""
    voice: Float[np.ndarray, "S"]
    """Speaker embedding of the target, from other speech."""
    scores: Float[np.ndarray, "T"]
    """Cosine of the frames (20 ms) to the voice."""
    text: str
    """What the target says; empty where they are silent."""
    speaker: str
    timestamps: bool
    """Whether the transcript is to say when the target begins and ends."""
    clip: Float[np.ndarray, "M"] | None = None
    """Speech that the voice was learned from (16 kHz), for prompts that hear it themselves."""


@dataclass(frozen=True)
class Crop:
    """A changed part of a piece: what a talker is enrolled with of whom there is no other speech."""

    start: int
    size: int
    power: float
    """Speech power it is scaled to."""
    noise_seed: int

    def of(self, audio: Float[np.ndarray, "N"]) -> Float[np.ndarray, "M"]:
        """The crop of the piece's waveform."""
        part = audio[self.start : self.start + self.size]
        noise = np.random.default_rng(self.noise_seed).normal(0, 1e-3, part.size).astype(np.float32)
        return scale_to(part, self.power) + noise


@dataclass(frozen=True)
class Enrolment:
    """What a voice is learned from: pieces, whose embeddings are averaged by duration, or a crop of a single one. The
    first piece, or the crop, is the clip."""

    pieces: tuple[Piece, ...]
    crop: Crop | None = None


@dataclass(frozen=True)
class Target:
    """One target of a mixture as it is drawn, before any audio is read."""

    track: int | None
    """Number of the track they speak in; None: they are not in the mixture."""
    enrolment: Enrolment
    text: str
    speaker: str
    timestamps: bool


class MixtureDataset(Dataset[list[Example]]):
    """Item i is the i-th mixture of a seed, once for each target: the same index gives the same examples.

    Every talker of a mixture is a target: same audio, other voice, other words. That contrast is what teaches a model
    to listen to the voice.
    """

    def __init__(
        self,
        corpus: Corpus,
        texts: Mapping[str, str],
        embed: Embed,
        scorer: Scorer,
        config: MixingConfig,
        seed: int,
        size: int,
        noises: list[tuple[str, float]] | None = None,
        clips: bool = False,
        pool: int = 1,
        batch: int = 1,
        voices: VoiceCache | None = None,
    ) -> None:
        """`texts`: a piece's `original_id` to what a target says in it; pieces without one only disturb others.

        `clips`: examples carry a clip of the enrolment. `voices`: embeddings that other runs have made.
        `pool`: so many mixtures at a time are sorted by length and dealt out in batches of `batch`, as in `Pools`.
        """
        corpus.require_talkers(2, "mixing")
        if not any(piece.original_id in texts for piece in corpus.pieces):
            raise DataError("no piece of speech has a text; give transcripts or let the backbone write them first")
        self.corpus, self.texts, self.config = corpus, texts, config
        self.embed, self.scorer = embed, scorer
        self.seed, self.size = seed, size
        self.noises = noises if noises is not None else []
        self.clips = clips
        self.vectors: dict[str, np.ndarray] = {}
        """Embeddings that are known, by the pieces' ids."""
        self._voices = voices
        self._pools = Pools(size, pool, batch, seed, lambda place: self._drawn(place)[0].duration_s)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> list[Example]:
        return self.examples(*self._drawn(self._pools.place(index)))

    def drawn(self, index: int) -> tuple[Mixture, list[Target]]:
        """What item `index` is made of; no audio is read."""
        mixture, rng = self._drawn(self._pools.place(index))
        return mixture, self.targets(mixture, rng)

    def _drawn(self, place: int) -> tuple[Mixture, np.random.Generator]:
        """The mixture of that number, and the generator to go on with."""
        rng = np.random.default_rng([self.seed, place])
        while True:
            mixture = draw_mixture(self.corpus, self.noises, self.config.at(place / self.size), rng)
            if self.usable(mixture):
                return mixture, rng

    def usable(self, mixture: Mixture) -> bool:
        """Whether there is anything to learn from it; else another one is drawn."""
        return any(track.piece.original_id in self.texts for track in mixture.tracks)

    def examples(self, mixture: Mixture, rng: np.random.Generator) -> list[Example]:
        """All targets of one mixture."""
        targets = self.targets(mixture, rng)
        audio, tracks = render(mixture, self.corpus)
        voices = [self.voice(target.enrolment) for target in targets]
        scores = self.scorer(audio, np.stack([voice.vector for voice in voices]))
        silence = np.zeros_like(audio)
        return [
            Example(
                audio,
                silence if target.track is None else tracks[target.track],
                voice.vector,
                row,
                target.text,
                target.speaker,
                target.timestamps,
                voice.clip,
            )
            for target, voice, row in zip(targets, voices, scores, strict=True)
        ]

    def targets(self, mixture: Mixture, rng: np.random.Generator) -> list[Target]:
        """Draw who is asked for, and what they are enrolled with."""
        asked: list[tuple[int | None, Enrolment, str, str]] = []
        for number, track in enumerate(mixture.tracks):
            if track.piece.original_id in self.texts:
                enrolment = self.enrol(track.piece, rng)
                asked.append((number, enrolment, self.texts[track.piece.original_id], track.piece.speaker))
        present = {track.piece.speaker for track in mixture.tracks}
        absent = [name for name in self.corpus.speakers if name not in present]
        if rng.random() < self.config.silent_probability and absent:
            name = absent[rng.integers(len(absent))]
            pieces = self.corpus.by_speaker[name]
            asked.append((None, self.enrol(pieces[rng.integers(len(pieces))], rng), "", name))
        return [Target(*each, rng.random() < self.config.timestamp_probability) for each in asked]

    def enrol(self, target: Piece, rng: np.random.Generator) -> Enrolment:
        """Draw other recordings of the talker, other pieces of this one where there is no other recording, and a
        changed crop of the same piece where there is nothing else."""
        own = [piece for piece in self.corpus.by_speaker[target.speaker] if piece.id != target.id]
        others = [piece for piece in own if piece.path != target.path] or own
        if not others:
            return Enrolment((target,), draw_crop(target, rng))
        wanted_s = rng.uniform(*ENROLMENT_S)
        chosen, seconds = [], 0.0
        for position in rng.permutation(len(others)):
            chosen.append(others[position])
            seconds += others[position].duration_s
            if seconds >= wanted_s:
                break
        return Enrolment(tuple(chosen))

    def voice(self, enrolment: Enrolment) -> Voice:
        """The embedding of what was drawn, and its clip where examples carry one."""
        if enrolment.crop is not None:
            crop = enrolment.crop.of(self.corpus.audio(enrolment.pieces[0]))
            return Voice(self.embed(crop), crop if self.clips else None)
        vectors = np.stack([self.vector(piece) * piece.duration_s for piece in enrolment.pieces])
        total = vectors.sum(axis=0)
        clip = self.corpus.audio(enrolment.pieces[0]) if self.clips else None
        return Voice((total / np.linalg.norm(total)).astype(np.float32), clip)

    def vector(self, piece: Piece) -> Float[np.ndarray, "S"]:
        """The piece's embedding, made once."""
        found = self.known_vector(piece)
        if found is None:
            found = self.embed(self.corpus.audio(piece))
            self.vectors[piece.id] = found
            if self._voices is not None:
                self._voices.put(piece, found)
        return found

    def known_vector(self, piece: Piece) -> Float[np.ndarray, "S"] | None:
        """The piece's embedding if it was made before, by this run or another."""
        if piece.id not in self.vectors:
            found = self._voices.get(piece) if self._voices is not None else None
            if found is None:
                return None
            self.vectors[piece.id] = found
        return self.vectors[piece.id]


def draw_crop(piece: Piece, rng: np.random.Generator) -> Crop:
    """At least six tenths of the piece and, if it is as long, two seconds; at another level."""
    whole = round(piece.duration_s * SAMPLE_RATE_HZ)
    size = min(whole, max(round(0.6 * whole), 2 * SAMPLE_RATE_HZ))
    start = int(rng.integers(whole - size + 1))
    return Crop(start, size, 10 ** (rng.uniform(-35, -15) / 10), int(rng.integers(2**32)))
