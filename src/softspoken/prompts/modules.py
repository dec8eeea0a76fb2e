"""The trainable tensors, and how they become the rows that `inject` places.

Shapes: B batch, L layers, N prompt vectors, D width, S speaker dimensions, R rank or vectors in a bank, T audio frames,
F frames of an enrolment clip, P sets (1 or B). The enrolment clip as rows is the idea of SQ-Whisper (Guo et al. 2024),
here with a frozen Whisper and before every layer.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.base import Backbone
from softspoken.backbones.weights import StackName
from softspoken.errors import PromptMismatch
from softspoken.prompts.arrays import require_what_it_follows
from softspoken.prompts.config import EnrolmentPrompt, FramePrompt, PromptConfig, StackPrompt
from softspoken.prompts.rows import Bank, FrameRows, PromptRows, StackRows
from softspoken.waveforms import Waveforms


def added_by(
    rows: FrameRows, layer: int, frames: Float[Tensor, "B T D"], activity: Float[Tensor, "B T"]
) -> Float[Tensor, "B T D"]:
    """What frame prompts add to `frames` before `layer`."""
    weight = activity[:, :, None]
    added = rows.rest[layer][:, None] + weight * (rows.active[layer] - rows.rest[layer])[:, None]
    bank = rows.bank
    if bank is not None:
        found = F.layer_norm(frames, frames.shape[-1:]) @ bank.keys[layer]
        found = found * bank.gate[layer][:, None] + bank.bias[layer][:, None]
        chosen = F.gelu(found + weight * bank.by_activity[layer][:, None])
        added = added + chosen @ bank.values[layer]
    found_here: Tensor = added
    return found_here


def activity_of(scores: Float[Tensor, "B T"], config: FramePrompt) -> Float[Tensor, "B T"]:
    """How likely the target speaks in each frame, of its cosine to the voice: sigmoid(slope * (score - threshold))."""
    return torch.sigmoid(config.slope * (scores - config.threshold))


class FramePrompts(nn.Module):
    """The vectors of `FramePrompt`. The bank starts at zero: at first it changes nothing."""

    def __init__(self, config: FramePrompt, speaker_dimension: int, layers: int, width: int) -> None:
        super().__init__()
        self.active = nn.Parameter(torch.zeros(layers, width))
        self.rest = nn.Parameter(torch.zeros(layers, width))
        self.rank, self.mute_db = config.keyed, config.mute_db
        if self.rank:
            self.keys = nn.Parameter(torch.randn(layers, width, self.rank) * width**-0.5)
            self.values = nn.Parameter(torch.zeros(layers, self.rank, width))
            self.voice = nn.Parameter(torch.randn(layers, speaker_dimension, self.rank) * speaker_dimension**-0.5)
            self.bias = nn.Parameter(torch.zeros(layers, self.rank))
            self.by_activity = nn.Parameter(torch.zeros(layers, self.rank))

    def forward(self, speaker: Float[Tensor, "B S"] | None) -> FrameRows:
        bank = None
        if self.rank:
            assert speaker is not None
            bank = Bank(
                keys=self.keys[:, None],
                values=self.values[:, None],
                gate=1.0 + torch.einsum("bs,lsr->lbr", speaker, self.voice),
                bias=self.bias[:, None],
                by_activity=self.by_activity[:, None],
            )
        return FrameRows(self.rest[:, None], self.active[:, None], bank, self.mute_db)


@torch.no_grad()
def clip_states(backbone: Backbone, clips: Sequence[np.ndarray], config: EnrolmentPrompt) -> Float[Tensor, "L B F D"]:
    """What enters each encoder layer while the frozen backbone hears each clip (16 kHz), `config.clip_s` of it.

    Not to be called under a prompt. Raises PromptMismatch for an empty clip.
    """
    if any(len(clip) == 0 for clip in ([] if isinstance(clips, Waveforms) else clips)):
        raise PromptMismatch("an enrolment clip without samples; give a few seconds of the voice")
    heard = Waveforms.of(clips).fitted(round(config.clip_s * SAMPLE_RATE_HZ))
    return torch.stack(backbone.encode_layers(backbone.features(heard, config.clip_s)).states[:-1])


class EnrolmentPrompts(nn.Module):
    """Clip states to rows. They begin as the states themselves, so the frozen encoder knows what it sees."""

    def __init__(self, config: EnrolmentPrompt, layers: int, width: int) -> None:
        super().__init__()
        self.config = config
        rows = 1 if config.form == "frames" else config.queries
        self.mark = nn.Parameter(torch.zeros(layers, rows, width))
        if config.form == "queries":
            self.queries = nn.Parameter(torch.randn(layers, config.queries, width) * width**-0.5)

    def forward(self, states: Float[Tensor, "L B F D"]) -> Float[Tensor, "L B N D"]:
        states = states.to(self.mark.dtype)
        if self.config.form == "frames":
            size = states.shape[2] // self.config.stride * self.config.stride
            layers, batch, _, width = states.shape
            rows = states[:, :, :size].reshape(layers, batch, -1, self.config.stride, width).mean(dim=3)
        else:
            normed = nn.functional.layer_norm(states, states.shape[-1:])
            weights = torch.softmax(torch.einsum("lnd,lbfd->lbnf", self.queries, normed), dim=-1)
            rows = weights @ states
        marked: Tensor = rows + self.mark[:, None]
        return marked


class ResidualMLP(nn.Module):
    """x + LayerNorm(Linear(ReLU(Linear(x, D/2)), D)) (section 2.2.3, sizes as in the authors' code)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width), nn.LayerNorm(width)
        )

    def forward(self, vectors: Float[Tensor, "*n D"]) -> Float[Tensor, "*n D"]:
        changed: Tensor = self.net(vectors)
        return vectors + changed


