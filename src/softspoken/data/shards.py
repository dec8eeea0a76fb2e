"""Speech in lhotse's Shar format: tar files read from front to back, on a disk or in any store that fsspec opens.

A folder holds `cuts.000000.jsonl.gz` (what is said, and by whom), `recording.000000.tar` (the sounds in the same
order), and so on; `lhotse.CutSet.from_shar` reads it too. lhotse's own writer would encode every sound once more.
"""

import gzip
import io
import json
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import fsspec
import numpy as np
import soundfile

from softspoken.audio import SAMPLE_RATE_HZ, promised_duration_s
from softspoken.data.corpus import Corpus, Piece
from softspoken.errors import DataError

ShardFormat = Literal["flac", "opus"]
_SUBTYPES = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}
_CUTS, _SOUNDS = "cuts.{:06d}.jsonl.gz", "recording.{:06d}.tar"


@dataclass(frozen=True)
class Shard:
    """Some pieces of some talkers, in memory."""

    pieces: list[Piece]
    sounds: dict[str, bytes]
    """Files of audio, by the pieces' ids."""


def write_shards(
    corpus: Corpus,
    texts: Mapping[str, str],
    folder: str,
    size: int = 512,
    together: int = 8,
    seed: int = 0,
    form: ShardFormat = "flac",
) -> list[str]:
    """Write the pieces of a corpus to a folder or URL, and return the names of the shards.

    A talker's pieces lie together, up to `together` of them, so that one can enrol and another be the target; else the
    order is drawn. A shard has `size` pieces or a few more. `texts`: a piece's `original_id` to what a target says in
    it. Shards that are there already are kept: an interrupted packing goes on. Raises DataError when the store cannot
    be written.
    """
    pieces = [piece for piece in corpus.pieces if piece.speed == 1.0]
    groups, names = list(_shards_of(_by_talker(pieces, together, seed), size)), []
    with _store(folder) as (files, root):
        files.makedirs(root, exist_ok=True)
        for number, group in enumerate(groups):
            names.append(f"{root}/{_CUTS.format(number)}")
            if files.exists(names[-1]):
                continue
            # The cuts come last: where they are, the shard is whole.
            cuts = _write_sounds(files, f"{root}/{_SOUNDS.format(number)}", group, corpus, form)
            for piece, cut in zip(group, cuts, strict=True):
                cut["supervisions"][0]["text"] = texts.get(piece.original_id, "")
            packed = "".join(json.dumps(cut, ensure_ascii=False) + "\n" for cut in cuts).encode()
            files.pipe_file(names[-1], gzip.compress(packed, mtime=0))
    return names


