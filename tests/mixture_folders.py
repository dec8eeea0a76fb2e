"""Small folders in the exact layouts of LibriMix, LibriSpeechMix, LibriCSS and AMI, with made-up voices."""

import json
from pathlib import Path

import numpy as np
import soundfile
from voices import voice

RATE_HZ = 16_000
READERS = {
    "train-clean-100": ("103", "1034", "1040"),
    "dev-clean": ("84", "174", "251"),
    "test-clean": ("61", "121", "237"),
}
WORDS = ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT")
UTTERANCES = 6


def utterance_s(number: int) -> float:
    """No two of a reader are equally long."""
    return 3.0 + 0.25 * number


def make_librispeech(root: Path, readers: dict[str, tuple[str, ...]] | None = None, suffix: str = ".flac") -> Path:
    """`root/LibriSpeech`: six utterances of 3 to 4.25 s a reader, all in chapter 7."""
    for part, speakers in (READERS if readers is None else readers).items():
        for position, speaker in enumerate(speakers):
            chapter = root / "LibriSpeech" / part / speaker / "7"
            chapter.mkdir(parents=True, exist_ok=True)
            lines = []
            for number in range(UTTERANCES):
                name = f"{speaker}-7-000{number}"
                audio = voice(utterance_s(number), 200.0 + 300.0 * position, seed=number)
                soundfile.write(chapter / f"{name}{suffix}", audio, RATE_HZ, subtype="PCM_16")
                lines.append(f"{name} {WORDS[position]} {WORDS[number]}\n")
            (chapter / f"{speaker}-7.trans.txt").write_text("".join(lines))
    return root / "LibriSpeech"


def spoken(root: Path, part: str, name: str) -> np.ndarray:
    """An utterance of `make_librispeech`."""
    speaker, chapter, _ = name.split("-")
    return soundfile.read(root / "LibriSpeech" / part / speaker / chapter / f"{name}.flac", dtype="float32")[0]


MIXED = {
    ("train-100", "train-clean-100"): (("103-7-0000", "1034-7-0003"), ("1040-7-0001", "103-7-0002")),
    ("dev", "dev-clean"): (("84-7-0000", "174-7-0003"),),
    ("test", "test-clean"): (("61-7-0000", "121-7-0003"), ("237-7-0001", "61-7-0002")),
}


def make_librimix(root: Path, mode: str = "max", rate_hz: int = RATE_HZ, talkers: int = 2) -> Path:
    """`root/Libri2Mix` beside `root/LibriSpeech`, its tables naming the folder of another machine."""
    if not (root / "LibriSpeech").is_dir():
        make_librispeech(root)
    folder = root / f"Libri{talkers}Mix" / f"wav{rate_hz // 1000}k" / mode
    (folder / "metadata").mkdir(parents=True)
    for (part, subset), mixtures in MIXED.items():
        for kind in ("mix_clean", "mix_both"):
            lines = [",".join(_columns(kind, talkers)) + "\n"]
            for pair in mixtures:
                (third,) = set(READERS[subset]) - {name.partition("-")[0] for name in pair}
                names = (*pair, f"{third}-7-0004")[:talkers]
                lines.append(_write_mixture(folder / part, [spoken(root, subset, one) for one in names], names, kind))
            (folder / "metadata" / f"mixture_{part}_{kind}.csv").write_text("".join(lines))
            metrics = folder / "metadata" / f"metrics_{part}_{kind}.csv"
            metrics.write_text("mixture_ID,source_1_SNR,source_2_SNR\n")
    return root / f"Libri{talkers}Mix"


def _columns(kind: str, talkers: int) -> list[str]:
    noise = ["noise_path"] if kind == "mix_both" else []
    sources = [f"source_{number + 1}_path" for number in range(talkers)]
    return ["mixture_ID", "mixture_path", *sources, *noise, "length"]


