"""Test mixtures of real talkers: overlapped speech, enrolment clips, clean targets and a manifest to evaluate on.

Levels and overlaps are defined in `mixture_spec`, places in `placement`.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_audio
from softspoken.data.levels import speech_power
from softspoken.errors import DataError
from softspoken.files import replacing
from softspoken_lab.testsets.mixture_spec import MixtureSpec
from softspoken_lab.testsets.placement import by_frames, by_stretches, covered_share, speech_stretch
from softspoken_lab.testsets.speech import Span, Talker, read_talkers

__all__ = ["MixtureSpec", "Scene", "build_mixtures"]

PEAK = 0.9
"""Highest sample of a written mixture."""
_ATTEMPTS = 100
TARGETS_SEED = 3
"""Marks the generator of targets apart from the talkers' own, and from those of whatever `Around` draws."""


@dataclass(frozen=True)
class Scene:
    """A mixture as it is recorded."""

    audio: Float[np.ndarray, " N"]
    clean: Float[np.ndarray, "K N"]
    """Each talker alone, as they stand in it; of a room only the direct sound and the early reflections."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Facts about the room and the noise, for the manifest."""
    noise_snr_db: tuple[float, ...] = ()
    """Level of each talker against the noise; empty without noise."""


Around = Callable[[int, Float[np.ndarray, "K N"]], Scene]
"""The number of a mixture and its talkers at their levels, one a row, to how that is recorded."""


def dry(index: int, tracks: Float[np.ndarray, "K N"]) -> Scene:
    """The talkers alone: no room, no noise."""
    return Scene(tracks.sum(axis=0), tracks)


