"""Workers that are processes on this machine."""

import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from softspoken.bulk.inputs import Item
from softspoken.bulk.pool import Event, Load, record_of
from softspoken.errors import SoftspokenError


class Processes:
    """See `WorkerPool`. A process that dies closes its pipe; when this process ends, its workers end too."""

    def __init__(self, load: Load, count: int) -> None:
        self._load, self.count = load, count
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}
        self._started = 0

    def start_worker(self) -> None:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._load), daemon=True)
        process.start()
        theirs.close()
        self._workers[self._started] = (process, mine)
        self._started += 1

    def assign(self, worker: int, item: Item) -> None:
        # One that has just ended will be found by `events`.
        with suppress(OSError):
            self._workers[worker][1].send(item)

    def events(self) -> list[Event]:
        numbers = {connection: worker for worker, (_, connection) in self._workers.items()}
        found = []
        for connection in wait(list(numbers)):
            assert isinstance(connection, Connection)
            worker = numbers[connection]
            try:
                kind, text = connection.recv()
                found.append(Event(worker, kind, text))
            except (EOFError, OSError):
                found.append(Event(worker, "gone", self._ended(worker)))
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
    """What a worker runs until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
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
