"""Mixtures of speech that is read from shards, front to back, while it is mixed: for corpora larger than memory."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset

from softspoken.audio import load_audio
from softspoken.data.config import MixingConfig, ShardConfig
from softspoken.data.corpus import Corpus, Piece, waveform
from softspoken.data.examples import Example, MixtureDataset
from softspoken.data.levels import FULL_SCALE, rounded
from softspoken.data.shards import Shard, list_shards, read_shard

MakeMixtures = Callable[[Corpus, Mapping[str, str], MixingConfig, int, int], MixtureDataset]
"""Speech, texts, how it is mixed, seed and size to so many mixtures."""


class ShardCorpus(Corpus):
    """The talkers of a few shards. Sounds are decoded when they are first heard, and kept as 16-bit numbers."""

    def __init__(self, shards: Sequence["HeldShard"], speeds: Sequence[float]) -> None:
        self._where = {piece.id: shard for shard in shards for piece in shard.read.pieces}
        pieces = {piece.id: piece for shard in shards for piece in shard.read.pieces}
        super().__init__([p if speed == 1.0 else p.at_speed(speed) for speed in speeds for p in pieces.values()])

    def audio(self, piece: Piece) -> np.ndarray:
        """The piece's waveform (samples,)."""
        return waveform(piece, self._where[piece.original_id].audio(piece.original_id))


class HeldShard:
    """A shard, and those of its sounds that were decoded."""

    def __init__(self, read: Shard) -> None:
        self.read = read
        self._decoded: dict[str, np.ndarray] = {}

    def audio(self, name: str) -> np.ndarray:
        """The sound of that piece (samples,)."""
        if name not in self._decoded:
            self._decoded[name] = rounded(load_audio(self.read.sounds[name]))
            del self.read.sounds[name]
        return self._decoded[name].astype(np.float32) / FULL_SCALE

    def drop(self) -> None:
        """Free the memory now: whatever refers to this shard may live for a while."""
        self.read.sounds.clear()
        self._decoded.clear()


class ShardedMixtures(Dataset[list[Example]]):
    """Item i is the i-th mixture of a seed, as in `MixtureDataset`; talkers meet only those whose shards are in memory.

    The shards are dealt to a fixed number of lanes, and batch b comes from lane b modulo that number. A lane holds the
    `held` shards that its place in a drawn order says, draws `mixtures` mixtures out of them, and moves on by one. So
    an item depends on the seed and its number alone, whoever asks for it, and no state of a reader needs saving. A
    worker that takes every W-th batch meets only its own lanes, where W divides their number.
    """

    def __init__(
        self,
        config: ShardConfig,
        speeds: Sequence[float],
        mixing: MixingConfig,
        make: MakeMixtures,
        seed: int,
        size: int,
        batch: int,
    ) -> None:
        """Raises DataError where there are no shards."""
        self.config, self.speeds, self.mixing, self.make = config, speeds, mixing, make
        self.seed, self.size, self.batch = seed, size, batch
        shards = list_shards(config.folders)
        self.lanes = min(config.lanes, max(len(shards) // config.held, 1))
        self._shards = [shards[lane :: self.lanes] for lane in range(self.lanes)]
        # Whole batches.
        self.stay = -(-config.mixtures // batch) * batch
        self._held: list[OrderedDict[str, HeldShard]] = [OrderedDict() for _ in range(self.lanes)]
        self._now: dict[int, tuple[int, MixtureDataset]] = {}

    def __len__(self) -> int:
        return self.size

    @property
    def first(self) -> MixtureDataset:
        """The mixtures that it begins with, whose talkers stand for all."""
        return self.window(0, 0)

    def __getitem__(self, index: int) -> list[Example]:
        number, place = divmod(index, self.batch)
        lane, within = number % self.lanes, number // self.lanes * self.batch + place
        return self.window(lane, within // self.stay)[within % self.stay]

    def window(self, lane: int, number: int) -> MixtureDataset:
        """The mixtures of a lane out of the shards that it holds after `number` moves."""
        known = self._now.get(lane)
        if known is not None and known[0] == number:
            return known[1]
        wanted = [self._at(lane, place) for place in range(number, number + self.config.held)]
        held = self._held[lane]
        for name in [name for name in held if name not in wanted]:
            held.pop(name).drop()
        for name in wanted:
            if name not in held:
                held[name] = HeldShard(read_shard(name))
        shards = [held[name] for name in dict.fromkeys(wanted)]
        corpus = ShardCorpus(shards, self.speeds)
        texts = {piece.original_id: piece.text for piece in corpus.pieces if piece.text.strip()}
        done = min(number * self.stay * self.lanes / self.size, 1.0)
        seed = int(np.random.SeedSequence([self.seed, lane, number]).generate_state(1)[0])
        mixing = self.mixing.at(done).model_copy(update={"curriculum": 0.0})
        found = self.make(corpus, texts, mixing, seed, self.stay)
        self._now[lane] = number, found
        return found

    def _at(self, lane: int, place: int) -> str:
        """The shard at that place of a lane's order, which is drawn anew each time that all have come."""
        own = self._shards[lane]
        epoch, position = divmod(place, len(own))
        return own[int(np.random.default_rng([self.seed, lane, epoch]).permutation(len(own))[position])]
