"""The trainable tensors, and how they become the rows that `inject` places.

Shapes: B batch, L layers, N prompt vectors, D width, S speaker dimensions, R rank.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from softspoken.backbones.weights import StackName
from softspoken.errors import ConfigError, PromptMismatch
from softspoken.prompts.config import PromptConfig, SpeakerPrompt, StackPrompt
from softspoken.prompts.enrolment import EnrolmentPrompts
from softspoken.prompts.frames import FramePrompts
from softspoken.prompts.rows import AXIS_OF_SETS, PromptRows, StackRows


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


class LayeredVoice(nn.Module):
    """Low-rank projection of the voice into V vectors a layer."""

    def __init__(self, config: SpeakerPrompt, layers: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(config.dimension, config.rank)
        self.up = nn.Parameter(torch.empty(layers, config.every_layer, config.rank, width))
        nn.init.normal_(self.up, std=config.rank**-0.5)

    def forward(self, speaker: Float[Tensor, "B S"]) -> Float[Tensor, "L B V D"]:
        return torch.einsum("br,lvrd->lbvd", self.down(speaker), self.up)


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
        self.layered = nn.ModuleDict()
        speaker = config.speaker
        for name, prompt in wanted.items():
            if prompt is not None:
                self.stacks[name] = StackPrompts(prompt, self.layers[name], width, config.reparameterisation)
            if speaker is not None and speaker.into in (name, "both"):
                self.projections[name] = nn.Linear(speaker.dimension, width)
                if speaker.every_layer:
                    self.layered[name] = LayeredVoice(speaker, self.layers[name], width)
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
        if (clips is None) != (self.enrolment is None):
            raise PromptMismatch(
                "this prompt hears the enrolment clip itself; give the clip, not only its embedding"
                if clips is None
                else "this prompt does not hear enrolment clips; leave them out"
            )
        if self.config.speaker is not None:
            expected = self.config.speaker.dimension
            if speaker is None:
                raise PromptMismatch(f"this prompt follows a voice; give a speaker embedding of {expected} dimensions")
            if speaker.shape[-1] != expected:
                raise PromptMismatch(
                    f"speaker embedding of {speaker.shape[-1]} dimensions, the prompt expects {expected}; "
                    "use the embedder it was trained with"
                )
            speaker = self.normalise_speaker(speaker)
        elif speaker is not None:
            raise PromptMismatch("this prompt follows no voice; leave the speaker out, or use a target-speaker prompt")
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
        if name in self.layered:
            rows = _in_front(self.layered[name](speaker), rows)
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


def stack_rows(sets: list[PromptRows]) -> PromptRows:
    """Several sets of equal shapes as one batch: row b of the result is set b. Raises ConfigError on other shapes."""

    def joined(parts: list[object], axis: int) -> object:
        first = parts[0]
        plain = not isinstance(first, Tensor) and not is_dataclass(first)
        if any(type(part) is not type(first) for part in parts) or (plain and len(set(parts)) > 1):
            raise ConfigError("prompts of different kinds in one batch; give prompts of one configuration")
        if plain:
            return first
        if isinstance(first, Tensor):
            tensors = [part for part in parts if isinstance(part, Tensor)]
            if len({tensor.shape[:axis] + tensor.shape[axis + 1 :] for tensor in tensors}) > 1:
                raise ConfigError("prompts of different sizes in one batch; give prompts of one configuration")
            return torch.cat(tensors, dim=axis)
        names = [field.name for field in fields(first)]  # type: ignore[arg-type]
        return type(first)(
            **{name: joined([getattr(part, name) for part in parts], AXIS_OF_SETS.get(name, 1)) for name in names}
        )

    result = joined(list(sets), 1)
    assert isinstance(result, PromptRows)
    return result


def prompts_from(
    config: PromptConfig, width: int, layers: Mapping[StackName, int], tensors: Mapping[str, np.ndarray]
) -> SoftPrompts:
    """Prompts in evaluation mode with these numbers, which are copied."""
    with torch.device("meta"):
        prompts = SoftPrompts(config, width, layers)
    state = {name: torch.from_numpy(tensor.astype(np.float32)) for name, tensor in tensors.items()}
    prompts.load_state_dict(state, assign=True)
    return prompts.eval()
