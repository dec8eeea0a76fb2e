"""Test utterances: recordings with their words and, where noise was added, which and how much."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from softspoken.data.rows import read_rows
from softspoken.data.talkers import is_development_talker
from softspoken.errors import DataError

Split = Literal["train", "development", "test"]
"""`development`: the manifest's own, and the training talkers who are put aside (`is_development_talker`); `train`:
the other training talkers."""


@dataclass(frozen=True)
class TestUtterance:
    """One recording to be recognised."""

    # Not a test, whatever its name says to pytest.
    __test__ = False

    id: str
    path: Path
    text: str
    speaker: str
    noise_type: str | None = None
    """'Car', 'Babble', ...; None: no noise was added."""
    noise_id: str | None = None
    """The recording of noise, where it is known."""
    snr_db: float | None = None
    source_id: str | None = None
    """The clean utterance that it was made from; several noisy ones have the same."""
    duration_s: float | None = None


def read_test_manifest(manifest: str | Path, split: Split = "test", corpora: Sequence[str] = ()) -> list[TestUtterance]:
    """The clean utterances of a split of a speech manifest (`softspoken.data.corpus.read_manifest`'s format).

    `corpora`: only these ('librispeech_test-clean'), none given: all. Utterances without words, or whose words the
    corpus knows to be wrong, are left out. A speaker is 'corpus:speaker'. Raises DataError for a manifest or a line
    that cannot be used, and when nothing is left.
    """
    manifest = Path(manifest)
    found, have = [], set()
    for where, row in read_rows(manifest, "utterance"):
        try:
            corpus = str(row.get("corpus", manifest.parent.name))
            have.add(f"{row.get('split', 'train')} of {corpus}")
            if not _in_split(row, corpus, split) or (corpora and corpus not in corpora):
                continue
            utterance = TestUtterance(
                str(row["id"]),
                manifest.parent / row["path"],
                str(row["text"] or "").strip(),
                f"{corpus}:{row['speaker']}",
                duration_s=float(row["duration_s"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{where}: not an utterance ({error!r}); expected id, path, split, corpus, speaker, text, duration_s"
            ) from error
        if not utterance.text or row.get("transcript_verified", True) is False:
            continue
        if not utterance.path.is_file():
            raise DataError(f"{where}: no audio at '{utterance.path}'; fetch it or remove the line")
        found.append(utterance)
    if not found:
        wanted = f"split '{split}'" + (f" of {' or '.join(corpora)}" if corpora else "")
        raise DataError(f"'{manifest}' has no utterance of {wanted}; it has: {', '.join(sorted(have)) or 'nothing'}")
    return found


def _in_split(row: dict[str, Any], corpus: str, split: Split) -> bool:
    given = row.get("split", "train")
    if given != "train" or split == "test":
        return bool(given == split)
    return is_development_talker(corpus, str(row["speaker"])) == (split == "development")
