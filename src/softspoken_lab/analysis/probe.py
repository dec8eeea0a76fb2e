"""Figures 1 and 4 of the noise paper: how well the kind of noise can be told from the states (sections 3.1 and 3.2).

A random forest hears the mean over time of the encoder's last layer. Paper: "performed global average pooling on the
transformer output and conducted noise classification using a random forest". It is tested on noise recordings and
speech recordings that it never saw. Shapes: E examples, D width, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from softspoken.errors import MissingExtra
from softspoken_lab.analysis.bootstrap import estimate, resampled_rates
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.probe_data import ProbeExample, ProbeOptions, corrupted, plan_probe
from softspoken_lab.analysis.results import ProbeResult, ProbeRow, RoleSplit
from softspoken_lab.analysis.subject import Report, Variant, full, kept
from softspoken_lab.noise.bank import NoiseBank
from softspoken_lab.noise.model import mean_pooled, prompted_states
from softspoken_lab.noise.testsets import TestUtterance
from softspoken_lab.prompts.variants import with_vectors

_BATCH = 16


@dataclass(frozen=True)
class Told:
    """What a cross-validated probe said: kinds by number, one an example."""

    guesses: Int[np.ndarray, " E"]
    folds: tuple[float, ...]
    """Accuracy on each part."""


def probe_noise(
    subject: CTCSubject,
    speech: Sequence[TestUtterance],
    noise: NoiseBank,
    split: RoleSplit | None = None,
    options: ProbeOptions | None = None,
    *,
    report: Report | None = None,
) -> ProbeResult:
    """Accuracies with all prompts, the content set, the noise set (where `split` gives them) and none.

    Without prompts the encoder is the frozen one. All hear the same corrupted audio, in the same parts. Intervals
    resample noise recordings. Raises ConfigError where there are no prompts, DataError for too little noise or speech.
    """
    options = ProbeOptions() if options is None else options
    plan = plan_probe(speech, noise, options)
    variants = [full(subject)]
    if split is not None:
        variants += [kept(subject, "content", split.content), kept(subject, "noise", split.noise)]
    variants.append(kept(subject, "none", ()))
    states = pooled_states(subject, variants, plan.examples, noise, options, report)
    truth = np.array([plan.kinds.index(example.kind) for example in plan.examples])
    folds = np.array([example.fold for example in plan.examples])
    told = [cross_validate(points, truth, folds, options) for points in states]
    recordings = [example.noise_id for example in plan.examples]
    permuted = [
        float(np.mean(cross_validate(states[0], labels, folds, options).folds))
        for labels in shuffled_kinds(truth, folds, recordings, options)
    ]
    return ProbeResult(
        subject=subject.info,
        types=plan.kinds,
        left_out=dict(plan.left_out),
        fold_count=options.folds,
        examples=len(plan.examples),
        noise_recordings=len(set(recordings)),
        speech_recordings=len({example.speech_id for example in plan.examples}),
        snr_db=options.snr_db,
        conditions=_rows(variants, told, truth, recordings, len(plan.kinds)),
        chance=float(np.bincount(truth).max() / truth.size),
        permuted=tuple(permuted),
        seed=options.seed,
    )


@torch.no_grad()
def pooled_states(
    subject: CTCSubject,
    variants: Sequence[Variant],
    examples: Sequence[ProbeExample],
    noise: NoiseBank,
    options: ProbeOptions,
    report: Report | None = None,
) -> list[Float[np.ndarray, "E D"]]:
    """Mean of the last layer's audio frames of every example, under each variant."""
    backbone, rows = subject.backbone, subject.rows
    found: list[list[np.ndarray]] = [[] for _ in variants]
    for start in range(0, len(examples), _BATCH):
        batch = [corrupted(one, noise, options.longest_s) for one in examples[start : start + _BATCH]]
        features = backbone.features(batch)
        for variant, states in zip(variants, found, strict=True):
            own = None if variant.vectors is None else with_vectors(rows, variant.vectors)
            layers = prompted_states(backbone, features, own)
            states.append(mean_pooled(layers.states[-1], layers.lengths).float().cpu().numpy())
        if report is not None:
            report(min(start + _BATCH, len(examples)), len(examples))
    return [np.concatenate(states) for states in found]


def cross_validate(
    points: Float[np.ndarray, "E D"], labels: Int[np.ndarray, " E"], folds: Int[np.ndarray, " E"], options: ProbeOptions
) -> Told:
    """Train on all parts but one and guess that one, for each part."""
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ImportError as error:
        raise MissingExtra("scikit-learn", "eval", "the noise probe") from error
    guesses = np.full(labels.size, -1)
    accuracies = []
    for fold in range(options.folds):
        held_out = folds == fold
        forest = RandomForestClassifier(options.trees, random_state=options.seed)
        forest.fit(points[~held_out], labels[~held_out])
        guesses[held_out] = forest.predict(points[held_out])
        accuracies.append(float((guesses[held_out] == labels[held_out]).mean()))
    return Told(guesses, tuple(accuracies))


def shuffled_kinds(
    labels: Int[np.ndarray, " E"], folds: Int[np.ndarray, " E"], recordings: Sequence[str], options: ProbeOptions
) -> list[Int[np.ndarray, " E"]]:
    """The kinds dealt out anew to whole recordings, within each part, so that a recording still has one kind."""
    rng = np.random.default_rng([options.seed, 1])
    names = np.array(recordings)
    shuffled = []
    for _ in range(options.permutations):
        changed = labels.copy()
        for fold in range(options.folds):
            inside = np.unique(names[folds == fold])
            kinds = np.array([labels[names == name][0] for name in inside])
            for name, kind in zip(inside, rng.permutation(kinds), strict=True):
                changed[names == name] = kind
        shuffled.append(changed)
    return shuffled


def _rows(
    variants: Sequence[Variant],
    told: Sequence[Told],
    truth: Int[np.ndarray, " E"],
    recordings: Sequence[str],
    kinds: int,
) -> tuple[ProbeRow, ...]:
    """The last variant is the one without prompts, which the others are compared with."""
    right = np.stack([(one.guesses == truth).astype(np.int64) for one in told])
    draws = resampled_rates(recordings, right, np.ones(truth.size, dtype=np.int64))
    share = right.mean(axis=1)
    rows = []
    for index, (variant, one) in enumerate(zip(variants, told, strict=True)):
        confusion = np.zeros((kinds, kinds), dtype=np.int64)
        np.add.at(confusion, (truth, one.guesses), 1)
        last = index + 1 == len(variants)
        rows.append(
            ProbeRow(
                name=variant.name,
                prompts=variant.prompts,
                folds=one.folds,
                accuracy=estimate(share[index], draws[:, index]),
                difference=None if last else estimate(share[index] - share[-1], draws[:, index] - draws[:, -1]),
                confusion=tuple(tuple(int(cell) for cell in row) for row in confusion),
            )
        )
    return tuple(rows)
