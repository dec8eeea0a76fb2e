"""Recordings as people have them come out as 16 kHz mono; those that cannot be trusted are refused in one line."""

import io
import os
import shlex
import struct
import sys
import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from softspoken.audio import (
    SAMPLE_RATE_HZ,
    Channel,
    Recording,
    duration_s,
    load_audio,
    require_sound,
    stream_audio,
    write_audio,
    write_wav,
)
from softspoken.audio.headers_mp3 import mp3_start
from softspoken.errors import AudioError, ConfigError, MissingExtra


def tone(seconds: float = 2.0, rate_hz: int = SAMPLE_RATE_HZ, frequency_hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def loudest_hz(audio: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(audio * np.hanning(len(audio)))).argmax() * SAMPLE_RATE_HZ / len(audio))


def encode(path: Path, codec: str, audio: np.ndarray, rate_hz: int, options: dict[str, str] | None = None) -> Path:
    """Write with PyAV what soundfile cannot write."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        for start in range(0, len(audio), 1024):
            frame = av.AudioFrame.from_ndarray(audio[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(content[: int(len(content) * share)])
    return shorter


def one_line(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3"])
def test_what_is_written_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    write_audio(path, tone())
    audio = load_audio(path)
    assert audio.dtype == np.float32
    assert abs(len(audio) - 2 * SAMPLE_RATE_HZ) < 0.1 * SAMPLE_RATE_HZ
    assert abs(loudest_hz(audio) - 440) < 2
    assert 0.25 < np.abs(audio[4000:-4000]).max() < 0.35
    assert abs(duration_s(path) - 2.0) < 0.1
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [("a.m4a", "aac", 44_100), ("a.webm", "libopus", 48_000), ("a.aac", "aac", 22_050), ("a.mp4", "aac", 48_000)],
)
def test_media_containers(tmp_path: Path, name: str, codec: str, rate_hz: int) -> None:
    path = encode(tmp_path / name, codec, tone(2.0, rate_hz), rate_hz)
    audio = load_audio(path)
    assert abs(len(audio) / SAMPLE_RATE_HZ - 2.0) < 0.15
    assert abs(loudest_hz(audio) - 440) < 2
    assert abs(duration_s(path) - 2.0) < 0.15


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_rates_and_channels(tmp_path: Path, rate_hz: int, channels: int) -> None:
    path = tmp_path / "many.wav"
    weights = np.linspace(0.2, 1.8, channels) if channels > 1 else np.ones(1)
    soundfile.write(path, tone(1.0, rate_hz)[:, None] * weights, rate_hz, subtype="FLOAT")
    audio = load_audio(path)
    assert abs(len(audio) - SAMPLE_RATE_HZ) <= 1
    middle = slice(2000, 14_000)
    np.testing.assert_allclose(audio[middle], tone(1.0)[middle], atol=2e-3)


def test_channels_that_cancel_leave_the_louder_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(), -1.5 * tone()], axis=1), SAMPLE_RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), -1.5 * tone(), atol=1e-6)
    assert "cancel each other" in caplog.text
    assert "right one" in caplog.text


@pytest.mark.parametrize("channel", ["left", "right"])
def test_one_channel(tmp_path: Path, channel: Channel) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(), 0.5 * tone()], axis=1), SAMPLE_RATE_HZ, subtype="FLOAT")
    audio = load_audio(Recording.of(tmp_path / "a.wav", channel=channel))
    np.testing.assert_allclose(audio, tone() * (1 if channel == "left" else 0.5), atol=1e-6)
    write_wav(tmp_path / "one.wav", tone())
    with pytest.raises(AudioError, match="has one channel"):
        load_audio(Recording.of(tmp_path / "one.wav", channel=channel))


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_a_part_is_the_same_part_of_the_whole(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "noise.flac"
    sweep = np.sin(np.cumsum(np.linspace(0.01, 0.3, 3 * rate_hz))).astype(np.float32) * 0.3
    soundfile.write(path, sweep, rate_hz)
    part, whole = load_audio(path, start_s=1.0, end_s=2.5), load_audio(path)
    assert abs(len(part) - 1.5 * SAMPLE_RATE_HZ) <= 1
    inner = slice(500, 20_000)
    np.testing.assert_allclose(part[inner], whole[SAMPLE_RATE_HZ:][inner], atol=2e-3)
    assert len(load_audio(path, start_s=2.0, end_s=99.0)) == pytest.approx(SAMPLE_RATE_HZ, abs=1)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
@pytest.mark.parametrize("chunk_s", [0.7, 5.0, 60.0])
def test_chunks_join_to_the_whole(tmp_path: Path, rate_hz: int, chunk_s: float) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, tone(11.3, rate_hz), rate_hz)
    chunks = list(stream_audio(path, chunk_s))
    np.testing.assert_array_equal(np.concatenate(chunks), load_audio(path))
    assert {len(chunk) for chunk in chunks[:-1]} <= {round(chunk_s * SAMPLE_RATE_HZ)}
    assert 0 < len(chunks[-1]) <= chunk_s * SAMPLE_RATE_HZ


def test_an_hour_streams_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "hour.wav"
    with soundfile.SoundFile(path, "w", 8_000, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(tone(60.0, 8_000))
    tracemalloc.start()
    seconds = sum(len(chunk) for chunk in stream_audio(path, 30.0)) / SAMPLE_RATE_HZ
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds == pytest.approx(3600, abs=0.01)
    assert peak < 20e6  # the hour itself is 230 MB


def test_no_sound_at_all_is_a_matter_of_choice(tmp_path: Path) -> None:
    write_wav(tmp_path / "silent.wav", np.zeros(SAMPLE_RATE_HZ, np.float32))
    silent = load_audio(tmp_path / "silent.wav")
    with pytest.raises(AudioError) as error:
        require_sound(silent, "silent.wav")
    one_line(error, "silent.wav", "digital silence")
    with pytest.raises(AudioError, match="-86 dBFS"):
        require_sound(np.full(1600, 5e-5, np.float32), "hiss.wav")
    with pytest.raises(AudioError, match="holds a constant"):
        require_sound(np.full(1600, 1e-2, np.float32), "wire.wav")
    require_sound(0.01 + 1e-3 * tone(), "quiet.wav")


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "nowhere.wav")
    one_line(error, "nowhere.wav", "does not exist")
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path)
    one_line(error, "is a folder")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "empty.wav")
    one_line(error, "empty.wav", "0 bytes")


def test_too_short(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), SAMPLE_RATE_HZ)
    write_wav(tmp_path / "short.wav", tone(0.05))
    write_wav(tmp_path / "enough.wav", tone(0.1))
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "none.wav")
    one_line(error, "too short", "no samples")
    with pytest.raises(AudioError) as error:
        list(stream_audio(tmp_path / "short.wav", 1.0))
    one_line(error, "too short", "0.050 s", "0.1 s")
    assert len(load_audio(tmp_path / "enough.wav")) == 1600


@pytest.mark.parametrize("name", ["notes.wav", "notes.mp3", "notes.txt", "notes.m4a", "notes.raw"])
@pytest.mark.parametrize("with_av", [True, False])
@pytest.mark.parametrize("greeting", [b"Dear", b"Good old", "Dear".encode("utf-16"), b"\xff\xfe\0 "])
def test_not_audio(tmp_path: Path, name: str, with_av: bool, greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also text that begins as a transport stream or a frame of mp3 does."""
    if not with_av:
        monkeypatch.setitem(sys.modules, "av", None)
    encoding = "utf-16-le" if greeting.startswith(b"\xff\xfe") else "utf-8"
    (tmp_path / name).write_bytes(greeting + " diary, today nothing was recorded.\n".encode(encoding) * 500)
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / name)
    one_line(error, name, "is not audio")


