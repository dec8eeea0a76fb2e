"""Any speaker encoder in ONNX format on OpenVINO: fed with the waveform, or with log mel bands."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import BackboneError
from softspoken.openvino_core import openvino_core
from softspoken.speakers.base import SpeakerEmbedder, Vector, Waveform, checked, unit
from softspoken.speakers.features import centred, kaldi_log_mel
from softspoken.speakers.graphs import Graph


@dataclass(frozen=True)
class OnnxInput:
    """What the model eats: "waveform" [B, samples] or "fbank" [B, T, mels]; "auto" reads it off the model's input.

    Published encoders nearly all take 80 Kaldi mel bands with the mean over time taken off (see `kaldi_log_mel`).
    """

    kind: Literal["auto", "waveform", "fbank"] = "auto"
    mels: int = 80


class OnnxEmbedder(SpeakerEmbedder):
    """A speaker encoder run by OpenVINO. Its name is the file's name and the digest of its content."""

    def __init__(self, path: str | Path, expects: OnnxInput | None = None) -> None:
        """BackboneError for a file that is absent or no usable model."""
        path = Path(path)
        model = _model(path)
        shape = model.inputs[0].get_partial_shape()
        self._expects = _resolve(path, shape, OnnxInput() if expects is None else expects)
        if self._expects.kind == "fbank":
            _fix_bands(path, model, self._expects.mels)
        # Many exports fix the batch to one.
        self._batched = not (shape[0].is_static and shape[0].get_length() == 1)
        self._network = Graph(lambda: model)
        self.name = f"{path.name}@{_digest(path)}"
        self._path = path
        self.dimension = len(self._run(np.zeros((1, SAMPLE_RATE_HZ), np.float32))[0])

    def embed(self, audio: Waveform) -> Vector:
        vector: np.ndarray = self.embed_batch(checked(audio)[None])[0]
        return vector

    def embed_batch(self, audio: Float32[np.ndarray, "B samples"]) -> Float32[np.ndarray, "B S"]:
        if self._batched:
            return unit(self._run(audio))
        return unit(np.concatenate([self._run(row[None]) for row in audio]))

    def _run(self, audio: np.ndarray) -> np.ndarray:
        try:
            output, *_ = self._network(self._features(audio))
            if not output.size:
                raise ValueError(f"it gives no numbers, but an output of shape {list(output.shape)}")
            return output.astype(np.float32).reshape(len(audio), -1)
        except (RuntimeError, ValueError) as error:
            raise _useless(self._path, error) from error

    def _features(self, audio: np.ndarray) -> np.ndarray:
        if self._expects.kind == "waveform":
            return audio
        return centred(np.stack([kaldi_log_mel(row, self._expects.mels) for row in audio]))


def _useless(path: Path, error: Exception) -> BackboneError:
    reason = str(error).strip().splitlines()[-1][:200]
    return BackboneError(f"'{path}' does not run as a speaker encoder: {reason}; give another")


def _model(path: Path) -> Any:
    if not path.is_file():
        raise BackboneError(f"'{path}' does not exist: expected an ONNX speaker encoder; check the name")
    try:
        model = openvino_core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise BackboneError(f"'{path}' is not a readable ONNX model: {reason}; download it again") from error
    if len(model.inputs) != 1:
        names = ", ".join(port.any_name for port in model.inputs)
        raise BackboneError(f"'{path}' has the inputs {names}; expected one (waveform or mel bands): give another")
    return model


def _resolve(path: Path, shape: Any, expects: OnnxInput) -> OnnxInput:
    kind = expects.kind
    if kind == "auto":
        if shape.rank.is_dynamic or len(shape) not in (2, 3):
            raise BackboneError(f"'{path}' takes input {shape}; expected [batch, samples] or [batch, frames, mels]")
        kind = "waveform" if len(shape) == 2 else "fbank"
    fixed = kind == "fbank" and shape.rank.is_static and len(shape) == 3 and shape[2].is_static
    return OnnxInput(kind, shape[2].get_length() if fixed else expects.mels)


def _fix_bands(path: Path, model: Any, mels: int) -> None:
    """Tell the model how many mel bands it gets. BackboneError where they do not fit: OpenVINO checks this only here,
    and a model that left the number open would read and write beyond its memory."""
    shape = model.inputs[0].get_partial_shape()
    if not shape.rank.is_static or len(shape) != 3:
        return
    shape[2] = mels
    try:
        model.reshape(shape)
    except RuntimeError as error:
        raise _useless(path, error) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
