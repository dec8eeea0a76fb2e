"""LibriSpeech as it is unpacked, to rows of a speech manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softspoken.errors import DataError
from softspoken_lab.corpora.layout import chosen, lhotse_reading, require_file, root_of

PARTS = (
    "train-clean-100",
    "train-clean-360",
    "train-other-500",
    "dev-clean",
    "dev-other",
    "test-clean",
    "test-other",
    "train-clean-5",
    "dev-clean-2",
)
_SPLITS = {"train": "train", "dev": "development", "test": "test"}


def librispeech(source: Path, only: Sequence[str]) -> list[dict[str, Any]]:
    """Subsets of LibriSpeech (or Mini LibriSpeech), `corpus` 'librispeech_train-clean-100' and so on.

    `dev-*` becomes the split 'development'. Raises DataError for a subset, or a recording, that is not there.
    """

    def subsets(folder: Path) -> list[str]:
        return [name for name in PARTS if (folder / name).is_dir()]

    root = root_of(
        source, ("LibriSpeech",), lambda folder: bool(subsets(folder)), "LibriSpeech subset (train-clean-100 ...)"
    )
    parts = chosen(only, subsets(root), "subset", root)
    for part in parts:
        _require_whole(root / part)
    rows = []
    with lhotse_reading("librispeech", root) as recipe:
        manifests = recipe.prepare_librispeech(root, dataset_parts=list(parts))
        for part in parts:
            recordings = {recording.id: recording for recording in manifests[part]["recordings"]}
            for said in sorted(manifests[part]["supervisions"], key=lambda one: str(one.id)):
                recording = recordings[said.recording_id]
                rows.append(
                    {
                        "id": said.id,
                        "path": recording.sources[0].source,
                        "split": _SPLITS[part.partition("-")[0]],
                        "corpus": f"librispeech_{part}",
                        "speaker": said.speaker,
                        "text": said.text,
                        "duration_s": round(float(recording.duration), 6),
                    }
                )
    return rows


def _require_whole(folder: Path) -> None:
    """Every line of the transcripts has its recording: lhotse would leave out those that have none."""
    lists = sorted(folder.rglob("*.trans.txt"))
    if not lists:
        raise DataError(f"'{folder}' has no transcripts (*.trans.txt); unpack the subset again")
    for file in lists:
        for line in file.read_text(encoding="utf-8").splitlines():
            identity, _, text = line.strip().partition(" ")
            if not text:
                raise DataError(f"'{file}' has a line without words ('{line.strip()}'); unpack the subset again")
            require_file(file.parent / f"{identity}.flac", "LibriSpeech")
