"""Files of every kind come in whole or say what is missing; times are those of the player; anything may be given."""

import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from softspoken.audio import SAMPLE_RATE_HZ, Recording, load_audio, stream_audio, write_wav
from softspoken.errors import AudioError, ConfigError
from softspoken_lab.testsets.media import encoded, media, sound, with_ffmpeg

pytest.importorskip("av")


def seconds(recording: Any) -> float:
    return len(load_audio(recording)) / SAMPLE_RATE_HZ


def test_no_sound_is_lost_in_silence() -> None:
    """container x codec x rate x channels x length field x cut point; a third of them, all with tools/check_media.py"""
    kinds = set()
    for medium in media(every=3):
        kinds.add(medium.name.split()[0])
        if medium.expected == "refused":
            with pytest.raises(AudioError) as error:
                load_audio(medium.content)
            assert "\n" not in str(error.value), medium.name
            assert "cut off" in str(error.value) or "no index" in str(error.value), medium.name
        else:
            assert -0.1 < seconds(medium.content) - medium.seconds < 0.35, medium.name
    assert len(kinds) > 15


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "aiff", "webm", "fragments"])
def test_what_is_there_is_read_with_partial(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    content = encoded(kind, 16_000, 1)
    read = seconds(Recording.of(content[: int(len(content) * 0.7)], partial=True))
    assert 0.8 < read < 2.3
    assert "is missing" in caplog.text


@pytest.mark.parametrize(
    ("container", "codec"), [("matroska", "flac"), ("webm", "libopus"), ("mp4", "aac"), ("mp4", "alac")]
)
def test_times_are_those_of_the_player(container: str, codec: str) -> None:
    audio = sound(48_000, 1, 5.0)
    late = load_audio(with_ffmpeg(container, codec, audio, 48_000, begin_s=3.0))
    assert len(late) / SAMPLE_RATE_HZ == pytest.approx(8.0, abs=0.1)
    assert np.abs(late[: round(2.9 * SAMPLE_RATE_HZ)]).max() < 1e-3
    holed = load_audio(with_ffmpeg(container, codec, audio, 48_000, gap=(1.0, 3.0)))
    if container == "mp4":  # it has no gaps: a packet lasts until the next one
        return
    assert len(holed) / SAMPLE_RATE_HZ == pytest.approx(5.0, abs=0.1)
    assert np.abs(holed[round(1.2 * SAMPLE_RATE_HZ) : round(2.9 * SAMPLE_RATE_HZ)]).max() < 1e-3
    assert np.abs(holed[round(3.1 * SAMPLE_RATE_HZ) :]).max() > 0.05


def test_a_broadcast_begins_where_it_begins() -> None:
    assert seconds(with_ffmpeg("mpegts", "aac", sound(16_000, 1, 3.0), 16_000, begin_s=500.0)) < 3.4


def test_a_clock_that_jumps_by_hours_is_refused() -> None:
    content = with_ffmpeg("matroska", "flac", sound(16_000, 1, 1.0), 16_000, begin_s=30_000.0)
    with pytest.raises(AudioError, match="its clock jumps by 30000 s"):
        load_audio(content)


def film_with_two_tracks() -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as opened:
        streams = [opened.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for index, stream in enumerate(streams):
            audio = np.full((1, 16_000 * (index + 1)), 1000 * (index + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(audio, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 0
            opened.mux(stream.encode(frame))
            opened.mux(stream.encode(None))
    return file.getvalue()


def test_tracks() -> None:
    film = film_with_two_tracks()
    assert seconds(film) == pytest.approx(1.0, abs=0.01)
    assert seconds(Recording.of(film, track=2)) == pytest.approx(2.0, abs=0.01)
    with pytest.raises(ConfigError, match="2 audio tracks; there is no track 3"):
        load_audio(Recording.of(film, track=3))


def test_what_a_recording_may_be_given_as(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", sound(16_000, 1)[:, 0])
    expected = load_audio(tmp_path / "a.wav")
    content = (tmp_path / "a.wav").read_bytes()
    with (tmp_path / "a.wav").open("rb") as file:
        given = [content, bytearray(content), io.BytesIO(content), file, str(tmp_path / "a.wav")]
        given += [expected, torch.from_numpy(expected), expected.astype(np.float64)]
        for one in given:
            np.testing.assert_allclose(load_audio(one), expected, atol=1e-7)
            np.testing.assert_allclose(np.concatenate(list(stream_audio(one, 0.3))), expected, atol=1e-7)
    np.testing.assert_allclose(load_audio(np.round(expected * 32768).astype(np.int16)), expected, atol=1e-4)


@pytest.mark.parametrize("shape", ["samples first", "channels first"])
def test_samples_of_several_channels_and_another_rate(shape: str) -> None:
    rate = 44_100
    audio = np.stack([sound(rate, 1)[:, 0], np.zeros(round(2.4 * rate), np.float32)], axis=1)
    given = audio if shape == "samples first" else torch.from_numpy(audio.T.copy())
    left = load_audio(Recording.of(given, sample_rate=rate, channel="left"))
    assert len(left) / SAMPLE_RATE_HZ == pytest.approx(2.4, abs=0.01)
    np.testing.assert_allclose(load_audio(Recording.of(given, sample_rate=rate)), left / 2, atol=1e-5)


def test_raw_pcm_is_told_its_rate() -> None:
    audio = sound(8_000, 1)[:, 0]
    raw = np.round(audio * 32767).astype("<i2").tobytes()
    assert seconds(Recording.of(raw, sample_rate=8_000)) == pytest.approx(2.4, abs=0.01)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "type int"),
        ([0.1, 0.2], "type list"),
        (None, "type NoneType"),
        (np.zeros((2, 2, 2), np.float32), r"shape \(2, 2, 2\)"),
        (np.zeros(0, np.float32), "shape"),
        (np.array(["a"]), "type <U1"),
        (np.full(16_000, 3000.0, np.float32), "full scale is 1"),
        (io.StringIO("text"), "mode 'rb'"),
        (np.full(16_000, np.nan, np.float32), "NaN"),
    ],
)
def test_a_wrong_type_is_an_error_of_ours(given: Any, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        load_audio(given)


def test_a_pipe_is_read_once_and_kept(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", sound(16_000, 1)[:, 0])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((tmp_path / "a.wav").read_bytes()))
    writer.start()
    recording = Recording.of(pipe)
    writer.join()
    assert seconds(recording) == seconds(recording) == seconds(tmp_path / "a.wav")


def test_a_device_is_no_recording() -> None:
    with pytest.raises(AudioError, match="is a device"):
        load_audio("/dev/zero")


def test_each_refusal_names_its_own_cause(tmp_path: Path) -> None:
    whole = encoded("wav", 16_000, 1)
    header = whole[:44]
    damaged = bytearray(encoded("flac", 16_000, 1))
    damaged[len(damaged) // 2 : len(damaged) // 2 + 4000] = b"\x55" * 4000
    causes = {
        "cut off: its header promises 2.4 s": whole[: len(whole) // 2],
        "is damaged": bytes(damaged),
        "0.0 s of them are there": header,
        "is empty": b"",
        "is not audio": b"some text " * 100,
        "has no index": encoded("m4a", 16_000, 1)[:-500],
    }
    for cause, content in causes.items():
        with pytest.raises(AudioError, match=cause):
            load_audio(content)


def test_a_file_of_two_rates_is_one_recording(tmp_path: Path) -> None:
    both = encoded("wav", 8_000, 1) + encoded("wav", 44_100, 2)
    assert seconds(both) == pytest.approx(4.8, abs=0.01)


def test_chunks_behind_the_samples_are_no_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sound(16_000, 1), 16_000)
    content = (tmp_path / "a.wav").read_bytes() + b"LIST" + (5000).to_bytes(4, "little") + b"x" * 5000
    assert seconds(content) == pytest.approx(2.4, abs=0.001)


@pytest.mark.parametrize(("layout", "channels"), [("7.1", 8), ("hexadecagonal", 16), ("22.2", 24)])
def test_many_channels_are_read_as_few_are(layout: str, channels: int) -> None:
    """PyAV has eight places for channels that lie one after the other, and reads beyond them."""
    import av

    tone = (3_000 * np.sin(0.05 * np.arange(16_000))).astype("<i2")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=16_000, layout=layout)
        frame = av.AudioFrame(format="s16", layout=layout, samples=len(tone))
        frame.sample_rate = 16_000
        frame.planes[0].update(np.repeat(tone[:, None], channels, axis=1).tobytes())
        container.mux(stream.encode(frame))
    heard = load_audio(file.getvalue())
    np.testing.assert_allclose(heard, tone / 32_768, atol=1e-4)


def test_a_track_that_is_not_there_is_an_error_in_every_container() -> None:
    for kind in ("wav", "flac", "webm"):
        content = encoded(kind, 16_000, 1)
        assert seconds(Recording.of(content, track=1)) > 1.0
        with pytest.raises(ConfigError, match="has one audio track; there is no track 2"):
            load_audio(Recording.of(content, track=2))