def test_layer_one_is_told_from_text_by_its_next_frame() -> None:
    """160 kbit/s at 44.1 kHz: 172 bytes a frame."""
    frame = b"\xff\xfe\x50\x00" + bytes(168)
    assert mp3_start(io.BytesIO(2 * frame), 0) == 0
    assert mp3_start(io.BytesIO(frame + frame[1:]), 0) is None


def test_noise_bytes_are_not_audio(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "random.mp3").write_bytes(np.random.default_rng(0).bytes(50_000))
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "random.mp3")
    one_line(error, "random.mp3")
    assert capfd.readouterr().err == ""


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    encode(tmp_path / "secret.aac", "aac", tone(), SAMPLE_RATE_HZ)
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.aac\n#EXT-X-ENDLIST\n", "utf-8"
    )
    with pytest.raises(AudioError, match="is not audio"):
        load_audio(tmp_path / "list.m3u8")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
def test_cut_off(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"whole.{suffix}"
    sound = np.random.default_rng(1).normal(0, 0.1, 3 * SAMPLE_RATE_HZ).astype(np.float32)
    if suffix == "aiff":
        soundfile.write(path, sound, SAMPLE_RATE_HZ)
    else:
        write_audio(path, sound)
    capfd.readouterr()
    with pytest.raises(AudioError) as error:
        load_audio(cut(path))
    one_line(error, f"cut-whole.{suffix}", "cut off", "ffmpeg")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.webm", "libopus", {}), ("a.m4a", "aac", {"movflags": "faststart"}), ("b.m4a", "aac", {})],
)
def test_cut_off_media(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 5 * 48_000).astype(np.float32)
    path = encode(tmp_path / name, codec, sound, 48_000, options)
    with pytest.raises(AudioError) as error:
        load_audio(cut(path))
    one_line(error, "not copied to its end" if name == "b.m4a" else "cut off")


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000, 0])
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path, length: int) -> None:
    pytest.importorskip("av")
    write_wav(tmp_path / "piped.wav", tone())
    content = bytearray((tmp_path / "piped.wav").read_bytes())
    content[40:44] = struct.pack("<I", length)
    (tmp_path / "piped.wav").write_bytes(content)
    assert len(load_audio(tmp_path / "piped.wav")) == 2 * SAMPLE_RATE_HZ


