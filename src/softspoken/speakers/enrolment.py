"""An enrolled voice: how it is made from clips, what its name may be, and how it is written as JSON."""

import base64
import difflib
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ, AudioLike, load_audio
from softspoken.errors import EnrolmentError
from softspoken.speakers.base import SpeakerEmbedder, unit
from softspoken.speakers.quality import EnrolmentLimits, check_enrolment

FORMAT = "softspoken voices"
FORMAT_VERSION = 1
LONGEST_NAME = 64
# Longer clips teach nothing more about a voice, and an hour by mistake should not take minutes.
_LONGEST_CLIP_S = 600.0
_LONGEST_SPEECH_S = 120.0
_LONGEST_KEPT_S = 30.0


@dataclass(frozen=True)
class Clip:
    """What to learn a voice from: a recording of any kind (samples at 16 kHz, or see `Recording`), or a part of it."""

    audio: AudioLike
    start_s: float | None = None
    end_s: float | None = None
    name: str | None = None
    """What messages and the record call it; None: the file, and the part of it."""

    @property
    def source(self) -> str:
        """For messages and the record."""
        if self.name is not None:
            return self.name
        if isinstance(self.audio, np.ndarray):
            return "samples"
        if isinstance(self.audio, bytes):
            return "bytes"
        if self.start_s is None and self.end_s is None:
            return str(self.audio)
        end = "the end" if self.end_s is None else f"{self.end_s:g} s"
        return f"{self.audio} ({0 if self.start_s is None else self.start_s:g} s to {end})"

    def samples(self) -> np.ndarray:
        """The audio, at most ten minutes of it. AudioError when it cannot be read."""
        start_s = 0.0 if self.start_s is None else self.start_s
        latest_s = start_s + _LONGEST_CLIP_S
        # The end is only set where it must be: a file read to its end is also checked to be whole.
        end_s = self.end_s if self.end_s is not None and self.end_s <= latest_s else None
        audio = load_audio(self.audio, start_s=self.start_s, end_s=end_s)
        return audio[: round(_LONGEST_CLIP_S * SAMPLE_RATE_HZ)]


ClipLike = Clip | tuple[AudioLike, float | None, float | None] | AudioLike


def as_clip(given: ClipLike) -> Clip:
    """A path, samples, or (path, start_s, end_s) as a Clip."""
    if isinstance(given, Clip):
        return given
    return Clip(*given) if isinstance(given, tuple) else Clip(given)


@dataclass(frozen=True)
class Enrolment:
    """A voice: `vector` is a unit vector [S] of the named embedder; `created` is an ISO 8601 time in UTC."""

    name: str
    embedder: str
    vector: Float32[np.ndarray, " S"]
    speech_s: float
    created: str
    sources: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    clip: Float32[np.ndarray, " N"] | None = field(default=None, compare=False, repr=False)
    """Up to half a minute of the voice (16 kHz), for prompts that hear it themselves; None where it was not kept."""


def enrol(
    name: str,
    clips: Sequence[ClipLike],
    embedder: SpeakerEmbedder,
    *,
    created: str = "",
    limits: EnrolmentLimits | None = None,
) -> Enrolment:
    """The mean of the clips' unit vectors, weighted by their seconds of speech, as a unit vector.

    Vectors and the kept clip come from the speech in the clips alone, wherever it stands.

    Raises AudioError or EnrolmentError for the first clip that cannot be used, EnrolmentError without clips.
    """
    name = checked_name(name)
    if not clips:
        raise EnrolmentError(f"no clip to enrol '{name}' from: name one or more recordings")
    vectors: list[np.ndarray] = []
    seconds: list[float] = []
    warnings: list[str] = []
    chosen = [as_clip(clip) for clip in clips]
    heard = np.zeros(0, np.float32)
    for clip in chosen:
        quality = check_enrolment(clip.samples(), clip.source, embedder, limits)
        spoken = quality.spoken[: round(_LONGEST_SPEECH_S * SAMPLE_RATE_HZ)]
        heard = max(heard, spoken, key=len)
        vectors.append(embedder.embed(spoken))
        seconds.append(quality.speech_s)
        warnings.extend(quality.warnings)
    vector = unit(np.average(np.stack(vectors), axis=0, weights=seconds))
    sources = tuple(clip.source for clip in chosen)
    kept = heard[: round(_LONGEST_KEPT_S * SAMPLE_RATE_HZ)]
    return Enrolment(name, embedder.name, vector, float(sum(seconds)), created, sources, tuple(warnings), kept)


