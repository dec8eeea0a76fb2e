"""The noisy test set: kinds of noise by levels by utterances, on disk (soft-prompt paper, section 2.3).

Files are named as in the set that the authors published, `[id]_[Type]_[SNR]db.wav` (16 bit), with a manifest beside
them from which every file can be made again. At one level all kinds of noise disturb the same utterances, so that what
is said tells nothing about the kind; from level to level the utterances go round, so that the set covers many.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_wav
from softspoken.data.manifest import write_rows
from softspoken.errors import AudioError, ConfigError, DataError
from softspoken.files import replacing
from softspoken_lab.noise.bank import PAPER_CATEGORIES, NoiseBank, draw_start, type_name
from softspoken_lab.noise.corruption import Corruption, corrupt_with_gain, noise_for
from softspoken_lab.noise.testsets import MANIFEST, TestUtterance


@dataclass(frozen=True)
class NoisyTestSpec:
    """What noisy test set to write."""

    per_condition: int = 120
    """Utterances for each kind of noise and level."""
    snr_db: tuple[float, ...] = (0.0, 5.0, 10.0, 15.0, 20.0)
    draw: Literal["grid", "uniform"] = "grid"
    """`grid`: each of the levels. `uniform`: one condition a kind of noise, at levels drawn evenly from the lowest to
    the highest, to 0.1 dB."""
    categories: tuple[str, ...] = PAPER_CATEGORIES
    """Kinds of noise; none given: every category that the noise has, as for noise out of the domain (section 3.3)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_condition < 1 or not self.snr_db or not all(map(math.isfinite, self.snr_db)):
            raise ConfigError(
                f"{self.per_condition} utterances a condition at {list(self.snr_db)} dB; give at least one of both"
            )
        if len(set(self.snr_db)) < len(self.snr_db):
            raise ConfigError(f"levels {list(self.snr_db)} dB: one is there twice; give each once")

    @property
    def levels(self) -> tuple[float | None, ...]:
        """The conditions of a kind of noise; None: drawn."""
        return self.snr_db if self.draw == "grid" else (None,)


def write_noisy_testset(
    speech: Sequence[TestUtterance],
    noise: NoiseBank,
    out: str | Path,
    spec: NoisyTestSpec,
    report: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the set into a new folder and return its manifest. It appears whole or not at all.

    Utterances are taken evenly from all speakers; a kind's recordings in turn. The same arguments give the same bytes.
    A line has `id` (the file's), `source_id` (the clean utterance), `path`, `text`, `speaker`, `noise_type`,
    `category`, `noise_id`, `start_s`, `snr_db`, `gain` (below 1 where the sum would have clipped) and `duration_s`.
    `report` is told after each file how many are written, of how many.

    Raises DataError when `out` holds something, a category has no noise, or a condition needs more utterances than
    there are.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"'{out}' exists and is not an empty folder; remove it or choose another place")
    plan = list(_plan(speech, noise, spec))
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.mkdir()
        rows = []
        for number, item in enumerate(plan, start=1):
            rows.append(_write(item, noise, temporary))
            if report is not None:
                report(number, len(plan))
        write_rows(temporary / MANIFEST, rows)
        (temporary / "spec.json").write_text(json.dumps(asdict(spec), indent=2) + "\n", encoding="utf-8")
    return out / MANIFEST


@dataclass(frozen=True)
class _Planned:
    """One file to write."""

    speech: TestUtterance
    category: str
    noise_id: str
    snr_db: float
    seeds: tuple[int, ...]


def _plan(speech: Sequence[TestUtterance], noise: NoiseBank, spec: NoisyTestSpec) -> Iterator[_Planned]:
    if spec.per_condition > len(speech):
        raise DataError(
            f"{spec.per_condition} utterances a condition, but there are {len(speech)}; ask for {len(speech)} at most "
            "or give more speech"
        )
    if len({utterance.id for utterance in speech}) < len(speech):
        raise DataError("two utterances of the speech have the same id; give each its own")
    by_category = noise.by_category
    categories = spec.categories if spec.categories else tuple(by_category)
    missing = [category for category in categories if category not in by_category]
    if missing:
        raise DataError(f"no noise for {', '.join(missing)}; the noise has: {', '.join(by_category)}")
    names = [type_name(category) for category in categories]
    if len(set(names)) < len(names):
        raise DataError(f"categories {', '.join(categories)}: two have the same name in file names; rename one")
    # The order of utterances must not depend on how many kinds of noise there are.
    order = _evenly(speech, np.random.default_rng([spec.seed, 0]))
    for level, snr_db in enumerate(spec.levels):
        chosen = [order[(level * spec.per_condition + i) % len(order)] for i in range(spec.per_condition)]
        for kind, category in enumerate(categories):
            clips = by_category[category]
            for i, utterance in enumerate(chosen):
                seeds = (spec.seed, 1, kind, level, i)
                drawn = np.random.default_rng([*seeds, 0]).uniform(min(spec.snr_db), max(spec.snr_db))
                exact = round(float(drawn), 1) if snr_db is None else float(snr_db)
                yield _Planned(utterance, category, clips[(level + i) % len(clips)].id, exact, seeds)


def _evenly(speech: Sequence[TestUtterance], rng: np.random.Generator) -> list[TestUtterance]:
    """All utterances, the speakers taking turns."""
    waiting: dict[str, list[TestUtterance]] = defaultdict(list)
    for utterance in sorted(speech, key=lambda one: one.id):
        waiting[utterance.speaker].append(utterance)
    speakers = sorted(waiting)
    turns = {name: [waiting[name][i] for i in rng.permutation(len(waiting[name]))] for name in speakers}
    names = [speakers[i] for i in rng.permutation(len(speakers))]
    rounds = max(map(len, turns.values()))
    return [turns[name][number] for number in range(rounds) for name in names if number < len(turns[name])]


def _write(item: _Planned, noise: NoiseBank, folder: Path) -> dict[str, Any]:
    audio = load_audio(item.speech.path)
    recording = noise.audio(noise.clip(item.noise_id))
    start_s = draw_start(np.random.default_rng([*item.seeds, 1]), recording, audio.size)
    corruption = Corruption(item.noise_id, start_s, item.snr_db)
    try:
        noisy, gain = corrupt_with_gain(audio, noise_for(audio.size, corruption, noise), item.snr_db)
    except AudioError as error:
        raise AudioError(f"'{item.speech.path}' with noise '{item.noise_id}': {error}") from error
    kind = type_name(item.category)
    name = f"{item.speech.id.replace('/', '-')}_{kind}_{item.snr_db:g}db"
    write_wav(folder / f"{name}.wav", noisy)
    return {
        "id": name,
        "source_id": item.speech.id,
        "path": f"{name}.wav",
        "text": item.speech.text,
        "speaker": item.speech.speaker,
        "noise_type": kind,
        "category": item.category,
        **asdict(corruption),
        "gain": gain,
        "duration_s": noisy.size / SAMPLE_RATE_HZ,
    }
