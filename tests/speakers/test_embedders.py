"""Embedders by name: extras that are absent say so, ONNX models of either input run, SpeechBrain's are used right."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from voices import voice

from softspoken.errors import BackboneError, ConfigError, MissingExtra
from softspoken.speakers import load_embedder
from softspoken.speakers.onnx import OnnxEmbedder, OnnxInput


def write_model(path: Path, shape: list[int | str], features: int) -> Path:
    """A linear "encoder" of the mean over time; a waveform is first cut into pieces of `features` samples."""
    onnx = pytest.importorskip("onnx")
    weights = np.random.default_rng(0).normal(size=(features, 16)).astype(np.float32)
    nodes, inner = [], "input"
    constants = [onnx.numpy_helper.from_array(weights, "weights")]
    if len(shape) == 2:
        constants.append(onnx.numpy_helper.from_array(np.array([0, -1, features]), "pieces"))
        nodes.append(onnx.helper.make_node("Reshape", ["input", "pieces"], ["cut"]))
        inner = "cut"
    constants.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
    nodes.append(onnx.helper.make_node("MatMul", [inner, "weights"], ["projected"]))
    nodes.append(onnx.helper.make_node("Abs", ["projected"], ["positive"]))
    nodes.append(onnx.helper.make_node("ReduceMean", ["positive", "axes"], ["vector"], keepdims=0))
    graph = onnx.helper.make_graph(
        nodes,
        "encoder",
        [onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, [shape[0], 16])],
        constants,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("shape", "features"), [(["B", "N"], 400), (["B", "T", 80], 80), (["B", "T", 40], 40), ([1, "T", 80], 80)]
)
def test_onnx(tmp_path: Path, shape: list[int | str], features: int) -> None:
    embedder = load_embedder(str(write_model(tmp_path / "encoder.onnx", shape, features)))
    assert embedder.dimension == 16
    assert embedder.name.startswith("encoder.onnx@")
    audio = voice(5.0)
    vector = embedder.embed(audio)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    vectors, starts_s = embedder.embed_windows(audio, 1.6, 0.4)
    assert vectors.shape == (len(starts_s), 16)
    first = round(float(starts_s[3]) * 16_000)
    np.testing.assert_allclose(vectors[3], embedder.embed(audio[first : first + 25_600]), atol=1e-5)


def test_onnx_with_the_number_of_bands_left_open(tmp_path: Path) -> None:
    path = write_model(tmp_path / "encoder.onnx", ["B", "T", "M"], 24)
    assert OnnxEmbedder(path, OnnxInput("fbank", mels=24)).dimension == 16
    with pytest.raises(BackboneError, match="does not run as a speaker encoder") as error:
        OnnxEmbedder(path)
    assert "\n" not in str(error.value)


def test_onnx_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="does not exist"):
        load_embedder(str(tmp_path / "missing.onnx"))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(BackboneError, match="not a readable ONNX model") as error:
        load_embedder(str(tmp_path / "text.onnx"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["ge2e", "speechbrain/x-vector"])
def test_what_needs_pytorch_says_so_where_there_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "softspoken.speakers.torch_embedders", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=rf"'{name}' needs the package 'torch': pip install 'softspoken\[train\]'"):
        load_embedder(name)


@pytest.mark.parametrize("name", ["speechbrain/x-vector", "speechbrain/ecapa"])
def test_speechbrain_without_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "speechbrain.inference.speaker", None)
    with pytest.raises(MissingExtra, match=r"pip install 'softspoken\[speechbrain\]'"):
        load_embedder(name)


class Classifier:
    """Answers as SpeechBrain's EncoderClassifier does: [B, 1, S], not normalised."""

    dimensions: ClassVar = {"speechbrain/spkrec-xvect-voxceleb": 512, "speechbrain/spkrec-ecapa-voxceleb": 192}

    def __init__(self, dimension: int) -> None:
        self.projection = torch.randn(400, dimension, generator=torch.Generator().manual_seed(0))

    @classmethod
    def from_hparams(cls, source: str, *, savedir: str, run_opts: dict[str, str]) -> "Classifier":
        assert run_opts == {"device": "cpu"}
        return cls(cls.dimensions[source])

    def encode_batch(self, wavs: torch.Tensor) -> torch.Tensor:
        return (wavs.unfold(1, 400, 160) @ self.projection).abs().mean(dim=1, keepdim=True)


def pretend(monkeypatch: pytest.MonkeyPatch, classifier: Any) -> None:
    module = ModuleType("speechbrain.inference.speaker")
    module.EncoderClassifier = classifier  # type: ignore[attr-defined]
    for name in ("speechbrain", "speechbrain.inference"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "speechbrain.inference.speaker", module)


@pytest.mark.parametrize(("name", "dimension"), [("speechbrain/x-vector", 512), ("speechbrain/ecapa", 192)])
def test_speechbrain(name: str, dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Classifier)
    embedder = load_embedder(name)
    assert (embedder.name, embedder.dimension) == (name, dimension)
    vectors, _ = embedder.embed_windows(voice(4.0))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(vectors[0], embedder.embed(voice(4.0)[:25_600]), atol=1e-4)


def test_speechbrain_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable(Classifier):
        @classmethod
        def from_hparams(cls, source: str, **options: Any) -> "Classifier":
            raise OSError("no route to host\nand more")

    pretend(monkeypatch, Unreachable)
    with pytest.raises(BackboneError, match="no route to host; check the network") as error:
        load_embedder("speechbrain/ecapa")
    assert "\n" not in str(error.value)


def test_an_unknown_embedder() -> None:
    with pytest.raises(ConfigError, match="no speaker embedder 'd-vector': use campplus, ge2e"):
        load_embedder("d-vector")
