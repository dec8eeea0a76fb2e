"""Which words of a transcript are right, wrong, missing, or another talker's: what the demo marks and counts."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    RIGHT = "right"
    OTHER = "other"  # said, but by another talker
    WRONG = "wrong"  # said by nobody
    MISSING = "missing"  # said by the target, not in the transcript


@dataclass(frozen=True)
class Word:
    """A piece of text as it is shown, and the key it is compared by."""

    shown: str
    key: str


@dataclass(frozen=True)
class MarkedWord:
    """`talker` is the index of who said the word; None for a word that nobody said."""

    shown: str
    mark: Mark
    talker: int | None


def split_words(text: str, spellings: dict[str, str]) -> list[Word]:
    """Words without case and punctuation; a phrase in `spellings` ("thirty five") is one word with the key of its
    other form ("35")."""
    pieces = text.split()
    keys = [" ".join(re.findall(r"[\w']+", piece.lower().replace(":", ""))) for piece in pieces]
    longest = max((len(phrase.split()) for phrase in spellings), default=1)
    words: list[Word] = []
    position = 0
    while position < len(pieces):
        length = 1
        key = keys[position]
        for count in range(longest, 0, -1):
            phrase = " ".join(keys[position : position + count])
            if position + count <= len(pieces) and phrase in spellings:
                length, key = count, spellings[phrase]
                break
        if key:
            words.append(Word(" ".join(pieces[position : position + length]), key))
        position += length
    return words


def align(said: list[Word], heard: list[Word]) -> list[tuple[int | None, int | None]]:
    """Levenshtein alignment: pairs (index in said, index in heard), None for a missing or an added word."""
    rows, columns = len(said), len(heard)
    cost = [[row + column if row * column == 0 else 0 for column in range(columns + 1)] for row in range(rows + 1)]
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            differs = said[row - 1].key != heard[column - 1].key
            cost[row][column] = min(
                cost[row - 1][column - 1] + differs, cost[row - 1][column] + 1, cost[row][column - 1] + 1
            )
    pairs: list[tuple[int | None, int | None]] = []
    row, column = rows, columns
    while row or column:
        both = row > 0 and column > 0
        if both and cost[row][column] == cost[row - 1][column - 1] + (said[row - 1].key != heard[column - 1].key):
            row, column = row - 1, column - 1
            pairs.append((row, column))
        elif row and cost[row][column] == cost[row - 1][column] + 1:
            row -= 1
            pairs.append((row, None))
        else:
            column -= 1
            pairs.append((None, column))
    return pairs[::-1]


def word_errors(said: list[Word], heard: list[Word]) -> int:
    """Substitutions + deletions + insertions."""
    return sum(s is None or h is None or said[s].key != heard[h].key for s, h in align(said, heard))


def matched(said: list[Word], heard: list[Word]) -> set[int]:
    """Indices of the heard words that belong to the longest common subsequence with what was said."""
    rows, columns = len(said), len(heard)
    length = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            if said[row].key == heard[column].key:
                length[row][column] = length[row + 1][column + 1] + 1
            else:
                length[row][column] = max(length[row + 1][column], length[row][column + 1])
    found: set[int] = set()
    row = column = 0
    while row < rows and column < columns:
        if said[row].key == heard[column].key:
            found.add(column)
            row, column = row + 1, column + 1
        elif length[row + 1][column] >= length[row][column + 1]:
            row += 1
        else:
            column += 1
    return found


def mark_for_target(heard: list[Word], talkers: list[list[Word]], target: int | None) -> list[MarkedWord]:
    """Mark a transcript that should hold the target's words only (`target` None: nobody's, it should be empty)."""
    said = [] if target is None else talkers[target]
    others = [index for index in range(len(talkers)) if index != target]
    pairs = align(said, heard)
    right = {h for s, h in pairs if s is not None and h is not None and said[s].key == heard[h].key}
    theirs = _owners(heard, talkers, others, taken=right)
    marked: list[MarkedWord] = []
    instead: list[MarkedWord] = []  # what stands where words are missing: shown after them, not in between
    for s, h in pairs:
        if h in right and h is not None:
            marked += [*instead, MarkedWord(heard[h].shown, Mark.RIGHT, target)]
            instead = []
            continue
        if s is not None:
            marked.append(MarkedWord(said[s].shown, Mark.MISSING, target))
        if h is not None:
            owner = theirs.get(h)
            instead.append(MarkedWord(heard[h].shown, Mark.WRONG if owner is None else Mark.OTHER, owner))
    return marked + instead


def mark_by_talker(heard: list[Word], talkers: list[list[Word]]) -> list[MarkedWord]:
    """Mark a transcript of everybody: each word with the talker who said it, or as wrong."""
    best_first = sorted(range(len(talkers)), key=lambda index: -len(matched(talkers[index], heard)))
    owners = _owners(heard, talkers, best_first, taken=set())
    return [
        MarkedWord(word.shown, Mark.RIGHT if position in owners else Mark.WRONG, owners.get(position))
        for position, word in enumerate(heard)
    ]


def _owners(heard: list[Word], talkers: list[list[Word]], order: list[int], taken: set[int]) -> dict[int, int]:
    """Position of a heard word -> talker who said it; earlier talkers of `order` take words first."""
    owners: dict[int, int] = {}
    for talker in order:
        free = [position for position in range(len(heard)) if position not in taken and position not in owners]
        for index in matched(talkers[talker], [heard[position] for position in free]):
            owners[free[index]] = talker
    return owners
