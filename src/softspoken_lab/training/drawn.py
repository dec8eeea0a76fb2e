"""Batches of mixtures as they are drawn: numbers alone, no audio. Worker processes make them, a device renders them."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.batches import Vocabulary, token_rows, transcript
from softspoken.data.channels import Telephone
from softspoken.data.examples import MixtureDataset, Target
from softspoken.data.mixing import Mixture
from softspoken.errors import ConfigError
from softspoken.speakers.campplus import seconds_of, window_frames
from softspoken.speakers.scores import covered_frames
from softspoken_lab.training.resident import SpeechTable

FRAME_RATE_HZ = 50.0
_ALL_HZ = (-1e6, 1e6)
"""The band of what comes over no line."""

Drawn = tuple[Mixture, list[Target]]


class DrawnMixtures(Dataset[Drawn]):
    """Item i is item i of a dataset before any audio of it is read."""

    def __init__(self, dataset: MixtureDataset) -> None:
        """Raises ConfigError for rooms and microphones, which only the processor draws."""
        if dataset.config.channels.probability:
            raise ConfigError("'mixing.channels' cannot be mixed on a device; leave it out, or 'mix_on_device'")
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Drawn:
        return self.dataset.drawn(index)


@dataclass(frozen=True)
class DrawnBatch:
    """M mixtures of K tracks in all, and R targets in them. What is no tensor must be known without the device."""

    sizes: tuple[int, ...]
    """Samples of each mixture."""
    rows: tuple[int, ...]
    """The mixture of each target."""
    lines: tuple[bool, bool]
    """Whether any track, and whether any mixture, comes over a telephone line."""
    texts: list[str]
    speakers: list[str]
    clip_sizes: tuple[int, ...]
    """Samples of each target's clip; nothing where no clips are wanted."""
    window: int
    """Frames (10 ms) of a window whose embedding is compared with the voices."""
    most_windows: int
    """Windows of the longest mixture."""
    track_of: Int[Tensor, "K"]
    """The mixture of each track."""
    entry: Int[Tensor, "K"]
    start: Int[Tensor, "K"]
    """The sample at which each track begins."""
    power: Float[Tensor, "K"]
    """Speech power of each track."""
    line: Float[Tensor, "K 2"]
    """Lowest and highest frequency."""
    noisy: Int[Tensor, "Q"]
    """The mixtures with noise."""
    noise: Int[Tensor, "Q"]
    noise_start: Int[Tensor, "Q"]
    noise_share: Float[Tensor, "Q"]
    """Speech power of the noise, as a share of that of the speech."""
    level: Float[Tensor, "M"]
    """Speech power of each mixture."""
    mixture_line: Float[Tensor, "M 2"]
    target_of: Int[Tensor, "R"]
    """The mixture of each target, once more."""
    track: Int[Tensor, "R"]
    """The track of each target; K for a target who is absent."""
    voices: Float[Tensor, "R S"]
    clips: Int[Tensor, "R"]
    """The entry of each target's clip."""
    tokens: Int[Tensor, "R U"]
    labels: Int[Tensor, "R U"]
    window_of: Int[Tensor, "W"]
    """The mixture of each window."""
    window_place: Int[Tensor, "W"]
    """Its number in that mixture."""
    window_start: Int[Tensor, "W"]
    """Its first frame (10 ms)."""
    window_covers: Int[Tensor, "W 2"]
    """The first of the frames (20 ms) that it covers, and the one behind the last."""

    def to(self, device: torch.device) -> "DrawnBatch":
        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)


def draw_batch(
    items: list[Drawn],
    table: SpeechTable,
    vocabulary: Vocabulary,
    max_tokens: int,
    window_s: float,
    hop_s: float,
    clips: bool,
) -> DrawnBatch:
    """All targets of some mixtures. `window_s`, `hop_s`: of the windows that are compared with the voices."""
    mixtures = [mixture for mixture, _ in items]
    sizes = tuple(round(mixture.duration_s * SAMPLE_RATE_HZ) for mixture in mixtures)
    return DrawnBatch(
        sizes=sizes,
        **_mixed(mixtures, table),
        **_asked(items, table, vocabulary, max_tokens, clips),
        **_windows(sizes, window_s, hop_s),
    )


