"""Peers: openai-whisper, and the target-speaker paper's way of evaluating with it."""

from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from softspoken_lab.bench.contract import Contender, Item, Samples, samples_of

PROMPT_LENGTH = 16
"""Vectors a layer, as in the paper."""
_SLOT = 0
"""Any token: what stands in the decoder's slots is overwritten."""


class OpenAIWhisper(Contender):
    """Its own `transcribe`: greedy, with timestamps and fallback."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        found = self._model.transcribe(
            samples_of(prepared.audio), language="en", condition_on_previous_text=False, fp16=False
        )
        # It returns when the whole recording is done.
        yield 0, found["text"]


class Hooked(Contender):
    """Deep prompts put into openai-whisper by hooks: one target at a time, 30 s, no timestamps (the paper's
    code: the mel moves behind the voice and the prompts; the decoder's slots stand after <|startofprev|>).

    The prompts are random, so the text means nothing; as many tokens are written as the reference has. That costs what
    trained prompts would cost if they got every word right. The voice's embedding is not counted.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        width = model.dims.n_audio_state
        generator = torch.Generator().manual_seed(0)
        self._encoder = 0.02 * torch.randn(model.dims.n_audio_layer, PROMPT_LENGTH, width, generator=generator)
        self._decoder = 0.02 * torch.randn(model.dims.n_text_layer, PROMPT_LENGTH, width, generator=generator)
        self._voice = 0.02 * torch.randn(width, generator=generator)

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        for voice, tokens in enumerate(prepared.tokens):
            # openai-whisper divides by the number of tokens.
            self._write(samples_of(prepared.audio), max(tokens, 1))
            yield voice, ""

    @torch.no_grad()
    def _write(self, audio: Samples, tokens: int) -> None:
        whisper: Any = import_module("whisper")
        slots = 1 + PROMPT_LENGTH
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio), self._model.dims.n_mels)
        mel = whisper.pad_or_trim(torch.nn.functional.pad(mel, (2 * slots, 0)), whisper.audio.N_FRAMES)
        options = whisper.DecodingOptions(
            language="en", without_timestamps=True, fp16=False, prompt=[_SLOT] * PROMPT_LENGTH
        )
        with ExitStack() as hooks:
            self._hook(hooks)
            task = whisper.decoding.DecodingTask(self._model, options)
            task.logit_filters.append(_Length(tokens, task.sample_begin, task.tokenizer.eot))
            task.run(mel[None])

    def _hook(self, hooks: ExitStack) -> None:
        encoder, decoder = self._model.encoder, self._model.decoder
        for rows, stack in ((self._encoder, encoder), (self._decoder, decoder)):
            for index, block in enumerate(stack.blocks):
                # Positions are added to what stands before the first block; later blocks get the bare vectors.
                placed = rows[index] + stack.positional_embedding[1 : 1 + PROMPT_LENGTH] if index == 0 else rows[index]
                hooks.callback(block.register_forward_pre_hook(_overwrite(1, placed)).remove)
        voice = (self._voice + encoder.positional_embedding[0])[None]
        hooks.callback(encoder.blocks[0].register_forward_pre_hook(_overwrite(0, voice)).remove)


def _overwrite(first: int, rows: Tensor) -> Any:
    """A hook that puts `rows` at positions `first`, ...; not where the decoder sees a single new token."""

    def hook(_module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden: Tensor = given[0]
        if hidden.shape[1] < first + len(rows):
            return given
        hidden = hidden.clone()
        hidden[:, first : first + len(rows)] = rows
        return (hidden, *given[1:])

    return hook


class _Length:
    """openai-whisper's `LogitFilter`: the end comes after so many tokens, no sooner and no later."""

    def __init__(self, tokens: int, begin: int, end: int) -> None:
        self._tokens = tokens
        self._begin = begin
        self._end = end

    def apply(self, logits: Tensor, tokens: Tensor) -> None:
        if tokens.shape[1] - self._begin < self._tokens:
            logits[:, self._end] = -torch.inf
        else:
            logits.fill_(-torch.inf)
            logits[:, self._end] = 0.0


def _load(weights: str, threads: int) -> Any:
    torch.set_num_threads(threads)
    return import_module("whisper").load_model(weights, device="cpu")


def whisper(weights: str, threads: int) -> Contender:
    """Factory: an OpenAI `.pt` file."""
    return OpenAIWhisper(_load(weights, threads))


def hooked(weights: str, threads: int) -> Contender:
    """Factory: an OpenAI `.pt` file under prompts."""
    return Hooked(_load(weights, threads))
