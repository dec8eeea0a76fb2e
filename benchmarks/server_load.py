"""Load on a server of one's own, on 127.0.0.1 alone: throughput, latencies, refusals, memory.

    python benchmarks/server_load.py --rows 8 1 --seconds 60 --clients 16 --kind plain voices

Starts `softspoken serve` for each `--rows` (1: requests one by one) and `--peer` beside it (faster-whisper behind
FastAPI, one request at a time), sends clips of the package's own recordings joined to 3 to 60 s, and prints a line of
JSON for each. Clients send the next request as soon as they have the answer to the last one.
"""

import argparse
import io
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

from softspoken.demo.recordings import DemoRecordings, load_recordings, read_clip

RATE_HZ = 16_000
LENGTHS_S = (3, 5, 8, 12, 20, 30, 60)
VOICES = 4


def clips(recordings: DemoRecordings, seed: int = 0) -> list[tuple[float, bytes]]:
    """Clips of 3 to 60 s as flac, made of the package's mixtures and voices."""
    chance = random.Random(seed)
    sources = [read_clip(one.file) for one in recordings.mixtures] + [read_clip(v.enrolment) for v in recordings.voices]
    made = []
    for seconds in LENGTHS_S:
        parts: list[np.ndarray] = []
        while sum(part.size for part in parts) < seconds * RATE_HZ:
            parts.append(chance.choice(sources))
        file = io.BytesIO()
        soundfile.write(file, np.concatenate(parts)[: seconds * RATE_HZ], RATE_HZ, format="FLAC")
        made.append((float(seconds), file.getvalue()))
    return made


def form(content: bytes, fields: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    mark = "----load"
    parts = [
        f'--{mark}\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    head = f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="clip.flac"\r\n\r\n'.encode()
    body = b"".join([*parts, head, content, f"\r\n--{mark}--\r\n".encode()])
    return body, {"content-type": f"multipart/form-data; boundary={mark}"}


@contextmanager
def running(command: list[str]) -> Any:
    """A server as a process of its own; its port and its number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1)
                break
            except OSError:
                time.sleep(0.2)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def memory_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1000 for line in text.splitlines() if line.startswith("VmRSS"))


class Load:
    """What the clients saw."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.first: list[float] = []
        self.audio_s = 0.0
        self.statuses: Counter[int] = Counter()
        self.lock = threading.Lock()


def client(
    port: int, seed: int, until: float, kind: str, sent: list[tuple[float, bytes]], names: list[str], load: Load
) -> None:
    chance = random.Random(seed)
    while time.monotonic() < until:
        length_s, content = chance.choice(sent)
        fields = {"model": "whisper-1", "stream": "true" if kind == "stream" else "false"}
        if kind == "voices":
            fields["speakers[]"] = chance.choice(names)
        began = time.monotonic()
        connection = HTTPConnection("127.0.0.1", port, timeout=600)
        status, first = 0, None
        try:
            connection.request("POST", "/v1/audio/transcriptions", *form(content, fields))
            answer = connection.getresponse()
            status = answer.status
            while line := answer.readline():
                if first is None and line.startswith(b"data: "):
                    first = time.monotonic() - began
        except (OSError, HTTPException):
            pass
        connection.close()
        with load.lock:
            load.statuses[status] += 1
            if status == 200:
                load.seconds.append(time.monotonic() - began)
                load.audio_s += length_s
                if first is not None:
                    load.first.append(first)
        if status == 429:
            time.sleep(0.5)


def measured(port: int, pid: int, kind: str, clients: int, seconds: float) -> dict[str, Any]:
    recordings = load_recordings()
    names = [voice.name for voice in recordings.voices[:VOICES]]
    if kind == "voices":
        for voice in recordings.voices[:VOICES]:
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            fields = {"name": voice.name, "replace": "true"}
            connection.request("POST", "/v1/voices", *form(voice.enrolment.read_bytes(), fields))
            assert connection.getresponse().status == 201
    sent, load = clips(recordings), Load()
    warm = Load()
    client(port, 99, time.monotonic() + 3, kind, sent, names, warm)
    before, began = memory_mb(pid), time.monotonic()
    until = began + seconds
    threads = [
        threading.Thread(target=client, args=(port, seed, until, kind, sent, names, load)) for seed in range(clients)
    ]
    for thread in threads:
        thread.start()
    tenths, heard = [], 0.0
    for tenth in range(1, 11):
        time.sleep(max(0.0, began + tenth * seconds / 10 - time.monotonic()))
        tenths.append((round((load.audio_s - heard) / (seconds / 10), 1), round(memory_mb(pid))))
        heard = load.audio_s
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    return {
        "kind": kind,
        "clients": clients,
        "seconds": round(took, 1),
        "requests": len(load.seconds),
        "audio_s_per_s": round(load.audio_s / took, 2),
        "p50_s, p95_s, p99_s": [round(float(np.percentile(load.seconds or [0], q)), 2) for q in (50, 95, 99)],
        "first_p50_s, p95_s": [round(float(np.percentile(load.first or [0], q)), 2) for q in (50, 95)],
        "statuses": dict(load.statuses),
        "memory_mb": [round(before), round(memory_mb(pid))],
        "tenths: audio_s_per_s, memory_mb": tenths,
    }


def peer(port: int, precision: str) -> None:
    """faster-whisper behind FastAPI, as most such servers are: one model, one request at a time."""
    import uvicorn
    from fastapi import FastAPI, File, Form, UploadFile
    from faster_whisper import WhisperModel

    from softspoken_lab.bench.weights import Weights

    with TemporaryDirectory() as folder:
        model = WhisperModel(str(Weights("tiny.en", Path(folder)).path("ctranslate2")), compute_type=precision)
    lock, app = threading.Lock(), FastAPI()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/audio/transcriptions")
    def transcribe(file: UploadFile = File(), model_name: str = Form("", alias="model")) -> dict[str, str]:
        with lock:
            segments, _ = model.transcribe(file.file, language="en", beam_size=1, condition_on_previous_text=False)
            return {"text": "".join(segment.text for segment in segments)}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[8, 1])
    parser.add_argument("--kind", nargs="*", default=["plain", "voices"], choices=["plain", "voices", "stream"])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--precision", default=None)
    parser.add_argument("--peer", action="store_true", help="measure faster-whisper behind FastAPI, too")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.port is not None:
        peer(given.port, given.precision or "float32")
        return
    precise = [] if given.precision is None else ["--precision", given.precision]
    with TemporaryDirectory() as data:
        serve = [sys.executable, "-m", "softspoken.cli.main", "serve", "--data", data, *precise]
        for kind in given.kind:
            for rows in given.rows:
                with running([*serve, "--rows", str(rows)]) as (port, pid):
                    print(
                        json.dumps({"rows": rows, **measured(port, pid, kind, given.clients, given.seconds)}),
                        flush=True,
                    )
            if given.peer and kind == "plain":
                with running([sys.executable, os.path.abspath(__file__), *precise]) as (port, pid):
                    found = measured(port, pid, kind, given.clients, given.seconds)
                    print(json.dumps({"peer": "faster-whisper", **found}), flush=True)


if __name__ == "__main__":
    main()
