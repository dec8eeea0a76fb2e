"""One whole recording within a file, and how a decoder should be given it."""

from dataclasses import dataclass
from typing import Literal

from softspoken.audio.pieces import Span

# An odd byte, or a tag counted in, is not damage.
SLACK_BYTES = 64
SLACK_S = 0.25
"""Encoders pad and trim a little, so a container's duration and its samples never agree to the last millisecond."""

Media = Literal["never", "preferred", "required"]


@dataclass(frozen=True)
class Part:
    """One whole recording within a file."""

    pieces: tuple[bytes | Span, ...]
    """What a decoder gets; none: the file as it is."""
    promised_s: float | None = None
    """Its length by its header, where the decoder does not say it itself."""
    missing: str | None = None
    """What shows that it is cut off, in words."""
    media: Media = "never"
    """Whether PyAV reads it: libsndfile stops in silence where some formats' headers are wrong or say nothing."""
