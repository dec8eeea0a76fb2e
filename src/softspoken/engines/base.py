"""What every engine does with compiled prompts: encode windows, then decode them token by token.

An engine runs three functions of tensors (front end, encoder, decoder; `engines.network` has them in plain torch);
this file is what surrounds them and is the same for all. Rows of a batch may have prompts of their own.

Shapes: B rows of a batch, T audio frames, S encoder states, D width, R rows being written, U new tokens, C columns of
the decoder's cache, P sets of prompts (1 for all rows, else B), V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from softspoken.backbones import Encoded, Features, WhisperBackbone
from softspoken.backbones.base import valid_positions
from softspoken.engines.masks import additive
from softspoken.engines.rows import EnginePrefill
from softspoken.errors import BackboneError, PromptMismatch
from softspoken.prompts.compiled import CompiledPrompts, CompiledRows, CompiledStack, unprompted
from softspoken.prompts.frames import FrameRows
from softspoken.prompts.inject import mute
from softspoken.prompts.modules import SoftPrompts

Precision = Literal["float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True)
class EncodedAudio:
    """What the decoder knows of B windows: the keys and values of the encoder's states, by decoder layer."""

    cross: tuple[Float[Tensor, "B H _ _"], ...]
    """k1 (B, H, E, S), v1 (B, H, S, E), k2, ..."""
    mask: Float[Tensor, "B 1 1 S"]
    prompts: CompiledRows
    engine: "Engine"

    @property
    def rows(self) -> int:
        return int(self.mask.shape[0])

    def prefill(self, start: Sequence[int]) -> EnginePrefill:
        """Run the decoder's prompts and the forced start tokens, once for all that is tried afterwards."""
        return self.engine.prefill(self, start)


