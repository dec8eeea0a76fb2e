"""What becomes of a voice that is enrolled from a poor clip: the same mixtures, the same clips in many conditions.

    python benchmarks/enrolment_conditions.py MANIFEST [--backbone tiny.en] [--items 24] [--noise NOISE.wav]

MANIFEST is a test set of `softspoken evaluate`; the first items that speak are taken. A row a condition: cosine to the
voice of the clip as it is, clips that are refused, word error rate of the mixtures for the voices that were enrolled,
and that of the same items with the clips as they are.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from softspoken import TargetSpeakerTranscriber
from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.channels import Telephone
from softspoken.data.levels import speech_power
from softspoken.errors import SoftspokenError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import score_utterance
from softspoken.speakers import Clip, Enrolment
from softspoken.speakers.enrolment import enrol
from softspoken_lab.measures.hallucination import synthetic_music

NOISE_BELOW_DB = 40.0
"""Noise in front of the speech is this much below it."""
Change = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--noise", type=Path, help="a recording of noise (default: white noise)")
    asked = parser.parse_args()
    items = [item for item in read_evaluation_manifest(asked.manifest) if not item.silent][: asked.items]
    transcriber = TargetSpeakerTranscriber.from_pretrained(asked.backbone)
    normalize, rng = TextNormalizer(), np.random.default_rng(0)
    noise = rng.standard_normal(40 * SAMPLE_RATE_HZ).astype(np.float32)
    if asked.noise is not None:
        noise = np.resize(load_audio(asked.noise), noise.size)
    plain: list[tuple[Enrolment, int]] = []
    for name, change in conditions(noise).items():
        cosines, errors, words, before, refused = [], 0, 0, 0, []
        for number, item in enumerate(items):
            clip = change(load_audio(item.enrolment)).astype(np.float32)
            try:
                voice = enrol("speaker", [Clip(clip)], transcriber.embedder)
            except SoftspokenError as error:
                if name == "as it is":
                    raise
                refused.append(str(error))
                continue
            said = transcriber.transcribe(load_audio(item.audio), speaker=voice).text
            score = score_utterance(item.text, said, normalize)
            wrong = score.substitutions + score.deletions + score.insertions
            if name == "as it is":
                plain.append((voice, wrong))
            cosines.append(float(np.dot(voice.vector, plain[number][0].vector)))
            errors, words, before = errors + wrong, words + score.words, before + plain[number][1]
        figures = {
            "condition": name,
            "cosine": round(float(np.median(cosines)), 3) if cosines else None,
            "lowest": round(min(cosines), 3) if cosines else None,
            "refused": len(refused),
            "reason": refused[0][:90] if refused else "",
            "wer": round(errors / words, 3) if words else None,
            "as it is": round(before / words, 3) if words else None,
            "items": len(items),
        }
        print(json.dumps(figures), flush=True)


def conditions(noise: np.ndarray) -> dict[str, Change]:
    """By name; "as it is" comes first."""
    found: dict[str, Change] = {"as it is": lambda clip: clip}
    for seconds in (5, 10, 20, 35):
        found[f"{seconds} s of noise in front"] = lambda clip, seconds=seconds: np.concatenate(
            [at(noise[: seconds * SAMPLE_RATE_HZ], clip, -NOISE_BELOW_DB), clip]
        )
    found["DC of 0.1"] = lambda clip: clip * 0.8 + 0.1
    for level in (-50, -40, -30, 0):
        found[f"peaks at {level} dB"] = lambda clip, level=level: clip / np.abs(clip).max() * 10 ** (level / 20)
    found["over a telephone, 300 to 3,400 Hz"] = Telephone(300.0, 3400.0).apply
    found["over a telephone, 0 to 3,950 Hz"] = Telephone(0.0, 3950.0).apply
    music = synthetic_music(40 * SAMPLE_RATE_HZ, np.random.default_rng(1))
    for level in (-20, -10, 0):
        found[f"music behind it at {level} dB"] = lambda clip, level=level: clip + at(music[: clip.size], clip, level)
    for level in (-20, -10):
        found[f"noise behind it at {level} dB"] = lambda clip, level=level: clip + at(noise[: clip.size], clip, level)
    return found


def at(other: np.ndarray, clip: np.ndarray, level_db: float) -> np.ndarray:
    """`other`, as far from the speech of `clip` in power."""
    wanted = speech_power(clip) * 10 ** (level_db / 10)
    return other * np.sqrt(wanted / max(float(np.mean(other**2)), 1e-12))


if __name__ == "__main__":
    main()
