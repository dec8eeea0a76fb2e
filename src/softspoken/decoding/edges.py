"""Where the segment of a voice begins and ends while others speak, too.

The alignment of words knows sound and silence, not whose sound it is: a voice's first word lasts from the window's
beginning, through what another says there, to its second one, and its last word to where the other ends.
"""

from dataclasses import replace

from softspoken.decoding.result import Segment

LONGEST_WORD_S = 1.5
"""Nobody takes longer for one."""
USUAL_WORD_S = 0.4


def edged(segment: Segment) -> Segment:
    """The segment from its own first word to its own last: one that lasts too long is put beside its neighbour.

    A segment of fewer than two words with times stays as it is.
    """
    words = list(segment.words)
    if len(words) < 2:
        return segment
    start_s, end_s = segment.start_s, segment.end_s
    if words[0].end_s - words[0].start_s > LONGEST_WORD_S:
        start_s = round(words[1].start_s - USUAL_WORD_S, 3)
        words[0] = replace(words[0], start_s=start_s, end_s=words[1].start_s)
    if words[-1].end_s - words[-1].start_s > LONGEST_WORD_S:
        end_s = round(words[-1].start_s + USUAL_WORD_S, 3)
        words[-1] = replace(words[-1], end_s=end_s)
    return replace(segment, start_s=start_s, end_s=end_s, words=tuple(words))
