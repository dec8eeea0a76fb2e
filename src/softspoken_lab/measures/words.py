"""Words of two texts that say the same, whatever they look like: what timestamps and natural text are measured on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from softspoken.errors import MissingExtra


@dataclass(frozen=True)
class Unit:
    """What the normaliser takes for one thing: mostly one word, but 'twenty five' as much as '25'."""

    shown: str
    """As written, marks included."""
    tokens: tuple[str, ...]
    """Normalised, never empty: "don't" is two."""
    first: int
    """Index of its first word."""
    last: int

    @property
    def digits(self) -> bool:
        return any(character.isdigit() for character in self.shown)


def units_of(words: Sequence[str], normalize: Callable[[str], str]) -> list[Unit]:
    """Written words to units. Words that the normaliser drops ('um') are left out; lone marks go to the one before."""
    units: list[Unit] = []
    position = 0
    while position < len(words):
        word = words[position]
        # What is left of 'well...' is 'well .'.
        tokens = [token for token in normalize(word).split() if any(character.isalnum() for character in token)]
        if not tokens:
            if units and not any(character.isalnum() for character in word):
                units[-1] = replace(units[-1], shown=f"{units[-1].shown} {word}")
            position += 1
            continue
        end = position + 1
        if _numeric(tokens):
            while longer := _longer_number(words, position, end, normalize):
                end, tokens = longer
        units.append(Unit(" ".join(words[position:end]), tuple(tokens), position, end - 1))
        position = end
    return units


def _longer_number(
    words: Sequence[str], begin: int, end: int, normalize: Callable[[str], str]
) -> tuple[int, list[str]] | None:
    """The number with its next word, or with 'and' and the word after it; None where that is not one number."""
    for further in (end + 1, end + 2):
        if further > len(words) or (further == end + 2 and words[end].lower() != "and"):
            return None
        # A mark in between says that there are two numbers: "twenty, five".
        if any(word[-1] in ",.;:?!" for word in words[begin : further - 1]):
            return None
        tokens = normalize(" ".join(words[begin:further])).split()
        if len(tokens) == 1 and _numeric(tokens):
            return further, tokens
    return None


def _numeric(tokens: Sequence[str]) -> bool:
    # The normaliser leaves a 'one' that stands alone as it is.
    return len(tokens) == 1 and (tokens[0] == "one" or any(character.isdigit() for character in tokens[0]))


def same_units(reference: Sequence[Unit], written: Sequence[Unit]) -> list[tuple[int, int]]:
    """(index in reference, index in written) of the units that are right, aligned by fewest word errors (jiwer)."""
    if not reference or not written:
        return []
    try:
        import jiwer
    except ImportError as error:
        raise MissingExtra("jiwer", "eval", "aligning words") from error
    owners, texts = [], []
    for side in (reference, written):
        owners.append([index for index, unit in enumerate(side) for _ in unit.tokens])
        texts.append(" ".join(token for unit in side for token in unit.tokens))
    pairs: dict[tuple[int, int], int] = {}
    for chunk in jiwer.process_words(*texts).alignments[0]:
        if chunk.type != "equal":
            continue
        spans = (range(chunk.ref_start_idx, chunk.ref_end_idx), range(chunk.hyp_start_idx, chunk.hyp_end_idx))
        for in_reference, in_written in zip(*spans, strict=True):
            pair = owners[0][in_reference], owners[1][in_written]
            pairs[pair] = pairs.get(pair, 0) + 1
    return [
        (i, j) for (i, j), count in sorted(pairs.items()) if count == len(reference[i].tokens) == len(written[j].tokens)
    ]
