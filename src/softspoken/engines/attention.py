"""Where the decoder looks while it writes a known text: one pass over all of it, with some heads' cross-attention.

B windows, U tokens of the longest text, K heads, T audio frames of 20 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from softspoken.engines.cache import forced_inputs

if TYPE_CHECKING:
    from softspoken.engines.base import EncodedAudio

Heads = tuple[tuple[int, int], ...]
"""Layer and head of the decoder, in order."""

TOKENS_AT_ONCE = 256
"""Scores of so many tokens (of a whole vocabulary each) are in memory at once."""

_LARGE_V2: Heads = (
    *((10, 12), (13, 17), (16, 11), (16, 12), (16, 13), (17, 15), (17, 16), (18, 4), (18, 11), (18, 19), (19, 11)),
    *((21, 2), (21, 3), (22, 3), (22, 9), (22, 12), (23, 5), (23, 7), (23, 13), (25, 5), (26, 1), (26, 12), (27, 15)),
)
_SMALL_EN: Heads = (
    *((6, 6), (7, 0), (7, 3), (7, 8), (8, 2), (8, 5), (8, 7), (9, 0), (9, 4), (9, 8), (9, 10), (10, 0), (10, 1)),
    *((10, 2), (10, 3), (10, 6), (10, 11), (11, 2), (11, 4)),
)
_MEDIUM_EN: Heads = (
    *((11, 4), (14, 1), (14, 12), (14, 14), (15, 4), (16, 0), (16, 4), (16, 9), (17, 12), (17, 14), (18, 7)),
    *((18, 10), (18, 15), (20, 0), (20, 3), (20, 9), (20, 14), (21, 12)),
)
_LARGE_V3: Heads = ((7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6))
ALIGNMENT_HEADS: dict[tuple[int, int, int], Heads] = {
    (4, 384, 51864): ((1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)),
    (4, 384, 51865): ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)),
    (6, 512, 51864): ((3, 3), (4, 7), (5, 1), (5, 5), (5, 7)),
    (6, 512, 51865): ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)),
    (12, 768, 51864): _SMALL_EN,
    (12, 768, 51865): ((5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)),
    (24, 1024, 51864): _MEDIUM_EN,
    (24, 1024, 51865): ((13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)),
    (32, 1280, 51865): _LARGE_V2,
    (32, 1280, 51866): _LARGE_V3,
    (4, 1280, 51866): ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)),
}
"""By decoder layers, width and vocabulary: the heads that follow the words, as OpenAI published them with its code
(large-v1, which has the sizes of large-v2, gets its heads)."""


def alignment_heads(config: Any) -> Heads:
    """The heads whose attention follows the words (`config`: see `WhisperConfig`). Of a model that nobody has published
    any for, all heads of the upper half of its layers."""
    layers, heads = int(config.decoder_layers), int(config.decoder_attention_heads)
    upper = tuple((layer, head) for layer in range(layers // 2, layers) for head in range(heads))
    return ALIGNMENT_HEADS.get((layers, int(config.d_model), int(config.vocab_size)), upper)


LATE_FRAMES: dict[tuple[int, int, int], int] = {(4, 384, 51864): 5, (6, 512, 51865): -1}
"""By the same sizes: frames by which these heads look behind a sound, by development talkers (tiny.en, base)."""


def late_frames(config: Any) -> int:
    """Frames by which the `alignment_heads` look behind a sound; 0 where nobody has measured it."""
    sizes = int(config.decoder_layers), int(config.d_model), int(config.vocab_size)
    return LATE_FRAMES.get(sizes, 0)


@dataclass(frozen=True)
class TextAttention:
    """A text of U tokens as the decoder follows it through a window."""

    weights: Float32[np.ndarray, "K _ T"]
    """How much each head looked at each frame when it wrote token u; U + 1 rows, the last for the end of the text. Sums
    are below 1 where a head looked at prompts as well."""
    logprobs: Float32[np.ndarray, " U"]
    """Log-probability of each token behind those before it."""


def attend_text(
    heard: "EncodedAudio", start: Sequence[int], texts: Sequence[Sequence[int]], rows: Sequence[int] | None = None
) -> list[TextAttention]:
    """What the decoder looks at while it writes known texts, one each for some rows of what was heard.

    Args:
        start: the forced tokens in front (see `WhisperTokens.start`).
        texts: token ids, without start and end.
        rows: of `heard`, by text; None: all of them in order.
    """
    engine = heard.engine
    chosen = list(range(heard.rows) if rows is None else rows)
    assert len(chosen) == len(texts)
    longest = 1 + max((len(text) for text in texts), default=0)
    group = max(1, TOKENS_AT_ONCE // (len(start) + longest))
    found: list[TextAttention] = []
    for first in range(0, len(chosen), group):
        last = first + group
        found += _attended(heard, start, texts[first:last], chosen[first:last], engine)
    return found


def _attended(
    heard: "EncodedAudio", start: Sequence[int], texts: Sequence[Sequence[int]], rows: list[int], engine: Any
) -> list[TextAttention]:
    end = engine.tokens.end_of_text
    longest = max(len(text) for text in texts)
    tokens = np.array([[*start, *text, *[end] * (longest - len(text) + 1)] for text in texts])
    given = forced_inputs(engine, heard, tokens[:, :-1], rows)
    before = given.hidden.shape[1] - tokens.shape[1] + 1
    following = np.pad(tokens[:, 1:], ((0, 0), (before, 0)), constant_values=end)
    cross = tuple(part[rows] for part in heard.cross)
    logprobs, weights = engine.decode_text(given.hidden, given.mask, heard.mask[rows], given.past, cross, following)
    stack = heard.prompts.encoder
    front, behind = stack.shallow.shape[1], stack.last.shape[1]
    first = before + len(start) - 1
    audio = weights[:, :, first:, front : weights.shape[3] - behind]
    return [
        TextAttention(audio[row, :, : len(text) + 1], logprobs[row, first : first + len(text)])
        for row, text in enumerate(texts)
    ]
