"""The queue: one batch for many requests, fair between long and short, faults kept apart."""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
from fake_backend import FakeBackend, FakeJob, FakePiece
from hypothesis import given, settings
from hypothesis import strategies as st
from served import ADA_HZ, BEN_HZ, until
from voices import PitchEmbedder, voice

from softspoken.errors import BackboneError, ConfigError
from softspoken.serve.problems import Problem
from softspoken.serve.scheduler import BatchRun, Scheduler, Ticket
from softspoken.serve.work import Job, Piece, Wanted
from softspoken.speakers import Enrolment


def sound(seconds: float) -> np.ndarray:
    return voice(seconds, ADA_HZ)


def person(name: str, pitch: float) -> Enrolment:
    return Enrolment(name, "pitch", PitchEmbedder().embed(voice(2.0, pitch)), 2.0, "", ())


def run(backend: FakeBackend, rows: int, scene: Callable[[Scheduler], Awaitable[None]]) -> list[BatchRun]:
    """Play a scene with a queue; the batches that were counted."""
    counted: list[BatchRun] = []

    async def play() -> None:
        scheduler = Scheduler(backend, rows, counted.append)
        scheduler.start()
        try:
            await scene(scheduler)
        finally:
            await asyncio.to_thread(scheduler.stop)

    asyncio.run(play())
    return counted


def sizes(backend: FakeBackend) -> list[int]:
    return [len(batch) for batch in backend.batches]


async def together(scheduler: Scheduler, backend: FakeBackend, *wanted: Wanted) -> list[Ticket]:
    """Submit all before the first batch ends."""
    assert backend.gate is not None
    tickets = [scheduler.submit(one, one.audio.size / 16_000) for one in wanted]
    await asyncio.to_thread(until, lambda: len(backend.batches) > 0)
    backend.gate.set()
    return tickets


def texts(spoken: list[object]) -> list[str]:
    return [one.text for one in spoken]  # type: ignore[attr-defined]


def test_requests_share_batches_and_keep_their_words() -> None:
    backend = FakeBackend(gate=threading.Event())

    async def scene(scheduler: Scheduler) -> None:
        tickets = await together(scheduler, backend, *[Wanted(sound(n)) for n in (3, 3, 3, 3)])
        for ticket in tickets:
            assert texts(await ticket.all()) == ["word0", "word1", "word2"]

    counted = run(backend, 4, scene)
    assert sum(sizes(backend)) == 12
    assert max(sizes(backend)) == 4
    assert sum(one.audio_s for one in counted) == pytest.approx(12.0)


def test_a_long_one_alone_fills_its_batches() -> None:
    backend = FakeBackend()

    async def scene(scheduler: Scheduler) -> None:
        await scheduler.submit(Wanted(sound(8.0)), 8.0).all()

    run(backend, 4, scene)
    assert sizes(backend) == [4, 4]


def test_a_short_one_does_not_wait_behind_an_hour() -> None:
    backend = FakeBackend(gate=threading.Event())
    pieces_before: list[int] = []

    async def scene(scheduler: Scheduler) -> None:
        long = scheduler.submit(Wanted(sound(120.0)), 120.0)
        await asyncio.to_thread(until, lambda: len(backend.batches) == 1)
        short = scheduler.submit(Wanted(sound(2.0)), 2.0)
        assert backend.gate is not None
        backend.gate.set()
        assert len(await short.all()) == 2
        pieces_before.append(sum(sizes(backend)))
        assert len(await long.all()) == 120

    run(backend, 4, scene)
    assert pieces_before[0] <= 16


def test_a_long_one_goes_on() -> None:
    """However many short ones there are, its turn comes within as many batches as there are requests."""
    backend = FakeBackend(gate=threading.Event(), batch_s=0.005)

    async def scene(scheduler: Scheduler) -> None:
        long = Wanted(sound(10.0), language="en")
        tickets = await together(scheduler, backend, long, *[Wanted(sound(2.0)) for _ in range(40)])
        for ticket in tickets:
            await ticket.all()
        inside = [any(piece.job.wanted is long for piece in batch) for batch in backend.batches]
        rounds = [index for index, found in enumerate(inside) if found]
        assert max(np.diff(rounds)) <= 41

    run(backend, 2, scene)


