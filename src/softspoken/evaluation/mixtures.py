"""Test mixtures of real talkers: overlapped speech, enrolment clips, clean targets and a manifest to evaluate on.

Definitions, all over frames of 20 ms, a frame being speech when it is within 30 dB of the talker's loudest:

* SNR: the target's mean power over its own speech frames against the other talkers', in dB.
* overlap: frames in which both speak, as a share of the speech frames of the one who speaks less. With more than two
  talkers each further one overlaps the first, and the smallest share is noted.

They are defined here and not taken from the training mixer, so that a test set stays what it was when that changes.
"""

import json
import math
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_audio
from softspoken.data.levels import FRAME, speech_frames, speech_power
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.speech import Span, Split, Talker, read_talkers

PEAK = 0.9
"""Highest sample of a written mixture."""
_NEAREST_LAGS = 5
_ATTEMPTS = 100


@dataclass(frozen=True)
class MixtureSpec:
    """What test mixtures to build. Every talker of a mixture is a target once."""

    count: int = 60
    """Mixtures."""
    talkers: int = 2
    snr_db: tuple[float, float] = (0.0, 0.0)
    """Level of the first talker against each other one, drawn evenly."""
    overlap: tuple[float, float] = (0.5, 1.0)
    """Share of the shorter speech that is covered by the other's, drawn evenly as far as it can be had."""
    clip_s: tuple[float, float] = (3.0, 12.0)
    """Length of what one talker says."""
    enrolment_s: tuple[float, float] = (3.0, 15.0)
    """Least and most seconds of an enrolment clip."""
    enough_enrolment_s: float = 5.0
    """One utterance enrols when it is this long; further ones are appended to shorter ones."""
    silent_per_mixture: int = 1
    """Items a mixture whose target is somebody else, so that nothing may be written."""
    seed: int = 0
    split: Split = "test"

    def __post_init__(self) -> None:
        if self.count < 1 or self.talkers < 1 or self.silent_per_mixture < 0:
            raise ConfigError(
                f"{self.count} mixtures of {self.talkers} talkers with {self.silent_per_mixture} silent targets each; "
                "give at least one mixture of one talker"
            )
        for name in ("snr_db", "overlap", "clip_s", "enrolment_s"):
            low, high = (float(bound) for bound in getattr(self, name))
            # Equal specs are written in the same bytes, whether somebody wrote 5 or 5.0.
            object.__setattr__(self, name, (low, high))
            if not low <= high:
                raise ConfigError(f"{name} from {low:g} to {high:g}; the first may not be above the second")
        if not 0.0 <= self.overlap[0] <= self.overlap[1] <= 1.0:
            raise ConfigError(f"overlap from {self.overlap[0]:g} to {self.overlap[1]:g}; give shares between 0 and 1")


def overlap_by_lag(one: Bool[np.ndarray, " F"], other: Bool[np.ndarray, " G"]) -> Float[np.ndarray, " F+G-1"]:
    """Overlap of two talkers when the other starts k - (G - 1) frames after the one, for k = 0 .. F + G - 2."""
    shared = np.correlate(one.astype(np.float64), other.astype(np.float64), mode="full")
    return np.asarray(np.round(shared) / max(min(one.sum(), other.sum()), 1))


