"""What is found about the prompts' vectors and roles; see `results`, which has all results by name."""

from typing import Literal

from softspoken.frozen import Frozen
from softspoken_lab.analysis.tables import Analysis, Cell, Estimate, Number, Row, estimate_columns


class ClusterSpace(Frozen):
    """Figure 2 for one set of vectors: of a layer, or of all layers side by side."""

    name: str
    """'input', 'layer 1', ..., 'all layers'."""
    silhouette: dict[int, float]
    """By number of clusters."""
    k: int
    """The one with the highest silhouette."""
    labels: tuple[int, ...]
    """Cluster of each prompt, from 0; cluster 0 is that of prompt 1."""
    points: tuple[tuple[float, float], ...]
    """t-SNE of the vectors, one a prompt."""
    perplexity: float
    p_value: float
    """Share of Gaussian clouds of the same covariance with a silhouette at least as high: small where there are
    clusters, large where any cloud would do (not in the paper)."""
    norms: tuple[float, ...]
    """Length of each vector."""


class ClusterResult(Analysis):
    """Figure 2: K-means and t-SNE of the prompt vectors."""

    kind: Literal["clusters"] = "clusters"
    spaces: tuple[ClusterSpace, ...]
    """One for `input` prompts; for deep ones first all layers side by side, then each layer."""
    seed: int

    @property
    def whole(self) -> ClusterSpace:
        """The vectors of all layers together."""
        return self.spaces[0]

    def rows(self) -> list[Row]:
        return [
            {
                "vectors": space.name,
                "prompt": number,
                "cluster": label,
                "x": x,
                "y": y,
                "norm": norm,
                "k": space.k,
                "silhouette": space.silhouette[space.k],
                "p_value": space.p_value,
            }
            for space in self.spaces
            for number, (label, (x, y), norm) in enumerate(
                zip(space.labels, space.points, space.norms, strict=True), start=1
            )
        ]


class RoleSplit(Frozen):
    """The content set (set 1 of the paper) and the noise set (set 2)."""

    by: Literal["curve", "clusters", "given"]
    content: tuple[Number, ...]
    noise: tuple[Number, ...]
    certainty: tuple[float, ...] | None = None
    """For each prompt, the share of resampled test sets in which it is on the same side; None: not resampled."""


class Agreement(Frozen):
    """How far two splits agree."""

    adjusted_rand: float
    """1: the same; 0: as far as chance would."""
    p_value: float
    """Share of random relabellings that agree at least as much."""
    share: float
    """Share of the prompts with the same role in both."""


class RolesResult(Analysis):
    """Which prompts refine content and which carry noise (section 3.2)."""

    kind: Literal["roles"] = "roles"
    clean: str
    """The set whose leave-one-out curve decided."""
    deltas: tuple[Estimate, ...]
    """WER on it without each prompt, less that with all."""
    threshold: float
    """Prompts with a greater delta are content."""
    separation: float
    """Share of the deltas' variance that lies between the two sets (Otsu); any curve has some."""
    curve: RoleSplit
    clusters: RoleSplit | None = None
    """None where clusters were not asked for, or there are too few prompts for them."""
    agreement: Agreement | None = None

    def chosen(self, by: Literal["curve", "clusters"] = "curve") -> RoleSplit:
        """One of the two; the curve where there are no clusters."""
        return self.clusters if by == "clusters" and self.clusters is not None else self.curve

    def rows(self) -> list[Row]:
        def role(split: RoleSplit | None, number: int) -> Cell:
            return None if split is None else "content" if number in split.content else "noise"

        certainty = self.curve.certainty if self.curve.certainty is not None else (None,) * len(self.deltas)
        return [
            {
                "prompt": number,
                **estimate_columns("delta", delta),
                "by_curve": role(self.curve, number),
                "certainty": sure,
                "by_clusters": role(self.clusters, number),
            }
            for number, (delta, sure) in enumerate(zip(self.deltas, certainty, strict=True), start=1)
        ]
