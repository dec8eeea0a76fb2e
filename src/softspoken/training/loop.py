"""The training loop, from top to bottom: batches, losses, steps, validation, checkpoints.

accelerate places it on whatever there is: one CPU, one accelerator, several of them, several machines. Batches depend
on the seed and their number alone and the learning rate on the step alone, so a killed run goes on exactly where its
last state was, with as many processes as there are then.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from softspoken.files import LEFTOVERS, remove
from softspoken.training.config import LoopConfig
from softspoken.training.log import RunLog
from softspoken.training.processes import Shares, average_of, averaged, of_first
from softspoken.training.state import FiniteLoss, Progress, ReadableItems, load_state, save_state

STATE = "last.safetensors"
BEST = "best.safetensors"


class TrainingBatch(Protocol):
    """What the loop needs of a batch; all else is between the data and the objective."""

    @property
    def texts(self) -> list[str]: ...

    def to(self, device: torch.device) -> Any: ...


Objective = Callable[[nn.Module, Any], dict[str, Tensor]]
"""The module that is trained (possibly wrapped for several devices) and a batch to losses; 'loss' is minimised."""
Validate = Callable[[Any], dict[str, float]]
"""The module to figures; the one called 'score' (lower is better) chooses the best state."""


Report = Callable[[int, int, dict[str, float]], None]
"""Step, steps in all, figures. It may raise `TrainingStopped`: the state is saved, and the run can go on later."""


class TrainingStopped(Exception):
    """Raised by a report to stop after this step."""


def learning_rate(step: int, config: LoopConfig, seconds: float = 0.0) -> float:
    """Linear warm-up, then a cosine down to `final_rate` of the peak, or steps down.

    `seconds`: how long the run has trained, which tells how far it is where it ends by the clock.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "stepped":
        return config.learning_rate * config.decay ** (step // config.decay_every)
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    if config.minutes is not None:
        done = max(done, seconds / (60 * config.minutes))
    share = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.learning_rate * share


def train(
    config: LoopConfig,
    trained: nn.Module,
    objective: Objective,
    dataset: Dataset[Any],
    collate: Callable[[list[Any]], TrainingBatch],
    folder: Path,
    validate: Validate | None = None,
    report: Report | None = None,
    accelerator: Accelerator | None = None,
    rates: Mapping[str, float] = MappingProxyType({}),
    clock: Callable[[], float] = time.monotonic,
    begun: float | None = None,
) -> Progress:
    """Train in place, with checkpoints in `folder`, going on from there if it holds a state. The progress at the end.

    `dataset` must give the same item for the same index and hold at least `config.items` items; see also
    `ReadableItems`. Several processes share each batch; `objective` must then divide by what all of them have
    (`softspoken.training.processes`). `rates`: factors on the learning rate of the children of `trained` with these
    names. `clock`: seconds, from any beginning; `begun`: when the run began by it, where that was before this. Raises
    ConfigError when the loss stays other than a number, OSError when the folder cannot be written.
    """
    accelerator = Accelerator(mixed_precision=config.precision) if accelerator is None else accelerator
    main = accelerator.is_main_process
    optimiser = torch.optim.AdamW(_groups(trained, rates), lr=config.learning_rate, weight_decay=config.weight_decay)
    trained.to(accelerator.device)
    progress = _resumed(folder, trained, optimiser, main)
    batches = _batches(ReadableItems(dataset, folder), collate, config, progress.step, accelerator)
    # `module` and `stepper` are what is trained and the optimiser as accelerate wraps them.
    module, stepper = accelerator.prepare(trained, optimiser)
    log = RunLog(folder, config, accelerator, progress.step)
    begun = (clock() if begun is None else begun) - progress.seconds
    pace, finite, stopped = Pace(clock), FiniteLoss(), False
    while progress.step < config.steps and not config.time_is_up(progress.seconds):
        rate = _set_rate(optimiser, config, progress)
        losses, examples = _step(accelerator, module, stepper, objective, batches, config, progress.step)
        progress = _after_step(progress, clock() - begun, config, accelerator)
        pace.count(examples)
        last = progress.step == config.steps or config.time_is_up(progress.seconds)
        read = progress.step % config.log_every == 0 or last
        figures = _figures(losses, rate, pace) if read else {}
        if main and last and config.minutes is not None:
            # Whoever gave so many minutes may be gone before the last validation ends.
            save_state(folder / STATE, trained, optimiser, progress)
        if validate is not None and main and (progress.step % config.validate_every == 0 or last):
            progress, checked = _validated(validate, folder, trained, optimiser, progress)
            figures |= checked
        if figures:
            log.write(progress, figures)
            finite.check(figures, progress.step)
        stopped = _reported(report, progress.step, config.steps, figures) or stopped
        # Several processes stop together, where they wait for the figures anyway; one need not wait.
        stopping = (read or accelerator.num_processes == 1) and bool(of_first(accelerator, float(stopped)))
        if main and (progress.step % config.save_every == 0 or last or stopping):
            save_state(folder / STATE, trained, optimiser, progress)
        if stopping:
            raise TrainingStopped
    accelerator.wait_for_everyone()
    return progress


def _batches(
    items: Dataset[Any],
    collate: Callable[[list[Any]], TrainingBatch],
    config: LoopConfig,
    done: int,
    accelerator: Accelerator,
) -> Iterator[Any]:
    """What this process takes of every batch behind the first `done` steps."""
    first, many = done * config.accumulation, config.steps * config.accumulation
    place = accelerator.process_index, accelerator.num_processes
    shares = Shares(config.items_per_batch, first, many, *place)
    return iter(DataLoader(items, batch_sampler=shares, collate_fn=collate, num_workers=config.workers))


def _after_step(progress: Progress, seconds: float, config: LoopConfig, accelerator: Accelerator) -> Progress:
    """One step further. Where the clock ends a run, all processes go by the first one's."""
    seconds = seconds if config.minutes is None else of_first(accelerator, seconds)
    return replace(progress, step=progress.step + 1, seconds=seconds)


def _set_rate(optimiser: torch.optim.Optimizer, config: LoopConfig, progress: Progress) -> float:
    rate = learning_rate(progress.step, config, progress.seconds)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


def _resumed(folder: Path, trained: nn.Module, optimiser: torch.optim.Optimizer, main: bool) -> Progress:
    """Where the run stands, whose state is then in `trained` and `optimiser`."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(LEFTOVERS) if main else ():
        remove(stale)
    return load_state(folder / STATE, trained, optimiser) if (folder / STATE).is_file() else Progress()


def _figures(losses: Mapping[str, Tensor], rate: float, pace: "Pace") -> dict[str, float]:
    losses_now = {name: float(value) for name, value in losses.items()}
    return losses_now | {"learning_rate": rate, "examples_per_s": pace.examples_per_s()}


def _reported(report: Report | None, step: int, steps: int, figures: dict[str, float]) -> bool:
    """Tell of a step; whether the run is to stop after it."""
    try:
        if report is not None:
            report(step, steps, figures)
    except TrainingStopped:
        return True
    return False


def _groups(trained: nn.Module, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """The parameters of each child with a factor of its own, and all others."""
    named = list(trained.named_parameters())
    groups = [
        {"params": [value for name, value in named if name.split(".")[0] == child], "factor": factor}
        for child, factor in rates.items()
    ]
    groups.append({"params": [value for name, value in named if name.split(".")[0] not in rates], "factor": 1.0})
    return [group for group in groups if group["params"]]


def _validated(
    validate: Validate, folder: Path, trained: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> tuple[Progress, dict[str, float]]:
    """Figures for the log; the state is kept where none was better."""
    checked = validate(trained)
    score = checked.get("score")
    if score is not None and (progress.best is None or score < progress.best):
        progress = replace(progress, best=score)
        save_state(folder / BEST, trained, optimiser, progress)
    return progress, {f"valid/{name}": value for name, value in checked.items()}


class Pace:
    """Examples a second since this was asked for last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._begun, self._examples = clock, clock(), 0

    def count(self, examples: int) -> None:
        self._examples += examples

    def examples_per_s(self) -> float:
        now = self._clock()
        found = self._examples / max(now - self._begun, 1e-9)
        self._begun, self._examples = now, 0
        return found


def _step(
    accelerator: Accelerator,
    module: nn.Module,
    optimiser: Any,
    objective: Objective,
    batches: Any,
    config: LoopConfig,
    done: int,
) -> tuple[dict[str, Tensor], int]:
    """One optimiser step over `accumulation` batches: mean figures, still on the device, and about how many examples.

    Every process has the same figures, so that all of them skip the same steps.
    """
    examples = 0
    sums: dict[str, Tensor] = {}
    for number in range(config.accumulation):
        batch = next(batches).to(accelerator.device)
        # Dropout and masks depend on how far the run is alone, so that a resumed one draws the same. Here, because
        # loaders draw too, and more of it when they start.
        place = (done * config.accumulation + number) * accelerator.num_processes + accelerator.process_index
        torch.manual_seed(config.seed * 1_000_003 + place)
        examples += len(batch.texts) * accelerator.num_processes
        # Gradients are exchanged between devices only once a step.
        shared = number == config.accumulation - 1
        with accelerator.autocast(), _exchange(accelerator, module, shared):
            losses = objective(module, batch)
            accelerator.backward(losses["loss"] / config.accumulation)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.detach().float() / config.accumulation
    sums = averaged(sums, average_of(accelerator))
    norm = accelerator.clip_grad_norm_(module.parameters(), config.clip_norm)
    usable = torch.isfinite(sums["loss"]) & torch.isfinite(norm)
    if accelerator.device.type != "cpu":
        # A GPU is not asked, for it would have to be waited for: there such a step is made without gradients.
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad.masked_fill_(~usable, 0.0)
    elif not usable:
        optimiser.zero_grad()
        return {**sums, "skipped": torch.ones(())}, examples
    optimiser.step()
    optimiser.zero_grad()
    return {**sums, "gradient_norm": norm}, examples


def _exchange(accelerator: Accelerator, module: nn.Module, shared: bool) -> Any:
    return nullcontext() if shared else accelerator.no_sync(module)
