"""The simulated queue does what queues are known to do, and what the real scheduler does."""

import numpy as np
import pytest

from softspoken_lab.bench.replicas import ServiceTimes, simulate

ALONE = ServiceTimes(each_s=0.0, second_s=0.1, rows=1)


def test_service_times_are_found_again() -> None:
    true = ServiceTimes(0.2, 0.05)
    seen = [(s, sum(true.batch_s(piece) for piece in true.pieces(s))) for s in (3.0, 8.0, 20.0, 30.0, 60.0, 75.0)]
    found = ServiceTimes.fitted(seen)
    assert (found.each_s, found.second_s) == pytest.approx((0.2, 0.05))
    assert true.pieces(75.0) == [30.0, 30.0, 15.0]


def test_a_queue_waits_as_the_formula_says() -> None:
    # Pollaczek and Khinchine: with constant service S and load r, the mean wait is S r / (2 (1 - r)).
    service, load = 1.0, 0.5
    waited = simulate(ALONE, 1, [10.0], 6_000.0, requests_per_s=load / service)
    assert waited.seconds.mean() == pytest.approx(service + service * load / (2 * (1 - load)), rel=0.05)
    assert waited.busy == pytest.approx(load, rel=0.03)


def test_clients_keep_a_server_busy() -> None:
    waited = simulate(ALONE, 1, [10.0], 200.0, clients=4)
    assert waited.audio_s_per_s == pytest.approx(10.0, rel=0.02)
    # Each waits for the three others and itself.
    assert waited.percentile_s(50.0) == pytest.approx(4.0)


def test_batches_carry_more_and_short_ones_do_not_wait_for_long_ones() -> None:
    slow = ServiceTimes(each_s=1.0, second_s=0.01, rows=8)
    alone = ServiceTimes(each_s=1.0, second_s=0.01, rows=1)
    together, one = (simulate(times, 1, [10.0], 200.0, clients=16).audio_s_per_s for times in (slow, alone))
    assert together > 4 * one
    mixed = simulate(alone, 1, [10.0, 900.0], 4_000.0, clients=2, seed=1)
    # At most a turn each: no ten seconds wait for thirty pieces.
    assert np.percentile(mixed.seconds, 10) < 4


def test_replicas_scale_and_the_answer_is_the_same_each_time() -> None:
    rates = [simulate(ALONE, count, [10.0], 60.0, clients=4 * count).audio_s_per_s for count in (1, 10, 100)]
    assert rates == pytest.approx([10.0, 100.0, 1000.0], rel=0.05)
    again = [simulate(ALONE, 3, [5.0, 20.0], 50.0, seed=3, requests_per_s=2.0, noise=0.2).seconds for _ in range(2)]
    assert np.array_equal(*again)
