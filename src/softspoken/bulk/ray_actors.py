"""Workers that are actors on a Ray cluster.

Not Ray Data: its actor pools try what killed an actor again without end, or give the whole job up. Here such a
recording is one failure, as with processes, and the records are the same bytes.
"""

import logging
from typing import Any

from softspoken.bulk.inputs import Item
from softspoken.bulk.pool import Event, Load, record_of
from softspoken.errors import ConfigError, MissingExtra, SoftspokenError

LOCAL = "local"
"""Instead of an address: a temporary cluster on this machine."""


class _Actor:
    """A worker."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def begin(self) -> tuple[str, str]:
        """Load the models. Returns the kind and the text of an `Event`."""
        try:
            self._work = self._load()
        except SoftspokenError as error:
            return "failed", str(error)
        return "ready", ""

    def record(self, item: Item) -> tuple[str, str]:
        """Transcribe a recording. Returns the kind and the text of an `Event`."""
        return "done", record_of(item, self._work)


class RayActors:
    """See `WorkerPool`."""

    def __init__(self, load: Load, address: str, count: int | None, threads: int, gpu: bool) -> None:
        """`address`: 'auto' (the cluster that this machine is in, or that RAY_ADDRESS names), 'local', or an address;
        `count`: number of workers, None: as many as the cluster has room for; `threads`: of the processor, for each;
        `gpu`: whether each needs one.

        Raises MissingExtra without Ray, ConfigError where there is no such cluster.
        """
        try:
            import ray
        except ImportError:
            raise MissingExtra("ray", "ray", "bulk work on a cluster") from None
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if address == LOCAL:
                room = None if count is None else {"num_cpus": count * threads}
                ray.init(address=LOCAL, include_dashboard=False, **(room or {}), **quiet)
            else:
                ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            told = " ".join(str(error).split())[:200]
            raise ConfigError(f"--ray {address}: no such cluster ({told}); start one, or give --ray local") from None
        self._ray, self._load = ray, load
        self._kind = ray.remote(num_cpus=threads, num_gpus=1 if gpu else 0, max_restarts=0)(_Actor)
        self._actors: dict[int, Any] = {}
        self._awaited: dict[Any, int] = {}
        self._started = 0
        each, unit = (1, "GPU") if gpu else (threads, "CPU")
        self.count = max(1, int(ray.cluster_resources().get(unit, 1)) // each) if count is None else count

    def start_worker(self) -> None:
        actor = self._kind.remote(self._load)
        self._actors[self._started] = actor
        self._awaited[actor.begin.remote()] = self._started
        self._started += 1

    def assign(self, worker: int, item: Item) -> None:
        self._awaited[self._actors[worker].record.remote(item)] = worker

    def events(self) -> list[Event]:
        done, _ = self._ray.wait(list(self._awaited), num_returns=1)
        return [self._told(reference) for reference in done]

    def close(self) -> None:
        self._ray.shutdown()

    def _told(self, reference: Any) -> Event:
        worker = self._awaited.pop(reference)
        try:
            kind, text = self._ray.get(reference)
            return Event(worker, kind, text)
        except self._ray.exceptions.RayError as error:
            del self._actors[worker]
            return Event(worker, "gone", " ".join(str(error).split())[:200])
