"""Figure 2 of the noise paper: do the prompt vectors fall into groups? (section 3.2)

Shapes: L layers, N prompt vectors, D width.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from softspoken.errors import MissingExtra
from softspoken.frozen import Frozen
from softspoken_lab.analysis.removal import require_several
from softspoken_lab.analysis.results import ClusterResult, ClusterSpace
from softspoken_lab.analysis.subject import Subject, Vectors

LEAST_PROMPTS = 3
"""A silhouette needs fewer clusters than points."""


class ClusterOptions(Frozen):
    """How clusters are looked for."""

    k_max: int = Field(default=6, ge=2)
    """Two to this many clusters are tried (fewer than there are prompts)."""
    starts: int = Field(default=10, ge=1)
    """Initialisations of K-means; the best is kept."""
    clouds: int = Field(default=49, ge=0)
    """Gaussian clouds that the silhouette is compared with; 0: none, and the p value says nothing (1)."""
    perplexity: float = Field(default=30.0, gt=0)
    """Perplexity of t-SNE; at most a third of the number of prompts."""
    seed: int = 0


def find_clusters(subject: Subject, options: ClusterOptions | None = None) -> ClusterResult:
    """K-means of the prompt vectors, the number of clusters chosen by silhouette, and their t-SNE.

    Deep prompts: number i is slot i, so that its vectors of all layers side by side make one point; each layer is then
    looked at alone, too. Raises ConfigError for fewer than three prompts.
    """
    options = ClusterOptions() if options is None else options
    vectors = subject.vectors
    require_several(vectors.shape[1], "finding clusters", LEAST_PROMPTS)
    with _one_thread():
        spaces = tuple(cluster_points(name, points, options) for name, points in spaces_of(vectors))
    return ClusterResult(subject=subject.info, seed=options.seed, spaces=spaces)


def _one_thread() -> AbstractContextManager[Any]:
    """For many small computations, which several threads only slow down."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        # It comes with scikit-learn, whose absence is reported by what needs it.
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def spaces_of(vectors: Vectors) -> list[tuple[str, Float[np.ndarray, "N _"]]]:
    """The points to be clustered, by name: 'input', or 'all layers', 'layer 1', 'layer 2', ..."""
    layers = vectors.detach().to("cpu").double().numpy()
    if layers.shape[0] == 1:
        return [("input", layers[0])]
    side_by_side = layers.transpose(1, 0, 2).reshape(layers.shape[1], -1)
    return [("all layers", side_by_side), *((f"layer {number}", one) for number, one in enumerate(layers, start=1))]


def cluster_points(name: str, points: Float[np.ndarray, "N D"], options: ClusterOptions) -> ClusterSpace:
    """One set of points. Clusters are numbered in the order in which the points meet them."""
    silhouette, labels = _best(points, options, options.starts)
    k = max(silhouette, key=silhouette.__getitem__)
    places, perplexity = _tsne(points, options)
    return ClusterSpace(
        name=name,
        silhouette=silhouette,
        k=k,
        labels=_renumbered(labels[k]),
        points=tuple((float(x), float(y)) for x, y in places),
        perplexity=perplexity,
        p_value=_p_value(points, options),
        norms=tuple(float(norm) for norm in np.linalg.norm(points, axis=1)),
    )


def _best(
    points: Float[np.ndarray, "N D"], options: ClusterOptions, starts: int
) -> tuple[dict[int, float], dict[int, Int[np.ndarray, " N"]]]:
    """Silhouette and labels by number of clusters. Equal points cannot be told apart: their silhouette is 0."""
    try:
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score
    except ImportError as error:
        raise MissingExtra("scikit-learn", "eval", "finding clusters") from error
    silhouette, labels = {}, {}
    different = len(np.unique(points, axis=0))
    for k in range(2, min(options.k_max, len(points) - 1) + 1):
        if different < k:
            silhouette[k], labels[k] = 0.0, np.zeros(len(points), dtype=np.int64)
            continue
        found = KMeans(k, n_init=starts, random_state=options.seed).fit(points)
        labels[k] = found.labels_.astype(np.int64)
        silhouette[k] = float(silhouette_score(points, labels[k]))
    return silhouette, labels


def _p_value(points: Float[np.ndarray, "N D"], options: ClusterOptions) -> float:
    """Share of Gaussian clouds of the points' covariance whose best silhouette is at least as high (itself counted).

    The points' principal axes and spreads are kept; their scores are those of another Gaussian draw, which are evenly
    distributed over all orthonormal ones.
    """
    rng = np.random.default_rng(options.seed)
    own, spread, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    size = min(len(points) - 1, spread.size)

    def best(scores: Float[np.ndarray, "N _"]) -> float:
        # One start for all, or the points would have better chances than the clouds.
        return max(_best(scores * spread[:size], options, starts=1)[0].values())

    observed, reached = best(own[:, :size]), 1
    for _ in range(options.clouds):
        drawn = rng.standard_normal((len(points), size))
        scores, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
        reached += best(scores) >= observed
    return reached / (options.clouds + 1)


def _tsne(points: Float[np.ndarray, "N D"], options: ClusterOptions) -> tuple[Float[np.ndarray, "N 2"], float]:
    from sklearn.manifold import TSNE

    perplexity = min(options.perplexity, max(1.0, (len(points) - 1) / 3))
    spread = float(points.std())
    if spread == 0.0:
        return np.zeros((len(points), 2)), perplexity
    # Of one scale, so that the picture does not depend on it.
    places = TSNE(2, perplexity=perplexity, init="random", random_state=options.seed).fit_transform(
        (points - points.mean(axis=0)) / spread
    )
    return np.asarray(places, dtype=np.float64), perplexity


def _renumbered(labels: Int[np.ndarray, " N"]) -> tuple[int, ...]:
    order = {label: index for index, label in enumerate(dict.fromkeys(labels.tolist()))}
    return tuple(order[label] for label in labels.tolist())
