"""Every error softspoken raises on purpose.

* SoftspokenError
    * AudioError            a recording cannot be used (missing, empty, silent, damaged, not audio)
    * EnrolmentError        a voice cannot be enrolled or found
        * SpeakerNotFound
        * StoreUnavailable  the file or the database of voices cannot be used
    * BackboneError         a frozen model cannot be found, read or verified
    * PromptError           a prompt cannot be read, verified or applied
        * PromptMismatch    the prompt belongs to another backbone or has other shapes
        * PromptDamaged     the prompt's files fail their integrity check
        * PromptNotTrusted  the prompt is not signed by a trusted key, and that was required
    * DataError             a manifest, cut set or recipe is unusable
    * ConfigError           an option or a combination of options is not possible
    * MissingExtra          an optional dependency is not installed

Each message is one line: what was got, what was expected, and what to do. The command line prints
it and exits with code 1; it never shows a traceback for one of these.
"""


class SoftspokenError(Exception):
    """Base of all expected errors."""


class AudioError(SoftspokenError):
    """A recording cannot be used."""


class EnrolmentError(SoftspokenError):
    """A voice cannot be enrolled."""


class SpeakerNotFound(EnrolmentError):
    """No enrolled voice has this name."""


class StoreUnavailable(EnrolmentError):
    """The store of voices cannot be read or written: no connection, no rights, a full disk, a damaged file."""


class BackboneError(SoftspokenError):
    """A frozen model cannot be found, read or verified."""


class PromptError(SoftspokenError):
    """A prompt cannot be read, verified or applied."""


class PromptMismatch(PromptError):
    """The prompt belongs to another backbone, or its shapes are other than its configuration says."""


class PromptDamaged(PromptError):
    """The prompt's files fail their integrity check. Refused: a damaged prompt ruins recognition."""


class PromptNotTrusted(PromptError):
    """The prompt is not signed by a key that is trusted, and that was required."""


class DataError(SoftspokenError):
    """A manifest, cut set or recipe is unusable."""


class ConfigError(SoftspokenError):
    """An option, or a combination of options, is not possible."""


class MissingExtra(SoftspokenError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': pip install 'softspoken[{extra}]'")
