"""Several requests at once on one frozen model: other recordings, other voices, other prompts, one batch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from softspoken.audio import AudioLike
from softspoken.decoding.conditioning import Speaker
from softspoken.decoding.longform import Reader, audio_blocks, cut_windows
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.plain import language_of
from softspoken.decoding.result import Transcript, VoiceWindow
from softspoken.decoding.target_session import decode_prepared
from softspoken.decoding.transcriber import TargetSpeakerTranscriber, transcript_of
from softspoken.errors import ConfigError


@dataclass(frozen=True)
class Request:
    """Whose words are wanted of which recording, and the prompts that find them."""

    transcriber: TargetSpeakerTranscriber
    """Those of one call share an engine; each may have prompts of its own."""
    audio: AudioLike
    speaker: Speaker


def transcribe_together(requests: Sequence[Request], options: DecodingOptions | None = None) -> list[Transcript]:
    """One transcript a request, as `TargetSpeakerTranscriber.transcribe` gives it, run as batches with a row each.

    The first windows of all recordings are one batch, then their second windows, and so on. Prompts that place the
    audio differently ('shifted' ones of other lengths, other `mute_db`), or with other timestamps, are batches of their
    own.

    Raises:
        ConfigError: transcribers on different engines.
        AudioError, SpeakerNotFound, EnrolmentError: as for a single request; nothing is transcribed then.
    """
    if not requests:
        return []
    engine = requests[0].transcriber.engine
    if any(request.transcriber.engine is not engine for request in requests):
        raise ConfigError("requests on different engines; load the transcribers with one engine to run them together")
    resolved = [request.transcriber.resolved(options) for request in requests]
    insist = options is not None and options.insist
    follows = [one.transcriber.session([one.transcriber.voice(one.speaker)]) for one in requests]
    readers = [Reader(audio_blocks(request.audio)) for request in requests]
    heard: list[list[VoiceWindow]] = [[] for _ in requests]
    windows = [cut_windows(reader, each.windows) for reader, each in zip(readers, resolved, strict=True)]
    open_ones = list(range(len(requests)))
    while open_ones:
        groups: dict[object, list[int]] = defaultdict(list)
        asked = {}
        for index in list(open_ones):
            window = next(windows[index], None)
            if window is None:
                open_ones.remove(index)
                continue
            asked[index] = follows[index].prepare([window], len(heard[index]))
            groups[(requests[index].transcriber.batch_key, resolved[index].timestamps)].append(index)
        for members in groups.values():
            answers = decode_prepared(engine, [asked[index] for index in members], resolved[members[0]])
            for index, answer in zip(members, answers, strict=True):
                heard[index].append(answer[0][0])
    languages = [language_of(each) for each in resolved]
    names = [each.voices[0].name for each in follows]
    return [
        transcript_of(found, name, language, reader.position_s, insist)
        for found, name, language, reader in zip(heard, names, languages, readers, strict=True)
    ]
