"""Sound to a file, whole or not at all."""

import os
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32

from softspoken.errors import AudioError
from softspoken.files import replacing

_RATE_HZ = 16_000


def write_wav(path: str | Path, audio: Float32[np.ndarray, " samples"], *, rate_hz: int = _RATE_HZ) -> None:
    """Write mono 16-bit WAV, atomically, whatever the name's suffix."""
    _write(Path(path), audio, rate_hz, "WAV", "PCM_16")


def write_audio(path: str | Path, audio: Float32[np.ndarray, " samples"], *, rate_hz: int = _RATE_HZ) -> None:
    """Write mono audio, atomically, in the format of the suffix: .wav and .flac (16 bit), .ogg, .opus or .mp3."""
    formats = {
        ".wav": ("WAV", "PCM_16"),
        ".flac": ("FLAC", "PCM_16"),
        ".ogg": ("OGG", "VORBIS"),
        ".opus": ("OGG", "OPUS"),
        ".mp3": ("MP3", "MPEG_LAYER_III"),
    }
    path = Path(path)
    if path.suffix.lower() not in formats:
        raise AudioError(f"cannot write '{path.name}': expected a name ending in {', '.join(formats)}")
    _write(path, audio, rate_hz, *formats[path.suffix.lower()])


def _write(path: Path, audio: np.ndarray, rate_hz: int, file_format: str, subtype: str) -> None:
    if not np.isfinite(audio).all():
        raise AudioError(f"cannot write '{path}': the audio holds NaN or infinite samples")
    try:
        with replacing(path) as temporary:
            soundfile.write(os.fsencode(temporary), audio, rate_hz, format=file_format, subtype=subtype)
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"cannot write '{path}': {error}; check that its folder exists and has space") from None
