"""A sound that mutes Whisper, put in front of recordings: what it does to everybody's words and to one voice's.

    python benchmarks/muting.py LEARNED_ON TRIED_ON [--steps 200] [--seconds 0.64] [--peak 0.02]

One short sound is learned by gradient on plain Whisper, so that its decoder ends before the first word whatever
follows (Raina et al., "Muting Whisper: a universal acoustic adversarial attack", 2024, section 3), on the enrolment
clips of one test set of `softspoken evaluate`. It is then put in front of the mixtures of another: a row for
everybody's words and for the voice that is followed, with nothing, with white noise as loud, and with the sound in
front. Nobody learned it on the prompt: what it does there is carried over.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from softspoken import PlainTranscriber, TargetSpeakerTranscriber, load_backbone
from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.backbones import WhisperBackbone
from softspoken.backbones.base import Features
from softspoken.backbones.features import HOP, mel_filters
from softspoken.backbones.whisper import log_mel
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import score_utterance

WINDOW_S = 30.0
BATCH = 2
RATE = 4e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learned_on", type=Path)
    parser.add_argument("tried_on", type=Path)
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.64)
    parser.add_argument("--peak", type=float, default=0.02, help="of the sound; full scale is 1")
    parser.add_argument("--items", type=int, default=40)
    asked = parser.parse_args()
    clips = sorted({item.enrolment for item in read_evaluation_manifest(asked.learned_on)})
    sound = learned(load_backbone(asked.backbone), clips, asked.steps, asked.seconds, asked.peak)
    noise = np.random.default_rng(0).standard_normal(sound.size).astype(np.float32)
    noise *= np.sqrt(np.mean(sound**2) / np.mean(noise**2))
    items = [item for item in read_evaluation_manifest(asked.tried_on) if not item.silent][: asked.items]
    plain = PlainTranscriber.from_pretrained(asked.backbone)
    followed = TargetSpeakerTranscriber.from_pretrained(asked.backbone)
    normalize = TextNormalizer()
    ways: dict[str, Callable[[np.ndarray, Path], str]] = {
        "everybody": lambda audio, _: plain.transcribe(audio).text,
        "one voice": lambda audio, clip: followed.transcribe(audio, speaker=clip).text,
    }
    for way, transcribed in ways.items():
        for name, front in {"nothing": sound[:0], "noise": noise, "the sound": sound}.items():
            errors, words, empty = 0, 0, 0
            for item in items:
                said = transcribed(np.concatenate([front, load_audio(item.audio)]), item.enrolment)
                score = score_utterance(item.text, said, normalize)
                errors += score.substitutions + score.deletions + score.insertions
                words, empty = words + score.words, empty + (not said.strip())
            print(
                json.dumps(
                    {
                        "words of": way,
                        "in front": name,
                        "empty": empty,
                        "items": len(items),
                        "errors a word": round(errors / words, 3),
                    }
                ),
                flush=True,
            )


def learned(backbone: WhisperBackbone, clips: list[Path], steps: int, seconds: float, peak: float) -> np.ndarray:
    """The sound, at 16 kHz, no sample of it beyond `peak`."""
    tokens = backbone.tokens
    begun = [tokens.start(timestamps=False), [*tokens.start(timestamps=True), tokens.timestamp_begin]]
    rng = np.random.default_rng(0)
    sound = torch.from_numpy(rng.uniform(-peak, peak, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32))
    sound.requires_grad_(True)
    optimizer = torch.optim.Adam([sound], lr=RATE)
    for step in range(steps):
        chosen = [torch.from_numpy(load_audio(clips[each])) for each in rng.choice(len(clips), BATCH, replace=False)]
        encoded = backbone.encode(features(backbone, sound, chosen))
        losses = [
            -backbone.decode(torch.tensor([start] * BATCH), encoded)[:, -1]
            .log_softmax(-1)[:, tokens.end_of_text]
            .mean()
            for start in begun
        ]
        optimizer.zero_grad()
        sum(losses, torch.zeros(())).backward()
        optimizer.step()
        with torch.no_grad():
            sound.clamp_(-peak, peak)
        if step % 20 == 0 or step + 1 == steps:
            print(
                json.dumps({"step": step, "minus log of ending": [round(loss.item(), 3) for loss in losses]}),
                flush=True,
            )
    return sound.detach().numpy()


def features(backbone: WhisperBackbone, sound: torch.Tensor, clips: list[torch.Tensor]) -> Features:
    """As `backbone.features`, through which no gradient flows."""
    size = round(WINDOW_S * SAMPLE_RATE_HZ)
    rows = [torch.cat([sound, clip])[:size] for clip in clips]
    samples = torch.stack([torch.nn.functional.pad(row, (0, size - row.numel())) for row in rows])
    lengths = torch.full((len(rows),), size // HOP)
    filters = torch.from_numpy(mel_filters(int(backbone.config.num_mel_bins)))
    return Features(log_mel(samples, lengths, filters), lengths)


if __name__ == "__main__":
    main()
