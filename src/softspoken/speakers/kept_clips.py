"""The sound of an enrolled voice as bytes, to be kept: FLAC, 16 bit, 16 kHz."""

import io

import numpy as np
import soundfile
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import EnrolmentError


def pack(clip: Float32[np.ndarray, " N"]) -> bytes:
    """FLAC of a clip (16 kHz); louder than full scale is clipped."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(clip, -1.0, 1.0), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def unpack(content: bytes, name: str) -> Float32[np.ndarray, " N"]:
    """What `pack` was given, to 16 bits. EnrolmentError, naming the voice, for anything else."""
    try:
        clip, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32")
    except soundfile.SoundFileError as error:
        raise EnrolmentError(
            f"the kept clip of '{name}' is damaged ({error}): remove the voice and enrol it again"
        ) from None
    if rate_hz != SAMPLE_RATE_HZ or clip.ndim != 1 or clip.size == 0:
        raise EnrolmentError(f"the kept clip of '{name}' is not mono at {SAMPLE_RATE_HZ} Hz: enrol it again")
    return np.asarray(clip, np.float32)
