"""What is trained on, and how it is mixed."""

from pathlib import Path

from pydantic import Field

from softspoken.data.channels import ChannelConfig
from softspoken.frozen import Frozen


class ShardConfig(Frozen):
    """Speech in shards (`softspoken data shard`), and how many of them are in memory (`data.streaming`)."""

    folders: tuple[str, ...] = Field(min_length=1)
    """Folders or URLs, such as 's3://bucket/speech'."""
    lanes: int = Field(default=8, ge=1)
    """Readings that take turns, a batch each. A multiple of 'workers': else each worker reads more than its own."""
    held: int = Field(default=4, ge=1)
    """Shards that a lane has in memory: those whose talkers may meet."""
    mixtures: int = Field(default=1024, ge=1)
    """Mixtures that a lane draws before its next shard takes the place of the oldest."""


class DataConfig(Frozen):
    """Manifests of speech and noise, and how speech is cut."""

    speech: tuple[Path, ...] = (Path("../shared/data/speech/manifest.jsonl"),)
    """Speech manifests (JSON lines); see `softspoken.data.manifest.read_manifest`."""
    noise: tuple[Path, ...] = ()
    """Noise manifests (JSON lines with `path`, `duration_s`, `split`)."""
    shards: ShardConfig | None = None
    """Speech too large for one machine, read from front to back, instead of the training talkers of `speech`."""
    texts: Path | None = None
    """What targets say, piece by piece (`softspoken data teach`); None: the manifests' own transcripts."""
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


class MixingConfig(Frozen):
    """How mixtures are drawn."""

    talkers: dict[int, float] = Field(default={1: 0.1, 2: 0.8, 3: 0.1})
    """Number of talkers: probability."""
    overlap: tuple[float, float] = (0.3, 1.0)
    """Share of the shorter piece that the first one overlaps, drawn evenly."""
    gain_db: tuple[float, float] = (-5.0, 5.0)
    """Level of each further talker against the first, over active parts."""
    noise_probability: float = 0.3
    noise_snr_db: tuple[float, float] = (5.0, 25.0)
    level_dbfs: tuple[float, float] = (-32.0, -16.0)
    """Level of the mixture."""
    lead_s: tuple[float, float] = (0.0, 0.5)
    """Silence in front."""
    max_s: float = 12.0
    timestamp_probability: float = 0.4
    """How often a target's transcript begins and ends with timestamps; else it has none."""
    silent_probability: float = 0.5
    """How often a mixture also has a target who is not in it, whose right transcript is empty."""
    channels: ChannelConfig = ChannelConfig()
    """Other rooms and microphones for each talker, drawn on their own."""
    telephone: float = Field(default=0.0, ge=0, le=1)
    """How often a talker comes over a telephone line, and how often a whole mixture does. The target alone, as a model
    is taught to hear it, keeps its full bandwidth."""
    curriculum: float = Field(default=0.0, ge=0, le=1)
    """Share of a run in which the overlaps grow from none to what `overlap` says; 0: they are so from the start."""

    def at(self, done: float) -> "MixingConfig":
        """How mixtures are drawn when the share `done` of the run is behind."""
        if done >= self.curriculum:
            return self
        low, high = self.overlap
        return self.model_copy(update={"overlap": (low * done / self.curriculum, high * done / self.curriculum)})
