"""Test sets from what a user names: a speech manifest, a noisy test set, an evaluation manifest."""

from collections.abc import Sequence
from pathlib import Path

from softspoken.noise.items import read_items
from softspoken.noise.utterances import Split
from softspoken_lab.analysis.subject import TestSet


def read_test_set(
    name: str,
    path: str | Path,
    *,
    split: Split = "test",
    corpora: Sequence[str] = (),
    transcripts: str | Path | None = None,
    limit: int | None = None,
) -> TestSet:
    """`read_items` as a set under its name. Raises DataError when there is nothing."""
    items = read_items(name, path, split=split, corpora=corpora, transcripts=transcripts, limit=limit)
    return TestSet(name, items)
