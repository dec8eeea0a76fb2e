"""The embedders with their published weights, on real talkers: who is who, and who speaks when."""

import json
from pathlib import Path

import numpy as np
import pytest

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.speakers import activity_scores, load_embedder


def equal_error_rate(same: np.ndarray, other: np.ndarray) -> float:
    """Where as many strangers pass as talkers are turned away."""
    limits = np.sort(np.concatenate([same, other]))
    refused = np.searchsorted(np.sort(same), limits) / len(same)
    passed = 1 - np.searchsorted(np.sort(other), limits) / len(other)
    best = int(np.abs(refused - passed).argmin())
    return float(refused[best] + passed[best]) / 2


@pytest.mark.embedded
@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "limit"), [("campplus", 0.02), ("ge2e", 0.03)])
def test_equal_error_rate(name: str, limit: float, shared_data: Path) -> None:
    speech = shared_data / "speech"
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["split"] == "test"]
    embedder = load_embedder(name)
    vectors = np.stack([embedder.embed(load_audio(speech / row["path"], end_s=5.0)) for row in rows])
    talkers = np.array([row["speaker"] for row in rows])
    cosine, alike = vectors @ vectors.T, talkers[:, None] == talkers[None]
    pairs = np.triu(np.ones_like(alike), 1).astype(bool)
    assert equal_error_rate(cosine[alike & pairs], cosine[~alike & pairs]) < limit


@pytest.mark.embedded
@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "apart"), [("campplus", 0.3), ("ge2e", 0.1)])
def test_scores_tell_who_speaks(name: str, apart: float, shared_data: Path) -> None:
    speech = shared_data / "speech"
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["corpus"] == "speechocean762"]
    first = [row for row in rows if row["speaker"] == rows[0]["speaker"]]
    second = next(row for row in rows if row["gender"] != rows[0]["gender"])
    embedder = load_embedder(name)
    mine, theirs = load_audio(speech / first[1]["path"]), load_audio(speech / second["path"])
    scores = activity_scores(
        embedder, np.concatenate([mine, theirs]), embedder.embed(load_audio(speech / first[0]["path"]))
    )
    border = round(len(mine) / SAMPLE_RATE_HZ * 50)
    assert scores[: border - 40].mean() > scores[border + 40 :].mean() + apart
