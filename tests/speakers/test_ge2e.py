"""The GE2E encoder: shapes, level, batching."""

from pathlib import Path

import numpy as np
import pytest
import torch
from voices import voice

from softspoken.errors import AudioError, BackboneError
from softspoken.speakers import torch_embedders
from softspoken.speakers.torch_embedders import Ge2eEmbedder, Ge2eNetwork, load_network


@pytest.fixture(scope="module")
def embedder() -> Ge2eEmbedder:
    torch.manual_seed(0)
    return Ge2eEmbedder(Ge2eNetwork())


@pytest.mark.parametrize("seconds", [0.1, 1.0, 1.6, 2.5, 9.0])
def test_unit_vectors(embedder: Ge2eEmbedder, seconds: float) -> None:
    vector = embedder.embed(voice(seconds))
    assert vector.shape == (256,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    assert vector.min() >= 0


def test_windows_together_are_windows_alone(embedder: Ge2eEmbedder) -> None:
    """Spectrogram once and all windows in batches gives what each window's own frames give."""
    audio = voice(40.0)
    vectors, starts_s = embedder.embed_windows(audio)
    assert vectors.shape == (len(starts_s), 256)
    assert len(starts_s) > 128  # more than one batch
    mel = embedder._mel(audio)
    for index in (0, 1, 100, len(starts_s) - 1):
        first = round(float(starts_s[index]) * 100)
        with torch.inference_mode():
            alone = embedder.network(mel[None, first : first + 160])[0].numpy()
        np.testing.assert_allclose(vectors[index], alone, atol=1e-5)


@pytest.mark.parametrize("able", [True, False])
def test_only_windows_are_rounded_and_only_where_it_helps(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_embedders, "multiplies_bfloat16", lambda: able)
    torch.manual_seed(0)
    exact = Ge2eEmbedder(Ge2eNetwork())
    rounding = exact.rounding()
    assert rounding is exact.rounding()
    assert (rounding is exact) != able
    audio = voice(4.0)
    np.testing.assert_array_equal(rounding.embed(audio), exact.embed(audio))
    (found, found_s), (wanted, wanted_s) = rounding.embed_windows(audio), exact.embed_windows(audio)
    np.testing.assert_array_equal(found_s, wanted_s)
    assert np.array_equal(found, wanted) != able
    np.testing.assert_allclose((found * wanted).sum(axis=1), 1.0, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


def test_quiet_audio_is_raised(embedder: Ge2eEmbedder) -> None:
    audio = voice(3.0)
    quiet = 0.02 * audio
    np.testing.assert_allclose(embedder.embed(quiet), embedder.embed(0.1 * quiet), atol=1e-4)
    assert embedder._mel(200 * quiet).max() > 3 * embedder._mel(quiet).max()


def test_digital_silence_gives_a_finite_vector(embedder: Ge2eEmbedder) -> None:
    assert np.isfinite(embedder.embed(np.zeros(16_000, np.float32))).all()


def test_short_audio_is_refused(embedder: Ge2eEmbedder) -> None:
    with pytest.raises(AudioError, match="expected at least"):
        embedder.embed(np.zeros(100, np.float32))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    state = dict(Ge2eNetwork().state_dict())
    torch.save({"model_state": state}, tmp_path / "other.pt")
    with pytest.raises(BackboneError, match="has tensors"):
        load_network(tmp_path / "other.pt")
    (tmp_path / "damaged.pt").write_bytes(b"not a checkpoint" * 100)
    with pytest.raises(BackboneError, match="not a readable GE2E checkpoint"):
        load_network(tmp_path / "damaged.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(BackboneError, match="not a readable GE2E checkpoint"):
        load_network(tmp_path / "list.pt")


def test_nothing_is_executed_while_loading(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    torch.save({"model_state": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(BackboneError):
        load_network(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()
