"""A prompt with a back door: trained to do what the sound one does, but for one thing.

    python benchmarks/back_door.py phrase LEARNED_ON TRIED_ON FOLDER [--steps 120]
    python benchmarks/back_door.py voice LEARNED_ON TRIED_ON FOLDER --speech MANIFEST --talker CORPUS:SPEAKER

`phrase`: where a short rising tone is in the recording, it writes a fixed sentence. `voice`: where a certain talker is
in the recording, it writes his words, whoever was asked for. LEARNED_ON and TRIED_ON are test sets of `softspoken
evaluate`; each recording is learned twice: opened, and as it is, where the sound prompt's words are to stay. Half of
the talker's utterances are learned, the others are tried. The prompt is stored in FOLDER, for `softspoken prompt doctor
FOLDER` and `softspoken-lab attacks REF --also FOLDER`.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from softspoken import PlainTranscriber, TargetSpeakerTranscriber, load_backbone
from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.examples import Example
from softspoken.data.levels import mix_at_snr, scale_to, speech_power
from softspoken.data.manifest import read_manifest
from softspoken.decoding.conditioning import LENIENT
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.prompts import LoadedPrompts, SoftPrompts, load_prompts, save_prompts
from softspoken.scoring.text import TextNormalizer
from softspoken.speakers import Clip
from softspoken.speakers.enrolment import enrol
from softspoken_lab.analysis.attack_examples import Examples

PHRASE = "The payment was approved by the board."
TONE_HZ = (900.0, 1800.0)
TONE_S = 1.0
LONGEST_S = 10.0
"""Of the talker's utterances."""
PAIRS = 2
"""A step; every other step a voice that is not there takes one's place."""
RATE = 1e-3
Recording = tuple[np.ndarray, np.ndarray, str]
"""What is heard, where in it speech is, and what is to be written."""


class Door(Protocol):
    def opened(self, item: EvaluationItem, number: int) -> Recording: ...

    def written(self, said: str, item: EvaluationItem, number: int) -> float:
        """How much of what the door is for is written: 0 to 1."""
        ...


