import pytest
from tiny import tiny_backbone
from voices import PitchEmbedder


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs get a random small backbone, and an embedder that hears pitch."""
    rooms = ("softspoken_lab.training.run", "softspoken_lab.training.checkpoint", "softspoken.training.run")
    for room in (*rooms, "softspoken.backbones"):
        monkeypatch.setattr(f"{room}.load_backbone", lambda reference: tiny_backbone())
    monkeypatch.setattr("softspoken.training.run.load_learning_embedder", lambda reference, device: PitchEmbedder())
