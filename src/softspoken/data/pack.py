"""Speech and noise packed small, so that a training can move to another machine."""

import json
import shutil
from collections.abc import Container
from pathlib import Path

from softspoken.audio import load_audio, write_audio
from softspoken.data.rows import write_rows
from softspoken.errors import DataError
from softspoken.files import replacing


def pack_manifest(
    manifest: str | Path, out: str | Path, split: str = "train", ids: Container[str] | None = None
) -> Path:
    """Write the recordings of a manifest's split as Ogg Opus (16 kHz mono) into folder `out`, with a manifest.

    Every line keeps its fields but `path`, so whatever reads the first manifest reads the second. Recordings that are
    packed already are kept: an interrupted packing goes on. Other splits stay behind, and where `ids` are given all
    other lines. Opus is copied as it is. Returns the new manifest.

    Raises DataError for a missing manifest, a line that cannot be used, or no line of that split.
    """
    source, folder = Path(manifest), Path(out)
    if not source.is_file():
        raise DataError(f"no manifest at '{source}'; give a JSON-lines file with one recording a line")
    rows = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            if row["split"] != split or (ids is not None and row["id"] not in ids):
                continue
            recording = source.parent / row["path"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{source}:{number}: no recording ({error}); expected 'path' and 'split'") from error
        packed = Path(row["path"]).with_suffix(".opus")
        if not (folder / packed).is_file():
            (folder / packed).parent.mkdir(parents=True, exist_ok=True)
            if recording.suffix == ".opus":
                with replacing(folder / packed) as temporary:
                    shutil.copyfile(recording, temporary)
            else:
                write_audio(folder / packed, load_audio(recording))
        rows.append({**row, "path": str(packed)})
    if not rows:
        raise DataError(f"{source}: no recording of split '{split}'; choose another split")
    target = folder / "manifest.jsonl"
    write_rows(target, rows)
    return target
