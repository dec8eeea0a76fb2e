"""Whisper's vocabulary: text, and the special ids derived from its size and entries, never from encoded text.

Its tokenizer is read from files, rebuilt from a bare vocabulary, or derived for the newest models.
"""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from softspoken.errors import BackboneError, ConfigError

TIMESTAMP_STEP_S = 0.02
"""Seconds between two timestamp tokens."""
TIMESTAMP_COUNT = 1501

_NOTATION = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *("<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))", "[[", "]]", "{{", "}}"),
    *("♪♪", "♪♪♪", "♩", "♪", "♫", "♬", "♭", "♮", "♯"),
)
"""Signs of sounds and speakers in subtitles; Whisper's own list of what a transcript should not hold."""


class WhisperTokens:
    """Text to ids and back, and the ids of what is not text."""

    def __init__(self, tokenizer: Any, vocabulary_size: int) -> None:
        """`tokenizer`: a `tokenizers.Tokenizer` with Whisper's vocabulary of `vocabulary_size` entries."""
        self.tokenizer = tokenizer
        self.vocabulary_size = vocabulary_size
        self.end_of_text = self._id("<|endoftext|>")
        self.start_of_transcript = self._id("<|startoftranscript|>")
        self.start_of_previous = self._id("<|startofprev|>")
        self.transcribe = self._optional("<|transcribe|>")
        self.translate = self._optional("<|translate|>")
        self.no_timestamps = self._id("<|notimestamps|>")
        self.timestamp_begin = self.no_timestamps + 1
        no_speech = self._optional("<|nospeech|>")
        self.no_speech = no_speech if no_speech is not None else self._id("<|nocaptions|>")

    def _optional(self, text: str) -> int | None:
        found: int | None = self.tokenizer.token_to_id(text)
        return found

    def _id(self, text: str) -> int:
        found = self._optional(text)
        if found is None:
            raise BackboneError(f"the tokenizer has no {text}; expected a Whisper tokenizer.json beside the weights")
        return found

    @property
    def multilingual(self) -> bool:
        """The English-only models (.en) have one entry less than the first multilingual ones."""
        return self.vocabulary_size >= 51865

    @cached_property
    def languages(self) -> dict[str, int]:
        """Language code to id, e.g. {"en": 50259}; empty for English-only models."""
        if not self.multilingual:
            return {}
        # The languages stand between <|startoftranscript|> and <|translate|>.
        stop = self.translate if self.translate is not None else self.start_of_transcript + 100
        codes: dict[str, int] = {}
        for index in range(self.start_of_transcript + 1, stop):
            entry = self.tokenizer.id_to_token(index)
            if entry is not None:
                codes[entry.strip("<|>")] = index
        return codes

    def start(self, language: str | None = None, timestamps: bool = False) -> list[int]:
        """The forced tokens that begin a transcript: start, language and task where there are any, no timestamps."""
        ids = [self.start_of_transcript]
        if self.multilingual:
            code = "en" if language is None else language
            if code not in self.languages:
                raise ConfigError(f"language '{code}' is not one of the backbone's {len(self.languages)}; try 'en'")
            ids.append(self.languages[code])
            assert self.transcribe is not None
            ids.append(self.transcribe)
        elif language not in (None, "en"):
            raise ConfigError(f"language '{language}' asked of an English-only backbone; use a multilingual one")
        if not timestamps:
            ids.append(self.no_timestamps)
        return ids

    def encode(self, text: str) -> list[int]:
        """Text to ids, no special ones. Whisper's words begin with a space: give ' like this'."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text; special and timestamp ids are left out."""
        text: str = self.tokenizer.decode([i for i in ids if i < self.end_of_text], skip_special_tokens=True)
        return text

    @cached_property
    def suppressed(self) -> tuple[int, ...]:
        """Ids that never belong in a transcript: the special ones but end of text, and pure non-speech notation."""
        ids = set(range(self.end_of_text + 1, self.timestamp_begin))
        for symbol in _NOTATION:
            for form in (symbol, " " + symbol):
                encoded = self.encode(form)
                if len(encoded) == 1 or symbol in "♩♪♫♬♭♮♯":
                    ids.add(encoded[0])
        # Hyphens and quotes are written within words, but do not begin one.
        ids |= {self.encode(form)[0] for form in (" -", " '")}
        return tuple(sorted(ids))

    def timestamp(self, seconds: float) -> int:
        """The token for a time within the window, to the nearest 0.02 s."""
        return self.timestamp_begin + min(round(seconds / TIMESTAMP_STEP_S), TIMESTAMP_COUNT - 1)

    def seconds(self, token: int) -> float:
        """The time of a timestamp token, in seconds from the start of the window."""
        return (token - self.timestamp_begin) * TIMESTAMP_STEP_S


