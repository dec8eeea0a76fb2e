"""Change every byte of the files of a stored prompt in turn; each change must be refused, with what was changed.

    python tools/tamper.py [FOLDER...] [--tensor-bytes 2000] [--json FILE]

Without folders: the prompts that come with the package. All bytes of configuration, card, integrity file and the header
of the tensors are changed, and so many of the tensors themselves, drawn at random.
"""

import argparse
import json
import random
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from softspoken.errors import PromptDamaged
from softspoken.prompts.checkpoint import SHIPPED, shipped_prompts
from softspoken.prompts.folder import PROMPT_FILES, TENSOR_FILE
from softspoken.prompts.integrity import verified


def positions(content: bytes, tensors: bool, sampled: int, seed: int) -> list[int]:
    """Which bytes of a file are changed."""
    if not tensors:
        return list(range(len(content)))
    header = 8 + struct.unpack("<Q", content[:8])[0]
    drawn = random.Random(seed).sample(range(header, len(content)), min(sampled, len(content) - header))
    return [*range(header), *sorted(drawn)]


def tampered(folder: Path, sampled: int, seed: int = 0, stride: int = 1) -> Iterator[tuple[str, int, str | None]]:
    """File, position, and what was said of it; None: it was taken. `stride`: only each so many of the positions.

    Each byte becomes another one, drawn at random.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as parent:
        names = [name for name in PROMPT_FILES if (folder / name).is_file()]
        for name in names:
            (Path(parent) / name).write_bytes((folder / name).read_bytes())
        for name in names:
            content = bytearray((folder / name).read_bytes())
            for position in positions(bytes(content), name == TENSOR_FILE, sampled, seed)[::stride]:
                before = content[position]
                content[position] = before ^ draw.randrange(1, 256)
                (Path(parent) / name).write_bytes(content)
                content[position] = before
                try:
                    verified(Path(parent))
                except PromptDamaged as error:
                    yield name, position, str(error).removeprefix(f"'{parent}'")
                else:
                    yield name, position, None
            (Path(parent) / name).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--tensor-bytes", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    folders = asked.folders or [SHIPPED / name for name in shipped_prompts()]
    report = {}
    for folder in folders:
        tried, named, taken = Counter[str](), Counter[str](), []
        for name, position, said in tampered(folder, asked.tensor_bytes):
            tried[name] += 1
            if said is None:
                taken.append([name, position])
            else:
                named[name] += name in said
        report[folder.name] = {"tried": dict(tried), "refused with the file's name": dict(named), "taken": taken}
        print(f"{folder}: {sum(tried.values())} bytes changed, {len(taken)} taken; {report[folder.name]}")
    if asked.json is not None:
        asked.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