def test_pieces_of_other_kinds_are_batches_of_their_own_and_come_in_turn() -> None:
    backend = FakeBackend(gate=threading.Event())
    followed = Wanted(sound(4.0), voices=(person("ada", ADA_HZ), person("ben", BEN_HZ)))

    async def scene(scheduler: Scheduler) -> None:
        tickets = await together(scheduler, backend, Wanted(sound(4.0)), followed, Wanted(sound(4.0)))
        found = [texts(await ticket.all()) for ticket in tickets]
        assert found == [[f"word{i}" for i in range(4)]] * 3

    run(backend, 4, scene)
    assert all(sum(piece.rows for piece in batch) <= 4 for batch in backend.batches)


def test_who_breaks_a_batch_breaks_it_for_himself() -> None:
    backend = FakeBackend(gate=threading.Event())

    async def scene(scheduler: Scheduler) -> None:
        good, bad = await together(scheduler, backend, Wanted(sound(3.0)), Wanted(sound(3.0), language="de"))
        assert len(await good.all()) == 3
        with pytest.raises(Problem, match="its log says what"):
            await bad.all()

    run(backend, 4, scene)


def test_a_job_that_cannot_begin_says_why() -> None:
    class Picky(FakeBackend):
        def start(self, wanted: Wanted) -> Job:
            raise ConfigError("not like that; try otherwise")

    async def scene(scheduler: Scheduler) -> None:
        with pytest.raises(Problem, match="try otherwise") as told:
            await scheduler.submit(Wanted(sound(1.0)), 1.0).all()
        assert told.value.status == 400

    run(Picky(), 4, scene)


def test_stopping_tells_those_who_wait() -> None:
    backend = FakeBackend(batch_s=0.05)

    async def scene(scheduler: Scheduler) -> None:
        ticket = scheduler.submit(Wanted(sound(100.0)), 100.0)
        await ticket.next()
        await asyncio.to_thread(scheduler.stop)
        with pytest.raises(Problem, match="stopping"):
            await ticket.all()
        with pytest.raises(Problem, match="stopping"):
            scheduler.submit(Wanted(sound(1.0)), 1.0)
        assert not scheduler.alive

    run(backend, 2, scene)


class Late(FakeJob):
    """Its next piece waits for the answer to the last, as plain Whisper's windows do."""

    _out = False

    def next_piece(self) -> FakePiece | None:
        if self._out:
            return None
        piece = super().next_piece()
        self._out = piece is not None
        return None if piece is None else replace(piece, job=self)

    def take(self, piece: Piece, answer: object) -> list:  # type: ignore[type-arg]
        self._out = False
        return super().take(piece, answer)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    rows=st.integers(1, 6),
    kinds=st.lists(st.booleans(), min_size=8, max_size=8),
    late=st.booleans(),
)
def test_everybody_gets_all_words_in_order(lengths: list[int], rows: int, kinds: list[bool], late: bool) -> None:
    class Mixed(FakeBackend):
        def start(self, wanted: Wanted) -> Job:
            return Late(wanted) if late and wanted.voices is None else FakeJob(wanted)

    ada = (person("ada", ADA_HZ),)

    async def scene(scheduler: Scheduler) -> None:
        wanted = [Wanted(sound(float(n)), ada if kind else None) for n, kind in zip(lengths, kinds, strict=False)]
        tickets = [scheduler.submit(one, 1.0) for one in wanted]
        for length, ticket in zip(lengths, tickets, strict=True):
            assert texts(await ticket.all()) == [f"word{i}" for i in range(length)]
        assert scheduler.waiting == 0

    run(Mixed(), rows, scene)


def test_a_model_that_cannot_be_used_is_the_servers_fault() -> None:
    class Broken(FakeBackend):
        def start(self, wanted: Wanted) -> Job:
            raise BackboneError("cannot write the cache /a/secret/path")

    async def scene(scheduler: Scheduler) -> None:
        with pytest.raises(Problem) as told:
            await scheduler.submit(Wanted(sound(1.0)), 1.0).all()
        assert told.value.status == 500
        assert "secret" not in told.value.message

    run(Broken(), 4, scene)


def test_no_recording_is_held_after_its_request() -> None:
    backend = FakeBackend()

    async def scene(scheduler: Scheduler) -> None:
        audio = sound(1.0)
        gone = weakref.ref(audio)
        await scheduler.submit(Wanted(audio), 1.0).all()
        del audio
        # Its own notes.
        backend.batches.clear()
        await asyncio.to_thread(until, lambda: gone() is None, 5.0)

    run(backend, 4, scene)