END_OF_TEXT = "<|endoftext|>"
CANTONESE = "<|yue|>"
_REQUIRED = (END_OF_TEXT, "<|startoftranscript|>", "<|startofprev|>", "<|notimestamps|>")
_ADVICE = "put the tokenizer.json of the same model beside the weights"


def read_tokenizer(path: Path) -> Tokenizer:
    """A `tokenizer.json`, or CTranslate2's `vocabulary.json` or `vocabulary.txt`; BackboneError if it is neither."""
    try:
        text = path.read_text("utf-8")
        if path.name.startswith("vocabulary"):
            entries = json.loads(text) if path.suffix == ".json" else text.removesuffix("\n").split("\n")
            if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
                raise ValueError("not a list of strings")
            return tokenizer_from_vocabulary(entries)
        return Tokenizer.from_str(text)
    except BackboneError:
        raise
    except Exception as error:  # the tokenizers library raises plain Exception
        reason = re.sub(r"\s+", " ", str(error))[:120]
        raise BackboneError(f"cannot read the tokenizer {path} ({reason}); {_ADVICE}") from None


def check_tokenizer(tokenizer: Tokenizer, vocabulary_size: int, origin: str) -> Tokenizer:
    """Refuse a tokenizer that is not Whisper's or does not fit the model's vocabulary."""
    for entry in _REQUIRED:
        if tokenizer.token_to_id(entry) is None:
            raise BackboneError(f"the tokenizer of {origin} has no {entry}, so it is not Whisper's; {_ADVICE}")
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if highest >= vocabulary_size:
        raise BackboneError(
            f"the tokenizer of {origin} has ids up to {highest}, the model a vocabulary of {vocabulary_size}; {_ADVICE}"
        )
    return tokenizer


def with_cantonese(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer of large-v3 and turbo (51,866 entries) from that of the older multilingual models (51,865).

    Cantonese became the hundredth language, behind the other languages; every id from <|translate|> on moved up by 1.
    """
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    place = tokenizer.token_to_id("<|translate|>")
    if place is None or tokenizer.token_to_id(CANTONESE) is not None:
        raise BackboneError("the tokenizer to be extended is not that of a multilingual Whisper with 99 languages")
    added = []
    for entry in content["added_tokens"]:
        if entry["id"] == place:
            added.append({**entry, "id": place, "content": CANTONESE})
        added.append({**entry, "id": entry["id"] + (entry["id"] >= place)})
    content["added_tokens"] = added
    # The template names special ids too; nobody here asks for it, and a stale one would mislead.
    content["post_processor"] = None
    return Tokenizer.from_str(json.dumps(content))


def tokenizer_from_vocabulary(entries: Sequence[str]) -> Tokenizer:
    """A tokenizer from the bare list of entries in the order of their ids, as CTranslate2 stores it.

    Whisper's ids are the ranks of its merges (a byte-level BPE, Sennrich et al. 2016), so the two halves of an entry
    are what the merges before it leave of its text.
    """
    if END_OF_TEXT not in entries:
        raise BackboneError(f"the vocabulary has no {END_OF_TEXT}, so it is not Whisper's; {_ADVICE}")
    first_special = entries.index(END_OF_TEXT)
    ranks = {entry: index for index, entry in enumerate(entries[:first_special])}
    merges = []
    for entry, rank in ranks.items():
        if len(entry) > 1:
            halves = _merge(entry, ranks, rank)
            if len(halves) != 2:
                raise BackboneError(f"the vocabulary's entry {rank} ('{entry}') cannot be made by merges; {_ADVICE}")
            merges.append((halves[0], halves[1]))
    tokenizer = Tokenizer(models.BPE(vocab=ranks, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = [entry for entry in entries[first_special:] if entry]
    tokenizer.add_special_tokens([AddedToken(entry, special=True, normalized=False) for entry in specials])
    if any(tokenizer.token_to_id(entry) != first_special + index for index, entry in enumerate(specials)):
        raise BackboneError(f"the vocabulary's special entries are not in one row at its end; {_ADVICE}")
    return tokenizer


def _merge(entry: str, ranks: dict[str, int], below: int) -> list[str]:
    """Apply the merges of rank under `below` to the characters of `entry`, the lowest rank first."""
    parts = list(entry)
    while len(parts) > 2:
        best, place = below, -1
        for index in range(len(parts) - 1):
            rank = ranks.get(parts[index] + parts[index + 1], below)
            if rank < best:
                best, place = rank, index
        if place < 0:
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts
