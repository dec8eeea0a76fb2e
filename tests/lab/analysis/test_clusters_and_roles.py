"""Planted clusters are found, planted roles recovered, and chance is called chance."""

import numpy as np
import pytest
import torch
from tiny_subjects import PlannedSubject, planned_sets, random_vectors

from softspoken.errors import ConfigError, DataError
from softspoken_lab.analysis.clusters import ClusterOptions, cluster_points, find_clusters
from softspoken_lab.analysis.removal import leave_each_out
from softspoken_lab.analysis.results import ClusterResult, RolesResult
from softspoken_lab.analysis.roles import agreement, content_clusters, find_roles, otsu, upper_sides

QUICK = ClusterOptions(clouds=9, starts=3, k_max=4)
CLEAN_COST = (3, 4, 3, 0, 0, 5, 0, 3)
NOISY_COST = (1, 1, 1, 4, 3, 1, 4, 1)
CONTENT, NOISE = (1, 2, 3, 6, 8), (4, 5, 7)


def planned(separation: float, layers: int = 1) -> PlannedSubject:
    """Vectors of the two roles lie `separation` apart."""
    vectors = random_vectors(layers, len(CLEAN_COST), 12)
    away = torch.zeros(12)
    away[:3] = separation
    for number in CONTENT:
        vectors[:, number - 1] += away
    return PlannedSubject(CLEAN_COST, NOISY_COST, vectors)


def same_partition(labels: tuple[int, ...], content: tuple[int, ...]) -> bool:
    first = {labels[number - 1] for number in content}
    rest = {label for number, label in enumerate(labels, start=1) if number not in content}
    return len(first) == len(rest) == 1 and first != rest


def test_two_planted_clusters_are_found() -> None:
    found = find_clusters(planned(10.0), QUICK)
    (space,) = found.spaces
    assert space.name == "input"
    assert space.k == 2
    assert same_partition(space.labels, CONTENT)
    assert space.labels[0] == 0
    assert space.silhouette[2] > 0.5
    assert space.p_value == pytest.approx(0.1)
    assert ClusterResult.model_validate_json(found.model_dump_json()) == found
    assert len(found.rows()) == 8
    again = find_clusters(planned(10.0), QUICK)
    assert again == found


def test_deep_prompts_are_clustered_together_and_by_layer() -> None:
    found = find_clusters(planned(10.0, layers=2), QUICK)
    assert [space.name for space in found.spaces] == ["all layers", "layer 1", "layer 2"]
    assert all(same_partition(space.labels, CONTENT) for space in found.spaces)
    assert found.whole.norms[0] == pytest.approx(
        float(np.hypot(found.spaces[1].norms[0], found.spaces[2].norms[0])), rel=1e-6
    )


def test_a_cloud_clusters_as_well_as_any_other() -> None:
    p_values = []
    for seed in range(20):
        points = np.random.default_rng(seed).standard_normal((9, 12)) * np.linspace(0.2, 2.0, 12)
        p_values.append(cluster_points("cloud", points, ClusterOptions(clouds=9, starts=1, k_max=3, seed=seed)).p_value)
    # Each is evenly distributed over 0.1, 0.2, ..., 1: their mean is 0.55, with a deviation of 0.064.
    assert 0.35 < float(np.mean(p_values)) < 0.75


@pytest.mark.parametrize("count", [3, 4, 5, 50])
def test_any_number_of_prompts_from_three_can_be_drawn(count: int) -> None:
    points = np.random.default_rng(count).standard_normal((count, 16))
    space = cluster_points("cloud", points, ClusterOptions(clouds=0, starts=1))
    assert len(space.points) == len(space.labels) == count
    assert set(space.silhouette) == set(range(2, min(6, count - 1) + 1))
    assert np.isfinite(space.points).all()


def test_equal_vectors_are_one_cluster_whatever_is_asked_for() -> None:
    space = cluster_points("same", np.ones((6, 4)), ClusterOptions(clouds=0))
    assert set(space.labels) == {0}
    assert set(space.silhouette.values()) == {0.0}


