"""How fast the PyTorch engine transcribes on a GPU, with and without recorded steps, one clip at a time and many.

    python benchmarks/cuda.py FOLDER [--backbone base] [--clips 64]

FOLDER holds clips of speech of up to 30 s. JSON lines: seconds of audio a second, the median of some rounds.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.backbones import load_backbone
from softspoken.decoding import DecodingOptions, decode_batch
from softspoken.engines import TorchEngine
from softspoken.prompts import load_prompts
from softspoken.prompts.modules import clip_states

OPTIONS = DecodingOptions(timestamps=False, temperatures=(0.0,), start="any")
LIMITS_S = (4.0, 12.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="base")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    clips = read_clips(asked.folder, asked.clips)
    seconds = sum(map(len, clips)) / SAMPLE_RATE_HZ
    for dtype in (torch.float16, torch.bfloat16):
        backbone = load_backbone(asked.backbone).to("cuda", dtype)
        followed = rows_of(backbone, asked.backbone, clips[0])
        for graphs in (True, False):
            engine = TorchEngine(backbone, graphs=graphs)
            for name, rows in (("plain", None), ("voice followed", engine.compile_rows(followed))):
                for batch in (1, len(clips)):
                    said, times = timed(engine, rows, clips, batch, asked.rounds)
                    figures = {
                        "backbone": asked.backbone,
                        "dtype": str(dtype).removeprefix("torch."),
                        "what": name,
                        "recorded steps": graphs,
                        "batch": batch,
                        "clips": len(clips),
                        "audio_s_per_s": round(seconds / statistics.median(times), 1),
                        "spread": [round(seconds / max(times), 1), round(seconds / min(times), 1)],
                        "words": sum(len(text.split()) for text in said),
                        "device": torch.cuda.get_device_name(),
                    }
                    print(json.dumps(figures), flush=True)


def read_clips(folder: Path, count: int) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".opus", ".flac", ".wav")):
        audio = load_audio(path)
        if LIMITS_S[0] <= len(audio) / SAMPLE_RATE_HZ <= LIMITS_S[1]:
            found.append(audio)
        if len(found) == count:
            return found
    raise SystemExit(f"{len(found)} clips of {LIMITS_S[0]:g} to {LIMITS_S[1]:g} s in '{folder}', {count} are wanted")


@torch.no_grad()
def rows_of(backbone, prompt, clip):
    """The prompt for a voice drawn by chance, whose clip is `clip`."""
    torch.manual_seed(0)
    prompts = load_prompts(prompt, backbone).prompts.to("cuda")
    config = prompts.config
    voice = torch.nn.functional.normalize(torch.randn(1, config.speaker.dimension, device="cuda"), dim=1)
    return prompts(voice, clip_states(backbone, [clip], config.enrolment))


def timed(engine, rows, clips, batch, rounds):
    """The texts, and the seconds of each round behind a first one."""
    times, said = [], []
    for number in range(rounds + 1):
        said = []
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for first in range(0, len(clips), batch):
            audio = clips[first : first + batch]
            features = engine.features(audio)
            if rows is None:
                heard = engine.encode(features)
            else:
                activity = np.ones((len(audio), features.values.shape[-1] // 2), np.float32)
                heard = engine.encode(features, rows, activity)
            windows = decode_batch(heard, OPTIONS, window_s=[len(one) / SAMPLE_RATE_HZ for one in audio])
            said += [window.text for window in windows]
        torch.cuda.synchronize()
        if number:
            times.append(time.perf_counter() - begun)
    return said, times


if __name__ == "__main__":
    main()