class Engine(ABC):
    """A frozen Whisper with many prompts, made for serving. Safe to share between threads."""

    name: str
    precision: Precision

    def __init__(self, backbone: WhisperBackbone) -> None:
        self.backbone = backbone
        self.tokens = backbone.tokens
        self.max_tokens = backbone.max_tokens
        self.plain = unprompted(backbone)
        self._embedding = backbone.token_embedding.float()
        self._positions = backbone.positions["decoder"].float()

    @abstractmethod
    def _frontend(self, mel: Float[Tensor, "B M _"], valid: Float[Tensor, "B 1 _"]) -> Float[Tensor, "B T D"]:
        """The convolutions of mel frames at 100 Hz; `valid` is 0 behind a row's end. No positions yet."""

    @abstractmethod
    def _encode(
        self,
        audio: Float[Tensor, "B T D"],
        rows: tuple[Tensor, ...],
        activity: Float[Tensor, "B T"] | None,
        frames: FrameRows | None,
    ) -> tuple[Tensor, ...]:
        """`EncoderNetwork.forward`; `rows` are its arguments from `shallow` to `mask`."""

    @abstractmethod
    def decode(
        self,
        hidden: Float[Tensor, "R U D"],
        mask: Float[Tensor, "R 1 U _"],
        cross_mask: Float[Tensor, "R 1 1 S"],
        past: Sequence[Tensor],
        cross: Sequence[Tensor],
    ) -> tuple[Float[Tensor, "R U V"], tuple[Tensor, ...]]:
        """`DecoderNetwork.forward`: scores in float32, and the new keys and values, whose tensors are the caller's."""

    def searching(self) -> AbstractContextManager[None]:
        """Entered around a search, the many short steps of which are sensitive to what else runs."""
        return nullcontext()

    def compile(self, prompts: SoftPrompts) -> CompiledPrompts:
        """Make prompts of this backbone ready: what no audio changes is worked out now. Costs their own size only."""
        return CompiledPrompts(self.backbone, prompts)

    @torch.no_grad()
    def embed_audio(self, features: Features, shift: int = 0) -> Encoded:
        """What the encoder's first layer sees of the audio alone, the same for every voice: once a recording.

        `shift`: positions that prompts take in front of it (`CompiledRows.shift`).
        """
        values, lengths = features.values, features.lengths
        if shift:
            each = self.backbone.inputs_per_frame
            limit = each * self.backbone.max_frames
            values = torch.nn.functional.pad(values, (each * shift, 0))[..., :limit]
            lengths = (lengths + each * shift).clamp(max=limit)
        valid = valid_positions(lengths, values.shape[-1])[:, None].to(values.dtype)
        hidden = self._frontend(values, valid)
        table = self.backbone.positions["encoder"]
        if hidden.shape[1] > table.shape[0]:
            raise BackboneError(
                f"{hidden.shape[1]} encoder positions asked for, the backbone has {table.shape[0]}; "
                "use a shorter window"
            )
        hidden = hidden + table[: hidden.shape[1]].to(hidden.dtype)
        return Encoded(hidden[:, shift:], (lengths + 1) // 2 - shift)

    @torch.no_grad()
    def encode_frames(
        self, entered: Encoded, prompts: CompiledRows | None = None, activity: Float[Tensor, "B _"] | None = None
    ) -> EncodedAudio:
        """Run the encoder on B rows of `entered` under `prompts`: one set for all of them, or one each.

        Raises PromptMismatch: another number of sets, or an activity that frame prompts need is missing.
        """
        prompts = self.plain if prompts is None else prompts
        batch, size = entered.states.shape[:2]
        if prompts.sets not in (1, batch):
            raise PromptMismatch(f"{prompts.sets} sets of prompts for a batch of {batch}; give one set a row")
        stack, dtype = prompts.encoder, entered.states.dtype
        audible = valid_positions(entered.lengths, size)
        shallow_valid, row_valid = stack.shallow_valid.expand(batch, -1), stack.valid.expand(batch, -1)
        mask = additive(torch.cat([shallow_valid, audible, row_valid], dim=1), dtype)[:, None, None]
        heard = torch.cat(
            [torch.ones_like(shallow_valid), torch.ones_like(audible), ~stack.unattended.expand(batch, -1)], 1
        )
        frames = prompts.frames
        if frames is not None:
            if activity is None:
                raise PromptMismatch("this prompt has frame vectors; give the activity of the target, (batch, frames)")
            activity = torch.nn.functional.pad(activity, (0, max(size - activity.shape[1], 0)))[:, :size].to(dtype)
            frames = frames.to(dtype)
        rows = (
            stack.shallow.expand(batch, -1, -1),
            stack.keys.expand(-1, batch, -1, -1),
            stack.values.expand(-1, batch, -1, -1),
            stack.last.expand(batch, -1, -1),
        )
        given = (*(part.to(dtype) for part in rows), heard[..., None].to(dtype), mask)
        return EncodedAudio(self._encode(entered.states, given, activity, frames), mask, prompts, self)

    def encode(
        self, features: Features, prompts: CompiledRows | None = None, activity: Float[Tensor, "B _"] | None = None
    ) -> EncodedAudio:
        """`embed_audio` and `encode_frames` for rows that share no audio."""
        return self.encode_rows(features, torch.arange(len(features.lengths)), prompts, activity)

    def encode_rows(
        self,
        features: Features,
        rows: Int[Tensor, "B"],
        prompts: CompiledRows | None = None,
        activity: Float[Tensor, "B _"] | None = None,
    ) -> EncodedAudio:
        """Row `rows[b]` of the features, encoded under set b of the prompts. What no voice changes is done once a
        row of the features, except for prompts that mute the audio itself (`FramePrompt.mute_db`)."""
        prompts = self.plain if prompts is None else prompts
        mute_db = 0.0 if prompts.frames is None else prompts.frames.mute_db
        if mute_db and activity is not None:
            muted = mute(features.values[rows], activity, mute_db, self.backbone.inputs_per_frame)
            return self.encode_frames(
                self.embed_audio(Features(muted, features.lengths[rows]), prompts.shift), prompts, activity
            )
        entered = self.embed_audio(features, prompts.shift)
        shared = rows.tolist() != list(range(len(features.lengths)))
        return self.encode_frames(entered.select(rows) if shared else entered, prompts, activity)

    @torch.no_grad()
    def prefill(self, heard: EncodedAudio, start: Sequence[int]) -> EnginePrefill:
        """The decoder's prompts and start tokens, for all rows of `heard`."""
        stack, batch = heard.prompts.decoder, heard.rows
        dtype = heard.mask.dtype
        offsets = stack.positions.expand(batch)
        tokens = torch.tensor([list(start)] * batch, device=self._embedding.device)
        shallow = stack.shallow.expand(batch, -1, -1)
        hidden = torch.cat([shallow, self.embed(tokens, offsets)], dim=1).to(dtype)
        past = self._as_cache(stack.keys.expand(-1, batch, -1, -1), stack.values.expand(-1, batch, -1, -1), dtype)
        mask = self._prefill_mask(stack, batch, len(start), dtype)
        logits, written = self.decode(hidden, mask, heard.mask, past, heard.cross)
        cache = tuple(torch.cat(pair, dim=2) for pair in zip(past, written, strict=True))
        place = shallow.shape[1] + list(start).index(self.tokens.start_of_transcript)
        no_speech = logits[:, place].softmax(-1)[:, self.tokens.no_speech]
        prompted = torch.cat([stack.valid.expand(batch, -1), stack.shallow_valid.expand(batch, -1)], dim=1)
        columns = torch.nn.functional.pad(prompted, (0, len(start)), value=True)
        return EnginePrefill(
            self, heard.cross, heard.mask, cache, logits[:, -1], no_speech, columns, offsets + len(start)
        )

    def embed(self, tokens: Tensor, first: Tensor) -> Float[Tensor, "R U D"]:
        """Embedded tokens at positions `first[r]`, `first[r]` + 1, ..."""
        places = first[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        return self._embedding[tokens] + self._positions[places.clamp(max=self._positions.shape[0] - 1)]

    def _as_cache(self, keys: Tensor, values: Tensor, dtype: torch.dtype) -> list[Tensor]:
        heads = int(self.backbone.config.decoder_attention_heads)
        both = (
            part.to(dtype).reshape(*part.shape[:3], heads, part.shape[3] // heads).transpose(2, 3)
            for part in (keys, values)
        )
        return [part for pair in zip(*both, strict=True) for part in pair]

    def _prefill_mask(
        self, stack: CompiledStack, batch: int, tokens: int, dtype: torch.dtype
    ) -> Float[Tensor, "B 1 U _"]:
        """Shallow vectors stand before the rows and do not see them; tokens see all of both that is no padding."""
        shallow_valid, row_valid = stack.shallow_valid, stack.valid
        count, rows = shallow_valid.shape[1], row_valid.shape[1]
        size = count + tokens
        sees = torch.ones(batch, size, rows + size, dtype=torch.bool, device=shallow_valid.device)
        sees[:, :count, :rows] = False
        sees[:, :, :rows] &= row_valid[:, None]
        sees[:, :, rows : rows + count] &= shallow_valid[:, None]
        sees[:, :, rows:] &= torch.ones(size, size, dtype=torch.bool, device=sees.device).tril()
        return additive(sees, dtype)[:, None]
