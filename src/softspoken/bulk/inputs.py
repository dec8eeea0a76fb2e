"""What is to be transcribed: the recordings of a folder, or the lines of a manifest, here or in an object store."""

import gzip
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from softspoken.audio import Channel
from softspoken.errors import DataError

_KINDS = "3gp aac aif aiff amr au avi caf flac m4a m4b mka mkv mov mp3 mp4 oga ogg opus wav webm wma"
SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())
"""Of files that are taken out of a folder."""
MANIFESTS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Item:
    """A recording, or a part of one."""

    id: str
    path: str
    """A file, or a URL that fsspec opens."""
    speakers: tuple[str, ...] = ()
    """Whose words, by names of enrolled voices or clips; none: whoever is wanted in all recordings."""
    start_s: float | None = None
    duration_s: float | None = None
    channel: Channel = "mix"

    def line(self) -> dict[str, Any]:
        """As a manifest has it."""
        return {key: value for key, value in asdict(self).items() if value not in (None, (), "mix")}


def items_of(source: str) -> list[Item]:
    """The recordings of a folder, by name, or the lines of a manifest (*.jsonl, *.jsonl.gz), in their order.

    `source`: a path, or a URL such as 's3://bucket/folder'. Raises DataError for a source that cannot be read or has
    nothing in it, for a line that says no recording, and for two lines of one name.
    """
    import fsspec

    try:
        files, place = fsspec.core.url_to_fs(source)
        if source.endswith(MANIFESTS):
            content = files.cat_file(place)
            items = _of_manifest(gzip.decompress(content) if source.endswith(".gz") else content, source)
        elif files.isdir(place):
            items = _of_folder(files.find(place), place, source)
        else:
            kind = "does not exist" if not files.exists(place) else "is neither a folder nor a manifest (*.jsonl)"
            raise DataError(f"'{source}' {kind}; give a folder of recordings, or a manifest with a 'path' in each line")
    except DataError:
        raise
    except Exception as error:  # each file system has errors of its own
        told = " ".join(str(error).split())[:200]
        raise DataError(
            f"'{source}' cannot be read ({type(error).__name__}: {told}); check the name and the rights"
        ) from None
    if not items:
        raise DataError(f"no recording in '{source}'; expected files such as *.wav, or a manifest with lines")
    return items


def _of_folder(found: list[str], place: str, source: str) -> list[Item]:
    head, chain, tail = source.partition("::")
    base = head if head.endswith("://") else (head if "://" in head else os.path.abspath(head)).rstrip("/") + "/"
    names = sorted(file[len(place) :].lstrip("/") for file in found)
    wanted = [name for name in names if Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")]
    return [Item(name, f"{base}{name}{chain}{tail}") for name in wanted]


def _of_manifest(content: bytes, source: str) -> list[Item]:
    items, first = [], dict[str, int]()
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = _item(json.loads(line), source)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"line {number} of '{source}' says no recording ({type(error).__name__}: {error}); expected JSON with "
                "'path' or 'audio', or a cut of lhotse"
            ) from None
        if item.id in first:
            both = f"lines {first[item.id]} and {number}"
            raise DataError(f"{both} of '{source}' are both called '{item.id}'; give each an 'id' of its own")
        first[item.id] = number
        items.append(item)
    return items


def _item(row: Any, source: str) -> Item:
    """A line with `path` or `audio`, or a cut or a recording of lhotse."""
    if not isinstance(row, dict):
        raise TypeError("no object")
    cut = row.get("recording")
    channel: Channel = "mix"
    if cut is not None or "sources" in row:
        sources = (row if cut is None else cut)["sources"]
        if len(sources) != 1 or sources[0]["type"] not in ("file", "url"):
            raise ValueError("expected one source, a file or a URL")
        written = path = str(sources[0]["source"])
        path = path if "://" in path else os.path.abspath(path)  # lhotse's paths are those of the current folder
        channel = _channel(row.get("channel"), sources[0]["channels"])
    else:
        written = str(row["path"] if "path" in row else row["audio"])
        path = _beside(written, source)
        channel = _known(row.get("channel", "mix"))
    voices = row.get("speakers", (row.get("custom") or {}).get("speakers")) or ()
    names = [voices] if isinstance(voices, str) else [str(voice) for voice in voices]
    is_part = cut is not None and "start" in row
    start_s, duration_s = (row.get(key if is_part else f"{key}_s") for key in ("start", "duration"))
    if cut is not None and start_s == 0 and duration_s is not None and abs(duration_s - cut["duration"]) < 1e-3:
        start_s = duration_s = None
    return Item(
        str(row.get("id", written)),
        path,
        tuple(_beside(name, source) if "/" in name else name for name in names),
        None if start_s is None else float(start_s),
        None if start_s is None or duration_s is None else float(duration_s),
        channel,
    )


def _beside(path: str, source: str) -> str:
    """A path of a manifest is relative to its folder."""
    if "://" in path or os.path.isabs(path):
        return path
    folder = source.rpartition("/")[0]
    return f"{folder}/{path}" if "://" in source else os.path.abspath(os.path.join(folder, path))


def _channel(wanted: Any, there: list[int]) -> Channel:
    if wanted is None or isinstance(wanted, list) or len(there) == 1:
        return "mix"
    sides: tuple[Literal["left"], Literal["right"]] = ("left", "right")
    if len(there) != 2 or wanted not in there:
        raise ValueError(f"channel {wanted} of {len(there)}; one or two channels can be told apart")
    return sides[there.index(wanted)]


def _known(channel: Any) -> Channel:
    if channel not in ("mix", "left", "right"):
        raise ValueError(f"channel '{channel}'; expected mix, left or right")
    known: Channel = channel
    return known
