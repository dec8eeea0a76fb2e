"""Noise recordings: what kinds there are, a bank of them, and a stretch of one for an utterance of any length."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ, SILENCE_PEAK_DB, duration_s, load_audio
from softspoken.data.corpus import AudioCache
from softspoken.data.levels import mean_power
from softspoken.data.manifest import read_rows
from softspoken.errors import AudioError, DataError

STATIONARY = {"car": "Car", "metro": "Metro", "traffic": "Traffic"}
"""Categories of type A, and their names in file names (soft-prompt paper, section 2.3)."""
CHANGING = {"babble": "Babble", "airport_station": "AirportStation", "cafe": "Cafe", "ac_vacuum": "ACVacuum"}
"""Categories of type B."""
PAPER_CATEGORIES = (*STATIONARY, *CHANGING)
OFFICE = frozenset({"clock", "keyboard", "library", "mouse", "office", "paper", "phone", "printer", "typewriter"})
"""Categories of type 'ood-office': none of A or B, as in the paper's section 3.3."""
_ALIASES = {"ac": "ACVacuum", "vacuum": "ACVacuum", "airport": "AirportStation", "station": "AirportStation"}
_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".m4a", ".webm", ".aac", ".wma"})
CROSSFADE_S = 0.05
_QUIET_DB = 30.0
"""A stretch further than this below its recording's mean level is a pause of the noise, and not drawn."""
_ATTEMPTS = 8


def type_of(category: str) -> str:
    """'A', 'B', 'ood-office' or 'other'."""
    if category in OFFICE:
        return "ood-office"
    return "A" if category in STATIONARY else "B" if category in CHANGING else "other"


def type_name(category: str) -> str:
    """A category as file names have it: 'ac_vacuum' is 'ACVacuum', 'train passby' is 'TrainPassby'.

    Names in other spellings ('AC/Vacuum', 'airport') come out as the seven names of the paper, too.
    """
    words = re.findall(r"[^\W_]+", category)
    known = {name.lower(): name for name in (STATIONARY | CHANGING).values()} | _ALIASES
    return known.get("".join(words).lower(), "".join(word[0].upper() + word[1:] for word in words))


@dataclass(frozen=True)
class NoiseClip:
    """One noise recording."""

    id: str
    path: str
    type: str
    """'A' (stationary), 'B', 'ood-office' or 'other'."""
    category: str
    split: str
    duration_s: float


class NoiseBank:
    """Noise recordings to choose from; their audio stays in memory once loaded, as far as it fits."""

    def __init__(self, clips: Iterable[NoiseClip], cache: AudioCache | None = None) -> None:
        self.clips = tuple(clips)
        self._cache = cache if cache is not None else AudioCache()
        self._by_id = {clip.id: clip for clip in self.clips}
        self._parts: dict[tuple[tuple[str, ...], tuple[str, ...], str | None], NoiseBank] = {}
        if not self.clips:
            raise DataError("a noise bank without a recording; give at least one")
        if len(self._by_id) < len(self.clips):
            twice = next(c.id for c in self.clips if self._by_id[c.id] is not c)
            raise DataError(f"two noise recordings have the id '{twice}'; give every recording its own")

    def __len__(self) -> int:
        return len(self.clips)

    def clip(self, identity: str) -> NoiseClip:
        """The recording with that id. Raises DataError if there is none."""
        if identity not in self._by_id:
            raise DataError(f"no noise recording '{identity}' among {len(self)}; give the noise it was drawn from")
        return self._by_id[identity]

    @cached_property
    def by_category(self) -> dict[str, tuple[NoiseClip, ...]]:
        """The recordings of each category, in the order of the categories' names."""
        grouped: dict[str, list[NoiseClip]] = defaultdict(list)
        for clip in self.clips:
            grouped[clip.category].append(clip)
        return {category: tuple(grouped[category]) for category in sorted(grouped)}

    def of(self, types: Sequence[str] = (), categories: Sequence[str] = (), split: str | None = None) -> "NoiseBank":
        """The recordings of these types and categories (none given: of all) and of a split; with the same audio.

        Raises DataError where nothing is left.
        """
        key = (tuple(types), tuple(categories), split)
        if key not in self._parts:
            kept = [
                clip
                for clip in self.clips
                if (not types or clip.type in types)
                and (not categories or clip.category in categories)
                and split in (None, clip.split)
            ]
            if not kept:
                have = ", ".join(sorted({f"{clip.type}/{clip.category}/{clip.split}" for clip in self.clips})[:12])
                wanted = "/".join(
                    " or ".join(names) or "any" for names in (types, categories, [split] if split else [])
                )
                raise DataError(f"no noise recording is {wanted} (type/category/split); there are: {have}")
            self._parts[key] = NoiseBank(kept, self._cache)
        return self._parts[key]

    def audio(self, clip: NoiseClip) -> Float[np.ndarray, " N"]:
        """The recording, mono at 16 kHz whatever its own rate.

        Raises AudioError when it cannot be read, is shorter than 0.1 s, or silent.
        """
        return self._cache.get(clip.path, lambda: _load(clip))


