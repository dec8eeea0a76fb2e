"""Decoding options as they count under a prompt."""

from softspoken.backbones.features import FRAME_RATE_HZ, MAX_WINDOW_S
from softspoken.decoding.options import DecodingOptions
from softspoken.prompts.info import PromptInfo


def options_under(info: PromptInfo, max_frames: int, options: DecodingOptions | None = None) -> DecodingOptions:
    """What is asked for, as far as the prompt was trained for it and the encoder has room for it.

    A window may begin with a pause, or hold no wanted speech at all, so 'auto' starts are 'any'; timestamps are written
    by prompts that write them; no window is longer than the encoder's positions (`max_frames`), some of which shifted
    prompts take.
    """
    options = DecodingOptions() if options is None else options
    longest_s = MAX_WINDOW_S if info.window == "30s" else options.windows.longest_s
    room_s = (max_frames - info.prompts.taken_positions) / FRAME_RATE_HZ
    return options.model_copy(
        update={
            "start": "any" if options.start == "auto" else options.start,
            "timestamps": options.timestamps and info.timestamps,
            "windows": options.windows.model_copy(update={"longest_s": min(longest_s, room_s, MAX_WINDOW_S)}),
        }
    )
