"""What is trained on."""

from pathlib import Path

from pydantic import Field

from softspoken.frozen import Frozen


class DataConfig(Frozen):
    """Manifests of speech and noise, and how speech is cut."""

    speech: tuple[Path, ...] = (Path("../shared/data/speech/manifest.jsonl"),)
    """Speech manifests (JSON lines); see `softspoken.data.corpus.read_manifest`."""
    noise: tuple[Path, ...] = ()
    """Noise manifests (JSON lines with `path`, `duration_s`, `split`)."""
    mixtures: Path | None = None
    """A corpus's own training mixtures (`softspoken-lab prepare librimix`), instead of such that are drawn from
    `speech`; the talkers put aside for development are those of `speech` as ever."""
    texts: Path | None = None
    """What targets say, piece by piece (`softspoken data teach`); None: the manifests' own transcripts."""
    voices: Path | None = None
    """Speaker embeddings of the pieces (`softspoken.data.voices.write_vectors`); others are made when needed."""
    piece_s: tuple[float, float] = (2.0, 9.0)
    """Shortest and longest stretch of a talker's speech."""
    speeds: tuple[float, ...] = (1.0,)
    """Every talker once at each of these speeds (tempo and pitch together), each as a talker of their own: (0.9, 1.0,
    1.1) makes three times as many voices. Never applied to talkers put aside for development."""
    exclude: tuple[str, ...] = ()
    """Corpora left out."""
    talkers: int | None = Field(default=None, ge=2)
    """Only so many training talkers, always the same ones; None: all."""
    hours: float | None = Field(default=None, gt=0)
    """Only so much training speech (at speed 1), as evenly from all talkers as they have it; None: all."""
