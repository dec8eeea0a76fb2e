"""Sound that never ends: a microphone, or bytes as they come, as mono samples at 16 kHz."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import soxr
from jaxtyping import Float32

from softspoken.audio.read import SAMPLE_RATE_HZ
from softspoken.errors import AudioError, MissingExtra

Encoding = Literal["pcm16", "ulaw", "alaw"]
Samples = Float32[np.ndarray, " _"]
_BLOCK_S = 0.1
_HELD_BLOCKS = 600
"""A minute of a microphone that nobody takes from; older sound is kept, newer is lost."""


class BytesToSamples:
    """Raw mono sound of any rate, block by block: 16-bit little-endian, or G.711."""

    def __init__(self, rate_hz: int, encoding: Encoding = "pcm16") -> None:
        self._encoding, self._odd = encoding, b""
        self._resampler = None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1)

    def __call__(self, data: bytes, *, last: bool = False) -> Samples:
        """The next samples; half a sample waits for its other half. `last`: no more follows."""
        if self._encoding == "pcm16":
            data = self._odd + data
            whole = len(data) // 2 * 2
            self._odd = data[whole:]
            samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
        else:
            samples = _G711[self._encoding][np.frombuffer(data, np.uint8)]
        if self._resampler is None:
            return samples
        found: np.ndarray = self._resampler.resample_chunk(samples, last)
        return found.astype(np.float32, copy=False)


def _ulaw() -> Samples:
    """Samples of the 256 codes of G.711's mu-law."""
    codes = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (codes >> 4) & 7, codes & 15
    size = (((mantissa.astype(np.int32) << 3) + 132) << exponent) - 132
    return (np.where(codes & 128, -size, size) / 32768).astype(np.float32)


def _alaw() -> Samples:
    """The same of A-law."""
    codes = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = ((codes >> 4) & 7).astype(np.int32), (codes & 15).astype(np.int32)
    size = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 264) << np.maximum(exponent - 1, 0))
    return (np.where(codes & 128, size, -size) / 32768).astype(np.float32)


_G711: dict[str, Samples] = {"ulaw": _ulaw(), "alaw": _alaw()}


def raw_stream(source: Any, rate_hz: int) -> Iterator[Samples]:
    """16-bit PCM of a binary file as it comes; whoever takes late gets all that has come meanwhile at once.

    A pipe that may outlive the program should have no buffer (such as `sys.stdin.buffer.raw`): Python breaks off with a
    crash where a thread still waits in one at the end.
    """
    decode = BytesToSamples(rate_hz)
    size = max(2, round(2 * rate_hz * _BLOCK_S))
    read = getattr(source, "read1", source.read)
    for parts in _gathered(lambda: read(size)):
        yield decode(b"".join(parts))
    yield decode(b"", last=True)


def microphone(device: str | int | None = None) -> Iterator[Samples]:
    """What a microphone hears, until the iterator is closed; whoever takes late gets all that has come at once.

    `device`: a number or a part of a name, as `microphones` lists them; None: the system's own choice. Raises
    MissingExtra without sounddevice, AudioError for a device that cannot be used.
    """
    sounddevice = _sounddevice()
    blocks: queue.Queue[bytes] = queue.Queue(_HELD_BLOCKS)

    def heard(data: Any, frames: int, at: Any, status: Any) -> None:
        if not blocks.full():
            blocks.put_nowait(bytes(data))

    try:
        rate_hz = round(sounddevice.query_devices(device, "input")["default_samplerate"])
        opened = sounddevice.RawInputStream(
            samplerate=rate_hz, channels=1, dtype="int16", device=device, callback=heard, blocksize=rate_hz // 10
        )
        decode = BytesToSamples(rate_hz)
        with opened:
            while True:
                yield decode(b"".join([blocks.get(), *_waiting(blocks)]))
    except (sounddevice.PortAudioError, ValueError) as error:
        named = "no microphone" if device is None else f"no microphone '{device}'"
        raise AudioError(f"{named} can be used ({error}); --list-devices shows which there are") from None


def microphones() -> list[str]:
    """A line for each microphone: its number and name."""
    sounddevice = _sounddevice()
    return [f"{one['index']}: {one['name']}" for one in sounddevice.query_devices() if one["max_input_channels"] > 0]


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "sounddevice", "live", "a microphone") from None
    except OSError:
        raise AudioError("a microphone needs the library PortAudio; on Debian: apt install libportaudio2") from None
    return sounddevice


def _gathered(read: Any) -> Iterator[list[bytes]]:
    """What a thread reads; each time all that has come since the last."""
    blocks: queue.Queue[bytes] = queue.Queue(_HELD_BLOCKS)

    def fill() -> None:
        while block := read():
            blocks.put(block)
        blocks.put(b"")

    threading.Thread(target=fill, daemon=True).start()
    while True:
        parts = [blocks.get(), *_waiting(blocks)]
        yield parts
        if not parts[-1]:
            return


def _waiting(blocks: "queue.Queue[bytes]") -> list[bytes]:
    found = []
    while True:
        try:
            found.append(blocks.get_nowait())
        except queue.Empty:
            return found