def build_mixtures(speech_manifest: str | Path, out_dir: str | Path, spec: MixtureSpec) -> Path:
    """Build a test set from single-talker speech (see `read_talkers`) and return its manifest.

    `out_dir` gets `mixtures/`, `enrolments/`, `clean/` (each talker alone, as they stand in the mixture; 16 kHz FLAC)
    and `manifest.jsonl`, with beside `audio`, `enrolment`, `text` and `id`: `tags`, `snr_db`, `overlap`, `talkers`
    (of the mixture), `target`, `interferer`, `sources` (with each one's place) and, where the target speaks, `clean`
    and, where the times of the words are known, `words` ([[word, start_s, end_s]] in the mixture). The same spec on
    the same speech gives the same bytes. It appears whole or not at all.

    Raises DataError when there are too few talkers, or `out_dir` holds something.
    """
    out = Path(out_dir)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"'{out}' exists and is not an empty folder; remove it or choose another place")
    talkers = read_talkers(speech_manifest, spec.split, spec.clip_s, spec.enrolment_s[0])
    needed = spec.talkers + (1 if spec.silent_per_mixture else 0)
    if len(talkers) < needed:
        raise DataError(
            f"{len(talkers)} usable talker(s) of split '{spec.split}' in {speech_manifest}, {needed} are needed for "
            f"mixtures of {spec.talkers}; ask for fewer talkers or add speech"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for folder in ("mixtures", "enrolments", "clean"):
            (temporary / folder).mkdir()
        builder = _Builder(spec, talkers, temporary)
        items = [item for index in range(spec.count) for item in builder.mixture(index)]
        lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (temporary / "manifest.jsonl").write_text(lines, encoding="utf-8")
        (temporary / "spec.json").write_text(json.dumps(asdict(spec), indent=2) + "\n", encoding="utf-8")
        temporary.chmod(0o755)
        os.replace(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return out / "manifest.jsonl"


class _Builder:
    """Draws and writes one mixture after the other; keeps count, so that all talkers and clips are used alike."""

    def __init__(self, spec: MixtureSpec, talkers: tuple[Talker, ...], folder: Path) -> None:
        self.spec = spec
        self.talkers = talkers
        self.folder = folder
        self.rng = np.random.default_rng(spec.seed)
        self.used: Counter[Any] = Counter()

    def mixture(self, index: int) -> list[dict[str, Any]]:
        """Write mixture number `index` and return its items."""
        name = f"{index:04d}"
        chosen, clips, tracks, offsets_s, overlap, snr_db = self._draw()
        write_audio(self.folder / f"mixtures/{name}.flac", tracks.sum(axis=0))
        shared = {
            "audio": f"mixtures/{name}.flac",
            "overlap": round(overlap, 4),
            "talkers": [talker.name for talker in chosen],
            "sources": [_source(clip, offset_s) for clip, offset_s in zip(clips, offsets_s, strict=True)],
        }
        items = []
        for number, (talker, clip, track) in enumerate(zip(chosen, clips, tracks, strict=True)):
            clean = f"clean/{name}-{number}.flac"
            write_audio(self.folder / clean, track)
            item = self._item(f"{name}-{number}", shared, talker, clip)
            items.append({**item, "snr_db": _against_others(snr_db, number), "clean": clean})
            if clip.words:
                items[-1]["words"] = _moved(clip, offsets_s[number])
        absent = [talker for talker in self.talkers if talker not in chosen]
        for number, talker in enumerate(self._least_used(absent, self.spec.silent_per_mixture, "absent")):
            self.used["absent", talker] += 1
            items.append(self._item(f"{name}-silent{number}", shared, talker, None))
        return items

    def _draw(self) -> tuple[list[Talker], list[Span], Float[np.ndarray, "K N"], list[float], float, list[float]]:
        """Talkers, their clips, one track each, the clips' places, the smallest overlap, levels of the first."""
        for _ in range(_ATTEMPTS):
            chosen = self._least_used(self.talkers, self.spec.talkers, "speaks")
            clips = [self._least_used(talker.clips, 1, "clip")[0] for talker in chosen]
            tracks, offsets_s, overlap, snr_db = self._tracks([_read(clip) for clip in clips])
            if overlap >= self.spec.overlap[0]:
                for talker, clip in zip(chosen, clips, strict=True):
                    self.used["speaks", talker] += 1
                    self.used["clip", clip] += 1
                return chosen, clips, tracks, offsets_s, overlap, snr_db
        raise DataError(
            f"no two clips overlap by {self.spec.overlap[0]:g} in {_ATTEMPTS} attempts; ask for a smaller overlap"
        )

    def _item(self, name: str, shared: dict[str, Any], target: Talker, clip: Span | None) -> dict[str, Any]:
        """One line of the manifest; with no clip the target is silent. Writes the enrolment."""
        return {
            "id": name,
            **shared,
            "enrolment": self._enrol(name, target, clip),
            "text": "" if clip is None else clip.text,
            "tags": ["silent" if clip is None else "speaking"],
            "target": target.name,
            "interferer": [other for other in shared["talkers"] if other != target.name],
        }

    def _least_used(self, things: Any, count: int, role: str) -> list[Any]:
        """`count` different things, those used least in this role first, ties drawn."""
        drawn = self.rng.random(len(things))
        order = sorted(range(len(things)), key=lambda i: (self.used[role, things[i]], drawn[i]))
        return [things[i] for i in order[:count]]

    def _tracks(
        self, clips: list[Float[np.ndarray, "_"]]
    ) -> tuple[Float[np.ndarray, "K N"], list[float], float, list[float]]:
        """Talkers at their places and levels, one a row, the places, the smallest overlap, levels of the first."""
        starts, overlaps, snr_db = [0], [1.0], [0.0]
        first = speech_frames(clips[0])
        for clip in clips[1:]:
            lag, share = self._lag(overlap_by_lag(first, speech_frames(clip)), len(clip) // FRAME)
            starts.append(lag * FRAME)
            overlaps.append(share)
            snr_db.append(float(self.rng.uniform(*self.spec.snr_db)))
        earliest = min(starts)
        size = max(start + len(clip) for start, clip in zip(starts, clips, strict=True)) - earliest
        tracks = np.zeros((len(clips), size), dtype=np.float32)
        for row, clip, start, level_db in zip(tracks, clips, starts, snr_db, strict=True):
            gain = np.sqrt(10 ** (-level_db / 10) / max(speech_power(clip), 1e-12))
            row[start - earliest : start - earliest + len(clip)] = clip * gain
        loudest = max(float(np.abs(tracks.sum(axis=0)).max()), float(np.abs(tracks).max()))
        offsets_s = [(start - earliest) / SAMPLE_RATE_HZ for start in starts]
        return tracks * np.float32(PEAK / loudest), offsets_s, min(overlaps), snr_db

    def _lag(self, shares: Float[np.ndarray, " L"], other_frames: int) -> tuple[int, float]:
        low, high = self.spec.overlap
        wanted = self.rng.uniform(low, max(low, min(high, float(shares.max()))))
        allowed = np.flatnonzero((shares >= low) & (shares <= high))
        if allowed.size == 0:
            allowed = np.array([int(shares.argmax())])
        nearest = allowed[np.argsort(np.abs(shares[allowed] - wanted), kind="stable")[:_NEAREST_LAGS]]
        # Which of the two starts first must not depend on the sort: draw the side, too.
        chosen = int(self.rng.choice(nearest))
        return chosen - (other_frames - 1), float(shares[chosen])

    def _enrol(self, name: str, talker: Talker, clip: Span | None) -> str:
        """Write an enrolment clip of other speech of the talker."""
        least_s, most_s = self.spec.enrolment_s
        candidates = talker.enrolment_candidates(clip)
        order = [candidates[i] for i in self.rng.permutation(len(candidates))]
        enough = [span for span in order if span.duration_s >= self.spec.enough_enrolment_s]
        parts: list[Float[np.ndarray, " N"]] = []
        for span in enough[:1] if enough else order:
            parts.append(_read(span))
            if sum(map(len, parts)) >= max(least_s, self.spec.enough_enrolment_s) * SAMPLE_RATE_HZ:
                break
        enrolment = np.concatenate(parts)[: round(most_s * SAMPLE_RATE_HZ)]
        write_audio(self.folder / f"enrolments/{name}.flac", enrolment)
        return f"enrolments/{name}.flac"


def _against_others(snr_db: list[float], number: int) -> float | None:
    """Level of talker `number` against the sum of the others, from the first one's level against each; None alone."""
    powers = [10 ** (-level_db / 10) for level_db in snr_db]
    others = sum(powers) - powers[number]
    return round(10 * math.log10(powers[number] / others), 3) if len(powers) > 1 else None


def _read(span: Span) -> Float[np.ndarray, " N"]:
    audio: Float[np.ndarray, " N"] = load_audio(span.path)
    return audio[round(span.start_s * SAMPLE_RATE_HZ) : round(span.end_s * SAMPLE_RATE_HZ)]


def _source(span: Span, offset_s: float) -> dict[str, Any]:
    return {"utterance": span.utterance, "start_s": span.start_s, "end_s": span.end_s, "offset_s": offset_s}


def _moved(span: Span, offset_s: float) -> list[list[Any]]:
    """The words of a clip at the times at which they are in the mixture."""
    by_s = offset_s - span.start_s
    return [[word, round(max(start_s + by_s, 0.0), 3), round(end_s + by_s, 3)] for word, start_s, end_s in span.words]
