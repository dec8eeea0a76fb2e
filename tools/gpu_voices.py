"""Make the speaker embeddings that a recipe's runs would make each for itself, into the file that `data.voices` names."""

import sys
from pathlib import Path

import torch

from softspoken.data.resident import make_resident
from softspoken.data.voices import write_vectors
from softspoken.recipes import read_recipe
from softspoken.speakers import load_embedder
from softspoken.speakers.campplus import CamPlusEmbedder
from softspoken.training.config import TrainConfig
from softspoken.training.datasets import training_data


def main() -> None:
    config = read_recipe(f"{sys.argv[1]}:frames")
    assert isinstance(config, TrainConfig)
    assert config.data.voices is not None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    embedder = load_embedder(config.embedder, device)
    assert isinstance(embedder, CamPlusEmbedder)
    dataset = training_data(config, embedder)
    make_resident(dataset, embedder.embed_all, torch.device("cpu"))
    write_vectors(Path(config.data.voices), dataset.vectors)


if __name__ == "__main__":
    main()
