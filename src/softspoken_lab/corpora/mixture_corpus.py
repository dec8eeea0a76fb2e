"""What every corpus of mixed speech comes down to, and how it is written: a folder a part, with its manifest."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
from jaxtyping import Float32

from softspoken.audio import write_audio
from softspoken.data.manifest import write_rows
from softspoken.errors import ConfigError, DataError
from softspoken.files import replacing
from softspoken_lab.corpora.references import Said, write_references
from softspoken_lab.corpora.stretches import LEAST_ENROLMENT_S, Stretch, read_stretch, seconds_of

Split = Literal["train", "development", "test"]
Enrol = Callable[[str, str], tuple[Stretch, ...]]
"""A talker and an item's name to the stretches that enrol them there."""
MANIFEST = "manifest.jsonl"
SPEC = "spec.json"
SELF_ENROLLED = "self-enrolled"
"""Tag of targets whose published enrolment is the very utterance that is in the mixture. They stay, because published
figures include them, and can be told apart."""


@dataclass(frozen=True)
class MixtureOptions:
    """How mixtures of a corpus become items."""

    variant: str | None = None
    """Which form of the corpus, such as 'max/mix_clean' or 'sdm/segments'; None: the first one it has."""
    librispeech: Path | None = None
    """Where LibriSpeech is, for corpora that are made of it; None: beside the corpus."""
    seed: int = 0
    """Chooses enrolments and silent targets."""
    silent_per_mixture: int = 0
    """Items a mixture whose target does not speak in it, so that nothing may be written."""

    def __post_init__(self) -> None:
        if self.silent_per_mixture < 0 or self.seed < 0:
            raise ConfigError(
                f"{self.silent_per_mixture} silent targets a mixture with seed {self.seed}; neither may be below 0"
            )

    def choose(self, variants: Sequence[str], corpus: str) -> str:
        """The variant, or the first of those there are. Raises ConfigError for one that there is not."""
        if self.variant is None:
            return variants[0]
        if self.variant not in variants:
            raise ConfigError(f"{corpus} has no variant '{self.variant}'; choose one of: {', '.join(variants)}")
        return self.variant


@dataclass(frozen=True)
class Target:
    """Somebody whose words are asked for."""

    talker: str
    """'corpus:speaker'."""
    text: str
    """Empty: silent."""
    clean: Path | Callable[[], Float32[np.ndarray, " N"]] | None = None
    """The target alone, as they stand in the mixture."""
    words: tuple[tuple[str, float, float], ...] = ()
    """Their words with beginning and end in seconds of the mixture, where these are known."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorpusMixture:
    """A recording in which several may speak at once."""

    id: str
    audio: Path | Stretch | Callable[[], Float32[np.ndarray, " N"]]
    """A file as it is, what is to be cut out of one, or what makes it."""
    duration_s: float
    sources: tuple[Stretch, ...]
    """The speech in it: nobody is enrolled with it."""
    targets: tuple[Target, ...]
    talkers: tuple[str, ...]
    """All who speak in it."""
    absent: Sequence[str]
    """Who may be asked for without speaking in it; those of `talkers` are passed over."""
    enrol: Enrol
    tags: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the manifest says of its items."""


@dataclass
class Part:
    """A part of a corpus, read while it is written."""

    name: str
    split: Split
    mixtures: Iterable[CorpusMixture]
    left_out: Counter[str] = field(default_factory=Counter)
    """What is not in it, by the reason."""
    said: dict[str, Sequence[Said]] = field(default_factory=dict)
    """All that is said in each whole recording, by its session; none where recordings are cut."""


@dataclass(frozen=True)
class WrittenPart:
    """A part's manifest, and what is in it."""

    manifest: Path
    split: Split
    mixtures: int
    items: int
    silent: int
    hours: float
    left_out: dict[str, int]


def write_part(part: Part, out: Path, spec: Mapping[str, Any], options: MixtureOptions) -> WrittenPart:
    """Write `out/<part>`: manifest.jsonl, spec.json, and whatever audio the corpus does not have as files already.

    It appears whole or not at all. Enrolments of training parts that are files of the corpus stay a list of files; in
    all other parts they are one clip a list, so that the manifest is read by `softspoken evaluate`. Raises DataError
    when nothing is left to write.
    """
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / part.name) as temporary:
        temporary.mkdir()
        writer = _Writer(part, temporary, out / part.name, options)
        rows, mixtures, seconds = [], 0, 0.0
        for mixture in part.mixtures:
            own = writer.rows(mixture)
            rows += own
            mixtures += bool(own)
            seconds += mixture.duration_s if own else 0.0
        if not rows:
            why = ", ".join(f"{count} {reason}" for reason, count in part.left_out.items())
            raise DataError(f"part '{part.name}' has no usable target ({why or 'it is empty'}); nothing was written")
        write_rows(temporary / MANIFEST, rows)
        facts = {**spec, "part": part.name, "split": part.split, "left_out": dict(part.left_out)}
        if part.said:
            write_references(temporary, part.said)
        (temporary / SPEC).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    silent = sum(not row["text"] for row in rows)
    manifest = out / part.name / MANIFEST
    return WrittenPart(manifest, part.split, mixtures, len(rows), silent, seconds / 3600, dict(part.left_out))


