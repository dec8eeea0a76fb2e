"""Workers and what they do next: each has an engine of its own, and one that is lost is replaced."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from softspoken.bulk.inputs import Item
from softspoken.errors import ConfigError, SoftspokenError

Work = Callable[[Item], dict[str, Any]]
"""Makes a record of a recording; a SoftspokenError is its failure."""
Load = Callable[[], Work]
"""Loads the models, in a worker; it travels there as what pickle makes of it."""

TRIES = 2
"""A recording whose worker ended so often is given up."""
LOST_WHILE_LOADING = 3
"""So many workers in a row that end before they are ready: there is no point in another."""
KILLED = (
    f"its worker ended {TRIES} times while it had this recording (out of memory, or a fault in a decoder); "
    "try it alone: softspoken transcribe"
)


@dataclass(frozen=True)
class News:
    """What a worker has to say."""

    worker: int
    kind: Literal["ready", "failed", "done", "gone"]
    """It has loaded; it cannot load; it has done its recording; it ended, nobody knows why."""
    text: str = ""
    """The reason; of what is done, the record."""


@runtime_checkable
class Crew(Protocol):
    """Workers by number, that take a recording each."""

    count: int
    """So many shall there be."""

    def hire(self) -> None:
        """Start another worker."""
        ...

    def give(self, worker: int, item: Item) -> None:
        """Let a worker that is free do this next."""
        ...

    def news(self) -> list[News]:
        """Waits until there are some."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def work_through(items: Sequence[Item], crew: Crew) -> Iterator[tuple[Item, str]]:
    """Each recording with its record, a line of JSON, as they are done.

    Raises ConfigError with the reason when the workers cannot load what they need.
    """
    waiting, busy, idle = deque(items), dict[int, Item](), list[int]()
    tries, lost = Counter[str](), 0
    for _ in range(min(crew.count, len(items))):
        crew.hire()
    while waiting or busy:
        while waiting and idle:
            worker = idle.pop()
            busy[worker] = waiting.popleft()
            crew.give(worker, busy[worker])
        for news in crew.news():
            if news.kind == "failed":
                raise ConfigError(news.text)
            if news.kind == "gone":
                item = busy.pop(news.worker, None)
                idle = [worker for worker in idle if worker != news.worker]
                lost += item is None
                if lost == LOST_WHILE_LOADING:
                    told = "see what it wrote above; give fewer --workers if memory is short"
                    raise ConfigError(f"{lost} workers ended before they could begin ({news.text}); {told}")
                if item is not None:
                    tries[item.id] += 1
                    if tries[item.id] < TRIES:
                        waiting.appendleft(item)
                    else:
                        yield item, json_line(item, {"error": KILLED})
                if waiting:
                    crew.hire()
                continue
            lost = 0
            idle.append(news.worker)
            if news.kind == "done":
                yield busy.pop(news.worker), news.text


def record_of(item: Item, work: Work) -> str:
    """The record of a recording, made in a worker: what comes of it, or the reason why nothing does, in one line."""
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
