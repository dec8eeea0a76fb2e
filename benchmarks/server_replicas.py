"""The simulation of replicas (`softspoken_lab.bench.replicas`) against servers of one's own, in percent.

    python benchmarks/server_replicas.py --replicas 2 --clients 8 --seconds 60

Starts `softspoken serve` so many times, each on a core of its own, measures what requests take that are alone, sends
requests in turn to all of them, and simulates the same. With `--simulate EACH_S SECOND_S` it starts nothing, and prints
what 1 to 100 replicas would do.
"""

import argparse
import itertools
import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from tempfile import TemporaryDirectory

import numpy as np
from server_load import LENGTHS_S, clips, form, running

from softspoken.demo.recordings import load_recordings
from softspoken_lab.bench.replicas import ServiceTimes, Waited, simulate

TARGET_S = 4.0
"""Waiting that 95 % of the answers may take at most when replicas are counted."""


def ask(port: int, content: bytes) -> float:
    """Seconds until the whole answer."""
    began = time.monotonic()
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", "/v1/audio/transcriptions", *form(content, {"model": "whisper-1"}))
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200, answer.status
    return time.monotonic() - began


def alone(port: int, sent: list[tuple[float, bytes]], rounds: int) -> list[tuple[float, float]]:
    """(seconds of audio, seconds until the answer), the first round left out."""
    found = [(length, ask(port, content)) for _ in range(rounds + 1) for length, content in sent]
    return found[len(sent) :]


def loaded(ports: list[int], sent: list[tuple[float, bytes]], clients: int, seconds: float) -> Waited:
    """As many clients, whose requests go to the servers in turn."""
    turn, waited, lock = itertools.count(), [], threading.Lock()
    began = time.monotonic()

    def client(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() - began < seconds:
            length, content = chance.choice(sent)
            with lock:
                port = ports[next(turn) % len(ports)]
            took = ask(port, content)
            with lock:
                waited.append((length, took))

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    return Waited(np.array([each for _, each in waited]), sum(length for length, _ in waited) / took, float("nan"))


def figures(waited: Waited) -> dict[str, float]:
    return {
        "audio_s_per_s": round(waited.audio_s_per_s, 2),
        "p50_s": round(waited.percentile_s(50.0), 2),
        "p95_s": round(waited.percentile_s(95.0), 2),
        "requests": len(waited.seconds),
    }


def table(times: ServiceTimes) -> None:
    """What replicas carry: the most requests a second of which 95 % wait no longer than `TARGET_S`."""
    for replicas in (1, 2, 5, 10, 20, 50, 100):
        low, high = 0.0, replicas / times.batch_s(float(np.mean(LENGTHS_S))) * times.rows
        for _ in range(8):
            rate = (low + high) / 2
            waited = simulate(times, replicas, LENGTHS_S, max(60.0, 1200.0 / replicas), requests_per_s=rate)
            low, high = (rate, high) if waited.percentile_s(95.0) <= TARGET_S else (low, rate)
        waited = simulate(times, replicas, LENGTHS_S, max(60.0, 1200.0 / replicas), requests_per_s=low)
        print(json.dumps({"replicas": replicas, "requests_per_s": round(low, 2), "busy": round(waited.busy, 2)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--clients", type=int, nargs="*", default=[2, 8])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--longest", type=float, default=60.0, help="seconds of the longest clip")
    parser.add_argument("--rounds", type=int, default=3, help="of requests that are alone")
    parser.add_argument("--simulate", type=float, nargs=2, metavar=("EACH_S", "SECOND_S"))
    given = parser.parse_args()
    if given.simulate is not None:
        table(ServiceTimes(*given.simulate))
        return
    sent = [each for each in clips(load_recordings()) if each[0] <= given.longest]
    lengths = [length for length, _ in sent]
    with ExitStack() as stack:
        ports = []
        for core in range(given.replicas):
            data = stack.enter_context(TemporaryDirectory())
            command = [sys.executable, "-m", "softspoken.cli.main", "serve", "--data", data]
            ports.append(stack.enter_context(running(["taskset", "-c", str(core), *command]))[0])
        # All at the same time, so that what shares a machine's memory is in it.
        with ThreadPoolExecutor() as pool:
            seen = list(pool.map(lambda port: alone(port, sent, given.rounds), ports))
        times = ServiceTimes.fitted([one for each in seen for one in each])
        apart = [float(np.mean([took for _, took in each])) for each in seen]
        print(json.dumps({"each_s": times.each_s, "second_s": times.second_s, "mean_s by replica": apart}))
        for clients in given.clients:
            real = loaded(ports, sent, clients, given.seconds)
            made = simulate(times, given.replicas, lengths, max(given.seconds, 600.0), clients=clients)
            off = {
                name: round(100 * (figures(made)[name] / value - 1), 1)
                for name, value in figures(real).items()
                if name != "requests"
            }
            print(json.dumps({"clients": clients, "measured": figures(real), "simulated": figures(made), "off_%": off}))


if __name__ == "__main__":
    main()
