"""Mixtures made where the model is, all of a batch together: what `mixing.render` and a scorer do one by one.

The processor mixes and scores some ten mixtures a second and core; a GPU makes thousands. Shapes: M mixtures, K tracks,
R targets, N samples.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.batches import Batch
from softspoken.data.campplus_torch import TorchCamPlus, centred, kaldi_log_mel
from softspoken.data.channels import LINE_RINGS, LINE_SLOPE_HZ
from softspoken.data.levels import FRAME, SPEECH_BELOW_PEAK_DB
from softspoken.data.mixing import LOUDEST
from softspoken.speakers.campplus import BANDS
from softspoken.waveforms import Waveforms
from softspoken_lab.training.drawn import FRAME_RATE_HZ, DrawnBatch
from softspoken_lab.training.resident import ResidentSpeech

_ROUND = SAMPLE_RATE_HZ // 2
"""Lengths are rounded up to half seconds: few different ones, whose Fourier transforms are fast."""
_TOGETHER = 512
"""Windows that are embedded together."""
_ROWS = 32
"""Rows that are transformed together are filled up to a multiple of this: transforms are planned for each number."""


@dataclass(frozen=True)
class DeviceMixer:
    """Renders drawn batches; the same draws give the waveforms and scores of `MixtureDataset`, to rounding."""

    resident: ResidentSpeech
    embedder: TorchCamPlus

    @torch.no_grad()
    def __call__(self, drawn: DrawnBatch) -> Batch:
        """The batch, its waveforms as `Waveforms` on the device."""
        with torch.autocast(self.resident.device.type, enabled=False):
            mixed, tracks = self.render(drawn)
            scores = self._scores(drawn, mixed)
        sizes = tuple(drawn.sizes[number] for number in drawn.rows)
        silence = torch.zeros_like(tracks[:1])
        return Batch(
            audio=Waveforms(mixed[drawn.target_of], sizes),
            clean=Waveforms(torch.cat([tracks, silence])[drawn.track], sizes),
            voices=drawn.voices,
            scores=scores,
            tokens=drawn.tokens,
            labels=drawn.labels,
            texts=drawn.texts,
            speakers=drawn.speakers,
            clips=self._clips(drawn) if drawn.clip_sizes else None,
        )

    def render(self, drawn: DrawnBatch) -> tuple[Float[Tensor, "M N"], Float[Tensor, "K N"]]:
        """As `mixing.render`: the mixtures, and each talker alone as they stand in them."""
        device = self.resident.device
        sizes = torch.tensor(drawn.sizes, device=device)
        positions = torch.arange(math.ceil(max(drawn.sizes) / _ROUND) * _ROUND, device=device)
        inside = positions < sizes[:, None]
        tracks = self.resident.speech.at(drawn.entry, positions - drawn.start[:, None])
        there = inside[drawn.track_of]
        tracks = tracks * _gain(drawn.power, self.resident.powers[drawn.entry])[:, None] * there
        sent = over_line(tracks, drawn.line) * there if drawn.lines[0] else tracks
        mixed = torch.zeros(len(drawn.sizes), positions.numel(), device=device).index_add(0, drawn.track_of, sent)
        if drawn.noisy.numel():
            noise = self._noise(drawn, positions) * inside[drawn.noisy]
            wanted = speech_powers(mixed, sizes)[drawn.noisy] * drawn.noise_share
            gain = _gain(wanted, speech_powers(noise, sizes[drawn.noisy]))
            mixed = mixed.index_add(0, drawn.noisy, noise * gain[:, None])
        if drawn.lines[1]:
            mixed = over_line(mixed, drawn.mixture_line) * inside
        gain = _gain(drawn.level, speech_powers(mixed, sizes))
        gain = gain.minimum(LOUDEST / mixed.abs().amax(dim=1).clamp(min=1e-9))[:, None]
        return mixed * gain, tracks * gain[drawn.track_of]

    def _noise(self, drawn: DrawnBatch, positions: Int[Tensor, "N"]) -> Float[Tensor, "Q N"]:
        """From where it was drawn on; from there again, or from its beginning, where it ends too early."""
        sizes = self.resident.noise.sizes[drawn.noise]
        start = drawn.noise_start.where(drawn.noise_start < sizes, 0)
        return self.resident.noise.at(drawn.noise, start[:, None] + positions % (sizes - start)[:, None])

    def _clips(self, drawn: DrawnBatch) -> Waveforms:
        positions = torch.arange(max(drawn.clip_sizes), device=self.resident.device)
        samples = self.resident.speech.at(drawn.clips, positions.expand(len(drawn.clip_sizes), -1))
        return Waveforms(samples, drawn.clip_sizes)

    def _scores(self, drawn: DrawnBatch, mixed: Float[Tensor, "M N"]) -> Float[Tensor, "R T"]:
        """Cosine of each voice to the windows around each frame, as `FrameScores` has it; -1 behind the end."""
        vectors = self._window_vectors(drawn, mixed)
        frames = [math.ceil(size / SAMPLE_RATE_HZ * FRAME_RATE_HZ) for size in drawn.sizes]
        times = torch.arange(max(frames), device=mixed.device)
        shape = len(drawn.sizes), drawn.most_windows
        by_mixture = vectors.new_zeros(*shape, vectors.shape[1])
        by_mixture[drawn.window_of, drawn.window_place] = vectors
        covered = vectors.new_zeros(*shape, times.numel())
        first, after = drawn.window_covers.unbind(dim=1)
        covered[drawn.window_of, drawn.window_place] = ((times >= first[:, None]) & (times < after[:, None])).float()
        shares = covered / covered.sum(dim=1, keepdim=True).clamp(min=1)
        cosines = torch.einsum("rws,rs->rw", by_mixture[drawn.target_of], drawn.voices)
        scores = torch.einsum("rw,rwt->rt", cosines, shares[drawn.target_of])
        ends = torch.tensor(frames, device=mixed.device)[drawn.target_of]
        return scores.masked_fill(times >= ends[:, None], -1.0)

    def _window_vectors(self, drawn: DrawnBatch, mixed: Float[Tensor, "M N"]) -> Float[Tensor, "W S"]:
        """Unit vectors of the windows of all mixtures."""
        rows, starts = drawn.window_of, drawn.window_start
        mel = kaldi_log_mel(mixed, BANDS)
        frames = starts[:, None] + torch.arange(drawn.window, device=starts.device)
        # Filled up, so that a GPU sees one size alone: it plans convolutions anew for every other.
        fill = -len(rows) % _TOGETHER if mixed.is_cuda else 0
        taken = functional.pad(rows, (0, fill)), functional.pad(frames, (0, 0, 0, fill))
        vectors = [
            self.embedder.for_windows(centred(mel[rows_here[:, None], frames_here]))
            for rows_here, frames_here in zip(*(torch.split(each, _TOGETHER) for each in taken), strict=True)
        ]
        # A copy: what inference mode has made cannot be part of what is trained.
        return functional.normalize(torch.cat(vectors)[: len(rows)], dim=1).clone()


def speech_powers(waveforms: Float[Tensor, "B N"], sizes: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
    """`levels.speech_power` of each row, of its first `sizes` samples."""
    frames = waveforms.shape[1] // FRAME
    power = waveforms[:, : frames * FRAME].reshape(-1, frames, FRAME).square().mean(dim=2)
    whole = torch.arange(power.shape[1], device=power.device) < (sizes // FRAME)[:, None]
    power = power * whole
    speech = (power >= power.amax(dim=1, keepdim=True) * 10 ** (-SPEECH_BELOW_PEAK_DB / 10)) & (power > 0)
    mean: Tensor = (power * speech).sum(dim=1) / speech.sum(dim=1).clamp(min=1)
    return mean


def over_line(waveforms: Float[Tensor, "B N"], bands: Float[Tensor, "B 2"]) -> Float[Tensor, "B N"]:
    """`Telephone.apply` of each row with its lowest and highest frequency."""
    size = waveforms.shape[1] + LINE_RINGS
    hertz = torch.fft.rfftfreq(size, 1.0 / SAMPLE_RATE_HZ, device=waveforms.device)
    count = len(waveforms)
    fill = (0, 0, 0, -count % _ROWS)
    low, high = torch.split(functional.pad(bands, fill), 1, dim=1)
    slopes = ((hertz - low) / LINE_SLOPE_HZ + 1).clamp(0, 1) * ((high - hertz) / LINE_SLOPE_HZ + 1).clamp(0, 1)
    sent: Tensor = torch.fft.irfft(torch.fft.rfft(functional.pad(waveforms, fill), size) * slopes, size)
    return sent[:count, : waveforms.shape[1]]


def _gain(wanted: Float[Tensor, "B"], own: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    """By what to multiply for another power; silence stays silence."""
    return torch.where(own > 0, (wanted / own.clamp(min=1e-20)).sqrt(), 1.0)
