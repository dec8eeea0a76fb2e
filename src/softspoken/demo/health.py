"""Whether a prompt that loads does any good: what it writes of the recordings that the package carries.

A digest tells that a prompt is what was saved, not that what was saved is sound. Three signs are taken: the words of
each talker in mixtures, of each voice alone, and words for voices that are not there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from softspoken.demo.recordings import DemoRecordings, FloatArray, Mixture, read_clip
from softspoken.demo.report import TranscriptLike
from softspoken.demo.words import split_words, word_errors

WORSE_BY = 0.02
"""How many more of all words may be wrong than with the prompt that is compared with. Words for silent voices are not
among them: a sentence less for one of them would hide what is lost in mixtures."""
OF_PLAIN = 0.8
"""In mixtures, a prompt that follows a voice makes fewer errors than this share of plain Whisper's."""
ALONE = 0.25
"""Highest error rate on a voice alone."""
FOR_NOBODY = 0.08
"""Most words for silent voices, as a share of all words: a sentence for one of them. A prompt that rejects 98 % of them
writes for one of these 18 in three checks of ten, for three in one of two hundred."""


@runtime_checkable
class ManyVoices(Protocol):
    """What the doctor needs of `softspoken.decoding.TargetSpeakerTranscriber`."""

    def voice(self, speaker: FloatArray) -> Any: ...

    def transcribe_many(self, audio: FloatArray, speakers: Sequence[Any]) -> Sequence[TranscriptLike]: ...

    def transcribe_plain(self, audio: FloatArray) -> TranscriptLike: ...


@dataclass(frozen=True)
class Signs:
    """Errors and words, counted over all recordings, or over one of them."""

    mixed_words: int = 0
    mixed_errors: int = 0
    plain_errors: int = 0
    """Plain Whisper's in the mixtures, taken as each talker's words in turn."""
    alone_words: int = 0
    alone_errors: int = 0
    silent_words: int = 0
    """Written for voices that are not in a mixture."""

    @property
    def words(self) -> int:
        return self.mixed_words + self.alone_words

    @property
    def errors(self) -> int:
        """In the words that somebody says."""
        return self.mixed_errors + self.alone_errors

    @classmethod
    def total(cls, each: Iterable["Signs"]) -> "Signs":
        """The sum of those of some recordings."""
        found = list(each)
        return cls(**{name: sum(getattr(one, name) for one in found) for name in cls.__dataclass_fields__})

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def examine(
    recordings: DemoRecordings, transcriber: ManyVoices, report: Callable[[str], None] | None = None
) -> dict[str, Signs]:
    """Transcribe the mixtures for every voice that is enrolled, and each voice alone. 36 transcriptions.

    The signs of each recording, by the mixture's or the voice's name; `report` is told what is listened to. The voices
    are enrolled once, and all of them are followed through a mixture as one batch.
    """
    clips = {voice.name: read_clip(voice.enrolment) for voice in recordings.voices}
    voices = {name: transcriber.voice(clip) for name, clip in clips.items()}
    found = {}
    for mixture in recordings.mixtures:
        if report is not None:
            report(mixture.title)
        found[mixture.name] = _of_mixture(mixture, recordings.spellings, transcriber, voices)
    for voice in recordings.voices:
        if report is not None:
            report(f"{voice.name} alone")
        (said,) = transcriber.transcribe_many(clips[voice.name], [voices[voice.name]])
        wanted = split_words(voice.text, recordings.spellings)
        wrong = word_errors(split_words(said.text, recordings.spellings), wanted)
        found[voice.name] = Signs(alone_words=len(wanted), alone_errors=wrong)
    return found


def _of_mixture(mixture: Mixture, spellings: dict[str, str], transcriber: ManyVoices, voices: dict[str, Any]) -> Signs:
    audio = read_clip(mixture.file)
    plain = split_words(transcriber.transcribe_plain(audio).text, spellings)
    heard = transcriber.transcribe_many(audio, list(voices.values()))
    said = {name: split_words(one.text, spellings) for name, one in zip(voices, heard, strict=True)}
    wanted = {talker.voice: split_words(talker.text, spellings) for talker in mixture.talkers}
    return Signs(
        mixed_words=sum(len(words) for words in wanted.values()),
        mixed_errors=sum(word_errors(words, said[name]) for name, words in wanted.items()),
        plain_errors=sum(word_errors(words, plain) for words in wanted.values()),
        silent_words=sum(len(words) for name, words in said.items() if name not in wanted),
    )


def complaints(signs: Signs, sound: Signs | None = None) -> list[str]:
    """What is wrong with a prompt; empty for one that is well. `sound`: the signs of a prompt that is known to be."""
    found = []
    if signs.mixed_errors >= OF_PLAIN * signs.plain_errors:
        found.append(
            f"it does not follow a voice: {signs.mixed_errors} errors in {signs.mixed_words} words of mixtures, plain "
            f"Whisper makes {signs.plain_errors}"
        )
    if signs.alone_errors > ALONE * signs.alone_words:
        found.append(f"it harms clear speech: {signs.alone_errors} errors in {signs.alone_words} words of one voice")
    if signs.silent_words > FOR_NOBODY * signs.words:
        found.append(f"it writes {signs.silent_words} words for voices that are not there")
    if sound is not None and signs.errors - sound.errors > WORSE_BY * signs.words:
        more = 100 * (signs.errors - sound.errors) / signs.words
        found.append(f"it makes {more:.1f} points more errors than the prompt that comes with the package")
    return found
