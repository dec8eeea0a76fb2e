"""x-vector and ECAPA-TDNN embedders through SpeechBrain (the extra `speechbrain`).

The x-vector (512 dimensions) is what the target-speaker Whisper paper (arXiv 2312.08079, section 3) conditions on.
SpeechBrain builds a model by running the recipe file of its repository: only the two repositories named here are used.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from jaxtyping import Float32

from softspoken.errors import BackboneError, MissingExtra
from softspoken.speakers.base import SpeakerEmbedder, Vector, Waveform, checked, unit


@dataclass(frozen=True)
class _Published:
    repository: str
    dimension: int


_MODELS: dict[str, _Published] = {
    "speechbrain/x-vector": _Published("speechbrain/spkrec-xvect-voxceleb", 512),
    "speechbrain/ecapa": _Published("speechbrain/spkrec-ecapa-voxceleb", 192),
}


class SpeechBrainEmbedder(SpeakerEmbedder):
    """One of SpeechBrain's two published speaker encoders."""

    def __init__(self, name: str, classifier: Any) -> None:
        self.name = name
        self.dimension = _MODELS[name].dimension
        self._classifier = classifier

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "SpeechBrainEmbedder":
        """Fetch (once) and load. MissingExtra without SpeechBrain, BackboneError when the model cannot be had."""
        try:
            from speechbrain.inference.speaker import EncoderClassifier
        except ImportError:
            raise MissingExtra("speechbrain", "speechbrain", f"the speaker embedder '{name}'") from None
        repository = _MODELS[name].repository
        folder = Path(platformdirs.user_cache_dir("softspoken")) / repository
        try:
            classifier = EncoderClassifier.from_hparams(repository, savedir=str(folder), run_opts={"device": device})
        except Exception as error:  # SpeechBrain lets through whatever its parts raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            advice = "check the network, or use the embedder 'ge2e', which needs none"
            raise BackboneError(f"cannot load '{repository}': {reason}; {advice}") from error
        return cls(name, classifier)

    def embed(self, audio: Waveform) -> Vector:
        vector: np.ndarray = self.embed_batch(checked(audio)[None])[0]
        return vector

    def embed_batch(self, audio: Float32[np.ndarray, "B samples"]) -> Float32[np.ndarray, "B S"]:
        import torch

        with torch.inference_mode():
            vectors = self._classifier.encode_batch(torch.from_numpy(np.ascontiguousarray(audio)))
        return unit(vectors.reshape(len(audio), self.dimension).cpu().numpy())
