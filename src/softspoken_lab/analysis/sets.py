"""Test sets from what a user names: a speech manifest, a noisy test set, an evaluation manifest."""

from collections.abc import Sequence
from pathlib import Path

from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.noise.testsets import Split, read_items


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
