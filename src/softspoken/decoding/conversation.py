"""The words of several voices in one recording, merged into one transcript."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from softspoken.decoding.result import Segment, Transcript, joined


@dataclass(frozen=True)
class Conversation:
    """The transcripts of some voices in one recording, and all their segments in order of time.

    One voice, or everybody's words without a voice, is a conversation, too.
    """

    transcripts: tuple[Transcript, ...]
    """One a voice, in the order that was asked for."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Of all voices, in order of time, each with its speaker. Overlaps stay."""
        named = [replace(one, speaker=each.speaker) for each in self.transcripts for one in each.segments]
        return tuple(sorted(named, key=lambda segment: (segment.start_s, segment.end_s)))

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names, of silent voices as well; empty without any."""
        return tuple(one.speaker for one in self.transcripts if one.speaker is not None)

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return max((one.duration_s for one in self.transcripts), default=0.0)

    @property
    def language(self) -> str | None:
        """The language that the transcripts are in."""
        return self.transcripts[0].language if self.transcripts else None

    @property
    def text(self) -> str:
        """All words in order of time, on one line."""
        return joined([segment.text for segment in self.segments], self.language)


def conversation_of(segments: Sequence[Segment], whole: Conversation) -> Conversation:
    """The conversation `whole` with these segments in place of its own, each with the speaker it names; where no voice
    is named, all of them are the one transcript's."""
    alone = len(whole.transcripts) == 1
    return Conversation(
        tuple(
            replace(one, segments=tuple(segment for segment in segments if alone or segment.speaker == one.speaker))
            for one in whole.transcripts
        )
    )


def turns(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Runs of segments with the same speaker."""
    found: list[list[Segment]] = []
    for segment in segments:
        if found and found[-1][-1].speaker == segment.speaker:
            found[-1].append(segment)
        else:
            found.append([segment])
    return found
