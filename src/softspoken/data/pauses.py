"""Long utterances cut in their pauses, where the voice activity detector hears none of the voice."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.files import replace_text
from softspoken.packages import cache_folder
from softspoken.speakers.silero import CHUNK, SileroDetector

Span = tuple[float, float]
"""Start and end of a stretch, in seconds."""
PAUSE_BELOW = 0.35
"""Probability of speech below which a chunk belongs to a pause."""
SHORTEST_PAUSE_S = 0.15
SHORTEST_PIECE_S = 3.0
"""No cut leaves a shorter piece."""


def cut_at_pauses(audio: Float[np.ndarray, " N"], longest_s: float) -> list[Span]:
    """The recording (mono, 16 kHz) as stretches of `SHORTEST_PIECE_S` to `longest_s` seconds, cut in the middle of its
    longest pauses. A stretch without any pause to cut at stays as long as it is.
    """
    duration_s = audio.size / SAMPLE_RATE_HZ
    speech = SileroDetector()(np.pad(audio, (0, -audio.size % CHUNK)))
    return _split((0.0, duration_s), _pauses(speech), longest_s)


def _pauses(speech: Float[np.ndarray, " C"]) -> list[Span]:
    quiet = np.concatenate([[False], speech < PAUSE_BELOW, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(quiet)).reshape(-1, 2) * (CHUNK / SAMPLE_RATE_HZ)
    return [(start, end) for start, end in edges.tolist() if end - start >= SHORTEST_PAUSE_S]


def _split(span: Span, pauses: Sequence[Span], longest_s: float) -> list[Span]:
    start_s, end_s = span
    if end_s - start_s <= longest_s:
        return [span]
    inside = [
        pause
        for pause in pauses
        if sum(pause) / 2 - start_s >= SHORTEST_PIECE_S and end_s - sum(pause) / 2 >= SHORTEST_PIECE_S
    ]
    if not inside:
        return [span]
    from_s, to_s = max(inside, key=lambda pause: pause[1] - pause[0])
    middle = (from_s + to_s) / 2
    return [*_split((start_s, middle), pauses, longest_s), *_split((middle, end_s), pauses, longest_s)]


def cuts_file(manifest: Path, longest_s: float) -> Path:
    """Where in a cache folder the cuts of a manifest's recordings are kept."""
    settings = f"{longest_s} {PAUSE_BELOW} {SHORTEST_PAUSE_S} {SHORTEST_PIECE_S}"
    digest = hashlib.sha256(manifest.read_bytes() + settings.encode()).hexdigest()[:16]
    return Path("pauses") / f"{digest}.json"


def kept_cuts(manifest: Path, recordings: dict[str, str], longest_s: float) -> dict[str, list[Span]]:
    """`cut_at_pauses` of each recording (its id to its path), kept in the user's cache until the manifest changes."""
    if not recordings:
        return {}
    kept = cache_folder() / cuts_file(manifest, longest_s)
    if kept.is_file():
        known = {name: [(start, end) for start, end in spans] for name, spans in json.loads(kept.read_text()).items()}
        if known.keys() == recordings.keys():
            return known
    cuts = {name: cut_at_pauses(load_audio(path), longest_s) for name, path in recordings.items()}
    kept.parent.mkdir(parents=True, exist_ok=True)
    replace_text(kept, json.dumps(cuts))
    return cuts
