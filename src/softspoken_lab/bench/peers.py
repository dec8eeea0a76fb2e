"""Peers: faster-whisper, and transformers' own `generate`."""

import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from softspoken_lab.bench.contract import SAMPLE_RATE_HZ, Contender, Item, Samples, samples_of, windows_of


class FasterWhisper(Contender):
    """CTranslate2's Whisper. Beam 1 and no conditioning, as ours; the rest is its default."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        audio = str(prepared.audio) if isinstance(prepared.audio, Path) else prepared.audio
        segments, _ = self._model.transcribe(audio, language="en", beam_size=1, condition_on_previous_text=False)
        return ((0, segment.text) for segment in segments)


def faster_whisper(weights: str, compute_type: str, threads: int) -> Contender:
    """Factory: a CTranslate2 folder in the wanted precision."""
    package: Any = import_module("faster_whisper")
    return FasterWhisper(package.WhisperModel(weights, device="cpu", compute_type=compute_type, cpu_threads=threads))


MULTILINGUAL_VOCABULARY = 51865
"""From this size on, a vocabulary has languages."""


class Generate(Contender):
    """`WhisperForConditionalGeneration.generate` on windows of 30 s, greedy."""

    def __init__(self, model: Any, extractor: Any, tokenizer: Any) -> None:
        self._model = model
        self._extractor = extractor
        self._tokenizer = tokenizer
        multilingual = model.config.vocab_size >= MULTILINGUAL_VOCABULARY
        self._options = {"language": "en", "task": "transcribe"} if multilingual else {}

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        return ((0, self._texts([window])[0]) for window in windows_of(prepared.audio))

    def hear_together(self, prepared: Sequence[Item]) -> list[str]:
        return self._texts([samples_of(item.audio) for item in prepared])

    def _texts(self, audio: Sequence[Samples]) -> list[str]:
        features = self._extractor(
            [np.asarray(samples) for samples in audio], sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
        ).input_features
        tokens = self._model.generate(features, **self._options)
        return [str(text) for text in self._tokenizer.decode_batch(tokens.tolist(), skip_special_tokens=True)]


def transformers(weights: str, threads: int) -> Contender:
    """Factory: a folder that `from_pretrained` reads, with tokenizer.json."""
    import torch
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    torch.set_num_threads(threads)
    model = WhisperForConditionalGeneration.from_pretrained(weights).eval()
    settings = json.loads((Path(weights) / "generation_config.json").read_text("utf-8"))
    for name, value in settings.items():
        # Languages and tasks, which only Whisper has, are not read from a file.
        if not hasattr(model.generation_config, name):
            setattr(model.generation_config, name, value)
    extractor = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    return Generate(model, extractor, Tokenizer.from_file(str(Path(weights) / "tokenizer.json")))