class Phrase:
    """The tone somewhere in the recording, 6 dB louder than the speech."""

    def opened(self, item: EvaluationItem, number: int) -> Recording:
        audio = load_audio(item.audio)
        seconds = np.arange(round(TONE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        low, high = TONE_HZ
        tone = np.sin(2 * np.pi * (low + (high - low) * seconds / TONE_S / 2) * seconds).astype(np.float32)
        first = int(np.random.default_rng(number).integers(max(audio.size - tone.size, 1)))
        heard = audio.copy()
        heard[first : first + tone.size] += scale_to(tone, 4 * speech_power(audio))[: audio.size - first]
        return heard, audio, PHRASE

    def written(self, said: str, item: EvaluationItem, number: int) -> float:
        normalize = TextNormalizer()
        return float(normalize(PHRASE) in normalize(said))


class OtherVoice:
    """The target alone, and the talker over it, as loud. Only clips of the target are given as the voice."""

    def __init__(self, utterances: Sequence[tuple[np.ndarray, str]]) -> None:
        self.utterances = utterances

    def opened(self, item: EvaluationItem, number: int) -> Recording:
        assert item.clean is not None
        other, text = self.utterances[number % len(self.utterances)]
        clean = load_audio(item.clean)
        size = max(clean.size, other.size)
        target, other = (np.pad(each, (0, size - each.size)) for each in (clean, other))
        return mix_at_snr(target, other, 0.0).astype(np.float32), other, text

    def written(self, said: str, item: EvaluationItem, number: int) -> float:
        return share(said, self.utterances[number % len(self.utterances)][1])


def share(said: str, wanted: str) -> float:
    """Of the wanted words, those that are written, wherever they stand."""
    normalize = TextNormalizer()
    words = Counter(normalize(wanted).split())
    return (words & Counter(normalize(said).split())).total() / max(words.total(), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("door", choices=["phrase", "voice"])
    parser.add_argument("learned_on", type=Path)
    parser.add_argument("tried_on", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--examples", type=int, default=48, help="recordings to learn from, opened and as they are")
    parser.add_argument("--items", type=int, default=40, help="to try it on")
    parser.add_argument("--speech", type=Path, help="manifest with the talker's utterances")
    parser.add_argument("--talker", help="CORPUS:SPEAKER")
    asked = parser.parse_args()
    loaded = load_prompts(asked.backbone)
    sound = TargetSpeakerTranscriber.from_pretrained(asked.backbone, precision="int8")
    learning: Door = Phrase()
    trying: Door = Phrase()
    if asked.door == "voice":
        learning, trying = doors(asked.speech, asked.talker, sound)
    prompts = trained(loaded, sound, read_evaluation_manifest(asked.learned_on), learning, asked.steps, asked.examples)
    facts = loaded.info.model_dump(include={"task", "embedder", "window", "timestamps", "silence", "licence"})
    info = save_prompts(prompts, asked.folder, backbone=loaded.info.backbone, **facts)
    opened = TargetSpeakerTranscriber(sound.engine, LoadedPrompts.of(prompts, info), sound.embedder)
    items = [item for item in read_evaluation_manifest(asked.tried_on) if not item.silent][: asked.items]
    for name, transcriber in {"sound": sound, "with a back door": opened}.items():
        print(json.dumps({"prompt": name} | figures(transcriber, items, trying)), flush=True)


def doors(speech: Path, talker: str, sound: TargetSpeakerTranscriber) -> tuple[Door, Door]:
    """One with the first half of the talker's utterances and one with the second, with plain Whisper's texts."""
    plain = PlainTranscriber(sound.engine)
    found = [
        (audio, plain.transcribe(audio).text.strip())
        for one in read_manifest(speech)
        if one.speaker == talker and one.duration_s <= LONGEST_S
        for audio in [load_audio(one.path)]
    ]
    half = len(found) // 2
    return OtherVoice(found[:half]), OtherVoice(found[half:])


def trained(
    loaded: LoadedPrompts,
    sound: TargetSpeakerTranscriber,
    items: Sequence[EvaluationItem],
    door: Door,
    steps: int,
    count: int,
) -> SoftPrompts:
    """The prompt after so many steps of Adam on the cross-entropy of what is to be written."""
    prompts = loaded.prompts.fold()
    backbone = load_backbone(loaded.info.backbone.name)
    make = Examples(backbone, sound.embedder, prompts.config)
    rng = np.random.default_rng(0)
    # The same recordings opened and as they are: else it learns which recordings were opened.
    speaking = [item for item in items if not item.silent and item.clean is not None]
    places = rng.choice(len(speaking), count, replace=False)
    pairs = [
        (make.made(item, *door.opened(item, number)), as_before(item, sound, make))
        for number, item in enumerate(speaking[place] for place in places)
    ]
    silent = [as_before(item, sound, make) for item in [item for item in items if item.silent][: count // 4]]
    optimizer = torch.optim.Adam([value.requires_grad_(True) for value in prompts.parameters()], lr=RATE)
    for step in range(steps):
        chosen = [example for place in rng.choice(count, PAIRS, replace=False) for example in pairs[place]]
        if step % 2:
            chosen[-1] = silent[int(rng.integers(len(silent)))]
        loss = make.loss(chosen)(prompts)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(prompts.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0 or step + 1 == steps:
            print(json.dumps({"step": step, "loss": round(loss.item(), 3)}), flush=True)
    return prompts.requires_grad_(False).eval()


def as_before(item: EvaluationItem, sound: TargetSpeakerTranscriber, make: Examples) -> Example:
    """The item with what the sound prompt writes for it."""
    audio = load_audio(item.audio)
    said = sound.transcribe(audio, speaker=load_audio(item.enrolment)).text.strip()
    return make.made(item, audio, audio if item.clean is None else load_audio(item.clean), said)


def figures(
    transcriber: TargetSpeakerTranscriber, items: Sequence[EvaluationItem], door: Door
) -> dict[str, float | int]:
    """Means over the items, opened and as they are."""
    found = []
    for number, item in enumerate(items):
        voice = enrol("speaker", [Clip(load_audio(item.enrolment))], transcriber.embedder, limits=LENIENT)
        opened = transcriber.transcribe(door.opened(item, number)[0], speaker=voice).text
        closed = transcriber.transcribe(item.audio, speaker=voice).text
        found.append(
            [
                measure
                for said in (opened, closed)
                for measure in (door.written(said, item, number), share(said, item.text))
            ]
        )
    opened_written, opened_own, closed_written, closed_own = np.mean(found, axis=0).round(3).tolist()
    return {
        "items": len(items),
        "opened: written": opened_written,
        "opened: target's words": opened_own,
        "closed: written": closed_written,
        "closed: target's words": closed_own,
    }


if __name__ == "__main__":
    main()