def _by_talker(pieces: Sequence[Piece], together: int, seed: int) -> list[list[Piece]]:
    """Groups of one talker's pieces each, in a drawn order."""
    grouped: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        grouped[piece.speaker].append(piece)
    rng, groups = np.random.default_rng(seed), []
    for name in sorted(grouped):
        own = [grouped[name][place] for place in rng.permutation(len(grouped[name]))]
        # Evenly, so that nobody's last piece is alone.
        groups += [list(part) for part in np.array_split(np.array(own, object), -(-len(own) // together))]
    return [groups[place] for place in rng.permutation(len(groups))]


def _shards_of(groups: Sequence[list[Piece]], size: int) -> Iterator[list[Piece]]:
    shard: list[Piece] = []
    for group in groups:
        shard += group
        if len(shard) >= size:
            yield shard
            shard = []
    if shard:
        yield shard


def _write_sounds(
    files: Any, path: str, pieces: list[Piece], corpus: Corpus, form: ShardFormat
) -> list[dict[str, Any]]:
    """Write the tar of a shard; the cuts that describe what is in it."""
    cuts = []
    with files.open(path, "wb") as store, tarfile.open(fileobj=store, mode="w|") as tar:
        for piece in pieces:
            audio = corpus.audio(piece)
            recording = {
                "id": piece.id,
                "sources": [{"type": "shar", "channels": [0], "source": ""}],
                "sampling_rate": SAMPLE_RATE_HZ,
                "num_samples": audio.size,
                "duration": audio.size / SAMPLE_RATE_HZ,
                "channel_ids": [0],
            }
            _add(tar, f"{piece.id}.{form}", _sound(piece, audio, form))
            _add(tar, f"{piece.id}.json", json.dumps(recording).encode())
            what = {"id": piece.id, "start": 0, "duration": recording["duration"], "channel": 0}
            said = {**what, "recording_id": piece.id, "speaker": piece.speaker}
            custom = {"from": piece.path}
            cuts.append({**what, "supervisions": [said], "recording": recording, "custom": custom, "type": "MonoCut"})
    return cuts


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _sound(piece: Piece, audio: np.ndarray, form: ShardFormat) -> bytes:
    """The recording as it is where the piece is all of it and its format the right one, so that nothing is lost."""
    if Path(piece.path).suffix == f".{form}" and piece.start_s == 0:
        whole_s = promised_duration_s(piece.path)
        if whole_s is not None and abs(whole_s - piece.duration_s) < 1 / SAMPLE_RATE_HZ:
            return Path(piece.path).read_bytes()
    file, (container, subtype) = io.BytesIO(), _SUBTYPES[form]
    soundfile.write(file, audio, SAMPLE_RATE_HZ, format=container, subtype=subtype)
    return file.getvalue()


def list_shards(folders: Sequence[str]) -> list[str]:
    """All shards of some folders or URLs (their `cuts` files, in order). Raises DataError where there are none."""
    found = []
    for folder in folders:
        with _store(folder) as (files, root):
            own = sorted(files.glob(f"{root}/cuts.*.jsonl.gz"))
            if not own:
                raise DataError(f"no shards in '{folder}'; write them with 'softspoken data shard'")
            found += [files.unstrip_protocol(path) for path in own]
    return found


def read_shard(cuts: str) -> Shard:
    """One shard, its sounds still encoded: both files are read once, from front to back.

    `cuts`: as `list_shards` names it. Raises DataError when it cannot be read or is no such shard.
    """
    pieces, sounds = [], {}
    with _store(cuts) as (files, path):
        rows = [json.loads(line) for line in gzip.decompress(files.cat_file(path)).decode().splitlines()]
        folder, _, name = path.rpartition("/")
        tar = f"{folder}/{name.replace('cuts.', 'recording.', 1).removesuffix('.jsonl.gz')}.tar"
        with files.open(tar, "rb") as store, tarfile.open(fileobj=store, mode="r|*") as members:
            for row, (member, content) in zip(rows, _sounds_of(members), strict=True):
                if Path(member).with_suffix("") != Path(row["id"]):
                    raise DataError(f"'{tar}' holds '{member}' where '{row['id']}' was expected; write it anew")
                if content is None:
                    continue
                piece = _piece(row)
                pieces.append(piece)
                sounds[piece.id] = content
    return Shard(pieces, sounds)


def _sounds_of(members: tarfile.TarFile) -> Iterator[tuple[str, bytes | None]]:
    """Name and content of every sound; no content where lhotse wrote that there is none."""
    for member in members:
        if member.name.endswith((".json", ".nometa")):
            continue
        file = members.extractfile(member)
        yield member.name, None if file is None or member.name.endswith(".nodata") else file.read()


def _piece(row: Mapping[str, Any]) -> Piece:
    said = row["supervisions"][0]
    source = (row.get("custom") or {}).get("from", row["id"])
    return Piece(row["id"], said["speaker"], source, 0.0, float(row["duration"]), said.get("text") or "")


@contextmanager
def _store(url: str) -> Iterator[tuple[Any, str]]:
    """The fsspec file system of a folder or URL, and the path in it; what goes wrong there becomes a DataError."""
    try:
        files, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise DataError(f"cannot open '{url}' ({error}); give a folder or a URL that fsspec knows") from error
    try:
        yield files, path.rstrip("/")
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, LookupError, TypeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"no whole shards at '{url}' ({said}); write them with 'softspoken data shard'") from error
