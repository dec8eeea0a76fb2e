"""Sound that comes in pieces is the same sound, whatever the pieces."""

import io
import sys
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny import tone

from softspoken.audio.streams import BytesToSamples, microphone, microphones, raw_stream
from softspoken.errors import AudioError, MissingExtra


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW"])
def test_g711_is_what_libsndfile_reads(subtype: str) -> None:
    codes = bytes(range(256))
    expected, _ = soundfile.read(
        io.BytesIO(codes), format="RAW", subtype=subtype, samplerate=16_000, channels=1, dtype="float32"
    )
    np.testing.assert_array_equal(BytesToSamples(16_000, subtype.lower())(codes), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 44_100])
def test_pieces_change_nothing(rate_hz: int) -> None:
    data = (32767 * tone(1.0)).astype("<i2").tobytes()
    whole = BytesToSamples(rate_hz)(data, last=True)
    decode = BytesToSamples(rate_hz)
    sizes = np.random.default_rng(0).integers(1, 999, 200).tolist()
    parts, at = [], 0
    for size in sizes:
        parts.append(decode(data[at : at + size]))
        at += size
    parts.append(decode(data[at:], last=True))
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert whole.size == pytest.approx(16_000 * 16_000 / rate_hz, abs=2)


def test_a_raw_stream_is_all_of_it() -> None:
    data = (32767 * tone(2.0)).astype("<i2").tobytes()
    heard = np.concatenate(list(raw_stream(io.BytesIO(data), 16_000)))
    np.testing.assert_array_equal(heard, np.frombuffer(data, "<i2").astype(np.float32) / 32768)


class FakeDevices:
    """sounddevice with one microphone, which gives three blocks at once."""

    PortAudioError = RuntimeError

    @staticmethod
    def query_devices(device: Any = None, kind: str | None = None) -> Any:
        if kind is None:
            return [
                {"index": 0, "name": "speaker", "max_input_channels": 0},
                {"index": 1, "name": "desk", "max_input_channels": 2},
            ]
        if device not in (None, 1, "desk"):
            raise ValueError("no such device")
        return {"default_samplerate": 48_000.0}

    class RawInputStream:
        def __init__(self, *, samplerate: int, callback: Any, blocksize: int, **others: Any) -> None:
            self._heard, self._size = callback, blocksize

        def __enter__(self) -> None:
            for _ in range(3):
                self._heard(np.full(self._size, 3277, "<i2").tobytes(), self._size, None, None)

        def __exit__(self, *error: object) -> None:
            pass


def test_a_microphone_gives_what_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeDevices)  # type: ignore[arg-type]
    assert microphones() == ["1: desk"]
    heard = next(microphone("desk"))
    # 0.3 s but for what the resampler still holds.
    assert 0.2 * 16_000 < heard.size <= 0.3 * 16_000
    assert np.median(heard) == pytest.approx(0.1, abs=1e-3)
    with pytest.raises(AudioError, match="no microphone 'roof' can be used"):
        next(microphone("roof"))


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"softspoken\[live\]"):
        microphones()
