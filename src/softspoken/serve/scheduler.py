"""One queue for all requests: their pieces become rows of common batches, fair between long and short.

One thread runs the model. Each batch begins with a piece of the request that has waited longest, so that everybody's
turn comes within as many batches as there are requests, and is filled by those that have had the fewest pieces: the
first words of a short recording never wait for an hour-long one.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from softspoken.serve.problems import Problem, told_of
from softspoken.serve.work import Backend, Job, Piece, Spoken, Wanted

_SPEED_AT_FIRST = 5.0
"""Seconds of audio a second, until it is known better."""


@dataclass(frozen=True)
class Heard:
    """What one piece gave, and how far the recording is done."""

    spoken: list[Spoken]
    done_s: float


@dataclass(frozen=True)
class BatchRun:
    """A batch, for those who count."""

    pieces: int
    rows: int
    seconds: float
    audio_s: float


class Ticket:
    """A request's place in the queue. `next` gives what is heard; `cancel` it when nobody listens any more."""

    def __init__(self, wanted: Wanted, seconds: float) -> None:
        self.wanted, self.seconds = wanted, seconds
        self.job: Job | None = None
        self.held: Piece | None = None
        """Prepared, but not of a kind with the last batch."""
        self.pieces = 0
        self.counted_s = 0.0
        self.last_turn = time.monotonic()
        self.cancelled = False
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Heard | Exception | None] = asyncio.Queue()

    @property
    def left_s(self) -> float:
        return self.seconds if self.job is None else max(self.seconds - self.job.done_s, 0.0)

    def cancel(self) -> None:
        """Its place is given up before the next batch."""
        self.cancelled = True

    def deliver(self, item: Heard | Exception | None) -> None:
        """From the model's thread; None: that was all."""
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # the server has stopped meanwhile
            self.cancelled = True

    async def next(self, patience_s: float | None = None) -> Heard | None:
        """What the next piece gave; None after the last one. TimeoutError when nothing comes for so long."""
        async with asyncio.timeout(patience_s):
            item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def all(self) -> list[Spoken]:
        """Everything that is said."""
        spoken: list[Spoken] = []
        while (heard := await self.next()) is not None:
            spoken += heard.spoken
        return spoken


class Scheduler:
    """Runs tickets on a backend in a thread of its own."""

    def __init__(self, backend: Backend, rows: int, counted: Callable[[BatchRun], None] = lambda run: None) -> None:
        """`rows`: of a batch, at most (a single piece may have more); `counted`: told of every batch."""
        self._backend, self._rows, self._counted = backend, rows, counted
        self._tickets: list[Ticket] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._speed = _SPEED_AT_FIRST
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After the batch that runs; whoever still waits is told."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, wanted: Wanted, seconds: float) -> Ticket:
        """Queue a request for `seconds` of audio. Call from the event loop."""
        ticket = Ticket(wanted, seconds)
        with self._changed:
            if self._stopping:
                raise _stopping()
            self._tickets.append(ticket)
            self._changed.notify()
        return ticket

    @property
    def waiting(self) -> int:
        return len(self._tickets)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def wait_s(self) -> float:
        """How long what is queued will take, about."""
        with self._changed:
            return sum(ticket.left_s for ticket in self._tickets) / self._speed

    def _work(self) -> None:
        while True:
            with self._changed:
                self._tickets = [ticket for ticket in self._tickets if not ticket.cancelled]
                while not self._tickets and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    for ticket in self._tickets:
                        ticket.deliver(_stopping())
                    return
                order = fair(self._tickets)
            self._turn(order)
            # Else the last recording would be held until the next one comes.
            del order

    def _turn(self, order: Sequence[Ticket]) -> None:
        if batch := self._fill(order):
            self._run(batch)

    def _fill(self, order: Sequence[Ticket]) -> list[tuple[Ticket, Piece]]:
        """Pieces of one kind, in turn from every request, until the batch is full or nobody has more."""
        batch: list[tuple[Ticket, Piece]] = []
        rows, grows = 0, True
        while grows:
            grows = False
            for ticket in order:
                if ticket not in self._tickets or ticket.cancelled or rows >= self._rows:
                    continue
                piece = self._piece(ticket)
                if piece is None:
                    continue
                size = max(piece.rows, 1)
                if batch and (piece.key != batch[0][1].key or rows + size > self._rows):
                    ticket.held = piece
                    continue
                batch.append((ticket, piece))
                ticket.held, grows = None, True
                rows += size
        return batch

    def _piece(self, ticket: Ticket) -> Piece | None:
        if ticket.held is not None:
            return ticket.held
        try:
            if ticket.job is None:
                ticket.job = self._backend.start(ticket.wanted)
            piece = ticket.job.next_piece()
            if piece is None and ticket.job.finished:
                self._end(ticket, None)
        except Exception as error:
            self._end(ticket, error)
            return None
        return piece

    def _run(self, batch: Sequence[tuple[Ticket, Piece]]) -> None:
        began = time.monotonic()
        audio_s = 0.0
        answers = self._answers([piece for _, piece in batch])
        for (ticket, piece), answer in zip(batch, answers, strict=True):
            assert ticket.job is not None
            ticket.pieces += 1
            ticket.last_turn = began
            try:
                if isinstance(answer, Exception):
                    raise answer
                ticket.deliver(Heard(ticket.job.take(piece, answer), ticket.job.done_s))
                audio_s += ticket.job.done_s - ticket.counted_s
                ticket.counted_s = ticket.job.done_s
                if ticket.job.finished:
                    self._end(ticket, None)
            except Exception as error:
                self._end(ticket, error)
        seconds = time.monotonic() - began
        self._speed += 0.2 * (audio_s / max(seconds, 1e-3) - self._speed)
        self._counted(BatchRun(len(batch), sum(piece.rows for _, piece in batch), seconds, audio_s))

    def _answers(self, pieces: Sequence[Piece]) -> Sequence[object]:
        """A piece that breaks the batch breaks it for itself alone."""
        try:
            return self._backend.run(pieces)
        except Exception as error:
            if len(pieces) == 1:
                return [error]
            return [answer for piece in pieces for answer in self._answers([piece])]

    def _end(self, ticket: Ticket, error: Exception | None) -> None:
        with self._changed:
            if ticket not in self._tickets:
                return
            self._tickets.remove(ticket)
        ticket.deliver(None if error is None else told_of(error))


def fair(tickets: Sequence[Ticket]) -> list[Ticket]:
    """Whoever has waited longest, then those with the fewest pieces so far, first come first served."""
    if not tickets:
        return []
    longest = min(tickets, key=lambda ticket: ticket.last_turn)
    return [longest, *sorted((t for t in tickets if t is not longest), key=lambda ticket: ticket.pieces)]


def _stopping() -> Problem:
    return Problem(503, "the server is stopping; try again in a moment", headers={"Retry-After": "10"})
