"""Live transcription at real time: how long after its end a word is confirmed, and what that costs in words and work.

    python benchmarks/live.py --data ../shared/data --split test --voices 0 1 2

Streams are made of utterances whose words have times: one talker after the other (`--voices 0`: everybody's words), or
two who take turns and overlap, of whom one or both are followed. Sound is fed in blocks of 0.1 s by a clock that goes
on by the processor time of each call, so that a stream takes as long as its work and not as long as it lasts. The
processor time is that of all threads: what one core alone would need. Prints a line of JSON for each.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softspoken import TargetSpeakerTranscriber
from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.corpus import is_development_talker
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.prompted import PromptedTranscriber
from softspoken.live import Confirmed, LiveEvent, LiveOptions, LiveTranscriber, Pace
from softspoken.scoring.text import TextNormalizer

LEVEL = 10 ** (-26 / 20)
BLOCK = SAMPLE_RATE_HZ // 10
SHORTEST_S = 2.5
Word = tuple[str, float, float]


@dataclass(frozen=True)
class Turn:
    """Something that a talker says without a break: its sound, and its words with start and end."""

    talker: str
    audio: np.ndarray
    words: list[Word]


@dataclass(frozen=True)
class Stream:
    """What is fed, what should come out by voice, and a clip of each voice."""

    audio: np.ndarray
    words: dict[str | None, list[Word]]
    clips: dict[str, np.ndarray]

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE_HZ


def talkers(folder: Path, split: str) -> list[list[Turn]]:
    """The turns of each LibriSpeech talker with two or more: utterances, or their parts between pauses."""
    found: dict[str, list[Turn]] = {}
    for line in (folder / "speech" / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        development = split == "development" and row["split"] == "train"
        mine = is_development_talker(row["corpus"], row["speaker"]) if development else row["split"] == split
        if mine and row["corpus"].startswith("librispeech") and "words" in row:
            found.setdefault(row["speaker"], []).extend(turns_of(row, folder / "speech" / row["path"]))
    return [turns for _, turns in sorted(found.items()) if len(turns) > 1]


def turns_of(row: dict[str, Any], path: Path) -> list[Turn]:
    audio = load_audio(path)
    audio = (audio * (LEVEL / np.sqrt(np.mean(audio**2)))).astype(np.float32)
    parts = row.get("segments") or [{"start_s": 0.0, "end_s": row["duration_s"]}]
    turns = []
    for part in parts:
        begin, end = part["start_s"], part["end_s"]
        words = [(w, a - begin, b - begin) for w, a, b in row["words"] if a >= begin - 0.05 and b <= end + 0.05]
        samples = audio[round(begin * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)]
        if end - begin >= SHORTEST_S:
            turns.append(Turn(row["speaker"], samples, words))
    return turns


def streams(people: list[list[Turn]], voices: int, longest_s: float, rng: np.random.Generator) -> Iterator[Stream]:
    """One stream for everybody's words; a conversation of each pair for one voice or two."""
    if voices == 0:
        order = [turns[number] for number in range(9) for turns in people if number < len(turns)]
        yield placed(order, {}, longest_s, 0.0, rng)
        return
    for one, other in zip(people[::2], people[1::2], strict=False):
        clips = {turns[0].talker: turns[0].audio for turns in (one, other)}
        order = [turns[number] for number in range(1, 99) for turns in (one, other) if number < len(turns)]
        yield placed(order, clips, longest_s, 0.4, rng)


def placed(
    order: list[Turn], clips: dict[str, np.ndarray], longest_s: float, overlap: float, rng: np.random.Generator
) -> Stream:
    """Turns one after the other, half of them beginning before the last one ends."""
    parts: list[tuple[float, Turn]] = []
    ends: dict[str, float] = {}
    words: dict[str | None, list[Word]] = {name: [] for name in clips} or {None: []}
    last_s = 0.5
    for turn in order:
        length_s = len(turn.audio) / SAMPLE_RATE_HZ
        early = overlap and rng.random() < 0.5
        begin_s = last_s - overlap * length_s if early else last_s + rng.uniform(0.3, 1.5)
        begin_s = max(begin_s, ends.get(turn.talker, 0.0) + 0.3)
        if begin_s + length_s > longest_s:
            break
        parts.append((begin_s, turn))
        last_s = ends[turn.talker] = begin_s + length_s
        key = turn.talker if clips else None
        words[key] += [(word, begin_s + a, begin_s + b) for word, a, b in turn.words]
    audio = 1e-4 * rng.standard_normal(round((last_s + 1.5) * SAMPLE_RATE_HZ))
    for begin_s, turn in parts:
        first = round(begin_s * SAMPLE_RATE_HZ)
        audio[first : first + len(turn.audio)] += turn.audio
    return Stream(audio.astype(np.float32), words, clips)


def fed(live: LiveTranscriber, audio: np.ndarray) -> tuple[list[tuple[float, LiveEvent]], float]:
    """Events with the time at which they are there, and the processor time of all."""
    now_s, place, work_s = 0.0, 0, 0.0
    events: list[tuple[float, LiveEvent]] = []
    while place < len(audio):
        now_s = max(now_s, (place + BLOCK) / SAMPLE_RATE_HZ)
        end = max(place + BLOCK, int(now_s * SAMPLE_RATE_HZ))
        began = time.process_time()
        found = live.feed(audio[place:end])
        took_s = time.process_time() - began
        now_s, work_s, place = now_s + took_s, work_s + took_s, end
        events += [(now_s, event) for event in found]
    return events + [(now_s, event) for event in live.finish()], work_s


