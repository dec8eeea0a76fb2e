"""The result of a transcription."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages written without spaces between words."""


@dataclass(frozen=True)
class Word:
    """A word with the punctuation that belongs to it. Times in seconds from the start of the recording."""

    start_s: float
    end_s: float
    text: str
    probability: float
    """Mean probability of its tokens."""

    def moved(self, seconds: float) -> "Word":
        """The same word so much later."""
        return replace(self, start_s=round(self.start_s + seconds, 3), end_s=round(self.end_s + seconds, 3))


@dataclass(frozen=True)
class Segment:
    """A stretch of speech. Times in seconds from the start of the recording."""

    start_s: float
    end_s: float
    text: str
    tokens: tuple[int, ...] = ()
    """Text ids."""
    avg_logprob: float = 0.0
    """Mean log-probability a token, of the whole window it comes from."""
    no_speech_prob: float = 0.0
    """The model's probability that the window holds no speech."""
    temperature: float = 0.0
    """At which the window was decoded; above 0: the first attempts failed."""
    words: tuple[Word, ...] = ()
    """With their times; empty where `DecodingOptions.words` does not ask for them."""
    speaker: str | None = None
    """Who says it, in a conversation; None in the transcript of one voice, which says so itself."""


@dataclass(frozen=True)
class WindowEvidence:
    """What speaks for the target in a window, before anything was written there."""

    start_s: float
    end_s: float
    presence: float
    """The highest mean over a second of the cosine to the voice."""
    likeness: float
    """Cosine to the 2.4 s of the window that sound most like the voice, heard as one clip."""
    empty_logprob: float
    """Log-probability that the decoder gives to an empty transcript."""
    avg_logprob: float
    """Mean log-probability a token of what was written, the end included."""
    features: dict[str, float]
    """By the names that a `SilenceModel` gives weights to."""
    speaking: float | None = None
    """Probability that the target speaks here; None: the prompt is not calibrated."""


@dataclass(frozen=True)
class VoiceWindow:
    """What one voice said in one window."""

    segments: tuple[Segment, ...]
    evidence: WindowEvidence | None = None
    """None where no voice is followed."""


@dataclass(frozen=True)
class Transcript:
    """Everything one target said in a recording (or, without a prompt, everything heard). Empty: nothing."""

    segments: tuple[Segment, ...]
    language: str | None = None
    duration_s: float = 0.0
    """Length of the recording."""
    presence: float | None = None
    """How much the recording sounds like the target anywhere (see `presence`); None without a target."""
    speaker: str | None = None
    """The target's name, where it has one."""
    speaking: float | None = None
    """Probability that the target speaks anywhere: the highest of its windows; None: the prompt is not calibrated."""
    windows: tuple[WindowEvidence, ...] = ()
    """The evidence of each window of the recording; none without a target."""

    @property
    def text(self) -> str:
        """The words, on one line."""
        return joined([segment.text for segment in self.segments], self.language)

    @property
    def likeness(self) -> float:
        """The highest of its windows; -1 without a target."""
        return max((window.likeness for window in self.windows), default=-1.0)


def joined(texts: Sequence[str], language: str | None) -> str:
    """Texts of one language on one line."""
    separator = "" if language in UNSPACED else " "
    return separator.join(text for text in texts if text)