def build_mixtures(speech_manifest: str | Path, out_dir: str | Path, spec: MixtureSpec, around: Around = dry) -> Path:
    """Build a test set from single-talker speech (see `read_talkers`) and return its manifest.

    `out_dir` gets `mixtures/`, `enrolments/`, `clean/` (each talker alone, as they stand in the mixture; 16 kHz FLAC)
    and `manifest.jsonl`, with beside `audio`, `enrolment`, `text` and `id`: `tags` (`same-sex` or `both-sexes` among
    them, where all sexes are known), `snr_db`, `overlap`, `talkers` (of the mixture), `target`, `interferer`, `sources`
    (with each one's place) and, where the target speaks, `clean` and, where the times of the words are known, `words`
    ([[word, start_s, end_s]] in the mixture). By stretches, `covered` is the share of the target's stretch in which
    anybody else is in theirs. The same spec on the same speech gives the same bytes. It appears whole or not at all.

    `around`: what stands around the talkers; its `facts` and levels against noise go to the manifest, too.

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
    with replacing(out) as temporary:
        temporary.mkdir()
        for folder in ("mixtures", "enrolments", "clean"):
            (temporary / folder).mkdir()
        builder = _Builder(spec, talkers, temporary, around)
        items = [item for index in range(spec.count) for item in builder.mixture(index)]
        lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (temporary / "manifest.jsonl").write_text(lines, encoding="utf-8")
        (temporary / "spec.json").write_text(json.dumps(spec.as_dict(), indent=2) + "\n", encoding="utf-8")
    return out / "manifest.jsonl"


class _Builder:
    """Draws and writes one mixture after the other; keeps count, so that all talkers and clips are used alike."""

    def __init__(self, spec: MixtureSpec, talkers: tuple[Talker, ...], folder: Path, around: Around) -> None:
        self.spec = spec
        self.around = around
        self.talkers = talkers
        self.folder = folder
        self.rng = np.random.default_rng(spec.seed)
        # Drawn apart, the targets are the same whatever the number of talkers around them is.
        self.target_rng = np.random.default_rng([spec.seed, TARGETS_SEED]) if spec.targets == "first" else self.rng
        self.used: Counter[Any] = Counter()

    def mixture(self, index: int) -> list[dict[str, Any]]:
        """Write mixture number `index` and return its items."""
        name = f"{index:04d}"
        chosen, clips, tracks, offsets_s, overlap, snr_db = self._draw()
        scene = self.around(index, tracks)
        write_audio(self.folder / f"mixtures/{name}.flac", scene.audio)
        shared = {
            "audio": f"mixtures/{name}.flac",
            "overlap": round(overlap, 4),
            "talkers": [talker.name for talker in chosen],
            "tags": _sexes(chosen),
            "sources": [_source(clip, offset_s) for clip, offset_s in zip(clips, offsets_s, strict=True)],
            **scene.facts,
        }
        covered = _covered(tracks) if self.spec.overlap_of == "stretches" else []
        items = []
        for number, (talker, clip, track) in enumerate(zip(chosen, clips, scene.clean, strict=True)):
            clean = f"clean/{name}-{number}.flac"
            write_audio(self.folder / clean, track)
            if number and self.spec.targets == "first":
                continue
            item = self._item(f"{name}-{number}", shared, talker, clip)
            items.append({**item, "snr_db": _against_others(snr_db, number), "clean": clean})
            if covered:
                items[-1]["covered"] = covered[number]
            if scene.noise_snr_db:
                items[-1]["noise_snr_db"] = scene.noise_snr_db[number]
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
            chosen, clips = self._cast()
            tracks, offsets_s, overlap, snr_db = self._tracks([_read(clip) for clip in clips])
            if self.spec.overlap_of == "stretches" or overlap >= self.spec.overlap[0]:
                for talker, clip in zip(chosen, clips, strict=True):
                    self.used["speaks", talker] += 1
                    self.used["clip", clip] += 1
                self.used["target", chosen[0]] += 1
                self.used["target clip", clips[0]] += 1
                return chosen, clips, tracks, offsets_s, overlap, snr_db
        raise DataError(
            f"no two clips overlap by {self.spec.overlap[0]:g} in {_ATTEMPTS} attempts; ask for a smaller overlap"
        )

    def _cast(self) -> tuple[list[Talker], list[Span]]:
        """Who speaks, and what."""
        if self.spec.targets == "all":
            chosen = self._least_used(self.talkers, self.spec.talkers, "speaks")
            return chosen, [self._least_used(talker.clips, 1, "clip")[0] for talker in chosen]
        target = self._least_used(self.talkers, 1, "target", self.target_rng)[0]
        clip = self._least_used(target.clips, 1, "target clip", self.target_rng)[0]
        rest = [talker for talker in self.talkers if talker is not target]
        others = self._least_used(rest, self.spec.talkers - 1, "speaks")
        return [target, *others], [clip, *(self._least_used(talker.clips, 1, "clip")[0] for talker in others)]

    def _item(self, name: str, shared: dict[str, Any], target: Talker, clip: Span | None) -> dict[str, Any]:
        """One line of the manifest; with no clip the target is silent. Writes the enrolment."""
        return {
            "id": name,
            **shared,
            "enrolment": self._enrol(name, target, clip),
            "text": "" if clip is None else clip.text,
            "tags": ["silent" if clip is None else "speaking", *shared["tags"]],
            "target": target.name,
            "interferer": [other for other in shared["talkers"] if other != target.name],
        }

    def _least_used(self, things: Any, count: int, role: str, rng: np.random.Generator | None = None) -> list[Any]:
        """`count` different things, those used least in this role first, ties drawn."""
        drawn = (self.rng if rng is None else rng).random(len(things))
        order = sorted(range(len(things)), key=lambda i: (self.used[role, things[i]], drawn[i]))
        return [things[i] for i in order[:count]]

    def _tracks(
        self, clips: list[Float[np.ndarray, "_"]]
    ) -> tuple[Float[np.ndarray, "K N"], list[float], float, list[float]]:
        """Talkers at their places and levels, one a row, the places, the smallest overlap, levels of the first."""
        place = by_frames if self.spec.overlap_of == "frames" else by_stretches
        placed = place(clips, self.spec.overlap, self.spec.snr_db, self.rng)
        starts, snr_db = placed.starts, placed.snr_db
        earliest = min(starts)
        size = max(start + len(clip) for start, clip in zip(starts, clips, strict=True)) - earliest
        tracks = np.zeros((len(clips), size), dtype=np.float32)
        for row, clip, start, level_db in zip(tracks, clips, starts, snr_db, strict=True):
            gain = np.sqrt(10 ** (-level_db / 10) / max(speech_power(clip), 1e-12))
            row[start - earliest : start - earliest + len(clip)] = clip * gain
        loudest = max(float(np.abs(tracks.sum(axis=0)).max()), float(np.abs(tracks).max()))
        offsets_s = [(start - earliest) / SAMPLE_RATE_HZ for start in starts]
        return tracks * np.float32(PEAK / loudest), offsets_s, min(placed.overlaps), snr_db

    def _enrol(self, name: str, talker: Talker, clip: Span | None) -> str:
        """Write an enrolment clip of other speech of the talker."""
        least_s, most_s = self.spec.enrolment_s
        candidates = talker.enrolment_candidates(clip)
        rng = self.rng if clip is None else self.target_rng
        order = [candidates[i] for i in rng.permutation(len(candidates))]
        enough = [span for span in order if span.duration_s >= self.spec.enough_enrolment_s]
        parts: list[Float[np.ndarray, " N"]] = []
        for span in enough[:1] if enough else order:
            parts.append(_read(span))
            if sum(map(len, parts)) >= max(least_s, self.spec.enough_enrolment_s) * SAMPLE_RATE_HZ:
                break
        enrolment = np.concatenate(parts)[: round(most_s * SAMPLE_RATE_HZ)]
        write_audio(self.folder / f"enrolments/{name}.flac", enrolment)
        return f"enrolments/{name}.flac"


def _covered(tracks: Float[np.ndarray, "K N"]) -> list[float]:
    """The share of each talker's stretch in which anybody else is in theirs."""
    stretches = [speech_stretch(track) for track in tracks]
    others = [stretches[:number] + stretches[number + 1 :] for number in range(len(stretches))]
    return [round(covered_share(own, rest), 4) for own, rest in zip(stretches, others, strict=True)]


def _sexes(talkers: Sequence[Talker]) -> list[str]:
    """The tag of a mixture in which these talkers speak; none where a sex is not known."""
    sexes = {talker.sex for talker in talkers}
    return [] if None in sexes else ["same-sex" if len(sexes) == 1 else "both-sexes"]


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
