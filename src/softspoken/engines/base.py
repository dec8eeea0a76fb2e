"""What every engine does with compiled prompts: encode windows, then decode them token by token.

An engine runs three functions (front end, encoder, decoder) on arrays of its own: numpy's, or tensors on a GPU. What
goes in and comes out is numpy's, but for the states that it keeps between two calls. This file is what surrounds the
three and is the same for all. Rows of a batch may have prompts of their own.

Shapes: B rows of a batch, M mels, T audio frames, S encoder states, D width, R rows being written, U new tokens, C
columns of the decoder's cache, P sets of prompts (1 for all rows, else B), V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from softspoken.backbones.features import INPUTS_PER_FRAME
from softspoken.backbones.tokens import WhisperTokens
from softspoken.engines.arrays import fitted, muted_mel, valid_positions
from softspoken.engines.attention import TextAttention, attend_text
from softspoken.engines.cache import Prefill, prefill, spread
from softspoken.errors import BackboneError, PromptMismatch
from softspoken.prompts.checkpoint import LoadedPrompts
from softspoken.prompts.compiled import (
    CompiledPrompts,
    CompiledRows,
    PromptedModel,
    compile_rows,
    unprompted,
)
from softspoken.prompts.rows import FrameRows, PromptRows, converted

Precision = Literal["float32", "bfloat16", "float16", "int8"]
Array = Any
"""An array of the engine's own kind."""


@runtime_checkable
class FrozenWhisper(PromptedModel, Protocol):
    """The frozen model behind an engine: `StoredWhisper`, or `WhisperBackbone` for PyTorch."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def tokens(self) -> WhisperTokens: ...
    @property
    def max_frames(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def parameter_count(self) -> int: ...


@dataclass(frozen=True)
class AudioFeatures:
    """Log-mel features (B, M, frames of 10 ms) and how many of a row's frames are valid."""

    values: Array
    lengths: Int[np.ndarray, "B"]

    @property
    def rows(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True)
class AudioFrames:
    """What the encoder's first layer sees of the audio alone (B, T, D), and how many of a row's frames are valid."""

    states: Array
    lengths: Int[np.ndarray, "B"]

    @property
    def rows(self) -> int:
        return len(self.lengths)

    def select(self, rows: Sequence[int]) -> "AudioFrames":
        """The given rows, repeated or reordered."""
        index = list(rows)
        return AudioFrames(self.states[index], self.lengths[index])


@dataclass(frozen=True)
class EncodedAudio:
    """What the decoder knows of B windows: the keys and values of the encoder's states, by decoder layer."""

    cross: tuple[Array, ...]
    """k1 (B, H, E, S), v1 (B, H, S, E), k2, ..."""
    mask: Array
    """Added to the scores of the states (B, 1, 1, S)."""
    prompts: CompiledRows
    engine: "Engine"

    @property
    def rows(self) -> int:
        return int(self.mask.shape[0])

    def prefill(self, start: Sequence[int], prefixes: Sequence[Sequence[int]] | None = None) -> Prefill:
        """Run the decoder's prompts and the forced start tokens, once for all that is tried afterwards.

        `prefixes`: tokens that each row has written already; None: none.
        """
        return prefill(self.engine, self, start, prefixes)

    def attention(
        self, start: Sequence[int], texts: Sequence[Sequence[int]], rows: Sequence[int] | None = None
    ) -> list[TextAttention]:
        """Where the decoder looks while it writes known texts; see `attend_text`."""
        return attend_text(self, start, texts, rows)