def _load(clip: NoiseClip) -> Float[np.ndarray, " N"]:
    audio: Float[np.ndarray, " N"] = load_audio(clip.path)
    if float(np.abs(audio).max()) < 10 ** (SILENCE_PEAK_DB / 20):
        limit = f"its peak is below {SILENCE_PEAK_DB:.0f} dBFS"
        raise AudioError(f"noise '{clip.path}' is silent ({limit}), so that it has no level to add it at: remove it")
    return audio


def read_noise(paths: str | Path | Iterable[str | Path], split: str | None = None) -> NoiseBank:
    """The noise recordings of manifests and folders.

    A manifest (JSON lines) has `id`, `path` (relative to it), `category`, `duration_s`, and where known `split` and
    `type` (else by the category's name). A folder with a `manifest.jsonl` is read by that; of another folder, every
    recording in it and below is taken, its category being the name of the first folder below (of the folder itself for
    recordings directly in it). Only recordings of `split`; a folder has no splits, so all of it is taken as that one.

    Raises DataError for a source that is missing, empty, or has nothing of that split, and for a line that cannot be
    used; AudioError for a recording in a folder that cannot be read.
    """
    sources = [paths] if isinstance(paths, str | Path) else list(paths)
    clips: list[NoiseClip] = []
    for source in map(Path, sources):
        if source.is_dir() and not (source / "manifest.jsonl").is_file():
            clips += _clips_of_folder(source, split)
        else:
            manifest = source / "manifest.jsonl" if source.is_dir() else source
            found = list(_clips_of_manifest(manifest))
            kept = [clip for clip in found if split in (None, clip.split)]
            if not kept:
                splits = ", ".join(sorted({clip.split for clip in found})) or "none"
                raise DataError(f"'{manifest}' has no noise of split '{split}' (it has: {splits}); choose another")
            clips += kept
    if not clips:
        raise DataError("no source of noise was given; give a manifest or a folder of recordings")
    return NoiseBank(clips)


def _clips_of_manifest(manifest: Path) -> Iterator[NoiseClip]:
    for where, row in read_rows(manifest, "noise recording"):
        try:
            path = manifest.parent / row["path"]
            category = str(row["category"])
            clip = NoiseClip(
                str(row["id"]),
                str(path),
                str(row.get("type", type_of(category))),
                category,
                str(row.get("split", "train")),
                float(row["duration_s"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{where}: not a noise recording ({error!r}); expected id, path, category and duration_s"
            ) from error
        if not path.is_file():
            raise DataError(f"{where}: no audio at '{path}'; fetch it or remove the line")
        yield clip


def _clips_of_folder(folder: Path, split: str | None) -> list[NoiseClip]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    if not files:
        raise DataError(f"no recordings in '{folder}'; put wav, flac, ogg or mp3 files there, in folders by category")
    clips = []
    for file in files:
        parts = file.relative_to(folder).parts
        category = parts[0] if len(parts) > 1 else folder.resolve().name
        identity = file.relative_to(folder).as_posix()
        clips.append(
            NoiseClip(identity, str(file), type_of(category), category, split if split else "train", duration_s(file))
        )
    return clips


def stretch(noise: Float[np.ndarray, " N"], start_s: float, samples: int) -> Float[np.ndarray, " samples"]:
    """That many samples of a recording from `start_s` on.

    Where it ends too early it goes on from its beginning, again and again: its last 50 ms (half of it, if that is
    less) and its first are crossfaded at equal power, so that there is neither a click nor a dip at the joint.
    """
    start = round(start_s * SAMPLE_RATE_HZ)
    if start + samples <= noise.size:
        return noise[start : start + samples]
    fade = min(round(CROSSFADE_S * SAMPLE_RATE_HZ), noise.size // 2)
    period = noise.size - fade
    loop = noise[:period].astype(np.float32)
    angle = (np.arange(fade, dtype=np.float32) + 0.5) * np.float32(np.pi / 2 / fade)
    loop[:fade] = noise[:fade] * np.sin(angle) + noise[period:] * np.cos(angle)
    first = noise[start % period : period]
    rounds = -(-max(samples - first.size, 0) // period)
    return np.concatenate([first, np.tile(loop, rounds)])[:samples].astype(np.float32)


def draw_start(rng: np.random.Generator, noise: Float[np.ndarray, " N"], samples: int) -> float:
    """Where in the recording (s) a stretch of that many samples begins: anywhere, but not in a pause of the noise.

    A recording shorter than that is looped, and begins anywhere in it.
    """
    places = noise.size - samples + 1 if noise.size >= samples else noise.size
    # Single precision will do here, and takes a fraction of the time for a long recording.
    floor = float(np.dot(noise, noise)) / noise.size * 10 ** (-_QUIET_DB / 10)
    for _ in range(_ATTEMPTS):
        start_s = int(rng.integers(places)) / SAMPLE_RATE_HZ
        if mean_power(stretch(noise, start_s, samples)) >= floor:
            return start_s
    # A recording that is nearly all pause: the stretch around its loudest sample.
    return min(max(int(np.abs(noise).argmax()) - samples // 2, 0), places - 1) / SAMPLE_RATE_HZ
