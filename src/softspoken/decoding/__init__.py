"""From audio to text: options, search, long recordings, one voice among others."""

from softspoken.decoding.conditioning import Speaker, presence
from softspoken.decoding.conversation import Conversation, conversation_of
from softspoken.decoding.formats import Format, as_dict, render, to_json, to_srt, to_txt, to_vtt
from softspoken.decoding.journal import Journal
from softspoken.decoding.options import DecodingOptions, WindowOptions
from softspoken.decoding.plain import PlainTranscriber
from softspoken.decoding.prompted import PromptedTranscriber
from softspoken.decoding.result import Segment, Transcript, Word
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.together import Request, transcribe_together
from softspoken.decoding.transcriber import TargetSpeakerTranscriber, Transcriber

__all__ = [
    "Conversation",
    "DecodedWindow",
    "DecodingOptions",
    "Format",
    "Journal",
    "PlainTranscriber",
    "PromptedTranscriber",
    "Request",
    "Segment",
    "Speaker",
    "TargetSpeakerTranscriber",
    "Transcriber",
    "Transcript",
    "WindowOptions",
    "Word",
    "as_dict",
    "conversation_of",
    "decode_batch",
    "presence",
    "render",
    "to_json",
    "to_srt",
    "to_txt",
    "to_vtt",
    "transcribe_together",
]
