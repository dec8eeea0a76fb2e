"""Kill a server (SIGKILL) again and again while it enrols and transcribes: what it has answered with 201 must be there.

    python tools/kill_server.py --rounds 10

Starts `softspoken serve` on one folder of voices, lets four clients enrol and four transcribe, kills the process at a
random moment, and starts the next one. Then all voices that were confirmed must be listed, none may be there that
nobody sent, the file must pass SQLite's own check, and the voices must be followed. Exit code 1 if anything is
otherwise.
"""

import argparse
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from softspoken.demo.recordings import load_recordings

MARK = "----kill"


def form(fields: dict[str, str], content: bytes) -> bytes:
    parts = [
        f'--{MARK}\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    head = f'--{MARK}\r\ncontent-disposition: form-data; name="file"; filename="clip.flac"\r\n\r\n'.encode()
    return b"".join([*parts, head, content, f"\r\n--{MARK}--\r\n".encode()])


def post(port: int, route: str, fields: dict[str, str], content: bytes) -> tuple[int, bytes]:
    """Status and body; status 0 where the connection broke."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        headers = {"content-type": f"multipart/form-data; boundary={MARK}"}
        connection.request("POST", route, form(fields, content), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def started(data: str) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "softspoken.cli.main", "serve", "--data", data, "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1)
            break
        except OSError:
            time.sleep(0.2)
    return process, port


def one_round(data: str, number: int, clip: bytes, talk: bytes, chance: random.Random) -> tuple[set[str], set[str]]:
    """The voices that were sent, and those that the server has confirmed before it was killed."""
    process, port = started(data)
    sent, confirmed, over = set[str](), set[str](), threading.Event()

    def enrol(client: int) -> None:
        for count in range(10_000):
            if over.is_set():
                return
            name = f"{number}-{client}-{count}"
            sent.add(name)
            if post(port, "/v1/voices", {"name": name}, clip)[0] == 201:
                confirmed.add(name)

    def transcribe() -> None:
        while not over.is_set():
            post(port, "/v1/audio/transcriptions", {"model": "whisper-1"}, talk)

    threads = [threading.Thread(target=enrol, args=(client,)) for client in range(4)]
    threads += [threading.Thread(target=transcribe) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(1.0, 6.0))
    process.send_signal(signal.SIGKILL)
    over.set()
    process.wait()
    for thread in threads:
        thread.join()
    return sent, confirmed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    recordings, chance, faults = load_recordings(), random.Random(0), list[str]()
    clip, talk = recordings.voices[0].enrolment.read_bytes(), recordings.mixtures[0].file.read_bytes()
    sent, confirmed = set[str](), set[str]()
    with TemporaryDirectory() as data:
        for number in range(rounds):
            more, kept = one_round(data, number, clip, talk, chance)
            sent, confirmed = sent | more, confirmed | kept
        process, port = started(data)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/voices") as answer:
            there = {voice["name"] for voice in json.load(answer)["data"]}
        faults += [f"'{name}' was confirmed and is gone" for name in confirmed - there]
        faults += [f"'{name}' was never sent" for name in there - sent]
        for name in sorted(there)[:: max(1, len(there) // 5)]:
            fields = {"model": "whisper-1", "speakers[]": name}
            if (status := post(port, "/v1/audio/transcriptions", fields, talk)[0]) != 200:
                faults.append(f"'{name}' cannot be followed: {status}")
        process.terminate()
        process.wait()
        for file in Path(data).rglob("*.db"):
            with sqlite3.connect(file) as database:
                if (found := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                    faults.append(f"{file.name}: {found}")
    print(json.dumps({"kills": rounds, "sent": len(sent), "confirmed": len(confirmed), "there": len(there)}))
    print(*faults, sep=os.linesep)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
