"""A folder of made-up speech with a manifest, for tests of data and training."""

import json
from pathlib import Path

from voices import voice

from softspoken.audio import write_audio

WORDS = ("ONE TWO", "THREE FOUR", "FIVE SIX")


def make_speech_folder(folder: Path, talkers: int = 4, utterances: int = 3, seconds: float = 2.5) -> Path:
    """Talkers 's0', 's1', ... of corpus 'made', each with its own pitch. Returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for talker in range(talkers):
        for number in range(utterances):
            name = f"s{talker}-{number}.flac"
            write_audio(folder / name, voice(seconds, 150.0 + 400.0 * (talker % 5), seed=10 * talker + number))
            rows.append(
                {
                    "id": name[:-5],
                    "path": name,
                    "split": "train",
                    "speaker": f"s{talker}",
                    "corpus": "made",
                    "text": WORDS[number % len(WORDS)],
                    "duration_s": seconds,
                }
            )
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return manifest
