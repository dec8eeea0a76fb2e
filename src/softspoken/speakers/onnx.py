"""Any speaker encoder in ONNX format (the extra `onnx`): fed with the waveform, or with log mel bands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import BackboneError, MissingExtra
from softspoken.speakers.base import SpeakerEmbedder, Vector, Waveform, checked, unit


@dataclass(frozen=True)
class OnnxInput:
    """What the model eats: "waveform" [B, samples] or "fbank" [B, T, mels]; "auto" reads it off the model's input.

    Published encoders nearly all take 80 Kaldi mel bands with the mean over time taken off (see `kaldi_fbank`).
    """

    kind: Literal["auto", "waveform", "fbank"] = "auto"
    mels: int = 80


class OnnxEmbedder(SpeakerEmbedder):
    """A speaker encoder run by onnxruntime on the CPU. Its name is the file's name and the digest of its content."""

    def __init__(self, path: str | Path, expects: OnnxInput | None = None) -> None:
        """MissingExtra without onnxruntime; BackboneError for a file that is absent or no usable model."""
        path = Path(path)
        self._session = _session(path)
        # Many exports fix the batch to one.
        self._batched = self._session.get_inputs()[0].shape[0] != 1
        self._expects = _resolve(path, self._session, OnnxInput() if expects is None else expects)
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
        name = self._session.get_inputs()[0].name
        try:
            output = self._session.run(None, {name: self._features(audio)})[0]
            return np.asarray(output, np.float32).reshape(len(audio), -1)
        except Exception as error:  # onnxruntime's errors share no base but Exception
            reason = str(error).splitlines()[0]
            raise BackboneError(f"'{self._path}' does not run as a speaker encoder: {reason}; give another") from error

    def _features(self, audio: np.ndarray) -> np.ndarray:
        if self._expects.kind == "waveform":
            return np.ascontiguousarray(audio)
        import torch

        from softspoken.speakers.features import kaldi_fbank

        features: np.ndarray = kaldi_fbank(torch.from_numpy(np.ascontiguousarray(audio)), self._expects.mels).numpy()
        return features


def _session(path: Path) -> Any:
    if not path.is_file():
        raise BackboneError(f"'{path}' does not exist: expected an ONNX speaker encoder; check the name")
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnxruntime", "onnx", f"the speaker embedder '{path.name}'") from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but Exception
        reason = str(error).splitlines()[0]
        raise BackboneError(f"'{path}' is not a readable ONNX model: {reason}; download it again") from error
    if len(session.get_inputs()) != 1:
        names = ", ".join(node.name for node in session.get_inputs())
        raise BackboneError(f"'{path}' has the inputs {names}; expected one (waveform or mel bands): give another")
    return session


def _resolve(path: Path, session: Any, expects: OnnxInput) -> OnnxInput:
    shape = session.get_inputs()[0].shape
    kind = expects.kind
    if kind == "auto":
        if len(shape) not in (2, 3):
            raise BackboneError(f"'{path}' takes input {shape}; expected [batch, samples] or [batch, frames, mels]")
        kind = "waveform" if len(shape) == 2 else "fbank"
    mels = shape[-1] if kind == "fbank" and isinstance(shape[-1], int) else expects.mels
    return OnnxInput(kind, mels)


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