def test_an_mp3_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    """libsndfile reads only as much as the first frame's bit rate suggests."""
    pytest.importorskip("av")
    rng = np.random.default_rng(2)
    sound = np.concatenate([tone(8.0) * 1e-3, rng.normal(0, 0.2, 8 * SAMPLE_RATE_HZ)]).astype(np.float32)
    soundfile.write(tmp_path / "a.mp3", sound, SAMPLE_RATE_HZ, bitrate_mode="VARIABLE", compression_level=0.3)
    content = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(content[content.index(content[:2], 4) :])
    assert len(load_audio(tmp_path / "a.mp3")) / SAMPLE_RATE_HZ == pytest.approx(16.0, abs=0.2)
    assert duration_s(tmp_path / "a.mp3") == pytest.approx(16.0, abs=0.2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    sound = tone()
    sound[SAMPLE_RATE_HZ] = value
    soundfile.write(tmp_path / "bad.wav", sound, SAMPLE_RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "bad.wav")
    one_line(error, "NaN or infinite", "at 1.00 s")
    assert len(load_audio(tmp_path / "bad.wav", end_s=0.5)) == 8000


@pytest.mark.parametrize("scale", [32768.0, 1e38])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_far_beyond_full_scale_are_refused(tmp_path: Path, scale: float, channels: int) -> None:
    """As integers written into a floating point file are; and a mean over channels may overflow."""
    sound = np.tile(tone()[:, None] * np.float32(scale), (1, channels))
    soundfile.write(tmp_path / "loud.wav", sound, SAMPLE_RATE_HZ, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AudioError) as error:
            load_audio(tmp_path / "loud.wav")
    one_line(error, "export it again")


@pytest.mark.parametrize(("start_s", "end_s"), [(-1.0, None), (1.0, 1.0), (2.0, 1.0), (float("nan"), None)])
def test_impossible_parts(tmp_path: Path, start_s: float, end_s: float | None) -> None:
    write_wav(tmp_path / "a.wav", tone())
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "a.wav", start_s=start_s, end_s=end_s)
    one_line(error, "cannot take the part")


def test_a_part_beyond_the_end(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone())
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "a.wav", start_s=5.0)
    one_line(error, "lasts 2.00 s", "5.0 s")


def test_media_without_pyav_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "a.m4a", "aac", tone(), SAMPLE_RATE_HZ)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra) as error:
        load_audio(path)
    one_line(error, "a.m4a", "pip install 'softspoken[media]'")


def test_a_film_without_sound(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "film.mp4")
    one_line(error, "holds no sound")


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    write_wav(tmp_path / "kept.wav", tone())
    before = (tmp_path / "kept.wav").read_bytes()
    with pytest.raises(AudioError, match="NaN"):
        write_wav(tmp_path / "kept.wav", np.array([0.0, np.nan], np.float32))
    with pytest.raises(AudioError, match="expected a name ending in"):
        write_audio(tmp_path / "kept.xyz", tone())
    with pytest.raises(AudioError, match="cannot write"):
        write_wav(tmp_path / "no" / "such" / "folder.wav", tone())
    assert (tmp_path / "kept.wav").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.wav"]


def test_loud_audio_is_clipped_not_wrapped(tmp_path: Path) -> None:
    write_wav(tmp_path / "loud.wav", tone() * 10)
    audio = load_audio(tmp_path / "loud.wav")
    assert np.all(np.sign(audio[1:100]) == np.sign(tone()[1:100]))


def test_a_chunk_of_no_length() -> None:
    with pytest.raises(ConfigError, match="chunk_s"):
        list(stream_audio("any.wav", 0.0))


def test_damage_comes_with_remedies_that_can_be_had(tmp_path: Path) -> None:
    """What takes the rest only where the caller has it, and a command line only for a file."""
    whole = tmp_path / "ada's talk.wav"
    write_wav(whole, tone())
    path = cut(whole)

    def said(recording: Recording) -> str:
        with pytest.raises(AudioError) as error:
            load_audio(recording)
        return str(error.value).partition("; ")[2]

    command = f"ffmpeg -i {shlex.quote(str(path))} repaired.wav"
    assert said(Recording.of(path)) == f"get it again, or repair it: {command}"
    assert said(replace(Recording.of(path), salvage="guess")) == f"get it again, guess, or repair it: {command}"
    assert said(replace(Recording.of(path.read_bytes()), salvage="guess")) == "get it again, or guess"
    assert said(Recording.of(path.read_bytes())) == "get it again"


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such names")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    write_wav(path, tone())
    assert len(load_audio(path)) == 2 * SAMPLE_RATE_HZ