class Engine(ABC):
    """A frozen Whisper with many prompts, made for serving. Safe to share between threads."""

    name: str
    precision: Precision
    backbone: Any
    """See `FrozenWhisper`."""
    unseen = -1e9
    """Added to the scores of what is hidden: it then weighs nothing. Finite, so that seeing nothing is no NaN."""

    def __init__(self, backbone: FrozenWhisper) -> None:
        self.backbone = backbone
        self.tokens = backbone.tokens
        self.max_tokens = backbone.max_tokens
        self.max_frames = backbone.max_frames
        self.plain = unprompted(backbone)

    @property
    def identity(self) -> str:
        """Says which model runs, on what and in which precision."""
        return f"{self.name} {self.precision} {self.backbone.fingerprint}"

    @abstractmethod
    def features(
        self, audio: Sequence[np.ndarray], window_s: float | Sequence[float | None] | None = None
    ) -> AudioFeatures:
        """Mono 16 kHz waveforms to log-mel features.

        `window_s`: None: each row as long as its audio, rounded up to a bucket; else padded with silence to so many
        seconds, of all rows or one by one. Raises AudioError for audio that is longer.
        """

    @abstractmethod
    def layer_states(self, audio: Sequence[np.ndarray], window_s: float) -> Float32[np.ndarray, "L B T D"]:
        """What enters each encoder layer, without prompts and in float32."""

    @abstractmethod
    def array(self, values: np.ndarray) -> Array:
        """Floating point numbers as what this engine computes with."""

    @abstractmethod
    def numpy(self, values: Array) -> Float32[np.ndarray, "..."]:
        """The other way round."""

    @abstractmethod
    def padded(self, values: Array, front: int, behind: int, axis: int) -> Array:
        """A new array with so many zeros in front and behind along an axis."""

    @abstractmethod
    def _frontend(self, mel: Array, valid: Array) -> Array:
        """The convolutions of mel frames (B, M, _) at 100 Hz, positions added; `valid` (B, 1, _) is 0 behind a row's
        end."""

    @abstractmethod
    def _encode(
        self, audio: Array, rows: tuple[Array, ...], activity: Array | None, frames: FrameRows | None
    ) -> tuple[Array, ...]:
        """The encoder under prompts; `rows`: `CompiledStack`'s shallow, keys, values and last, then which states the
        decoder sees something of (B, S, 1) and the mask (B, 1, 1, S)."""

    @abstractmethod
    def decode(
        self, hidden: Array, mask: Array, cross_mask: Array, past: Sequence[Array], cross: Sequence[Array]
    ) -> tuple[Array, tuple[Array, ...]]:
        """One pass of the decoder on top of a cache: scores (R, U, V), and the new keys and values (R, H, U, E).

        `hidden` (R, U, D) are new vectors; `mask` (R, 1, U, C + U) and `cross_mask` (R, 1, 1, S) are added to scores.
        """

    @abstractmethod
    def decode_text(
        self,
        hidden: Array,
        mask: Array,
        cross_mask: Array,
        past: Sequence[Array],
        cross: Sequence[Array],
        following: Int[np.ndarray, "R U"],
    ) -> tuple[Float32[np.ndarray, "R U"], Float32[np.ndarray, "R K U S"]]:
        """`decode` for tokens that are known: log-probabilities of those that follow, and what the K `alignment_heads`
        look at."""

    @abstractmethod
    def embed(self, tokens: Int[np.ndarray, "R U"], first: Int[np.ndarray, "R"]) -> Array:
        """Embedded tokens (R, U, D) at positions `first[r]`, `first[r]` + 1, ..."""

    def compile(self, prompts: LoadedPrompts) -> CompiledPrompts:
        """Make prompts of this backbone ready: what no audio changes is worked out now. Costs their own size only."""
        return CompiledPrompts(self.backbone, prompts.info.prompts, prompts.tensors)

    def compile_rows(self, rows: PromptRows) -> CompiledRows:
        """Make rows that are concrete already ready, numpy's or PyTorch's."""
        return compile_rows(self.backbone, rows)

    def embed_audio(self, features: AudioFeatures, shift: int = 0) -> AudioFrames:
        """What the encoder's first layer sees of the audio alone, the same for every voice: once a recording.

        `shift`: positions that prompts take in front of it (`CompiledRows.shift`).
        """
        values, lengths = features.values, features.lengths
        if shift:
            limit = INPUTS_PER_FRAME * self.max_frames
            values = self.padded(values, INPUTS_PER_FRAME * shift, 0, 2)[..., :limit]
            lengths = np.minimum(lengths + INPUTS_PER_FRAME * shift, limit)
        size = -(-values.shape[-1] // INPUTS_PER_FRAME)
        if size > self.max_frames:
            raise BackboneError(
                f"{size} encoder positions asked for, the backbone has {self.max_frames}; use a shorter window"
            )
        valid = valid_positions(lengths, values.shape[-1])[:, None]
        hidden = self._frontend(values, self.array(valid))
        return AudioFrames(hidden[:, shift:], (lengths + 1) // INPUTS_PER_FRAME - shift)

    def encode_frames(
        self,
        entered: AudioFrames,
        prompts: CompiledRows | None = None,
        activity: Float[np.ndarray, "B _"] | None = None,
    ) -> EncodedAudio:
        """Run the encoder on B rows of `entered` under `prompts`: one set for all of them, or one each.

        Raises PromptMismatch: another number of sets, or an activity that frame prompts need is missing.
        """
        prompts = self.plain if prompts is None else prompts
        batch, size = entered.rows, entered.states.shape[1]
        if prompts.sets not in (1, batch):
            raise PromptMismatch(f"{prompts.sets} sets of prompts for a batch of {batch}; give one set a row")
        stack, frames = prompts.encoder, prompts.frames
        if frames is not None and activity is None:
            raise PromptMismatch("this prompt has frame vectors; give the activity of the target, (batch, frames)")
        audible = valid_positions(entered.lengths, size)
        shallow_valid = spread(stack.shallow_valid, 0, batch)
        seen = np.concatenate([shallow_valid, audible, spread(stack.valid, 0, batch)], axis=1)
        mask = self.additive(seen)[:, None, None]
        attended = ~spread(stack.unattended, 0, batch)
        heard = np.concatenate([np.ones_like(shallow_valid), np.ones_like(audible), attended], axis=1)
        rows = tuple(
            self.array(spread(part, axis, batch))
            for part, axis in ((stack.shallow, 0), (stack.keys, 1), (stack.values, 1), (stack.last, 0))
        )
        given = (*rows, self.array(heard[..., None]), mask)
        active = None if activity is None or frames is None else self.array(fitted(activity, size))
        frames = None if frames is None else converted(frames, lambda part, axis: self.array(part))
        return EncodedAudio(self._encode(entered.states, given, active, frames), mask, prompts, self)

    def encode(
        self,
        features: AudioFeatures,
        prompts: CompiledRows | None = None,
        activity: Float[np.ndarray, "B _"] | None = None,
    ) -> EncodedAudio:
        """`embed_audio` and `encode_frames` for rows that share no audio."""
        return self.encode_rows(features, range(features.rows), prompts, activity)

    def encode_rows(
        self,
        features: AudioFeatures,
        rows: Sequence[int],
        prompts: CompiledRows | None = None,
        activity: Float[np.ndarray, "B _"] | None = None,
    ) -> EncodedAudio:
        """Row `rows[b]` of the features, encoded under set b of the prompts. What no voice changes is done once a
        row of the features, except for prompts that mute the audio itself (`FramePrompt.mute_db`)."""
        prompts = self.plain if prompts is None else prompts
        index = list(rows)
        mute_db = 0.0 if prompts.frames is None else prompts.frames.mute_db
        if mute_db and activity is not None:
            lengths = features.lengths[index]
            muted = muted_mel(self.numpy(features.values[index]), activity, mute_db)
            entered = self.embed_audio(AudioFeatures(self.array(muted), lengths), prompts.shift)
            return self.encode_frames(entered, prompts, activity)
        entered = self.embed_audio(features, prompts.shift)
        shared = index != list(range(features.rows))
        return self.encode_frames(entered.select(index) if shared else entered, prompts, activity)

    @abstractmethod
    def joined(self, parts: Sequence[Array], axis: int) -> Array:
        """Arrays of the engine one behind the other."""

    def additive(self, seen: Bool[np.ndarray, "..."]) -> Array:
        """0 where something is seen, else `unseen`."""
        return self.array(np.where(seen, np.float32(0.0), np.float32(self.unseen)))