def test_too_few_prompts_have_no_clusters() -> None:
    subject = PlannedSubject((1,), (1,), random_vectors(1, 1, 8))
    with pytest.raises(ConfigError, match="m = 1: finding clusters needs at least 3 prompts"):
        find_clusters(subject)


def test_planted_roles_are_recovered_by_both_ways() -> None:
    subject = planned(10.0)
    curve = leave_each_out(subject, planned_sets())
    roles = find_roles(curve, find_clusters(subject, QUICK))
    assert roles.curve.content == CONTENT
    assert roles.curve.noise == NOISE
    assert roles.clusters is not None
    assert (roles.clusters.content, roles.clusters.noise) == (CONTENT, NOISE)
    assert roles.agreement is not None
    assert roles.agreement.adjusted_rand == pytest.approx(1.0)
    assert roles.agreement.share == 1.0
    # 2 of the 56 ways to choose 3 of 8 give the same partition or fewer: chance reaches it once in about 56.
    assert roles.agreement.p_value == pytest.approx(1 / 56, abs=0.01)
    assert roles.curve.certainty is not None
    assert min(roles.curve.certainty) > 0.9
    assert RolesResult.model_validate_json(roles.model_dump_json()) == roles
    assert [row["by_curve"] for row in roles.rows()].count("content") == len(CONTENT)


def test_roles_without_clusters_are_the_curve() -> None:
    roles = find_roles(leave_each_out(planned(0.0), planned_sets()))
    assert roles.clusters is None
    assert roles.agreement is None
    assert roles.chosen("clusters") == roles.curve


def test_a_flat_curve_gives_no_content_set() -> None:
    subject = PlannedSubject((0, 0, 0), (1, 1, 1), random_vectors(1, 3, 8))
    roles = find_roles(leave_each_out(subject, planned_sets()))
    assert roles.curve.content == ()
    assert roles.curve.noise == (1, 2, 3)
    assert roles.separation == 0.0


def test_roles_need_clean_speech_and_clusters_of_the_same_prompts() -> None:
    subject = planned(10.0)
    curve = leave_each_out(subject, planned_sets())
    with pytest.raises(DataError, match="no set 'quiet'"):
        find_roles(curve, clean="quiet")
    clusters = find_clusters(subject, QUICK)
    other = clusters.model_copy(update={"subject": clusters.subject.model_copy(update={"digest": "other"})})
    with pytest.raises(DataError, match="of other prompts"):
        find_roles(curve, other)


def test_three_clusters_are_merged_by_what_they_cost() -> None:
    deltas = np.array([0.30, 0.28, 0.01, 0.0, 0.25, 0.02])
    content = content_clusters((0, 0, 1, 1, 2, 1), deltas)
    assert content.tolist() == [True, True, False, False, True, False]


def test_otsu_cuts_where_the_means_are_furthest_apart() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.normal(size=rng.integers(2, 12)).round(1)
        upper, threshold, share = otsu(values)
        best = max(
            (
                (values > cut).mean()
                * (values <= cut).mean()
                * (values[values > cut].mean() - values[values <= cut].mean()) ** 2
                for cut in values
                if (values > cut).any()
            ),
            default=0.0,
        )
        assert share * values.var() == pytest.approx(best, abs=1e-12)
        assert ((values > threshold) == upper).all()
        assert 0.0 <= share <= 1.0


def test_otsu_of_many_rows_is_otsu_of_each() -> None:
    rows = np.random.default_rng(1).normal(size=(200, 7))
    assert (upper_sides(rows) == np.stack([otsu(row)[0] for row in rows])).all()
    assert not upper_sides(np.ones((2, 5))).any()


def test_the_adjusted_rand_index_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    for _ in range(100):
        first, second = rng.random(9) < 0.4, rng.random(9) < 0.5
        expected = metrics.adjusted_rand_score(first, second)
        assert agreement(first, second, permutations=1).adjusted_rand == pytest.approx(expected)


def test_splits_that_have_nothing_to_do_with_each_other_agree_as_chance_does() -> None:
    rng = np.random.default_rng(3)
    p_values = [agreement(rng.random(20) < 0.5, rng.random(20) < 0.5, permutations=500).p_value for _ in range(40)]
    assert 0.3 < float(np.mean(p_values)) < 0.8
