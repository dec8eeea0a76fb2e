"""A silence model out of observations of development talkers: regularised logistic regression, held out by talker.

N observations, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Bool, Float

from softspoken.decoding import TargetSpeakerTranscriber
from softspoken.engines import load_engine
from softspoken.errors import ConfigError, DataError, MissingExtra
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken.prompts.card import render_card
from softspoken.prompts.checkpoint import LoadedPrompts, find_prompts, load_prompts
from softspoken.prompts.folder import CARD_FILE, CONFIG_FILE, TENSOR_FILE, write_folder
from softspoken.prompts.silence import SilenceFeature, SilenceModel
from softspoken.speakers import DEFAULT_EMBEDDER, load_embedder
from softspoken_lab.measures.detection import Detection, calibrate, detection
from softspoken_lab.measures.observations import (
    LISTENING,
    Observation,
    Progress,
    observe,
    read_observations,
    write_observations,
)

FEATURES: tuple[SilenceFeature, ...] = get_args(SilenceFeature)
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse regularisation to choose from, on standardised features."""
FOLDS = 5


def known_features(names: Sequence[str]) -> tuple[SilenceFeature, ...]:
    """The features of these names, each once. Raises ConfigError for others, or none."""
    found = tuple(feature for feature in FEATURES if feature in names)
    if not found or set(names) - set(found):
        raise ConfigError(f"features {list(names)}; give some of {', '.join(FEATURES)}")
    return found


@dataclass(frozen=True)
class FitOptions:
    """How a silence model is fitted."""

    false_rejection: float = 0.01
    """Share of the speaking targets that may be taken for silent."""
    features: tuple[SilenceFeature, ...] = FEATURES
    seed: int = 0
    """Seed that draws the folds."""

    def __post_init__(self) -> None:
        known_features(self.features)
        if not 0.0 <= self.false_rejection <= 0.5:
            raise ConfigError(f"false rejection {self.false_rejection:g}; give a share between 0 and 0.5")


@dataclass(frozen=True)
class Fitted:
    """A model, and what its score does for talkers that it was not fitted on."""

    model: SilenceModel
    held_out: Detection
    """Each item scored by a model that saw none of its talker's."""
    strength: float
    """The chosen inverse regularisation."""


def fit(observations: Sequence[Observation], options: FitOptions | None = None) -> Fitted:
    """Fit a model and choose its threshold, both on these items.

    Speaking and silent targets count equally in the fit, whatever their numbers. An item stands for its window that
    sounds most like the target. Regularisation, and the threshold, are chosen by scores of talkers held out.

    Raises DataError without both kinds of targets from several talkers, MissingExtra without scikit-learn.
    """
    options = FitOptions() if options is None else options
    chosen = [one for one in observations if one.windows]
    silent, talkers = [one.silent for one in chosen], [one.talker for one in chosen]
    if all(silent) or not any(silent) or len(set(talkers)) < 2:
        raise DataError(
            f"{sum(silent)} of {len(silent)} targets are silent, of {len(set(talkers))} talker(s); give a manifest "
            "with both kinds of several talkers"
        )
    matrix = np.array([[one.best[name] for name in options.features] for one in chosen], dtype=np.float64)
    speaks = ~np.array(silent)
    held_out = {strength: _held_out(matrix, speaks, talkers, strength, options.seed) for strength in STRENGTHS}
    strength = min(STRENGTHS, key=lambda each: _loss(held_out[each], speaks))
    weights, bias = _regression(matrix, speaks, strength)
    scores = held_out[strength]
    found = calibrate(scores.tolist(), silent, options.false_rejection)
    model = SilenceModel(
        weights=dict(zip(options.features, weights.tolist(), strict=True)),
        bias=bias,
        threshold=float(_probability(np.array(found.threshold))),
        false_rejection=found.false_rejection,
        rejection=found.rejection,
        speaking=found.speaking,
        silent=found.silent,
    )
    return Fitted(model, detection(scores.tolist(), silent, talkers, options.false_rejection), strength)


