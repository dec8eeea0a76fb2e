"""The dictionary of a CTC recogniser: characters, as in the SUPERB speech recognition task (Yang et al. 2021).

One symbol an output of the head. Symbol 0 is CTC's blank; `|` stands for the space between two words.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase

from softspoken.errors import ConfigError, DataError

BLANK = 0
SPACE = "|"
DEFAULT: tuple[str, ...] = ("<blank>", SPACE, *ascii_uppercase, "'")

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u02bc\u2032\u00b4\u0060\uff07", "'"))
_SPOKEN = "%&@#"
"""Punctuation to Unicode, but words to a reader: never dropped in silence."""
_SHOWN = 60
"""Characters of a text that a message shows."""


@dataclass(frozen=True)
class Characters:
    """Characters and the outputs that mean them. `list(symbols)` is its JSON form.

    `symbols`: the blank's name, then single characters, `|` among them. A dictionary of upper-case letters takes text
    of any case, and so does one of lower-case letters; one of both takes a text as it is. Raises ConfigError in one
    line for symbols that cannot be a dictionary.
    """

    symbols: tuple[str, ...] = DEFAULT

    def __post_init__(self) -> None:
        written = self.symbols[1:]
        if SPACE not in written:
            raise ConfigError(f"a dictionary of {len(self.symbols)} symbols without '{SPACE}' (the space); add it")
        unusable = next((symbol for symbol in written if len(symbol) != 1 or symbol.isspace()), None)
        if unusable is not None:
            raise ConfigError(f"symbol {unusable!r} of the dictionary is not one visible character; '|' is the space")
        twice = next((symbol for symbol in self.symbols if self.symbols.count(symbol) > 1), None)
        if twice is not None:
            raise ConfigError(f"symbol {twice!r} is twice in the dictionary; every output needs a character of its own")

    @property
    def size(self) -> int:
        """Outputs of the head, the blank included."""
        return len(self.symbols)

    @cached_property
    def _ids(self) -> dict[str, int]:
        found = {symbol: index for index, symbol in enumerate(self.symbols) if index != BLANK}
        return {" ": found[SPACE], **found}

    def cased(self, text: str) -> str:
        """`text` in the case of the dictionary's letters."""
        written = "".join(self.symbols[1:])
        if written == written.upper():
            return text.upper()
        return text.lower() if written == written.lower() else text

    def encode(self, text: str) -> list[int]:
        """One id a character; whitespace of any length is one `|` between words, none around them.

        Raises DataError naming the first character outside the dictionary.
        """
        cased = " ".join(self.cased(text).split())
        try:
            return [self._ids[character] for character in cased]
        except KeyError as error:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            raise DataError(
                f"character {error.args[0]!r} of the text {shown!r} is not among the dictionary's {self.size - 1}; "
                "spell it out (digits, signs), or give a dictionary that has it"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids whose repetitions are already collapsed; blanks say nothing, spaces around words go."""
        text = "".join(self.symbols[index] for index in ids if index != BLANK)
        return " ".join(text.replace(SPACE, " ").split())

    def text(self, transcript: str) -> str:
        """A transcript as this dictionary writes it: what a recogniser's output is compared with."""
        return self.cased(normalise_transcript(transcript))


def normalise_transcript(text: str) -> str:
    """Upper-case words with single spaces between them, as LibriSpeech writes its transcripts.

    Unicode's compatible forms (NFKC), any apostrophe as `'` where it touches a letter, other punctuation as a space.
    Digits and spoken signs ('%', '+') stay, for `Characters.encode` to refuse: how they were said is not known.
    """
    # Apostrophes first: NFKC would make a space and an accent of some.
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).upper()
    kept = [character if _is_kept(plain, place) else " " for place, character in enumerate(plain)]
    return " ".join("".join(kept).split())


def _is_kept(text: str, place: int) -> bool:
    character = text[place]
    if character == "'":
        return any(neighbour.isalnum() for neighbour in text[max(place - 1, 0) : place + 2])
    return character in _SPOKEN or (unicodedata.category(character)[0] in "LMNS" and character != SPACE)
