"""Recordings in, 16 kHz mono float32 out; sound is never lost in silence.

What is wrong with a recording is refused, each kind with a line of its own, or mended and said (logger
`softspoken.audio`). Other rates are resampled with soxr as a stream, so an hour takes the memory of a block.
"""

from softspoken.audio.read import (
    SAMPLE_RATE_HZ,
    SHORTEST_S,
    SILENCE_PEAK_DB,
    Waveform,
    duration_s,
    load_audio,
    promised_duration_s,
    require_readable,
    require_sound,
    stream_audio,
)
from softspoken.audio.recording import AudioLike, Channel, Recording
from softspoken.audio.write import write_audio, write_wav

__all__ = [
    "SAMPLE_RATE_HZ",
    "SHORTEST_S",
    "SILENCE_PEAK_DB",
    "AudioLike",
    "Channel",
    "Recording",
    "Waveform",
    "duration_s",
    "load_audio",
    "promised_duration_s",
    "require_readable",
    "require_sound",
    "stream_audio",
    "write_audio",
    "write_wav",
]
