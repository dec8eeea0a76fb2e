"""Diarisation: from local talkers to those of the recording, with a made-up network that is told who speaks."""

from dataclasses import replace

import numpy as np
import pytest
from told_talkers import PITCHES_HZ, Told, recording, turns
from voices import PitchEmbedder, voice

from softspoken.errors import ConfigError
from softspoken.speakers.clustering import average_linkage, clusters
from softspoken.speakers.diarisation import DiarisationOptions, diarise
from softspoken.speakers.segmentation import load_segmentation


def test_talkers_are_found_again_from_window_to_window() -> None:
    spans = [(0, 1, 4), (1, 4, 8), (0, 9, 13), (2, 13, 17), (1, 18, 22), (2, 22, 26), (0, 26, 29)]
    truth = turns(*spans, seconds=30, talkers=3)
    found = diarise(recording(truth), PitchEmbedder(), segmenter=Told(truth))
    np.testing.assert_array_equal(found.speaks, truth)
    np.testing.assert_allclose(found.activities, truth, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.voices, axis=1), 1.0, atol=1e-5)
    for pitch_hz, vector in zip(PITCHES_HZ, found.voices, strict=True):
        assert PitchEmbedder().embed(voice(3.0, pitch_hz)) @ vector > 0.95


def test_both_talkers_speak_where_they_overlap() -> None:
    truth = turns((0, 0, 5), (1, 3, 8), seconds=8, talkers=2)
    found = diarise(recording(truth), PitchEmbedder(), segmenter=Told(truth))
    np.testing.assert_array_equal(found.speaks, truth)


def test_talkers_of_one_window_stay_apart_however_alike() -> None:
    truth = turns((0, 0, 4), (1, 5, 9), seconds=9, talkers=2)
    found = diarise(np.tile(voice(1.0), 9), PitchEmbedder(), segmenter=Told(truth))
    np.testing.assert_array_equal(found.speaks, truth)


def test_a_talker_who_is_hardly_alone_is_one_nonetheless() -> None:
    truth = turns((0, 0, 8), (1, 2, 6), seconds=8, talkers=2)
    found = diarise(recording(truth), PitchEmbedder(), segmenter=Told(truth))
    np.testing.assert_array_equal(found.speaks, truth)


def test_a_short_turn_joins_its_talker() -> None:
    truth = turns((0, 0, 9), (1, 10, 19), (0, 19.2, 19.6), seconds=20, talkers=2)
    found = diarise(recording(truth), PitchEmbedder(), segmenter=Told(truth))
    np.testing.assert_array_equal(found.speaks, truth)


def test_the_distance_says_how_many() -> None:
    truth = turns((0, 0, 9), (1, 11, 19), seconds=20, talkers=2)
    audio = recording(truth)
    for distance, talkers in ((0.3, 2), (1.9, 1)):
        options = DiarisationOptions(step_s=10.0, distance=distance)
        assert len(diarise(audio, PitchEmbedder(), options, Told(truth)).voices) == talkers


def test_nobody_in_silence_and_blips() -> None:
    truth = turns((0, 1, 1.1), seconds=5, talkers=1)
    found = diarise(recording(truth), PitchEmbedder(), segmenter=Told(truth))
    assert found.speaks.shape == found.activities.shape == (0, 250)
    assert found.voices.shape == (0, 8)


def test_nobody_is_alone_in_a_moment() -> None:
    truth = turns((0, 0, 0.2), seconds=0.2, talkers=1)
    found = diarise(recording(truth), PitchEmbedder(), segmenter=Told(truth))
    assert found.speaks.all()
    assert found.alone.shape == found.speaks.shape == (1, 10)
    assert not found.alone.any()


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="probability"):
        DiarisationOptions(active=1.0)
    with pytest.raises(ConfigError, match="cosine distance"):
        DiarisationOptions(distance=2.5)
    with pytest.raises(ConfigError, match="at least 3 and at most 2 voices"):
        DiarisationOptions(fewest=3, most=2)


@pytest.mark.embedded
def test_the_network_finds_nobody_in_silence() -> None:
    found = diarise(np.zeros(80_000, np.float32), PitchEmbedder(), segmenter=load_segmentation())
    assert found.speaks.shape == (0, 250)


def test_hints_say_how_many_there_are_at_least_and_at_most() -> None:
    truth = turns((0, 0, 9), (1, 11, 19), (2, 21, 29), seconds=30, talkers=3)
    audio = recording(truth)
    for options, talkers in (
        (DiarisationOptions(step_s=10.0, distance=0.3, most=2), 2),
        (DiarisationOptions(step_s=10.0, distance=1.9, fewest=2), 2),
        (DiarisationOptions(step_s=10.0, distance=1.9, fewest=3, shortest_s=20.0), 3),
        (DiarisationOptions(step_s=10.0, distance=0.3, fewest=1, most=1), 1),
    ):
        assert len(diarise(audio, PitchEmbedder(), options, Told(truth)).voices) == talkers


def test_who_says_next_to_nothing_is_no_talker() -> None:
    truth = turns((0, 0, 9), (1, 12, 13.2), (0, 21, 29), seconds=30, talkers=2)
    options = DiarisationOptions(step_s=10.0, shortest_s=2.0)
    assert len(diarise(recording(truth), PitchEmbedder(), options, Told(truth)).voices) == 1
    assert len(diarise(recording(truth), PitchEmbedder(), replace(options, shortest_s=1.0), Told(truth)).voices) == 2


@pytest.mark.parametrize("limit", [0.05, 0.3, 0.6, 1.5])
def test_clusters_are_those_of_scikit_learn(limit: float) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    for seed, size in enumerate((1, 2, 3, 20, 60)):
        rng = np.random.default_rng(seed)
        vectors = rng.standard_normal((size, 8)) + 3 * rng.standard_normal((4, 8))[rng.integers(0, 4, size)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        distances = np.asarray(1 - vectors @ vectors.T, np.float32)
        # Two talkers of one window are as far apart as can be: many distances are equal.
        distances[np.abs(np.subtract.outer(range(size), range(size))) == 1] = 2.0
        np.fill_diagonal(distances, 0)
        ours = clusters(average_linkage(distances), limit)
        assert sorted(set(ours)) == list(range(ours.max() + 1))
        if size > 1:
            other = cluster.AgglomerativeClustering(
                None, metric="precomputed", linkage="average", distance_threshold=limit
            ).fit_predict(distances)
            np.testing.assert_array_equal(ours[:, None] == ours, other[:, None] == other)


def test_distances_are_left_as_they_are() -> None:
    distances = np.asarray([[0, 0.1], [0.1, 0]], np.float32)
    average_linkage(distances)
    np.testing.assert_array_equal(distances, np.asarray([[0, 0.1], [0.1, 0]], np.float32))