def _write_mixture(folder: Path, speech: list[np.ndarray], names: tuple[str, ...], kind: str) -> str:
    shortest, mode = min(map(len, speech)), folder.parent.name
    size = shortest if mode == "min" else max(map(len, speech))
    tracks = np.stack([np.pad(one, (0, max(size - len(one), 0)))[:size] for one in speech])
    name = "_".join(names)
    rate_hz = int(folder.parent.parent.name.strip("wavk")) * 1000
    step = RATE_HZ // rate_hz
    for place, audio in [(kind, tracks.sum(axis=0)), *((f"s{i + 1}", track) for i, track in enumerate(tracks))]:
        (folder / place).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / place / f"{name}.wav", audio[::step], rate_hz)
    elsewhere = f"/elsewhere/{folder.name}"
    noise = [f"{elsewhere}/noise/{name}.wav"] if kind == "mix_both" else []
    paths = [f"{elsewhere}/{place}/{name}.wav" for place in (kind, *(f"s{i + 1}" for i in range(len(speech))))]
    return ",".join([name, *paths, *noise, str(len(audio[::step]))]) + "\n"


def make_librispeechmix(root: Path) -> Path:
    """LibriSpeechMix after its run.sh: `list/`, and `data/` with the mixtures and LibriSpeech as wav."""
    make_librispeech(root / "data", {"test-clean": READERS["test-clean"], "dev-clean": READERS["dev-clean"]})
    (root / "data" / "LibriSpeech").rename(root / "data" / "original")
    for part in ("test-clean", "dev-clean"):
        for path in sorted((root / "data" / "original" / part).rglob("*.flac")):
            audio, rate_hz = soundfile.read(path)
            soundfile.write(path.with_suffix(".wav"), audio, rate_hz)
        (root / "data" / part).symlink_to(Path("original") / part)
        _write_list(root, part)
    return root


def _write_list(root: Path, part: str) -> None:
    one, other, third = READERS[part]
    name = f"{part}-2mix/{part}-2mix-0000"
    wavs = [f"{part}/{one}/7/{one}-7-0000.wav", f"{part}/{other}/7/{other}-7-0001.wav"]
    delays = [0.0, 1.23456]
    speech = [soundfile.read(root / "data" / wav)[0] for wav in wavs]
    placed = [np.append(np.zeros(int(delay * RATE_HZ)), one) for delay, one in zip(delays, speech, strict=True)]
    mixed = np.zeros(max(map(len, placed)))
    for track in placed:
        mixed[: len(track)] += track
    (root / "data" / f"{part}-2mix").mkdir()
    soundfile.write(root / "data" / f"{name}.wav", mixed, RATE_HZ)
    row = {
        "delays": delays,
        "durations": [len(one) / RATE_HZ for one in speech],
        "genders": ["m", "f"],
        "id": name,
        "mixed_wav": f"{name}.wav",
        "speaker_profile": [
            [f"{part}/{who}/7/{who}-7-0002.wav", f"{part}/{who}/7/{who}-7-0005.wav"] for who in (third, other, one)
        ],
        "speaker_profile_index": [2, 1],
        "speakers": [one, other],
        "texts": ["ONE ONE", "TWO TWO"],
        "wavs": wavs,
    }
    (root / "list" / "optional").mkdir(parents=True, exist_ok=True)
    (root / "list" / f"{part}-2mix.jsonl").write_text(json.dumps(row) + "\n")
    short = {**row, "speaker_profile": [profile[:1] for profile in row["speaker_profile"]]}
    (root / "list" / "optional" / f"{part}-2mix-8prof-1utt.jsonl").write_text(json.dumps(short) + "\n")


SESSIONS = {
    "0S": "overlap_ratio_0.0_sil0.1_0.5_session{}_actual0.0",
    "0L": "overlap_ratio_0.0_sil2.9_3.0_session{}_actual0.0",
    "OV10": "overlap_ratio_10.0_sil0.1_1.0_session{}_actual10.1",
    "OV20": "overlap_ratio_20.0_sil0.1_1.0_session{}_actual20.8",
    "OV30": "overlap_ratio_30.0_sil0.1_1.0_session{}_actual29.7",
    "OV40": "overlap_ratio_40.0_sil0.1_1.0_session{}_actual39.5",
}


