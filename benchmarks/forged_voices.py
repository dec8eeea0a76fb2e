"""Who gets a voice's words out of a recording with a clip that is not a living voice's.

    python benchmarks/forged_voices.py MANIFEST [--backbone tiny.en] [--items 40] [--precision int8]

MANIFEST is a test set of `softspoken evaluate` whose items say who the target is; items that speak, spread over it, are
taken. A row a kind of clip: how alike its vector is to the true one, and the share of the target's words that are
obtained, with its 95 % interval over items.

A replayed clip is played by a small loudspeaker in a room, or heard over a telephone. An imitation is the speech of
another talker of the set who is not in the recording, or of a synthetic voice of the demo, chosen with the true vector
in hand; `shifted` ones are played faster or slower, which moves pitch and formants together. How good an imitation has
to be, the last rows tell: another's clip with a vector that is made up, at a given cosine to the true one.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import soxr

from softspoken import TargetSpeakerTranscriber
from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.channels import Channel, Telephone
from softspoken.decoding.conditioning import LENIENT
from softspoken.decoding.together import Request, transcribe_together
from softspoken.demo import load_recordings
from softspoken.errors import EnrolmentError
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import score_utterance
from softspoken.speakers import Clip, Enrolment
from softspoken.speakers.enrolment import enrol
from softspoken_lab.analysis.attack_bench import words_of_others

ROOM = Channel(rt60_s=0.4, direct_db=3.0, bands_db=(-24.0, -12.0, -3.0, 0.0, 0.0, -3.0, -9.0), seed=0)
"""A small loudspeaker has no bass and little treble."""
FAR_ROOM = Channel(rt60_s=0.6, direct_db=-3.0, bands_db=(-24.0, -12.0, -3.0, 0.0, 0.0, -3.0, -9.0), seed=0)
LINE = Telephone(300.0, 3400.0)
SPEEDS = (0.8, 0.9, 1.0, 1.1, 1.25)
LONGEST_S = 6.0
"""Of what another's clip is taken from."""
COSINES = (0.5, 0.7, 1.0)
"""Of imitations that somebody might make: the vector of each is made up, the clip is another's."""
TOGETHER = 12


class Voices:
    """True voices and those that are tried in their place."""

    def __init__(self, items: Sequence[EvaluationItem], transcriber: TargetSpeakerTranscriber) -> None:
        self._transcriber = transcriber
        self._clips: dict[str, np.ndarray] = {}
        self._vectors: dict[bytes, np.ndarray] = {}
        self._present: dict[Path, set[str]] = {}
        for item in items:
            assert item.target is not None
            self._clips.setdefault(item.target, load_audio(item.enrolment)[: round(LONGEST_S * SAMPLE_RATE_HZ)])
            if not item.silent:
                self._present.setdefault(item.audio, set()).add(item.target)

    def of(self, clip: np.ndarray) -> Enrolment | None:
        """None: the clip is refused."""
        try:
            return enrol("speaker", [Clip(clip)], self._transcriber.embedder, limits=LENIENT)
        except EnrolmentError:
            return None

    def vector(self, clip: np.ndarray) -> np.ndarray:
        key = clip.tobytes()
        if key not in self._vectors:
            self._vectors[key] = self._transcriber.embedder.embed(clip)
        return self._vectors[key]

    def any_other(self, item: EvaluationItem) -> np.ndarray:
        names = self._absent(item)
        return self._clips[names[int(np.random.default_rng(len(item.text)).integers(len(names)))]]

    def nearest(self, item: EvaluationItem, speeds: Sequence[float]) -> np.ndarray:
        return self._most_alike(item, [played(self._clips[name], by) for name in self._absent(item) for by in speeds])

    def synthetic(self, item: EvaluationItem) -> np.ndarray:
        return self._most_alike(item, self._synthetic)

    def _most_alike(self, item: EvaluationItem, tried: Sequence[np.ndarray]) -> np.ndarray:
        true = self.vector(load_audio(item.enrolment))
        return max(tried, key=lambda clip: float(self.vector(clip) @ true))

    def _absent(self, item: EvaluationItem) -> list[str]:
        return sorted(self._clips.keys() - self._present[item.audio])

    @cached_property
    def _synthetic(self) -> list[np.ndarray]:
        clips = [load_audio(voice.enrolment) for voice in load_recordings().voices]
        return [played(clip, speed) for clip in clips for speed in SPEEDS]


