"""The benchmark of training runs on a small backbone; what it says of speed there means nothing."""

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from benchmark_scripts import benchmark
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from voices import PitchEmbedder


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return benchmark("training_speed")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech of many made-up talkers, some of whom are put aside for development."""
    return make_speech_folder(tmp_path_factory.mktemp("speech"), talkers=40, utterances=2, seconds=1.2)


def arguments(speech: Path, *more: object) -> list[str]:
    return ["--quick", "--speech", str(speech), "--seconds", "1.4", "--per-batch", "2", *map(str, more)]


@pytest.mark.parametrize("gain", [3.0, 1.0])
def test_it_prints_a_table_and_one_line_of_json(
    gain: float, speech: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "load_backbone", lambda name: tiny_backbone())
    monkeypatch.setattr(module, "load_embedder", lambda name: PitchEmbedder())
    monkeypatch.setattr(module, "bf16_gain", lambda device: gain)
    module.main(arguments(speech))
    *table, line = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    ways = ["authors", "+ short windows", "+ batches", *(["+ bfloat16"] if gain > 2 else [])]
    assert list(row["samples_per_s"]) == ways
    assert list(row["factors"]) == ways[1:]
    assert all(text.startswith(way) for way, text in zip(ways, table[1:], strict=False))
    for figures in (*row["samples_per_s"].values(), row["ratio"], row["processor_ratio"], *row["factors"].values()):
        assert 0 < figures["low"] <= figures["median"] <= figures["high"]
    assert {"mean_s", "per_batch", "rounds", "trained", "bf16_product_gain", "machine"} < set(row)
    training = row["training"]
    assert training["samples"] == [0, 4, 8]
    # Equal samples, one target a step against two mixtures of two.
    assert training["steps"] == {"authors": 8, "ours": 2}
    assert all(len(losses) == 3 for losses in training["loss"].values())
    low, high = training["ours_less_authors"]["interval"]
    assert low <= training["ours_less_authors"]["loss"] <= high


def test_both_ways_begin_at_the_same_prompts_and_see_the_same_samples(speech: Path, module: ModuleType) -> None:
    given = module.parsed(arguments(speech, "--train", 0))
    backbone = tiny_backbone()
    groups = module.draw(PitchEmbedder(), given, 3, development=False, seed=0)
    start = module.new_start(backbone, groups, seed=0)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    seen = {}
    for way in module.ways_of(2, bf16=True):
        trainer = module.Trainer(way, backbone, start, module.TrainConfig(learning_rate=1e-3, warmup_steps=0))
        assert all(torch.equal(value, before[name]) for name, value in trainer.prompts.state_dict().items())
        parts = trainer.batches(groups)
        seen[way.name] = [example.text for part in parts for group in part for example in group]
        trainer.train(groups)
        assert trainer.steps == len(parts) == (6 if way.mixtures is None else 2)
        learned = dict(trainer.prompts.named_parameters())
        assert all(not torch.equal(value, before[name]) for name, value in learned.items())
    assert len(set(map(tuple, seen.values()))) == 1
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())


def test_authors_hear_thirty_seconds_or_all_there_is(speech: Path, module: ModuleType) -> None:
    given = module.parsed(arguments(speech, "--train", 0))
    backbone = tiny_backbone()
    (group,) = module.draw(PitchEmbedder(), given, 1, development=False, seed=0)
    lengths = {}
    for way in module.ways_of(2, bf16=False):
        features = backbone.features([example.audio for example in group], way.window_s)
        lengths[way.name] = features.values.shape[-1]
    assert lengths["authors"] == 2 * backbone.max_frames
    assert lengths["+ batches"] == lengths["+ short windows"] < lengths["authors"]
