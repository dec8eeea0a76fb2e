"""Is a voice gone from the disk when it is removed? A store on a small disk, whose every byte is read. Linux, root.

    python tools/forgotten.py [--voices 40]

Voices with random vectors, clips and names are enrolled, removed, encrypted and removed again; after each step the disk
(ext4) is taken out and searched for what may no longer be on it. Exit code 1 where something is found.
"""

import argparse
import base64
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from softspoken.speakers import Enrolment, EnrolmentStore
from softspoken.speakers.enrolment import pack

MEGABYTES = 64


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """The disk, put in; everything is on it when it is taken out."""
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def voice(number: int) -> Enrolment:
    """One that no other resembles in any byte."""
    rng = np.random.default_rng(number)
    vector = rng.standard_normal(192).astype(np.float32)
    clip = (0.1 * rng.standard_normal(32_000)).astype(np.float32)
    name = f"person {base64.b32encode(rng.bytes(10)).decode()}"
    source = f"/recordings/{base64.b32encode(rng.bytes(10)).decode()}.wav"
    vector /= np.linalg.norm(vector)
    return Enrolment(name, "campplus", vector, 2.0, "2026-01-01T00:00:00+00:00", (source,), (), clip)


def traces(one: Enrolment, disk: bytes) -> list[str]:
    """What of a voice is on the disk."""
    clip = b"" if one.clip is None else pack(one.clip)
    wanted = {"name": one.name.encode(), "source": one.sources[0].encode(), "vector": one.vector.tobytes()[100:160]}
    wanted |= {f"clip at {at}": clip[at : at + 64] for at in range(200, len(clip) - 64, 4_000)}
    return [what for what, content in wanted.items() if content in disk]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=int, default=40)
    count = parser.parse_args().voices
    voices = [voice(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as parent:
        image, place, key = Path(parent) / "disk", Path(parent) / "place", Path(parent) / "key"
        place.mkdir()
        image.write_bytes(bytes(MEGABYTES << 20))
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        left = 0

        def search(step: str, gone: list[Enrolment], there: list[Enrolment]) -> int:
            disk = image.read_bytes()
            found = [what for one in gone for what in traces(one, disk)]
            held = sum(len(traces(one, disk)) for one in there)
            print(f"{step}: {len(found)} traces of {len(gone)} voices that are gone, {held} of {len(there)} others")
            return len(found)

        store = EnrolmentStore(place / "voices.db")
        with mounted(image, place):
            store.add(voices)
        if not traces(voices[0], image.read_bytes()):
            print("the search finds nothing where everything is: it cannot fail")
            return 1
        search("enrolled", [], voices)
        half, quarter = voices[: count // 2], voices[count // 2 : count // 2 + count // 4]
        rest = voices[count // 2 + count // 4 :]
        with mounted(image, place):
            for one in half:
                store.delete(one.name)
        left += search("removed", half, quarter + rest)
        with mounted(image, place):
            store.encrypt(key)
        left += search("encrypted", quarter + rest, [])
        with mounted(image, place):
            assert {one.name for one in store.list()} == {one.name for one in quarter + rest}
            for one in quarter:
                store.delete(one.name)
            store.delete_all()
        left += search("all removed", voices, [])
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