def played(clip: np.ndarray, speed: float) -> np.ndarray:
    """So much faster: pitch and formants are as much higher."""
    found: np.ndarray = soxr.resample(clip, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ)
    return found.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--precision", choices=["float32", "bfloat16", "int8"], default="int8")
    asked = parser.parse_args()
    items = read_evaluation_manifest(asked.manifest)
    speaking = [item for item in items if not item.silent]
    chosen = [
        speaking[place]
        for place in np.linspace(0, len(speaking) - 1, min(asked.items, len(speaking))).round().astype(int)
    ]
    transcriber = TargetSpeakerTranscriber.from_pretrained(asked.backbone, precision=asked.precision)
    voices = Voices(items, transcriber)
    true = [enrol("speaker", [Clip(item.enrolment)], transcriber.embedder, limits=LENIENT) for item in chosen]
    clips: dict[str, Callable[[EvaluationItem], np.ndarray]] = {
        "the voice itself": lambda item: load_audio(item.enrolment),
        "replayed in a room": lambda item: ROOM.apply(load_audio(item.enrolment)),
        "replayed in a room, far away": lambda item: FAR_ROOM.apply(load_audio(item.enrolment)),
        "replayed over a telephone": lambda item: LINE.apply(ROOM.apply(load_audio(item.enrolment))),
        "another's, any": voices.any_other,
        "another's, the nearest": lambda item: voices.nearest(item, (1.0,)),
        "another's, the nearest shifted": lambda item: voices.nearest(item, SPEEDS),
        "synthetic, the nearest shifted": voices.synthetic,
    }
    others = [voices.of(voices.any_other(item)) for item in chosen]
    for name, forged in clips.items():
        tried = [voices.of(forged(item)) for item in chosen]
        print(json.dumps({"clip": name} | figures(transcriber, items, chosen, tried, true)), flush=True)
    for cosine in COSINES:
        tried = [
            None if other is None else at_cosine(other, voice.vector, cosine)
            for other, voice in zip(others, true, strict=True)
        ]
        name = f"another's, the vector at {cosine:g}"
        print(json.dumps({"clip": name} | figures(transcriber, items, chosen, tried, true)), flush=True)


def at_cosine(other: Enrolment, true: np.ndarray, cosine: float) -> Enrolment:
    """Another's clip with a vector that is so near to the true one."""
    apart = other.vector - (other.vector @ true) * true
    vector = cosine * true + np.sqrt(1 - cosine**2) * apart / np.linalg.norm(apart)
    return replace(other, vector=vector.astype(np.float32))


def figures(
    transcriber: TargetSpeakerTranscriber,
    everything: Sequence[EvaluationItem],
    items: Sequence[EvaluationItem],
    voices: Sequence[Enrolment | None],
    true: Sequence[Enrolment],
) -> dict[str, float | int | list[float]]:
    """What is obtained of the items with these voices, one an item."""
    asked = [(item, voice) for item, voice in zip(items, voices, strict=True) if voice is not None]
    found: dict[str, str] = {}
    for first in range(0, len(asked), TOGETHER):
        part = asked[first : first + TOGETHER]
        heard = transcribe_together([Request(transcriber, load_audio(item.audio), voice) for item, voice in part])
        found |= {item.id: one.text.strip() for (item, _), one in zip(part, heard, strict=True)}
    said = [found.get(item.id, "") for item in items]
    normalize = TextNormalizer()
    scores = [score_utterance(item.text, text, normalize) for item, text in zip(items, said, strict=True)]
    words = np.array([score.words for score in scores])
    obtained = words - np.array([score.substitutions + score.deletions for score in scores])
    drawn = np.random.default_rng(0).integers(len(items), size=(2000, len(items)))
    low, high = np.percentile(obtained[drawn].sum(axis=1) / words[drawn].sum(axis=1), [2.5, 97.5])
    wrong = sum(
        words_of_others(text, item.text, [each.text for each in everything if each.audio == item.audio], normalize)
        for text, item in zip(said, items, strict=True)
    )
    cosines = [float(one.vector @ each.vector) for one, each in zip(voices, true, strict=True) if one is not None]
    return {
        "cosine": round(float(np.median(cosines)), 3),
        "highest": round(max(cosines), 3),
        "words obtained": round(obtained.sum() / words.sum(), 3),
        "interval": [round(float(low), 3), round(float(high), 3)],
        "refused": len(items) - len(asked),
        "nothing written": sum(not text for text in said),
        "words of others": round(wrong / int(words.sum()), 3),
        "items": len(items),
    }


if __name__ == "__main__":
    main()
