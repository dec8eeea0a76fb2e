"""The spectrograms equal those of an independent implementation."""

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function
from voices import voice

from softspoken.data import campplus_torch
from softspoken.speakers.features import centred, kaldi_filters, kaldi_log_mel
from softspoken.speakers.torch_embedders import mel_power


@pytest.mark.parametrize("samples", [100, 16_000, 40_123])
def test_mel_power(samples: int) -> None:
    audio = voice(3.0)[:samples]
    filters = mel_filter_bank(201, 40, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    window = window_function(400, "hann")
    expected = spectrogram(audio, window, 400, 160, power=2.0, pad_mode="constant", mel_filters=filters, mel_floor=0.0)
    got = mel_power(torch.from_numpy(audio)).numpy()
    assert got.shape == (samples // 160 + 1, 40)
    np.testing.assert_allclose(got, expected.T, rtol=1e-3, atol=1e-6)


def test_long_audio_is_transformed_in_pieces_without_a_seam() -> None:
    audio = torch.from_numpy(voice(70.0))
    got = mel_power(audio)
    around = mel_power(audio[16_000 * 55 : 16_000 * 65])
    torch.testing.assert_close(got[5510:6490], around[10:990])


def test_kaldi_fbank() -> None:
    audio = voice(2.0)
    filters = mel_filter_bank(257, 80, 20.0, 8000.0, 16_000, mel_scale="kaldi", triangularize_in_mel_space=True)
    expected = spectrogram(
        audio * 32768.0,
        window_function(400, "hamming", periodic=False),
        400,
        160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        log_mel="log",
        mel_floor=1.1920929e-07,
        remove_dc_offset=True,
    ).T
    np.testing.assert_allclose(kaldi_filters(80), filters, atol=1e-6)
    ours, theirs = kaldi_log_mel(audio, 80), campplus_torch.kaldi_log_mel(torch.from_numpy(audio)[None], 80)[0].numpy()
    for got in (ours, theirs):
        assert got.shape == expected.shape
        assert got.dtype == np.float32
        np.testing.assert_allclose(centred(got), expected - expected.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_log_mel_of_a_long_recording_has_no_seam() -> None:
    audio = voice(12.0)
    np.testing.assert_array_equal(kaldi_log_mel(audio, 80)[950:1050], kaldi_log_mel(audio[160 * 950 :], 80)[:100])


def test_kaldi_log_mel_of_less_than_a_frame() -> None:
    assert kaldi_log_mel(np.zeros(100, np.float32), 40).shape == (1, 40)
    assert campplus_torch.kaldi_log_mel(torch.zeros(2, 100), 40).shape == (2, 1, 40)
