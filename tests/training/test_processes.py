"""A run is the same with any number of processes: the same losses, the same items, also when it goes on with others."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator, debug_launcher
from accelerate.state import AcceleratorState
from small_mixtures import small_mixtures
from tiny import LAYERS, WIDTH, tiny_backbone

from softspoken.data.batches import collate
from softspoken.data.examples import MixtureDataset
from softspoken.errors import ConfigError
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.training.config import ObjectiveConfig
from softspoken.training.loop import TrainingStopped, train
from softspoken.training.objective import TargetSpeakerObjective
from softspoken.training.processes import Shares, average_of
from softspoken.training.run import new_accelerator
from softspoken_lab.training.config import LoraMethod, MethodConfig, PromptMethod, StudyTrainConfig
from softspoken_lab.training.methods import attached, tuned, weights_of

PROMPTS = PromptConfig(
    encoder=StackPrompt(length=3),
    decoder=StackPrompt(length=3),
    reparameterisation="separate",
    speaker=SpeakerPrompt(dimension=8, into="both"),
    frames=FramePrompt(keyed=4),
)
STEPS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MixtureDataset:
    return small_mixtures(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data: MixtureDataset) -> np.ndarray:
    """The losses of one process."""
    return losses(tmp_path_factory.mktemp("run") / "1", data, 1)


def trained(folder: Path, data: MixtureDataset, method: MethodConfig, changes: dict[str, object], stop: int) -> None:
    """One process of a run; the first writes the exact losses of the steps that it makes."""
    torch.set_num_threads(1)
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator, backbone = new_accelerator("no"), tiny_backbone()
    objectives = ObjectiveConfig(states=0.5, layers=0.5, tokens=0.5)
    config = StudyTrainConfig(
        **{"method": method, "prompts": PROMPTS, "objective": objectives, "steps": STEPS, "mixtures_per_batch": 4}
        | {"warmup_steps": 2, "save_every": 2, "learning_rate": 0.01, "schedule": "stepped"}
        | changes
    )
    torch.manual_seed(0)
    learner = tuned(method, SoftPrompts(PROMPTS, WIDTH, {"encoder": LAYERS, "decoder": LAYERS}), backbone)
    objective = TargetSpeakerObjective(
        backbone, PROMPTS, objectives, functools.partial(attached, weights_of(learner)), average=average_of(accelerator)
    )
    together = functools.partial(collate, vocabulary=backbone.tokens, max_tokens=40)

    def report(step: int, steps: int, figures: dict[str, float]) -> None:
        if accelerator.is_main_process:
            with (folder / "exact.jsonl").open("a") as file:
                file.write(json.dumps(figures) + "\n")
        # Clocks differ: only the first process finds that time is up.
        if accelerator.is_main_process and step == stop:
            raise TrainingStopped

    try:
        train(config, learner, objective, data, together, folder, None, report, accelerator)
    except TrainingStopped:
        assert stop


def losses(
    folder: Path,
    data: MixtureDataset,
    processes: int,
    method: MethodConfig | None = None,
    stop: int = 0,
    **changes: object,
) -> np.ndarray:
    """(steps, figures) of all the steps in `folder` once these processes have trained there."""
    folder.mkdir(exist_ok=True)
    arguments = (folder, data, PromptMethod() if method is None else method, changes, stop)
    debug_launcher(trained, arguments, num_processes=processes)
    rows = [json.loads(line) for line in (folder / "exact.jsonl").read_text().splitlines()]
    names = ("loss", "cross_entropy", "states", "layers", "tokens")
    return np.array([[row[name] for name in names if name in row] for row in rows])


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_losses_are_the_same_with_any_number_of_processes(
    tmp_path: Path, data: MixtureDataset, alone: np.ndarray, processes: int
) -> None:
    # Three get shares of two, one and one mixtures.
    assert alone.shape == (STEPS, 5)
    assert np.ptp(alone[:, 0]) > 0.01
    assert np.abs(losses(tmp_path / "run", data, processes) - alone).max() < 1e-5


def test_accumulated_batches_are_shared_too(tmp_path: Path, data: MixtureDataset) -> None:
    changes = {"accumulation": 2, "workers": 1, "steps": 2}
    alone = losses(tmp_path / "1", data, 1, **changes)
    assert alone.shape == (2, 5)
    assert np.abs(losses(tmp_path / "4", data, 4, **changes) - alone).max() < 1e-5


def test_trained_weights_are_shared_too(tmp_path: Path, data: MixtureDataset) -> None:
    alone = losses(tmp_path / "1", data, 1, LoraMethod(), steps=3)
    assert np.abs(losses(tmp_path / "2", data, 2, LoraMethod(), steps=3) - alone).max() < 1e-5


def test_a_run_goes_on_with_another_number_of_processes_and_workers(
    tmp_path: Path, data: MixtureDataset, alone: np.ndarray
) -> None:
    losses(tmp_path / "run", data, 2, stop=2, workers=1)
    losses(tmp_path / "run", data, 4, stop=3)
    assert np.abs(losses(tmp_path / "run", data, 1, workers=2) - alone).max() < 1e-5


def test_the_time_is_up_for_all_at_once(tmp_path: Path, data: MixtureDataset) -> None:
    # Ends, instead of waiting for a process that is done.
    assert len(losses(tmp_path, data, 2, minutes=1e-4)) < STEPS


def test_shares_are_the_batch() -> None:
    for count in (1, 2, 3, 5):
        shares = [list(Shares(5, 2, 4, process, count)) for process in range(count)]
        batches = [sorted(item for share in batch for item in share) for batch in zip(*shares, strict=True)]
        assert batches == [list(range(10, 15)), list(range(15, 20))]
    with pytest.raises(ConfigError, match="a batch of 5 for 6 processes"):
        Shares(5, 0, 4, 0, 6)


def test_what_splits_parameters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.utils import DistributedType

    monkeypatch.setattr(Accelerator, "distributed_type", property(lambda _: DistributedType.FSDP))
    with pytest.raises(ConfigError, match="'FSDP' splits what is trained"):
        new_accelerator("no")
