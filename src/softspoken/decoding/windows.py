"""A recording as windows, cut as the options say."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from softspoken.decoding.longform import Reader, Window, quiet_windows
from softspoken.decoding.options import WindowOptions

if TYPE_CHECKING:
    from softspoken.speakers.silero import SpeechDetector


def cut_windows(
    reader: Reader, options: WindowOptions | None = None, detector: "SpeechDetector | None" = None
) -> Iterator[Window]:
    """Windows in order, lazily; their start times are those of the recording.

    Args:
        reader: at the beginning of a recording.
        detector: who hears speech for `cut='speech'`; None: silero.

    Raises:
        MissingExtra: at once, for `cut='speech'` without the extra `vad`.
    """
    options = WindowOptions() if options is None else options
    if options.cut == "quiet":
        return quiet_windows(reader, options)
    from softspoken.decoding.speech_boundaries import speech_windows
    from softspoken.speakers.silero import SileroDetector

    return speech_windows(reader, options, SileroDetector() if detector is None else detector)