def checked_name(name: str) -> str:
    """The name without outer spaces and in one Unicode form. EnrolmentError when it is none or reads like a path."""
    name = unicodedata.normalize("NFC", name.strip())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or any(mark in name for mark in "/\\"):
        expected = f"1 to {LONGEST_NAME} printable characters without / and \\"
        raise EnrolmentError(
            f"'{name[:80]!r}' cannot name a voice: expected {expected}; choose another".replace("''", "'")
        )
    return name


def close_names(name: str, known: Sequence[str]) -> str:
    """What to suggest when a name is not found."""
    if not known:
        return "none is enrolled yet: softspoken speaker enrol NAME FILE"
    by_case = {candidate.casefold(): candidate for candidate in known}
    close = [by_case[match] for match in difflib.get_close_matches(name.casefold(), list(by_case), n=3, cutoff=0.5)]
    if close:
        return f"close to it: {', '.join(close)}"
    return f"enrolled are: {', '.join(sorted(known)[:8])}{' ...' if len(known) > 8 else ''}"


def to_json(enrolments: Sequence[Enrolment]) -> str:
    """All that is known of the voices, clips as FLAC in base64; vectors survive the way there and back exactly."""
    voices = [
        {
            "name": enrolment.name,
            "embedder": enrolment.embedder,
            "vector": [float(value) for value in enrolment.vector],
            "speech_s": enrolment.speech_s,
            "created": enrolment.created,
            "sources": list(enrolment.sources),
            "warnings": list(enrolment.warnings),
            "clip": None if enrolment.clip is None else base64.b64encode(pack(enrolment.clip)).decode(),
        }
        for enrolment in enrolments
    ]
    return json.dumps({"format": FORMAT, "version": FORMAT_VERSION, "voices": voices}, indent=1, ensure_ascii=False)


def from_json(text: str) -> list[Enrolment]:
    """Read an export. EnrolmentError, naming the voice, for anything that is not as `to_json` writes it."""
    try:
        content = json.loads(text)
        form, version, voices = content["format"], content["version"], content["voices"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EnrolmentError("not an export of voices: expected the JSON of 'softspoken speaker export'") from error
    if form != FORMAT or version != FORMAT_VERSION or not isinstance(voices, list):
        expected = f"'{FORMAT}' version {FORMAT_VERSION}"
        raise EnrolmentError(f"an export of voices in format '{form}' version {version}, expected {expected}: update")
    return [_voice(number, voice) for number, voice in enumerate(voices, start=1)]


def _voice(number: int, voice: Any) -> Enrolment:
    try:
        vector = np.array(voice["vector"], np.float32)
        texts = [str(voice[key]) for key in ("embedder", "created")]
        lists = [tuple(str(item) for item in voice[key]) for key in ("sources", "warnings")]
        name, speech_s = checked_name(str(voice["name"])), float(voice["speech_s"])
        kept = voice["clip"]
        clip = None if kept is None else unpack(base64.b64decode(kept, validate=True), name)
    except (KeyError, TypeError, ValueError) as error:
        raise EnrolmentError(f"voice {number} of the export is incomplete ({error}): export it again") from error
    if vector.ndim != 1 or not np.isfinite(vector).all() or abs(float(np.linalg.norm(vector)) - 1) > 1e-3:
        raise EnrolmentError(f"voice '{name}' of the export has no unit vector: export it again")
    return Enrolment(name, texts[0], vector, speech_s, texts[1], lists[0], lists[1], clip)


def pack(clip: Float32[np.ndarray, " N"]) -> bytes:
    """FLAC of a clip (16 kHz); louder than full scale is clipped."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(clip, -1.0, 1.0), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def unpack(content: bytes, name: str) -> Float32[np.ndarray, " N"]:
    """What `pack` was given, to 16 bits. EnrolmentError, naming the voice, for anything else."""
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            # Silence of two hours is half a megabyte of FLAC: looked at before it is unpacked.
            if file.frames > _LONGEST_KEPT_S * SAMPLE_RATE_HZ:
                raise EnrolmentError(
                    f"the kept clip of '{name}' is longer than {_LONGEST_KEPT_S:g} s: enrol the voice again"
                )
            clip, rate_hz = file.read(dtype="float32"), file.samplerate
    except soundfile.SoundFileError as error:
        raise EnrolmentError(
            f"the kept clip of '{name}' is damaged ({error}): remove the voice and enrol it again"
        ) from None
    if rate_hz != SAMPLE_RATE_HZ or clip.ndim != 1 or clip.size == 0:
        raise EnrolmentError(f"the kept clip of '{name}' is not mono at {SAMPLE_RATE_HZ} Hz: enrol it again")
    return np.asarray(clip, np.float32)