def _mixed(mixtures: list[Mixture], table: SpeechTable) -> dict[str, Any]:
    tracks = [(number, track) for number, mixture in enumerate(mixtures) for track in mixture.tracks]
    noisy = [(number, each) for number, each in enumerate(mixtures) if each.noise is not None]
    return {
        "lines": (any(t.telephone for _, t in tracks), any(mixture.telephone for mixture in mixtures)),
        "track_of": torch.tensor([number for number, _ in tracks]),
        "entry": torch.tensor([table.places[track.piece.id] for _, track in tracks]),
        "start": torch.tensor([round(track.offset_s * SAMPLE_RATE_HZ) for _, track in tracks]),
        "power": torch.tensor([10 ** (track.gain_db / 10) for _, track in tracks], dtype=torch.float32),
        "line": torch.tensor([_band(track.telephone) for _, track in tracks], dtype=torch.float32),
        "noisy": torch.tensor([number for number, _ in noisy], dtype=torch.int64),
        "noise": torch.tensor([table.noises[str(mixture.noise)] for _, mixture in noisy], dtype=torch.int64),
        "noise_start": torch.tensor(
            [round(mixture.noise_start_s * SAMPLE_RATE_HZ) for _, mixture in noisy], dtype=torch.int64
        ),
        "noise_share": torch.tensor([10 ** (-mixture.noise_snr_db / 10) for _, mixture in noisy], dtype=torch.float32),
        "level": torch.tensor([10 ** (mixture.level_dbfs / 10) for mixture in mixtures], dtype=torch.float32),
        "mixture_line": torch.tensor([_band(mixture.telephone) for mixture in mixtures], dtype=torch.float32),
    }


def _asked(
    items: list[Drawn], table: SpeechTable, vocabulary: Vocabulary, max_tokens: int, clips: bool
) -> dict[str, Any]:
    tracks_before = np.cumsum([0, *(len(mixture.tracks) for mixture, _ in items)])
    silent = int(tracks_before[-1])
    targets, target_of, track, transcripts = [], [], [], []
    for number, (mixture, asked) in enumerate(items):
        for target in asked:
            targets.append(target)
            target_of.append(number)
            track.append(silent if target.track is None else int(tracks_before[number]) + target.track)
            span_s = _span(mixture, target, table) if target.timestamps else None
            transcripts.append(transcript(target.text, span_s, vocabulary))
    tokens, labels = token_rows(transcripts, [target.timestamps for target in targets], vocabulary, max_tokens)
    entries, vectors = zip(*(table.enrolled(target.enrolment) for target in targets), strict=True)
    return {
        "texts": [target.text for target in targets],
        "speakers": [target.speaker for target in targets],
        "rows": tuple(target_of),
        "target_of": torch.tensor(target_of),
        "track": torch.tensor(track),
        "voices": torch.from_numpy(np.stack(vectors)),
        "clips": torch.tensor(entries),
        "clip_sizes": tuple(table.sizes[entry] for entry in entries) if clips else (),
        "tokens": tokens,
        "labels": labels,
    }


def _span(mixture: Mixture, target: Target, table: SpeechTable) -> tuple[float, float] | None:
    """When the target speaks in the mixture."""
    if target.track is None:
        return None
    track = mixture.tracks[target.track]
    span_s = table.spans_s[table.places[track.piece.id]]
    if span_s is None:
        return None
    return track.offset_s + span_s[0], min(track.offset_s + span_s[1], mixture.duration_s)


def _windows(sizes: tuple[int, ...], window_s: float, hop_s: float) -> dict[str, Any]:
    of, place, start, covers, window = [], [], [], [], 0
    for number, size in enumerate(sizes):
        window, starts = window_frames(size, window_s, hop_s)
        frames = math.ceil(size / SAMPLE_RATE_HZ * FRAME_RATE_HZ)
        of.append(np.full(starts.size, number))
        place.append(np.arange(starts.size))
        start.append(starts)
        covers.append(np.stack(covered_frames(seconds_of(starts), window_s, frames, FRAME_RATE_HZ), axis=1))
    return {
        "window": window,
        "most_windows": max(each.size for each in place),
        "window_of": torch.from_numpy(np.concatenate(of)),
        "window_place": torch.from_numpy(np.concatenate(place)),
        "window_start": torch.from_numpy(np.concatenate(start)),
        "window_covers": torch.from_numpy(np.concatenate(covers)),
    }


def _band(line: Telephone | None) -> tuple[float, float]:
    return _ALL_HZ if line is None else (line.low_hz, line.high_hz)
