"""Test items from what a user names: a speech manifest, a noisy test set, an evaluation manifest."""

from collections.abc import Sequence
from pathlib import Path

from softspoken.data.rows import read_rows
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.noise.testsets import MANIFEST, read_noisy_testset
from softspoken.noise.utterances import Split, TestUtterance, read_test_manifest

Item = TestUtterance | EvaluationItem


def read_items(
    name: str,
    path: str | Path,
    *,
    split: Split = "test",
    corpora: Sequence[str] = (),
    transcripts: str | Path | None = None,
    limit: int | None = None,
) -> tuple[Item, ...]:
    """The items of a set by what is found at `path`.

    * a speech manifest (JSON lines, or the folder of its `manifest.jsonl`): its utterances of `split` and `corpora`;
    * a noisy test set (the folder, or its manifest), or the published one (`transcripts`: its LibriSpeech folder);
    * an evaluation manifest (lines with "enrolment"), for target-speaker prompts.

    `limit`: at most so many, evenly over the whole set. `name`: the set's, for messages. Raises DataError when there is
    nothing.
    """
    items = _read(name, Path(path), split, corpora, transcripts)
    if not items:
        raise DataError(f"the set '{name}' has no utterances; give at least one")
    if limit is None or limit >= len(items):
        return tuple(items)
    # Evenly, so that every kind of noise and every talker stays.
    return tuple(items[index * len(items) // limit] for index in range(limit))


def _read(
    name: str, path: Path, split: Split, corpora: Sequence[str], transcripts: str | Path | None
) -> Sequence[Item]:
    manifest = path / MANIFEST if path.is_dir() else path
    if path.is_dir() and not manifest.is_file():
        return read_noisy_testset(path, transcripts)
    first = next(read_rows(manifest, "utterance"), None)
    if first is None:
        raise DataError(f"set '{name}': '{manifest}' has no utterances; give one with at least one line")
    row = first[1]
    if "enrolment" in row:
        return read_evaluation_manifest(manifest)
    if "noise_type" in row:
        return read_noisy_testset(manifest.parent)
    return read_test_manifest(manifest, split, corpora)


def parse_data(entries: Sequence[str]) -> list[tuple[str, Path, tuple[str, ...]]]:
    """'NAME=PATH' or 'NAME=PATH#CORPUS,CORPUS' as (name, path, corpora). Raises ConfigError for anything else."""
    found = []
    for entry in entries:
        name, equals, rest = entry.partition("=")
        path, _, corpora = rest.partition("#")
        if not (name and equals and path):
            raise ConfigError(f"'{entry}' is not NAME=PATH; give for example clean=data/speech/manifest.jsonl")
        found.append((name, Path(path), tuple(part for part in corpora.split(",") if part)))
    return found