def latencies(events: list[tuple[float, LiveEvent]], name: str | None, reference: list[Word]) -> list[float]:
    """Of the words that are right: from their end to their confirmation."""
    import jiwer

    def plain(word: str) -> str:
        return "".join(sign for sign in word.casefold() if sign.isalnum()) or "-"

    heard = [
        (plain(word), at_s)
        for at_s, event in events
        if isinstance(event, Confirmed) and event.speaker == name
        for word in event.text.split()
    ]
    if not heard or not reference:
        return []
    spoken = [plain(word) for word, _, _ in reference]
    aligned = jiwer.process_words([" ".join(spoken)], [" ".join(word for word, _ in heard)]).alignments[0]
    equal = [chunk for chunk in aligned if chunk.type == "equal"]
    return [
        heard[chunk.hyp_start_idx + step][1] - reference[chunk.ref_start_idx + step][2]
        for chunk in equal
        for step in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


def errors(text: str, reference: list[Word], normal: TextNormalizer) -> tuple[int, int]:
    """Word errors, and words."""
    import jiwer

    wanted = normal(" ".join(word for word, _, _ in reference))
    found = jiwer.process_words(wanted, normal(text))
    return found.substitutions + found.deletions + found.insertions, len(wanted.split())


def measured(given: argparse.Namespace, voices: int, options: dict[str, LiveOptions]) -> None:
    """All options on the same streams, and the whole recordings beside them."""
    rng, normal = np.random.default_rng(0), TextNormalizer()
    transcriber: Any
    if voices:
        transcriber = TargetSpeakerTranscriber.from_pretrained(backbone=given.backbone, threads=given.threads)
    else:
        transcriber = PromptedTranscriber.from_pretrained(backbone=given.backbone)
    counts = {name: dict.fromkeys(("errors", "words", "work_s", "paces"), 0.0) for name in [*options, "offline"]}
    late: dict[str, list[float]] = {name: [] for name in options}
    total_s = 0.0
    for stream in streams(talkers(given.data, given.split), voices, given.longest, rng):
        followed = [transcriber.voice(clip) for clip in stream.clips.values()][:voices]
        names = list(stream.clips)[:voices] or [None]
        followed = [replaced(voice, name) for voice, name in zip(followed, names, strict=False)]
        total_s += stream.seconds
        # What is compiled once is compiled before anything is timed.
        warm = LiveTranscriber.of(transcriber, followed)
        warm.feed(stream.audio[: 12 * SAMPLE_RATE_HZ])
        for name, chosen in options.items():
            live = LiveTranscriber.of(transcriber, followed, chosen, clock=time.process_time)
            events, work_s = fed(live, stream.audio)
            counts[name]["work_s"] += work_s
            counts[name]["paces"] += sum(isinstance(event, Pace) for _, event in events)
            for voice in names:
                said = " ".join(e.text for _, e in events if isinstance(e, Confirmed) and e.speaker == voice)
                add(counts[name], errors(said, stream.words[voice], normal))
                late[name] += latencies(events, voice, stream.words[voice])
        began = time.process_time()
        for voice, text in offline(transcriber, stream.audio, followed, names).items():
            add(counts["offline"], errors(text, stream.words[voice], normal))
        counts["offline"]["work_s"] += time.process_time() - began
    for name in counts:
        report(given, voices, name, counts[name], late.get(name, []), total_s)


def add(counts: dict[str, float], found: tuple[int, int]) -> None:
    counts["errors"] += found[0]
    counts["words"] += found[1]


def replaced(voice: Any, name: str | None) -> Any:
    from dataclasses import replace

    return replace(voice, name=name)


def offline(transcriber: Any, audio: np.ndarray, followed: list[Any], names: list[Any]) -> dict[str | None, str]:
    if not followed:
        return {None: transcriber.transcribe(audio, options=DecodingOptions()).text}
    return {name: transcriber.transcribe(audio, voice).text for name, voice in zip(names, followed, strict=True)}


def report(
    given: argparse.Namespace, voices: int, name: str, counts: dict[str, float], late: list[float], total_s: float
) -> None:
    line: dict[str, Any] = {"split": given.split, "backbone": given.backbone, "voices": voices, "options": name}
    line |= {"wer": round(counts["errors"] / counts["words"], 3), "words": int(counts["words"])}
    if late:
        line["late_p50_s, p95_s"] = [round(float(np.percentile(late, q)), 2) for q in (50, 95)]
        line["paces"] = int(counts["paces"])
    line |= {"audio_s": round(total_s), "work_per_s": round(counts["work_s"] / total_s, 3)}
    print(json.dumps(line), flush=True)


def silence(given: argparse.Namespace) -> None:
    """Processor time of a second in which nobody speaks."""
    transcriber = PromptedTranscriber.from_pretrained(backbone=given.backbone)
    audio = (1e-3 * np.random.default_rng(0).standard_normal(60 * SAMPLE_RATE_HZ)).astype(np.float32)
    live = LiveTranscriber.of(transcriber)
    live.feed(audio)
    events, work_s = fed(live, audio)
    print(json.dumps({"silence_work_per_s": round(work_s / 60, 4), "events": len(events)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with speech/manifest.jsonl")
    parser.add_argument("--split", choices=["development", "test"], default="development")
    parser.add_argument("--voices", type=int, nargs="*", default=[0, 1, 2], choices=[0, 1, 2])
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--longest", type=float, default=60.0, help="seconds of a stream, at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--options", nargs="*", default=[""], help="such as step_s=0.8,pause_s=0.5; several to compare")
    given = parser.parse_args()
    options = {text: LiveOptions(**dict(part.split("=") for part in text.split(",") if part)) for text in given.options}
    silence(given)
    for voices in given.voices:
        measured(given, voices, options)


if __name__ == "__main__":
    main()