class StackPrompts(nn.Module):
    """The prompt vectors of one stack, with their reparameterisation."""

    def __init__(self, config: StackPrompt, layers: int, width: int, reparameterisation: str) -> None:
        super().__init__()
        depth = layers if config.depth == "deep" else 1
        if config.rank:
            # Their product begins as the free vectors do: with deviation 0.02.
            self.factors = nn.Parameter(torch.randn(depth, config.length, config.rank) * 0.02)
            self.basis = nn.Parameter(torch.randn(config.rank, width) * config.rank**-0.5)
        else:
            self.vectors = nn.Parameter(torch.empty(depth, config.length, width))
            nn.init.normal_(self.vectors, std=0.02)
        count = {"none": 0, "shared": 1, "separate": depth}[reparameterisation]
        self.mlps = nn.ModuleList([ResidualMLP(width) for _ in range(count)])

    def forward(self) -> Float[Tensor, "L N D"]:
        vectors: Tensor = self.factors @ self.basis if hasattr(self, "factors") else self.vectors
        if not self.mlps:
            return vectors
        if len(self.mlps) == 1:
            shared: Tensor = self.mlps[0](vectors)
            return shared
        return torch.stack([mlp(layer) for mlp, layer in zip(self.mlps, vectors, strict=True)])


class SoftPrompts(nn.Module):
    """All trainable tensors of one configuration. Calling it with voices gives the rows that `inject` places."""

    speaker_mean: Tensor
    speaker_scale: Tensor

    def __init__(self, config: PromptConfig, width: int, layers: Mapping[StackName, int]) -> None:
        """`width`: D of the backbone; `layers`: how many its encoder and decoder have."""
        super().__init__()
        self.config = config
        self.width = width
        self.layers = dict(layers)
        wanted: dict[StackName, StackPrompt | None] = {"encoder": config.encoder, "decoder": config.decoder}
        self.stacks = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        speaker = config.speaker
        for name, prompt in wanted.items():
            if prompt is not None:
                self.stacks[name] = StackPrompts(prompt, self.layers[name], width, config.reparameterisation)
            if speaker is not None and speaker.into in (name, "both"):
                self.projections[name] = nn.Linear(speaker.dimension, width)
        dimension = speaker.dimension if speaker is not None else 0
        self.frames = (
            FramePrompts(config.frames, dimension, self.layers["encoder"], width) if config.frames is not None else None
        )
        self.enrolment = (
            EnrolmentPrompts(config.enrolment, self.layers["encoder"], width) if config.enrolment is not None else None
        )
        # Embeddings are centred and scaled by statistics of the training voices before anything sees them.
        self.register_buffer("speaker_mean", torch.zeros(dimension))
        self.register_buffer("speaker_scale", torch.ones(dimension))

    def normalise_speaker(self, speaker: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """Centre and scale embeddings with the stored statistics (none by default, as in the paper)."""
        return (speaker - self.speaker_mean) * self.speaker_scale

    def forward(
        self, speaker: Float[Tensor, "B S"] | None = None, clips: Float[Tensor, "L B F D"] | None = None
    ) -> PromptRows:
        """The rows for these voices: their embeddings, and for `enrolment` prompts their `clip_states`.

        Raises PromptMismatch when a voice is missing or has another dimension.
        """
        require_what_it_follows(self.config, speaker, clips)
        if speaker is not None:
            speaker = self.normalise_speaker(speaker)
        return PromptRows(
            encoder=self._rows("encoder", speaker, clips),
            decoder=self._rows("decoder", speaker, None),
            frames=self.frames(speaker) if self.frames is not None else None,
            placement=self.config.placement,
        )

    def _rows(self, name: StackName, speaker: Tensor | None, clips: Tensor | None) -> StackRows | None:
        if name not in self.stacks and name not in self.projections and clips is None:
            return None
        reference = self.speaker_mean
        if name in self.projections:
            shallow = self.projections[name](speaker)[:, None]
        else:
            shallow = reference.new_zeros(1, 0, self.width)
        rows = self.stacks[name]()[:, None] if name in self.stacks else reference.new_zeros(1, 1, 0, self.width)
        if clips is None or self.enrolment is None:
            return StackRows(shallow, rows)
        heard = self.enrolment(clips)
        return StackRows(shallow, _in_front(heard, rows), unattended=heard.shape[2])

    @torch.no_grad()
    def fold(self) -> "SoftPrompts":
        """The same prompts without reparameterisation: what is deployed. Outputs are equal (to rounding)."""
        folded = SoftPrompts(self.config.folded(), self.width, self.layers).to(self.speaker_mean.device)
        kept = folded.state_dict().keys()
        state = {key: value for key, value in self.state_dict().items() if key in kept}
        for name, stack in self.stacks.items():
            if stack.mlps:
                state[f"stacks.{name}.vectors"] = stack()
        folded.load_state_dict(state)
        return folded

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of all tensors, by name, as serving has them."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.state_dict().items()}

    @property
    def parameter_count(self) -> int:
        """Trainable numbers, reparameterisation included; `fold()` first for the deployed count."""
        return sum(parameter.numel() for parameter in self.parameters())


def _in_front(first: Float[Tensor, "L B M D"], rows: Float[Tensor, "K P N D"]) -> Float[Tensor, "L B _ D"]:
    """Rows of each voice in front of rows for all."""
    return torch.cat([first, rows.expand(first.shape[0], first.shape[1], -1, -1)], dim=2)


def prompts_from(
    config: PromptConfig, width: int, layers: Mapping[StackName, int], tensors: Mapping[str, np.ndarray]
) -> SoftPrompts:
    """Prompts in evaluation mode with these numbers, which are copied."""
    with torch.device("meta"):
        prompts = SoftPrompts(config, width, layers)
    state = {name: torch.from_numpy(tensor.astype(np.float32)) for name, tensor in tensors.items()}
    prompts.load_state_dict(state, assign=True)
    return prompts.eval()
