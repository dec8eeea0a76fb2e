"""From audio to text: options, search, long recordings, one voice among others."""

from softspoken.decoding.conditioning import Speaker, presence
from softspoken.decoding.formats import Format, as_dict, render, to_json, to_srt, to_txt, to_vtt
from softspoken.decoding.options import DecodingOptions, WindowOptions
from softspoken.decoding.plain import stream_plain, transcribe_plain
from softspoken.decoding.prompted import PromptedTranscriber
from softspoken.decoding.result import Segment, Transcript
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.together import Request, transcribe_together
from softspoken.decoding.transcriber import TargetSpeakerTranscriber

__all__ = [
    "DecodedWindow",
    "DecodingOptions",
    "Format",
    "PromptedTranscriber",
    "Request",
    "Segment",
    "Speaker",
    "TargetSpeakerTranscriber",
    "Transcript",
    "WindowOptions",
    "as_dict",
    "decode_batch",
    "presence",
    "render",
    "stream_plain",
    "to_json",
    "to_srt",
    "to_txt",
    "to_vtt",
    "transcribe_plain",
    "transcribe_together",
]
