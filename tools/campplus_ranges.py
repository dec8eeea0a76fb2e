"""How large the inputs of CAM++'s products get: what their 8 bits stand for in int8.

softspoken-lab mixtures ../shared/data/speech/manifest.jsonl build/ranges --split train --count 100 --snr-db -5,5
python tools/campplus_ranges.py build/ranges/mixtures/*.flac
"""

import argparse
import json
from pathlib import Path

import numpy as np
import openvino

from softspoken.audio import load_audio
from softspoken.speakers.campplus import BANDS, MEMBER, PACKAGE, RANGES, read_weights, window_frames
from softspoken.speakers.campplus_graph import window_graph
from softspoken.speakers.features import centred, kaldi_log_mel
from softspoken.speakers.graphs import Graph

WINDOWS, BATCH, WINDOW_S = 400, 20, 0.8
EXACT = ("head.conv1", "cam_layer.linear1", "cam_layer.linear2")
"""Ends of the names of products that stay exact: the spectrogram has two signs, and masks cost little."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+", help="mixtures of training talkers")
    parser.add_argument("--out", type=Path, default=Path("src/softspoken/assets") / RANGES)
    asked = parser.parse_args()
    found = largest_inputs(read_weights(PACKAGE.file(MEMBER)), windows_of(asked.recordings))
    asked.out.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    print(f"{len(found)} products -> {asked.out}")


def windows_of(recordings: list[Path]) -> np.ndarray:
    """Some windows [W, T, 80] of all recordings, drawn at random."""
    rows = []
    for path in recordings:
        audio = load_audio(path)
        mel = kaldi_log_mel(audio, BANDS)
        frames, starts = window_frames(len(audio), WINDOW_S, WINDOW_S / 2)
        rows += [centred(mel[start : start + frames]) for start in starts if start + frames <= len(mel)]
    chosen = np.random.default_rng(0).permutation(len(rows))[: WINDOWS // BATCH * BATCH]
    return np.stack([rows[index] for index in chosen])


def largest_inputs(weights: dict[str, np.ndarray], windows: np.ndarray) -> dict[str, float]:
    """By product, the largest number that goes into it."""
    model = window_graph(weights, BATCH, windows.shape[1])
    products = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]
    chosen = [node for node in products if not node.get_friendly_name().endswith(EXACT)]
    inputs = [node.input_value(0) for node in chosen]
    network = Graph(lambda: openvino.Model(inputs, model.get_parameters(), "inputs"))
    found = np.zeros(len(chosen))
    for first in range(0, len(windows) // BATCH * BATCH, BATCH):
        found = np.maximum(found, [part.max() for part in network(windows[first : first + BATCH])])
    return {node.get_friendly_name(): round(float(top), 4) for node, top in zip(chosen, found, strict=True)}


if __name__ == "__main__":
    main()
