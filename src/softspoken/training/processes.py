"""Several processes that train one run together (`accelerate launch`, torchrun): the same losses as one alone.

A batch is the recipe's, whatever the number of processes: each takes its share of the items of every batch. A loss is
divided by what the whole batch holds, not by what one process has of it: the mean of means over unequal numbers of
words would be another figure.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast
from torch import Tensor
from torch.utils.data import Sampler

from softspoken.errors import ConfigError

Average = Callable[[Tensor], Tensor]
"""A number that each process has, such as how many words are in its share, to its mean over the processes."""
SUPPORTED = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def alone(value: Tensor) -> Tensor:
    """The `Average` of one process: what it has."""
    return value


def average_of(accelerator: Accelerator) -> Average:
    """The mean over all processes; it must be called in all of them, and has no gradient."""
    if accelerator.num_processes == 1:
        return alone

    def average(value: Tensor) -> Tensor:
        found: Tensor = accelerator.reduce(value.detach(), reduction="mean")
        return found

    return average


def averaged(figures: Mapping[str, Tensor], average: Average) -> dict[str, Tensor]:
    """Figures of one process to those of all, in one exchange."""
    return dict(zip(figures, average(torch.stack(list(figures.values()))).unbind(), strict=True))


def of_first(accelerator: Accelerator, value: float) -> float:
    """What the first process has, in all: clocks differ, and processes that disagree would wait for each other."""
    if accelerator.num_processes == 1:
        return value
    return float(broadcast(torch.tensor([value], dtype=torch.float64, device=accelerator.device)).item())


class Shares(Sampler[list[int]]):
    """The items of each batch that one process takes. Item and batch depend on their number alone.

    So any number of processes and workers sees the same batches, also after a resume with other numbers of them.
    """

    def __init__(self, batch: int, first: int, batches: int, process: int, processes: int) -> None:
        """`batch`: items of it in all `processes`; `first`: the batch to begin with, out of `batches`.

        Raises ConfigError for more processes than items.
        """
        if batch < processes:
            raise ConfigError(f"a batch of {batch} for {processes} processes; start fewer, or give larger batches")
        self.batch, self.first, self.batches, self.process, self.processes = batch, first, batches, process, processes

    def __len__(self) -> int:
        return self.batches - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self.first, self.batches):
            begin = number * self.batch
            yield list(range(begin + self.process, begin + self.batch, self.processes))


def require_supported(accelerator: Accelerator) -> None:
    """Raise ConfigError for launchers that split what is trained over devices, such as FSDP and DeepSpeed."""
    if accelerator.distributed_type not in SUPPORTED:
        raise ConfigError(
            f"'{accelerator.distributed_type.value}' splits what is trained, which fits into any device here; launch "
            "with '--multi_gpu', or '--cpu' and '--num_processes'"
        )
