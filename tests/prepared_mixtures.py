"""Corpora of mixed speech as `prepare_mixtures` writes them, read back for the tests."""

import json
from pathlib import Path

from softspoken_lab.corpora.mixture_corpus import MixtureOptions
from softspoken_lab.corpora.prepare_mixtures import prepare_mixtures

Rows = list[dict]


def prepare(corpus: str, source: Path, out: Path, *only: str, **options: object) -> dict[str, Rows]:
    """The rows of every part, with absolute paths."""
    parts = {}
    for part in prepare_mixtures(corpus, source, out, only, MixtureOptions(**options)):  # type: ignore[arg-type]
        rows = [json.loads(line) for line in part.manifest.read_text().splitlines()]
        assert part.items == len(rows) > 0
        assert part.silent == sum(not row["text"] for row in rows)
        assert len({row["audio"] for row in rows}) == part.mixtures
        for row in rows:
            for key in ("audio", "clean"):
                if key in row:
                    row[key] = part.manifest.parent / row[key]
            names = row["enrolment"] if isinstance(row["enrolment"], list) else [row["enrolment"]]
            row["enrolment"] = [part.manifest.parent / name for name in names]
        parts[part.manifest.parent.name] = rows
    return parts


def by_id(rows: Rows) -> dict[str, dict]:
    return {row["id"]: row for row in rows}


def enrolled_with(row: dict) -> set[str]:
    return {clip["utterance"] for clip in row["enrolment_sources"]}


def sources_of(row: dict) -> set[str]:
    return {source["utterance"] for source in row["sources"]}


def remove(path: Path) -> None:
    path.unlink()
