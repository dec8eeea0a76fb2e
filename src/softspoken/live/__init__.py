"""Words while they are said."""

from softspoken.live.events import Confirmed, LiveEvent, LiveOptions, Pace, Partial, Said
from softspoken.live.transcriber import LiveTranscriber

__all__ = ["Confirmed", "LiveEvent", "LiveOptions", "LiveTranscriber", "Pace", "Partial", "Said"]