def make_libricss(root: Path) -> Path:
    """`root/for_release`, a session of 25 s a condition: two talkers by turns, in OV40 over each other at the end."""
    segments = {}
    for number, (condition, pattern) in enumerate(SESSIONS.items()):
        name = pattern.format(0)
        folder = root / "for_release" / condition / name
        for place in ("record", "clean", "transcription"):
            (folder / place).mkdir(parents=True)
        lines = ["start_time\tend_time\tspeaker\tutterance_id\ttranscription\n"]
        for turn in range(6):
            speaker = ("61", "121")[turn % 2]
            start_s = 0.5 + 4.0 * turn - (1.5 if condition == "OV40" and turn == 5 else 0.0)
            words = f"{WORDS[turn]} {WORDS[(turn + number) % 8]}"
            lines.append(f"{start_s}\t{start_s + 3.0}\t{speaker}\t{speaker}-7-{turn:04d}\t{words}\n")
        (folder / "transcription" / "meeting_info.txt").write_text("".join(lines))
        mixed = voice(25.0, 250.0, seed=number)
        array = np.stack([mixed * (1.0 - 0.1 * channel) for channel in range(7)], axis=1)
        soundfile.write(folder / "record" / "raw_recording.wav", array, RATE_HZ)
        soundfile.write(folder / "clean" / "mix.wav", mixed, RATE_HZ)
        segments[name] = [[0, 12 * RATE_HZ], [12 * RATE_HZ, 25 * RATE_HZ]]
    (root / "for_release" / "all_res.json").write_text(json.dumps(segments))
    return root


AMI_MEETINGS = {"ES2004a": ("MEE001", "FEE002"), "ES2004b": ("MEE001", "FEE002"), "ES2011a": ("MEE003", "FEE004")}


def make_ami(root: Path, mic: str = "ihm-mix") -> Path:
    """Two test meetings and one for development, 40 s each: two talkers by turns, at the end both."""
    notes = root / "ami_public_manual_1.6.2"
    for place in ("corpusResources", "segments", "words"):
        (notes / place).mkdir(parents=True)
    meetings = []
    for name, speakers in AMI_MEETINGS.items():
        file = {"ihm-mix": f"{name}.Mix-Headset.wav", "sdm": f"{name}.Array1-01.wav"}[mic]
        path = root / "wav_db" / name / "audio" / file
        path.parent.mkdir(parents=True)
        soundfile.write(path, voice(40.0, 250.0), RATE_HZ)
        agents = ""
        for channel, (agent, speaker) in enumerate(zip("AB", speakers, strict=True)):
            agents += f'<speaker nxt_agent="{agent}" global_name="{speaker}" channel="{channel}"/>'
            _write_notes(notes, name, agent, _turns(name, channel))
        meetings.append(f'<meeting observation="{name}">{agents}</meeting>')
    (notes / "corpusResources" / "meetings.xml").write_text(f"<meetings>{''.join(meetings)}</meetings>")
    return root


def _turns(name: str, channel: int) -> list[tuple[float, float]]:
    """Three turns of 4 s by turns, with pauses of 1 s and one of 3 s, and then one at the same time."""
    turns = [(1.0 + 10.0 * turn + 5.0 * channel, 5.0 + 10.0 * turn + 5.0 * channel) for turn in range(3)]
    return [*turns, (33.0 + channel, 37.0 + channel)]


def _write_notes(notes: Path, meeting: str, agent: str, turns: list[tuple[float, float]]) -> None:
    segments, words = "", ""
    for number, (start_s, end_s) in enumerate(turns):
        segments += f'<segment transcriber_start="{start_s}" transcriber_end="{end_s}"/>'
        said = ("OK", f"{WORDS[number].lower()}{agent}{meeting[-1]}")
        middle_s = (start_s + end_s) / 2
        for word, first_s, last_s in zip(said, (start_s, middle_s), (middle_s, end_s), strict=True):
            words += f'<w starttime="{first_s}" endtime="{last_s}">{word}</w>'
        words += f'<w starttime="{end_s}" endtime="{end_s}" punc="true">.</w>'
    (notes / "segments" / f"{meeting}.{agent}.segments.xml").write_text(f"<root>{segments}</root>")
    (notes / "words" / f"{meeting}.{agent}.words.xml").write_text(f"<root>{words}</root>")
