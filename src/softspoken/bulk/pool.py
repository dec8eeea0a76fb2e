"""A pool of workers, each with an engine of its own. A worker that dies is replaced."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from softspoken.bulk.inputs import Item
from softspoken.errors import ConfigError, SoftspokenError

Work = Callable[[Item], dict[str, Any]]
"""Turns a recording into a record. Raises SoftspokenError for one that cannot be transcribed."""
Load = Callable[[], Work]
"""Loads the models in a worker; it is pickled on its way there."""

TRIES = 2
"""A recording is given up once this many workers have died on it."""
LOST_WHILE_LOADING = 3
"""After this many workers in a row that die before they are ready, no more are started."""
KILLED = (
    f"its worker ended {TRIES} times while it had this recording (out of memory, or a fault in a decoder); "
    "try it alone: softspoken transcribe"
)


@dataclass(frozen=True)
class Event:
    """Something that happened to a worker."""

    worker: int
    kind: Literal["ready", "failed", "done", "gone"]
    """Its models are loaded; they cannot be loaded; its recording is done; the worker died."""
    text: str = ""
    """The record of a recording that is done, else the reason."""


@runtime_checkable
class WorkerPool(Protocol):
    """Numbered workers; each takes one recording at a time."""

    count: int
    """Number of workers to keep running."""

    def start_worker(self) -> None:
        """Start another worker."""
        ...

    def assign(self, worker: int, item: Item) -> None:
        """Give a recording to an idle worker."""
        ...

    def events(self) -> list[Event]:
        """Wait for the next events."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def run_pool(items: Sequence[Item], pool: WorkerPool) -> Iterator[tuple[Item, str]]:
    """Yield each recording with its record (a line of JSON) as soon as it is done.

    Raises ConfigError with the reason when the workers cannot load what they need.
    """
    waiting, busy, idle = deque(items), dict[int, Item](), list[int]()
    tries, lost = Counter[str](), 0
    for _ in range(min(pool.count, len(items))):
        pool.start_worker()
    while waiting or busy:
        while waiting and idle:
            worker = idle.pop()
            busy[worker] = waiting.popleft()
            pool.assign(worker, busy[worker])
        for event in pool.events():
            if event.kind == "failed":
                raise ConfigError(event.text)
            if event.kind == "gone":
                item = busy.pop(event.worker, None)
                idle = [worker for worker in idle if worker != event.worker]
                lost += item is None
                if lost == LOST_WHILE_LOADING:
                    told = "see what it wrote above; give fewer --workers if memory is short"
                    raise ConfigError(f"{lost} workers ended before they could begin ({event.text}); {told}")
                if item is not None:
                    tries[item.id] += 1
                    if tries[item.id] < TRIES:
                        waiting.appendleft(item)
                    else:
                        yield item, json_line(item, {"error": KILLED})
                if waiting:
                    pool.start_worker()
                continue
            lost = 0
            idle.append(event.worker)
            if event.kind == "done":
                yield busy.pop(event.worker), event.text


def record_of(item: Item, work: Work) -> str:
    """The record of a recording, made in a worker: its transcript, or the reason why there is none."""
    try:
        return json_line(item, work(item))
    except SoftspokenError as error:
        return json_line(item, {"error": str(error)})
    except Exception as error:
        # One recording of a million may find a fault of ours; the others go on.
        told = " ".join(str(error).split())[:200]
        return json_line(item, {"error": f"unexpected {type(error).__name__}: {told}; please report it"})


def json_line(item: Item, content: dict[str, Any]) -> str:
    """A record as it is written."""
    return json.dumps({"id": item.id, **content}, ensure_ascii=False)
