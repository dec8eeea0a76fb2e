"""Training on a corpus's own mixtures (LibriMix), instead of such that are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from softspoken.audio import load_audio
from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus
from softspoken.data.examples import Embed, Example, MixtureDataset, Pools, Scorer
from softspoken.data.manifest import read_rows
from softspoken.errors import DataError

LONGEST_S = 30.0
"""Longer mixtures do not fit into Whisper's window and are left out."""


@dataclass(frozen=True)
class FixedTarget:
    """A target of a mixture as the manifest has it."""

    talker: str
    text: str
    enrolment: tuple[Path, ...]
    clean: Path | None


@dataclass(frozen=True)
class FixedMixture:
    """A recording, and all its targets."""

    audio: Path
    talkers: frozenset[str]
    duration_s: float
    targets: tuple[FixedTarget, ...]


def read_fixed_mixtures(manifest: str | Path) -> tuple[FixedMixture, ...]:
    """The training mixtures of a manifest that `softspoken-lab prepare librimix` wrote, targets of a mixture together.

    Raises DataError for a line that cannot be used, a file that does not exist, or none for training.
    """
    manifest = Path(manifest)
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for where, row in read_rows(manifest, "target in a mixture"):
        if row.get("split") == "train":
            missing = [
                key for key in ("audio", "enrolment", "text", "target", "talkers", "duration_s") if key not in row
            ]
            if missing:
                raise DataError(f"{where}: no '{missing[0]}'; write it with 'softspoken-lab prepare'")
            found.setdefault(str(row["audio"]), []).append((where, row))
    if not found:
        raise DataError(f"'{manifest}' has no mixtures of split 'train'; prepare a training part, such as train-100")
    return tuple(_mixture(manifest.parent, rows) for rows in found.values())


def _mixture(folder: Path, rows: list[tuple[str, dict[str, Any]]]) -> FixedMixture:
    targets = []
    for where, row in rows:
        names = row["enrolment"] if isinstance(row["enrolment"], list) else [row["enrolment"]]
        if not names:
            raise DataError(f"{where}: an empty 'enrolment'; prepare the corpus again")
        files = [folder / name for name in (row["audio"], *names, *([row["clean"]] if row.get("clean") else []))]
        for file in files:
            if not file.is_file():
                raise DataError(f"{where}: no file '{file}'; find all that is missing with 'softspoken-lab check'")
        clean = files[-1] if row.get("clean") else None
        targets.append(FixedTarget(row["target"], row["text"], tuple(files[1 : 1 + len(names)]), clean))
    first = rows[0][1]
    return FixedMixture(
        folder / first["audio"], frozenset(first["talkers"]), float(first["duration_s"]), tuple(targets)
    )


class FixedMixtures(MixtureDataset):
    """Item i is a mixture of a manifest, once for each of its targets: all of them once, in an order drawn anew for
    every round, before any comes again. The same index gives the same examples.

    Transcripts have no timestamps. `corpus` and `texts` are of single talkers, for whatever is measured of voices; no
    mixture is drawn from them.
    """

    def __init__(
        self,
        manifest: Path,
        corpus: Corpus,
        texts: Mapping[str, str],
        embed: Embed,
        scorer: Scorer,
        config: MixingConfig,
        seed: int,
        size: int,
        *,
        put_aside: frozenset[str] = frozenset(),
        need_clean: bool = False,
        clips: bool = False,
        pool: int = 1,
        batch: int = 1,
    ) -> None:
        """`put_aside`: talkers for development ('corpus:speaker'); mixtures in which one speaks or is asked for are
        left out. `need_clean`: whether the objective hears targets alone.

        Raises DataError when nothing is left, or a target that speaks has no clean recording and needs one.
        """
        super().__init__(corpus, texts, embed, scorer, config, seed, size, clips=clips, pool=pool, batch=batch)
        every = read_fixed_mixtures(manifest)
        self.mixtures = tuple(
            mixture
            for mixture in every
            if mixture.duration_s <= LONGEST_S
            and put_aside.isdisjoint(mixture.talkers)
            and put_aside.isdisjoint(target.talker for target in mixture.targets)
        )
        if not self.mixtures:
            raise DataError(
                f"'{manifest}': all of its {len(every)} training mixtures are over {LONGEST_S:g} s or have talkers put "
                "aside for development; give other ones, or other speech for development"
            )
        self._orders: dict[int, Int[np.ndarray, " M"]] = {}
        self._pools = Pools(size, pool, batch, seed, lambda place: self._fixed(place).duration_s)
        targets = [target for mixture in self.mixtures for target in mixture.targets]
        if need_clean and any(target.clean is None and target.text for target in targets):
            raise DataError(
                f"'{manifest}' has targets without 'clean', which this objective needs; train with cross-entropy "
                "alone, or on a corpus that has every talker alone"
            )

    def __getitem__(self, index: int) -> list[Example]:
        mixture = self._fixed(self._pools.place(index))
        audio = load_audio(mixture.audio)
        voices = [self._voice(target) for target in mixture.targets]
        scores = self.scorer(audio, np.stack(voices))
        return [
            Example(
                audio=audio,
                clean=_fitted(target.clean, audio.size),
                voice=voice,
                scores=row,
                text=target.text,
                speaker=target.talker,
                timestamps=False,
                clip=_clip(target) if self.clips else None,
            )
            for target, voice, row in zip(mixture.targets, voices, scores, strict=True)
        ]

    def _fixed(self, place: int) -> FixedMixture:
        """The mixture of that number: round after round, each in an order of its own."""
        turn, position = divmod(place, len(self.mixtures))
        if turn not in self._orders:
            self._orders = {turn: np.random.default_rng([self.seed, turn]).permutation(len(self.mixtures))}
        return self.mixtures[int(self._orders[turn][position])]

    def _voice(self, target: FixedTarget) -> Float[np.ndarray, "S"]:
        name = "\n".join(map(str, target.enrolment))
        if name not in self.vectors:
            self.vectors[name] = self.embed(_clip(target))
        return self.vectors[name]


def _clip(target: FixedTarget) -> Float[np.ndarray, "M"]:
    return np.concatenate([load_audio(path) for path in target.enrolment])


def _fitted(clean: Path | None, size: int) -> Float[np.ndarray, "N"]:
    """The target alone as long as the mixture; silence where they do not speak, or nobody knows them alone."""
    fitted = np.zeros(size, dtype=np.float32)
    if clean is not None:
        alone = load_audio(clean)[:size]
        fitted[: alone.size] = alone
    return fitted
