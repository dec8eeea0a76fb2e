"""A simulation of servers behind a proxy: how long requests wait with so many replicas and so many requests.

A replica is `softspoken.serve.scheduler` without its model: one batch at a time, begun with a piece of the request
that has waited longest and filled by those that had the fewest pieces. How long a batch takes is measured.
"""

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ServiceTimes:
    """What a batch takes: `each_s` for itself, and `second_s` for every second of audio in it."""

    each_s: float
    second_s: float
    piece_s: float = 30.0
    """Longest piece of a recording."""
    rows: int = 8
    """Pieces of a batch, at most."""

    def batch_s(self, audio_s: float) -> float:
        """Time of a batch with so much audio in it."""
        return self.each_s + self.second_s * audio_s

    def pieces(self, seconds: float) -> list[float]:
        """A recording's pieces, in seconds; all but the last one are whole."""
        count = math.ceil(seconds / self.piece_s)
        return [self.piece_s] * (count - 1) + [seconds - self.piece_s * (count - 1)]

    @classmethod
    def fitted(cls, alone: Sequence[tuple[float, float]], piece_s: float = 30.0, rows: int = 8) -> "ServiceTimes":
        """By least squares from (seconds of audio, seconds until the answer) of requests that were alone."""
        counts = np.array([math.ceil(audio / piece_s) for audio, _ in alone], float)
        audio, took = np.array(alone, float).T
        # Relative errors count, so that a long recording weighs no more than a short one.
        terms = np.stack([counts, audio], axis=1) / took[:, None]
        each, second = np.linalg.lstsq(terms, np.ones(len(alone)), rcond=None)[0]
        return cls(max(float(each), 0.0), max(float(second), 0.0), piece_s, rows)


@dataclass
class _Request:
    audio_s: float
    came: float
    client: int | None
    left: list[float]
    pieces: int = 0
    last_turn: float = field(init=False)

    def __post_init__(self) -> None:
        self.last_turn = self.came


@dataclass
class _Replica:
    requests: list[_Request] = field(default_factory=list)
    busy: bool = False

    def fill(self, rows: int) -> list[tuple[_Request, float]]:
        """A batch: in turn from every request, until it is full or nobody has more."""
        longest = min(self.requests, key=lambda request: request.last_turn)
        others = sorted((r for r in self.requests if r is not longest), key=lambda request: request.pieces)
        batch: list[tuple[_Request, float]] = []
        while len(batch) < rows and any(request.left for request in self.requests):
            for request in [longest, *others]:
                if request.left and len(batch) < rows:
                    batch.append((request, request.left.pop(0)))
        return batch


@dataclass(frozen=True)
class Waited:
    """What the clients saw."""

    seconds: np.ndarray
    """(requests,) from sending to the whole answer."""
    audio_s_per_s: float
    busy: float
    """Share of the time that replicas ran a batch."""

    def percentile_s(self, percent: float) -> float:
        """So many percent of the answers came within these seconds."""
        return float(np.percentile(self.seconds, percent))


def simulate(
    times: ServiceTimes,
    replicas: int,
    lengths_s: Sequence[float],
    seconds: float,
    seed: int = 0,
    clients: int | None = None,
    requests_per_s: float | None = None,
    noise: float = 0.0,
) -> Waited:
    """So many seconds behind a round robin, after which what has come is still answered.

    Either `clients` who send the next request as soon as they have the answer to the last one, or `requests_per_s` that
    come independently of each other. `lengths_s`: of recordings, drawn evenly. `noise`: deviation of the logarithm of a
    batch's time.
    """
    assert (clients is None) != (requests_per_s is None)
    rng, order, turn = np.random.default_rng(seed), itertools.count(), itertools.count()
    servers = [_Replica() for _ in range(replicas)]
    events: list[tuple[float, int, int, list[tuple[_Request, float]] | int | None]] = []
    waited: list[float] = []
    audio_s = busy_s = end = 0.0

    def push(when: float, replica: int, what: list[tuple[_Request, float]] | int | None) -> None:
        heapq.heappush(events, (when, next(order), replica, what))

    def begin(now: float, number: int) -> float:
        batch = servers[number].fill(times.rows)
        took = times.batch_s(sum(piece for _, piece in batch)) * math.exp(noise * rng.standard_normal() - noise**2 / 2)
        for request, _ in batch:
            request.last_turn = now
            request.pieces += 1
        servers[number].busy = True
        push(now + took, number, batch)
        return took

    for when, client in _arrivals(rng, seconds, clients, requests_per_s):
        push(when, -1, client)
    while events:
        now, _, number, what = heapq.heappop(events)
        if not isinstance(what, list):
            number, length = next(turn) % replicas, float(rng.choice(lengths_s))
            servers[number].requests.append(_Request(length, now, what, times.pieces(length)))
        else:
            servers[number].busy, end = False, now
            for request in {id(request): request for request, _ in what}.values():
                if not request.left:
                    servers[number].requests.remove(request)
                    waited.append(now - request.came)
                    audio_s += request.audio_s
                    if request.client is not None and now < seconds:
                        push(now, -1, request.client)
        if servers[number].requests and not servers[number].busy:
            busy_s += begin(now, number)
    end = max(end, seconds)
    return Waited(np.array(waited), audio_s / end, busy_s / end / replicas)


def _arrivals(
    rng: np.random.Generator, seconds: float, clients: int | None, requests_per_s: float | None
) -> Iterator[tuple[float, int | None]]:
    if clients is not None:
        yield from ((0.0, client) for client in range(clients))
        return
    assert requests_per_s is not None
    now = 0.0
    while (now := now + rng.exponential(1 / requests_per_s)) < seconds:
        yield now, None
