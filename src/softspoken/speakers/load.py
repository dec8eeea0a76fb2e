"""From a name to a speaker embedder."""

from softspoken.defaults import DEFAULT_EMBEDDER
from softspoken.errors import ConfigError
from softspoken.speakers.base import SpeakerEmbedder


def load_embedder(reference: str = DEFAULT_EMBEDDER, device: str = "cpu") -> SpeakerEmbedder:
    """ "campplus" (the default), "ge2e", "speechbrain/x-vector", "speechbrain/ecapa", or the path of an .onnx file.

    Raises ConfigError for another name, MissingExtra where an extra is not installed, BackboneError where the weights
    cannot be had or are damaged.
    """
    if reference == "ge2e":
        from softspoken.speakers.ge2e import Ge2eEmbedder

        return Ge2eEmbedder.load(device)
    if reference == "campplus":
        from softspoken.speakers.campplus import CamPlusEmbedder

        return CamPlusEmbedder.load(device)
    if reference in ("speechbrain/x-vector", "speechbrain/ecapa"):
        from softspoken.speakers.xvector import SpeechBrainEmbedder

        return SpeechBrainEmbedder.load(reference, device)
    if reference.lower().endswith(".onnx"):
        from softspoken.speakers.onnx import OnnxEmbedder

        return OnnxEmbedder(reference)
    raise ConfigError(
        f"no speaker embedder '{reference}': use campplus, ge2e, speechbrain/x-vector, speechbrain/ecapa, "
        "or a file *.onnx"
    )
