"""Whether a prompt that loads does any good: what it writes of the recordings that the package carries.

A digest tells that a prompt is what was saved, not that what was saved is sound. Three signs are taken: the words of
each talker in mixtures, of each voice alone, and words for voices that are not there.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from softspoken.demo.recordings import DemoRecordings, FloatArray, read_clip
from softspoken.demo.report import TranscriberLike
from softspoken.demo.words import split_words, word_errors

WORSE_BY = 0.02
"""How many more of all words may be wrong than with the prompt that is compared with."""
OF_PLAIN = 0.8
"""In mixtures, a prompt that follows a voice makes fewer errors than this share of plain Whisper's."""
ALONE = 0.25
"""Highest error rate on a voice alone."""
FOR_NOBODY = 0.08
"""Most words for silent voices, as a share of all words: a sentence for one of them. A prompt that rejects 98 % of them
writes for one of these 18 in three checks of ten, for three in one of two hundred."""


@dataclass(frozen=True)
class Signs:
    """Errors and words, counted over all recordings."""

    mixed_words: int
    mixed_errors: int
    plain_errors: int
    """Plain Whisper's in the mixtures, taken as each talker's words in turn."""
    alone_words: int
    alone_errors: int
    silent_words: int
    """Written for voices that are not in a mixture."""

    @property
    def words(self) -> int:
        return self.mixed_words + self.alone_words

    @property
    def errors(self) -> int:
        """All of the prompt's, words for silent voices among them."""
        return self.mixed_errors + self.alone_errors + self.silent_words

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def examine(
    recordings: DemoRecordings, transcriber: TranscriberLike, report: Callable[[str], None] | None = None
) -> Signs:
    """Transcribe the mixtures for every voice that is enrolled, and each voice alone. 36 transcriptions.

    `report` is told what is listened to.
    """
    count = dict.fromkeys(Signs.__dataclass_fields__, 0)
    voices = {voice.name: read_clip(voice.enrolment) for voice in recordings.voices}

    def errors(said: str, text: str) -> int:
        return word_errors(split_words(said, recordings.spellings), split_words(text, recordings.spellings))

    def words(text: str) -> int:
        return len(split_words(text, recordings.spellings))

    def heard(audio: FloatArray, voice: str) -> str:
        return transcriber.transcribe(audio, speaker=voices[voice]).text.strip()

    for mixture in recordings.mixtures:
        if report is not None:
            report(mixture.title)
        audio = read_clip(mixture.file)
        plain = transcriber.transcribe_plain(audio).text.strip()
        for talker in mixture.talkers:
            count["mixed_words"] += words(talker.text)
            count["mixed_errors"] += errors(talker.text, heard(audio, talker.voice))
            count["plain_errors"] += errors(talker.text, plain)
        present = {talker.voice for talker in mixture.talkers}
        count["silent_words"] += sum(words(heard(audio, voice)) for voice in voices if voice not in present)
    for voice in recordings.voices:
        if report is not None:
            report(f"{voice.name} alone")
        count["alone_words"] += words(voice.text)
        count["alone_errors"] += errors(voice.text, heard(voices[voice.name], voice.name))
    return Signs(**count)


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
