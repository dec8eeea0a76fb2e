"""Whisper's vocabulary: text, and the special ids derived from its size and entries, never from encoded text."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

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
