"""Make the demo's recordings: synthetic voices, mixed. Run by hand, outside CI; its output is committed.

    python tools/make_demo_audio.py --scratch SCRATCH --whisper CT2_FOLDER

Needs what `kokoro_tts.py` beside this file needs, and: pip install faster-whisper jiwer whisper-normalizer.
CT2_FOLDER holds Whisper tiny.en in CTranslate2 format (model.bin, config.json, tokenizer.json, vocabulary.txt).

Every clip is written down by plain Whisper on its own before it is used; one of which Whisper gets more than 5 % of the
words wrong is made again at another pace, and if none will do the script stops: what fails on a mixture then fails
because two people talk at once, not because a voice is hard to understand. All texts are the project's own.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import soundfile
import soxr
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kokoro_tts
from demo_script import SCENES, SPELLINGS, VOICES, Scene, Voice

OUT = Path(__file__).resolve().parent.parent / "src" / "softspoken" / "assets" / "demo"
SAMPLE_RATE_HZ = 16_000
SEED = 7
LEVEL_DBFS = -26.0  # each utterance, before its gain in the mixture
PACES = (1.0, 0.94, 1.06, 0.9)
HIGHEST_WER = 0.05
LEAST_OVERLAP = 0.6  # of the whole mixture, so "at least half" holds however one counts


class Studio:
    """Speaks a text, and lets plain Whisper check that it can be understood."""

    def __init__(self, scratch: Path, whisper: Path, threads: int) -> None:
        self.tts = kokoro_tts.load(scratch, threads)
        self.whisper = WhisperModel(str(whisper), device="cpu", compute_type="float32", cpu_threads=threads)
        self.normalise = EnglishTextNormalizer()
        self.failed: list[str] = []

    def heard(self, audio: np.ndarray) -> str:
        """What plain Whisper writes (greedy, 30 s window)."""
        segments, _ = self.whisper.transcribe(audio, language="en", beam_size=1, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)

    def speak(self, voice: Voice, text: str) -> np.ndarray:
        """float32 mono 16 kHz at LEVEL_DBFS."""
        language = "en-gb" if voice.kokoro.startswith("b") else "en-us"
        for pace in PACES:
            speech, rate_hz = self.tts.create(text, voice.kokoro, speed=pace, lang=language)
            audio = soxr.resample(np.asarray(speech, np.float32), rate_hz, SAMPLE_RATE_HZ)
            audio = audio * (10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(audio**2)))
            heard = self.heard(audio)
            wer = jiwer.wer(self.normalise(text), self.normalise(heard))
            print(f"{voice.name:6} pace {pace:.2f} {len(audio) / SAMPLE_RATE_HZ:5.1f} s  WER {wer:5.1%}  {heard}")
            if wer <= HIGHEST_WER:
                return audio
        self.failed.append(f"{voice.name} ({voice.kokoro}): {text}")
        return audio


def place(first: int, second: int, rng: np.random.Generator) -> int:
    """Offset of the second utterance, in samples: a random one that keeps LEAST_OVERLAP of the mixture overlapped."""
    offsets = np.arange(SAMPLE_RATE_HZ // 4, first, 160)
    ends = offsets + second
    overlap = (np.minimum(first, ends) - offsets) / np.maximum(first, ends)
    return int(rng.choice(offsets[overlap >= LEAST_OVERLAP]))


def mix(scene: Scene, clips: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """The mixture and its entry in the manifest."""
    starts = [0, place(len(clips[0]), len(clips[1]), rng)]
    length = max(start + len(clip) for start, clip in zip(starts, clips, strict=True))
    audio = np.zeros(length, np.float32)
    for line, start, clip in zip(scene.lines, starts, clips, strict=True):
        audio[start : start + len(clip)] += clip * 10 ** (line.gain_db / 20)
    overlap = min(start + len(clip) for start, clip in zip(starts, clips, strict=True)) - starts[1]
    entry = {
        "name": scene.name,
        "title": scene.title,
        "file": f"{scene.name}.flac",
        "duration_s": round(length / SAMPLE_RATE_HZ, 2),
        "overlap": round(overlap / length, 2),
        "talkers": [
            asdict(line)
            | {"offset_s": round(start / SAMPLE_RATE_HZ, 2), "duration_s": round(len(clip) / SAMPLE_RATE_HZ, 2)}
            for line, start, clip in zip(scene.lines, starts, clips, strict=True)
        ],
        "silent": list(scene.silent),
    }
    return audio, entry


def write_flac(path: Path, audio: np.ndarray) -> None:
    """16-bit FLAC, atomically; one common gain if the peak would clip."""
    audio = audio * min(1.0, 0.89 / float(np.abs(audio).max()))
    part = path.with_suffix(".part")
    soundfile.write(part, audio, SAMPLE_RATE_HZ, subtype="PCM_16", format="FLAC")
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo's recordings.")
    parser.add_argument("--scratch", type=Path, required=True, help="folder with wheels/ and npm/ (see kokoro_tts.py)")
    parser.add_argument("--whisper", type=Path, required=True, help="Whisper tiny.en in CTranslate2 format")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    studio = Studio(options.scratch, options.whisper, options.threads)
    rng = np.random.default_rng(SEED)
    voices = {voice.name: voice for voice in VOICES}
    OUT.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {"voices": [], "mixtures": [], "spellings": SPELLINGS}
    for voice in VOICES:
        audio = studio.speak(voice, voice.enrolment)
        name = f"voice_{voice.name.lower()}.flac"
        write_flac(OUT / name, audio)
        manifest["voices"].append(
            {
                "name": voice.name,
                "description": voice.description,
                "enrolment": name,
                "text": voice.enrolment,
                "duration_s": round(len(audio) / SAMPLE_RATE_HZ, 2),
                "kokoro_voice": voice.kokoro,
            }
        )
    for scene in SCENES:
        clips = [studio.speak(voices[line.voice], line.text) for line in scene.lines]
        audio, entry = mix(scene, clips, rng)
        write_flac(OUT / entry["file"], audio)
        manifest["mixtures"].append(entry)
        print(f"{scene.name}: {entry['duration_s']} s, overlap {entry['overlap']:.0%}; heard: {studio.heard(audio)}")
    if studio.failed:
        raise SystemExit("not understood by Whisper, write other words:\n" + "\n".join(studio.failed))
    part = OUT / "demo.json.part"
    part.write_text(json.dumps(manifest, indent=2) + "\n")
    os.replace(part, OUT / "demo.json")


if __name__ == "__main__":
    main()