class _Writer:
    """Mixtures to rows of a manifest; an enrolment clip that several items share is written once."""

    def __init__(self, part: Part, folder: Path, home: Path, options: MixtureOptions) -> None:
        """`folder`: where files are written; `home`: where they will lie in the end."""
        self.part, self.folder, self.home, self.options = part, folder, home.resolve(), options
        self._clips: dict[tuple[Stretch, ...], str] = {}

    def rows(self, mixture: CorpusMixture) -> list[dict[str, Any]]:
        """The items of a mixture: all its targets, then those who are silent in it."""
        targets = [(f"{mixture.id}-{mixture.talkers.index(target.talker)}", target) for target in mixture.targets]
        if self.options.silent_per_mixture:
            targets += self._silent(mixture)
        chosen = []
        for name, target in targets:
            enrolment = mixture.enrol(target.talker, name)
            if seconds_of(enrolment) < LEAST_ENROLMENT_S:
                self.part.left_out[f"with under {LEAST_ENROLMENT_S:g} s of other speech to enrol with"] += 1
                continue
            chosen.append((name, target, enrolment))
        if not chosen:
            return []
        shared = {
            "audio": self._audio(mixture),
            "duration_s": round(mixture.duration_s, 4),
            "split": self.part.split,
            "talkers": list(mixture.talkers),
            "sources": [source.as_row() for source in mixture.sources],
            **mixture.facts,
        }
        return [self._row(mixture, shared, *item) for item in chosen]

    def _silent(self, mixture: CorpusMixture) -> list[tuple[str, Target]]:
        absent = [talker for talker in mixture.absent if talker not in mixture.talkers]
        rng = np.random.default_rng([self.options.seed, crc32(mixture.id.encode())])
        drawn = [absent[position] for position in rng.permutation(len(absent))[: self.options.silent_per_mixture]]
        return [(f"{mixture.id}-silent{number}", Target(talker, "")) for number, talker in enumerate(drawn)]

    def _row(
        self,
        mixture: CorpusMixture,
        shared: dict[str, Any],
        name: str,
        target: Target,
        enrolment: tuple[Stretch, ...],
    ) -> dict[str, Any]:
        row = {
            "id": name,
            **shared,
            "enrolment": self._enrolment(target.talker, enrolment),
            "enrolment_sources": [stretch.as_row() for stretch in enrolment],
            "text": target.text,
            "tags": ["speaking" if target.text else "silent", *mixture.tags, *target.tags],
            "target": target.talker,
            "interferer": [talker for talker in mixture.talkers if talker != target.talker],
        }
        if target.clean is not None:
            row["clean"] = self._clean(name, target.clean)
        if target.words:
            row["words"] = [list(word) for word in target.words]
        return row

    def _audio(self, mixture: CorpusMixture) -> str:
        if isinstance(mixture.audio, Path):
            return self._place(mixture.audio)
        made = partial(read_stretch, mixture.audio) if isinstance(mixture.audio, Stretch) else mixture.audio
        return self._write("mixtures", mixture.id, made)

    def _clean(self, name: str, clean: Path | Callable[[], Float32[np.ndarray, " N"]]) -> str:
        return self._place(clean) if isinstance(clean, Path) else self._write("clean", name, clean)

    def _enrolment(self, talker: str, stretches: tuple[Stretch, ...]) -> str | list[str]:
        if self.part.split == "train" and all(stretch.whole for stretch in stretches):
            return [self._place(stretch.path) for stretch in stretches]
        if stretches not in self._clips:
            name = f"{talker.partition(':')[2]}-{len(self._clips):05d}"
            parts = [read_stretch(stretch) for stretch in stretches]
            self._clips[stretches] = self._write("enrolments", name, lambda: np.concatenate(parts))
        return self._clips[stretches]

    def _write(self, kind: str, name: str, make: Callable[[], Float32[np.ndarray, " N"]]) -> str:
        (self.folder / kind).mkdir(exist_ok=True)
        write_audio(self.folder / kind / f"{name}.flac", make())
        return f"{kind}/{name}.flac"

    def _place(self, path: Path) -> str:
        """As the manifest names it: relative beside or below the manifest, absolute elsewhere."""
        path = path.resolve()
        return str(path.relative_to(self.home)) if path.is_relative_to(self.home) else str(path)
