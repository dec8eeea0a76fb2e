"""Mixtures of talkers, drawn from a seeded generator and described so that they can be made again."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.channels import Channel, Telephone, draw_channel
from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus, Piece
from softspoken.data.levels import mix_at_snr, scale_to, speech_power

LOUDEST = 0.99
"""Peak of a mixture at most."""


@dataclass(frozen=True)
class Track:
    """One talker in a mixture."""

    piece: Piece
    offset_s: float
    gain_db: float
    channel: Channel | None = None
    telephone: Telephone | None = None


@dataclass(frozen=True)
class Mixture:
    """A recipe for one recording; the same recipe gives the same samples."""

    tracks: tuple[Track, ...]
    noise: str | None
    noise_start_s: float
    noise_snr_db: float
    level_dbfs: float
    duration_s: float
    telephone: Telephone | None = None


def draw_mixture(
    corpus: Corpus, noises: list[tuple[str, float]], config: MixingConfig, rng: np.random.Generator
) -> Mixture:
    """Draw talkers, pieces, offsets, gains and noise. `noises`: (path, seconds) of the recordings to choose from."""
    counts = list(config.talkers)
    count = int(rng.choice(counts, p=np.array(list(config.talkers.values())) / sum(config.talkers.values())))
    speakers = corpus.speakers
    names = [speakers[i] for i in rng.choice(len(speakers), size=min(count, len(speakers)), replace=False)]
    pieces = [corpus.by_speaker[name][rng.integers(len(corpus.by_speaker[name]))] for name in names]
    tracks = _place(pieces, config, rng)
    duration_s = max(track.offset_s + track.piece.duration_s for track in tracks)
    noise, noise_start_s = None, 0.0
    if noises and rng.random() < config.noise_probability:
        noise, seconds = noises[rng.integers(len(noises))]
        noise_start_s = rng.uniform(0.0, max(seconds - duration_s, 0.0))
    if config.channels.probability:
        tracks = [replace(track, channel=draw_channel(config.channels, rng)) for track in tracks]
    snr_db, level_dbfs = rng.uniform(*config.noise_snr_db), rng.uniform(*config.level_dbfs)
    line = None
    if config.telephone:
        tracks = [replace(track, telephone=_line(config, rng)) for track in tracks]
        line = _line(config, rng)
    return Mixture(tuple(tracks), noise, noise_start_s, snr_db, level_dbfs, duration_s, line)


def _line(config: MixingConfig, rng: np.random.Generator) -> Telephone | None:
    return Telephone.draw(rng) if rng.random() < config.telephone else None


def _place(pieces: list[Piece], config: MixingConfig, rng: np.random.Generator) -> list[Track]:
    """Offsets and gains; a talker who would make the mixture longer than `max_s` overlaps the first one fully."""
    first = pieces[0]
    tracks = [Track(first, 0.0, 0.0)]
    for piece in pieces[1:]:
        overlap_s = rng.uniform(*config.overlap) * min(first.duration_s, piece.duration_s)
        # Behind the first talker, or in front of them.
        offset_s = first.duration_s - overlap_s if rng.random() < 0.5 else overlap_s - piece.duration_s
        end_s = max(track.offset_s + track.piece.duration_s for track in tracks)
        begin_s = min(track.offset_s for track in tracks)
        if max(end_s, offset_s + piece.duration_s) - min(begin_s, offset_s) > config.max_s - config.lead_s[1]:
            offset_s = 0.0
        tracks.append(Track(piece, offset_s, rng.uniform(*config.gain_db)))
    shift_s = rng.uniform(*config.lead_s) - min(track.offset_s for track in tracks)
    return [Track(track.piece, track.offset_s + shift_s, track.gain_db) for track in tracks]


def render(mixture: Mixture, corpus: Corpus) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "K N"]]:
    """The mixture's samples, and each talker's alone as they stand in it (16 kHz), before any telephone line."""
    size = round(mixture.duration_s * SAMPLE_RATE_HZ)
    tracks = np.zeros((len(mixture.tracks), size), dtype=np.float32)
    mixed = np.zeros(size, dtype=np.float32)
    for row, track in zip(tracks, mixture.tracks, strict=True):
        waveform = corpus.audio(track.piece)
        if track.channel is not None:
            waveform = track.channel.apply(waveform)
        waveform = scale_to(waveform, 10 ** (track.gain_db / 10))
        start = round(track.offset_s * SAMPLE_RATE_HZ)
        waveform = waveform[: max(size - start, 0)]
        row[start : start + waveform.size] = waveform
        mixed += row if track.telephone is None else track.telephone.apply(row)
    if mixture.noise is not None:
        recording = corpus.recording(mixture.noise)
        start = round(mixture.noise_start_s * SAMPLE_RATE_HZ)
        noise = np.resize(recording[start:], size) if recording.size > start else np.resize(recording, size)
        mixed = mix_at_snr(mixed, noise, mixture.noise_snr_db)
    if mixture.telephone is not None:
        mixed = mixture.telephone.apply(mixed)
    power = speech_power(mixed)
    gain = np.sqrt(10 ** (mixture.level_dbfs / 10) / power) if power > 0 else 1.0
    # Never clip: the level gives way.
    gain = min(gain, LOUDEST / max(float(np.abs(mixed).max()), 1e-9))
    return (mixed * gain).astype(np.float32), (tracks * gain).astype(np.float32)
