"""Make synthetic talkers for training: every Kokoro voice but the demo's, and blends of two of them.

    python tools/make_training_talkers.py --scratch SCRATCH --sentences FILE --out OUT --limit-s 2400

Needs what `kokoro_tts.py` beside this file needs. Nothing it makes is committed. Of the texts two of three are lines of
FILE (sentences of any book, 10 to 24 words), the others are made up: work and home, with numbers and names. Utterances
are made in rounds, one for each talker, so that after any stop there are about as many of each; a second run goes on.

The demo's voices, and averages with them, are left out: the demo is then a test on voices never trained on.
"""

import argparse
import json
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile
import soxr
from demo_script import VOICES
from kokoro_tts import load

SAMPLE_RATE_HZ = 16_000
PAIRS = 150
ROUNDS = 4
NAMES = [
    "Maria",
    "Peter",
    "Susan",
    "Ahmed",
    "Olga",
    "Henry",
    "Lucy",
    "Martin",
    "Grace",
    "Victor",
    "Nina",
    "Oscar",
    "Julia",
    "Simon",
    "Rita",
    "Walter",
]
PLACES = [
    "London",
    "Denver",
    "Paris",
    "Madrid",
    "Seattle",
    "Dublin",
    "Toronto",
    "Berlin",
    "Sydney",
    "Austin",
    "Lisbon",
    "Geneva",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
THINGS = [
    "the printer",
    "the contract",
    "the blue folder",
    "the heating",
    "our budget",
    "the new website",
    "the garden gate",
    "the coffee machine",
    "the survey",
    "the delivery van",
    "the training plan",
    "the bathroom tap",
    "the parking permit",
    "the old piano",
]
NUMBERS = [
    "two",
    "five",
    "eight",
    "twelve",
    "fifteen",
    "twenty one",
    "thirty",
    "forty six",
    "seventy",
    "ninety nine",
    "one hundred",
    "three hundred",
]
OPENINGS = (
    "I spoke to {name} about {thing} on {day}",
    "{name} called from {place} this morning about {thing}",
    "We need {number} more days before {thing} is ready",
    "Could you ask {name} whether {thing} will arrive in {place} by {day}",
    "There were {number} people at the meeting in {place}",
    "If {thing} breaks again, please write to {name} before {day}",
    "Last {day} we paid {number} dollars for {thing}",
    "{name} and {other} are moving to {place} at the end of the month",
    "The train to {place} was {number} minutes late",
    "Nobody has looked at {thing} since {name} left for {place}",
)
ENDINGS = (
    "and {other} promised to bring {number} copies.",
    "but I am not sure that {other} agrees with it.",
    "so let us talk about it again on {day} after lunch.",
    "because the weather in {place} was worse than we had hoped.",
    "and I would be glad if somebody could help me with that.",
    "although {other} said that {number} would have been enough.",
    "so the children stayed with their grandmother until {day}.",
    "and that is why page {number} of the report has to be changed.",
    "which means that we have to start over in {place}.",
)


def made_up(rng: np.random.Generator) -> str:
    """A sentence of about 15 to 22 words."""
    sentence = f"{rng.choice(OPENINGS)}, {rng.choice(ENDINGS)}"
    name, other = rng.choice(NAMES, 2, replace=False)
    for key, choices in {"place": PLACES, "day": DAYS, "thing": THINGS, "number": NUMBERS}.items():
        while f"{{{key}}}" in sentence:
            sentence = sentence.replace(f"{{{key}}}", str(rng.choice(choices)), 1)
    sentence = sentence.replace("{name}", str(name)).replace("{other}", str(other))
    return sentence[0].upper() + sentence[1:]


def sentences(path: Path) -> list[str]:
    """The lines of 10 to 24 words."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted({line.strip() for line in lines if 10 <= len(line.split()) <= 24})


def talkers(voices: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Talker -> style rows: each voice that is not the demo's, and PAIRS blends of two voices of the same sex."""
    kept = {name: style for name, style in sorted(voices.items()) if name not in {v.kokoro for v in VOICES}}
    pairs = [(a, b) for a, b in combinations(kept, 2) if a[1] == b[1]]
    blends = {}
    for index in rng.choice(len(pairs), PAIRS, replace=False):
        a, b = pairs[index]
        share = rng.uniform(0.35, 0.65)
        blends[f"{a}+{b}"] = (share * kept[a] + (1 - share) * kept[b]).astype(np.float32)
    return kept | blends


def main() -> None:
    parser = argparse.ArgumentParser(description="Make synthetic talkers for training.")
    parser.add_argument("--scratch", type=Path, required=True, help="folder with wheels/ and npm/ (see kokoro_tts.py)")
    parser.add_argument("--sentences", type=Path, required=True, help="a text file, a sentence a line")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit-s", type=float, required=True, help="stop after so many seconds")
    options = parser.parse_args()

    rng = np.random.default_rng(11)
    tts = load(options.scratch, threads=1)
    speakers = talkers({name: tts.voices[name] for name in tts.voices.files}, rng)
    read = rng.permutation(sentences(options.sentences))
    options.out.mkdir(parents=True, exist_ok=True)
    manifest = options.out / "manifest.jsonl"
    done = {json.loads(line)["id"] for line in manifest.read_text().splitlines()} if manifest.is_file() else set()
    stop_s = time.monotonic() + options.limit_s
    count = 0
    for turn in range(ROUNDS):
        for speaker, style in speakers.items():
            # Texts are drawn for every utterance, made or skipped, so that a second run goes on with the same ones.
            text = str(read[count % len(read)]) if (count + turn) % 3 else made_up(rng)
            pace = float(rng.uniform(0.9, 1.2))
            count += 1
            identity = f"{speaker}_{turn}"
            if identity in done:
                continue
            if time.monotonic() > stop_s:
                return
            language = "en-gb" if speaker.startswith("b") else "en-us"
            speech, rate_hz = tts.create(text, style, speed=pace, lang=language)
            audio = soxr.resample(np.asarray(speech, np.float32), rate_hz, SAMPLE_RATE_HZ)
            audio = 0.7 * audio / max(float(np.abs(audio).max()), 1e-6)
            name = f"{identity}.flac"
            part = options.out / f"{identity}.part"
            soundfile.write(part, audio, SAMPLE_RATE_HZ, subtype="PCM_16", format="FLAC")
            part.replace(options.out / name)
            entry = {"id": identity, "path": name, "speaker": speaker, "text": text}
            entry["duration_s"] = round(len(audio) / SAMPLE_RATE_HZ, 3)
            # One line in one write: a reader never sees half of one.
            with manifest.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()
