"""Workers as processes of this machine."""

import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from softspoken.bulk.crew import Load, News, record_of
from softspoken.bulk.inputs import Item
from softspoken.errors import SoftspokenError


class Processes:
    """See `Crew`. A process that ends shows as the end of its pipe; when this one ends, so do they all."""

    def __init__(self, load: Load, count: int) -> None:
        self._load, self.count = load, count
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}
        self._hired = 0

    def hire(self) -> None:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._load), daemon=True)
        process.start()
        theirs.close()
        self._workers[self._hired] = (process, mine)
        self._hired += 1

    def give(self, worker: int, item: Item) -> None:
        # One that has just ended will be found by `news`.
        with suppress(OSError):
            self._workers[worker][1].send(item)

    def news(self) -> list[News]:
        numbers = {connection: worker for worker, (_, connection) in self._workers.items()}
        found = []
        for connection in wait(list(numbers)):
            assert isinstance(connection, Connection)
            worker = numbers[connection]
            try:
                kind, text = connection.recv()
                found.append(News(worker, kind, text))
            except (EOFError, OSError):
                found.append(News(worker, "gone", self._ended(worker)))
        return found

    def close(self) -> None:
        for process, connection in self._workers.values():
            process.kill()
            process.join()
            connection.close()
        self._workers.clear()

    def _ended(self, worker: int) -> str:
        """How a worker ended."""
        process, connection = self._workers.pop(worker)
        connection.close()
        process.join(10)
        code = process.exitcode
        return f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"


def _serve(connection: Connection, load: Load) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    try:
        work = load()
    except SoftspokenError as error:
        connection.send(("failed", str(error)))
        return
    with suppress(EOFError, OSError):  # the other end is gone
        connection.send(("ready", ""))
        while True:
            item: Item = connection.recv()
            connection.send(("done", record_of(item, work)))
