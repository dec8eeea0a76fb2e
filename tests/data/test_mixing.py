"""Mixtures: levels as asked, the same seed the same samples, everything within bounds."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from speech_folder import make_speech_folder
from voices import voice

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.config import DataConfig, MixingConfig
from softspoken.data.corpus import Corpus, Piece, cut_into_pieces, load_corpus
from softspoken.data.levels import mix_at_snr, scale_to, speech_power
from softspoken.data.manifest import read_manifest
from softspoken.data.mixing import draw_mixture, render
from softspoken.errors import DataError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    manifest = make_speech_folder(tmp_path_factory.mktemp("speech"))
    return Corpus(cut_into_pieces(read_manifest(manifest), 2.0, 9.0))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 3.7, 20.0])
def test_achieved_snr_is_the_asked_one(snr_db: float) -> None:
    target, other = voice(2.0, 200.0), 3.0 * voice(2.0, 330.0, seed=1)
    added = mix_at_snr(target, other, snr_db) - target
    achieved = 10 * np.log10(speech_power(target) / speech_power(added))
    assert abs(achieved - snr_db) < 0.05


def test_pauses_do_not_count_for_the_level() -> None:
    speech = voice(2.0)
    padded = np.concatenate([speech, np.zeros(3 * SAMPLE_RATE_HZ, dtype=np.float32)])
    assert speech_power(padded) == pytest.approx(speech_power(speech), rel=0.02)


def test_silence_is_not_scaled() -> None:
    silence = np.zeros(1000, dtype=np.float32)
    assert not scale_to(silence, 1.0).any()


def test_mixtures_are_within_their_configuration(corpus: Corpus) -> None:
    config = MixingConfig(max_s=6.0)
    seen = set()
    for index in range(50):
        mixture = draw_mixture(corpus, [], config, np.random.default_rng(index))
        seen.add(len(mixture.tracks))
        audio, tracks = render(mixture, corpus)
        assert audio.size == round(mixture.duration_s * SAMPLE_RATE_HZ) <= config.max_s * SAMPLE_RATE_HZ
        assert np.abs(audio).max() < 1.0
        np.testing.assert_allclose(tracks.sum(axis=0), audio, atol=1e-5)
        assert len({track.piece.speaker for track in mixture.tracks}) == len(mixture.tracks)
        for track in mixture.tracks:
            assert track.offset_s >= 0
            assert track.offset_s + track.piece.duration_s <= mixture.duration_s + 1e-6
    assert seen == {1, 2, 3}


def test_overlap_is_the_drawn_share_of_the_shorter_piece(corpus: Corpus) -> None:
    config = MixingConfig(talkers={2: 1.0}, overlap=(0.5, 0.5))
    for index in range(10):
        first, second = draw_mixture(corpus, [], config, np.random.default_rng(index)).tracks
        shared = min(first.offset_s + first.piece.duration_s, second.offset_s + second.piece.duration_s) - max(
            first.offset_s, second.offset_s
        )
        assert shared == pytest.approx(0.5 * min(first.piece.duration_s, second.piece.duration_s))


def test_noise_has_the_drawn_level(corpus: Corpus) -> None:
    noise = corpus.pieces[0].path
    config = MixingConfig(talkers={1: 1.0}, noise_probability=1.0, noise_snr_db=(10.0, 10.0))
    mixture = draw_mixture(corpus, [(noise, 2.5)], config, np.random.default_rng(1))
    audio, tracks = render(mixture, corpus)
    added = audio - tracks.sum(axis=0)
    assert 10 * np.log10(speech_power(tracks.sum(axis=0)) / speech_power(added)) == pytest.approx(10.0, abs=0.05)


def test_long_utterances_are_cut_at_their_segments() -> None:
    from softspoken.data.corpus import _joined

    segments = [{"start_s": float(i), "end_s": i + 1.0, "text": f"w{i}"} for i in range(10)]
    spans = list(_joined(segments, 5.0))
    assert spans[0] == (0.0, 3.0, "w0 w1 w2")
    assert [span[0] for span in spans[1:]] == [span[1] for span in spans[:-1]]
    assert spans[-1][1] == 10.0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "manifest.jsonl:1: not JSON"),
        ('{"id": "a"}', "not an utterance"),
        ('{"id": "a", "path": "gone.flac", "speaker": "s", "duration_s": 1.0}', "no audio at"),
    ],
)
def test_a_bad_manifest_line_is_named(tmp_path, line: str, said: str) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(line + "\n")
    with pytest.raises(DataError, match=said):
        read_manifest(manifest)


def test_another_speed_is_another_talker_with_the_same_words(corpus: Corpus) -> None:
    piece = corpus.pieces[0]
    faster = piece.at_speed(1.25)
    assert faster.speaker != piece.speaker
    assert (faster.text, faster.original_id) == (piece.text, piece.id)
    audio, changed = corpus.audio(piece), corpus.audio(faster)
    assert changed.size == pytest.approx(audio.size / 1.25, abs=2)
    peak, changed_peak = (np.abs(np.fft.rfft(x, 16000)).argmax() for x in (audio, changed))
    assert changed_peak == pytest.approx(1.25 * peak, rel=0.02)


def test_a_telephone_line_takes_the_highs_of_what_is_heard_but_not_of_what_is_taught(corpus: Corpus) -> None:
    rng = np.random.default_rng(5)
    config = MixingConfig(talkers={2: 1.0}, noise_probability=0.0, telephone=1.0)
    mixture = draw_mixture(corpus, [], config, rng)
    line = mixture.tracks[0].telephone
    assert line is not None
    white = rng.normal(0, 0.1, 16000).astype(np.float32)
    power = np.abs(np.fft.rfft(line.apply(white))) ** 2
    assert power[4100:].sum() < 1e-3 * power.sum()
    assert power[1000:3000].sum() == pytest.approx((np.abs(np.fft.rfft(white)) ** 2)[1000:3000].sum(), rel=1e-3)
    audio, tracks = render(mixture, corpus)
    without = replace(mixture, tracks=tuple(replace(track, telephone=None) for track in mixture.tracks), telephone=None)
    taught = render(without, corpus)[1]
    # The mixture's level is set after the line.
    scale = float(np.abs(tracks).max() / np.abs(taught).max())
    np.testing.assert_allclose(tracks, taught * scale, atol=1e-5)
    assert not np.allclose(audio, tracks.sum(axis=0), atol=1e-3)


def test_a_corpus_can_be_limited_to_talkers_and_hours(tmp_path: Path) -> None:
    manifest = make_speech_folder(tmp_path, talkers=8, utterances=4, seconds=3.0)

    def pieces(**limits: float) -> list[Piece]:
        return load_corpus(DataConfig(speech=(manifest,), **limits)).pieces

    every = pieces()
    four = pieces(talkers=4)
    assert len({piece.speaker for piece in four}) == 4
    assert {piece.id for piece in pieces(talkers=2)} < {piece.id for piece in four} < {piece.id for piece in every}
    # Half of the speech comes from all talkers alike.
    half = pieces(hours=sum(piece.duration_s for piece in every) / 2 / 3600)
    assert Counter(piece.speaker for piece in half) == {piece.speaker: 2 for piece in every}
    assert {piece.id for piece in half} < {piece.id for piece in every}
    assert pieces(hours=10.0) == every