def _held_out(
    matrix: Float[np.ndarray, "N F"], speaks: Bool[np.ndarray, " N"], talkers: Sequence[str], strength: float, seed: int
) -> Float[np.ndarray, " N"]:
    """Log-odds of every item by a model of the other talkers'."""
    names, index = np.unique(np.array(talkers), return_inverse=True)
    # The folds hold talkers: one who is in the fit would be known already.
    fold_of = np.random.default_rng(seed).permutation(names.size) % min(FOLDS, names.size)
    scores = np.zeros(len(matrix))
    for fold in np.unique(fold_of):
        inside = fold_of[index] == fold
        if len(set(speaks[~inside].tolist())) < 2:
            raise DataError(f"{names.size} talkers are too few to hold some out; give a larger development set")
        weights, bias = _regression(matrix[~inside], speaks[~inside], strength)
        scores[inside] = matrix[inside] @ weights + bias
    return scores


def _regression(
    matrix: Float[np.ndarray, "N F"], speaks: Bool[np.ndarray, " N"], strength: float
) -> tuple[Float[np.ndarray, " F"], float]:
    """Weights and bias on the features as they are; they are standardised for the penalty alone."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra("scikit-learn", "eval", "fitting a silence score") from error
    mean, scale = matrix.mean(axis=0), np.maximum(matrix.std(axis=0), 1e-6)
    regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    regression.fit((matrix - mean) / scale, speaks)
    weights = regression.coef_[0] / scale
    return weights, float(regression.intercept_[0] - weights @ mean)


def _probability(odds: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500))))


def _loss(scores: Float[np.ndarray, " N"], speaks: Bool[np.ndarray, " N"]) -> float:
    """Mean log-loss, both kinds counting equally."""
    losses = np.logaddexp(0.0, np.where(speaks, -scores, scores))
    return float(losses[speaks].mean() + losses[~speaks].mean())


def calibrate_prompt(
    reference: str,
    manifests: Sequence[Path],
    out: Path,
    options: FitOptions | None = None,
    kept: Path | None = None,
    progress: Progress = iter,
) -> Fitted:
    """Fit a silence model to development items and store the prompt with it as the folder `out`.

    Args:
        manifests: evaluation manifests with speaking and silent targets of talkers who are not for testing.
        kept: file of what was observed; items that are in it (of the same prompt) are not transcribed again.

    Raises SoftspokenError for whatever cannot be read, fitted or written.
    """
    loaded = load_prompts(reference)
    items = [item for manifest in manifests for item in read_evaluation_manifest(manifest)]
    source = loaded.info.digest
    known = {} if kept is None else read_observations(kept, source)
    missing = [item for item in items if (str(item.audio), str(item.enrolment)) not in known]
    for one in observe(progress(missing), _listening(loaded).transcribe):
        known[one.audio, one.enrolment] = one
    if kept is not None and missing:
        write_observations(list(known.values()), kept, source)
    fitted = fit([known[str(item.audio), str(item.enrolment)] for item in items], options)
    store_silence(reference, fitted.model, out)
    return fitted


def _listening(loaded: LoadedPrompts) -> TargetSpeakerTranscriber:
    """A transcriber that gathers evidence and writes nothing."""
    info = loaded.info.model_copy(update={"silence": LISTENING})
    embedder = load_embedder(DEFAULT_EMBEDDER if info.embedder is None else info.embedder)
    engine = load_engine(info.backbone.name, "torch")
    return TargetSpeakerTranscriber(engine, LoadedPrompts(loaded.tensors, info), embedder)


def store_silence(reference: str | Path, model: SilenceModel | None, out: str | Path) -> None:
    """Store a prompt again as the folder `out` (which may be its own) with this model, or without any.

    All of it is written or nothing. `reference`: see `find_prompts`. Raises PromptError as `load_prompts` and
    `write_folder` do: only a whole prompt is stored again.
    """
    folder = find_prompts(reference)
    info = load_prompts(folder).info.model_copy(update={"silence": model})
    files = {
        CONFIG_FILE: info.model_dump_json(indent=2).encode() + b"\n",
        TENSOR_FILE: (folder / TENSOR_FILE).read_bytes(),
        CARD_FILE: render_card(info).encode(),
    }
    write_folder(Path(out).expanduser().resolve(), files)
