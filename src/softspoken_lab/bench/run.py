"""A benchmark from its configuration to its results."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from softspoken.errors import ConfigError
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import score_utterance
from softspoken_lab.bench.config import BenchConfig
from softspoken_lab.bench.contract import AbsentError
from softspoken_lab.bench.material import ManifestMaterial, Material, PackagedMaterial
from softspoken_lab.bench.process import WorkerProcess
from softspoken_lab.bench.rounds import Measured, Start, Talk, measure
from softspoken_lab.bench.specs import ContenderSpec, engine_names, peer_names, versions
from softspoken_lab.bench.summary import summarize_suite
from softspoken_lab.bench.tasks import SUITES, Suite, Workshop
from softspoken_lab.bench.weights import Weights


def run_bench(
    suites: Sequence[str],
    backbones: Sequence[str],
    config: BenchConfig | None = None,
    talk: Talk = lambda line: None,
) -> Iterator[dict[str, Any]]:
    """Each suite with each backbone, as soon as it is done (see `summary` for the keys; 'machine' is the caller's).

    Raises:
        ConfigError: an unknown suite, engine or peer.
        DataError, BackboneError, MissingExtra: speech, weights or the counting of word errors cannot be had.
    """
    config = BenchConfig() if config is None else config
    _check_names("suite", suites, SUITES)
    _check_names("engine", () if config.engines is None else config.engines, engine_names())
    _check_names("peer", () if config.peers is None else config.peers, peer_names())
    normalize = TextNormalizer()
    # What is missing is said before an hour of measuring, not after it.
    score_utterance("a word", "a word", normalize)
    material: Material = PackagedMaterial() if config.speech is None else ManifestMaterial(config.speech, config.seed)
    for backbone in backbones:
        with TemporaryDirectory(prefix="softspoken-bench-", ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary)
            weights = Weights(backbone, folder)
            shop = Workshop(config, material, folder, weights.count_tokens)
            for name in suites:
                suite = _wanted(SUITES[name](shop), config)
                talk(f"{name}, {backbone}")
                measured = measure_suite(suite, partial(start, weights, config), config.repeats, talk)
                yield {
                    "benchmark": "softspoken-lab bench",
                    "suite": name,
                    "backbone": backbone,
                    "threads": config.threads,
                    "repeats": config.repeats,
                    "speech": {"source": material.source, "seed": config.seed},
                    "versions": versions(),
                    **summarize_suite(suite, measured, weights.count_tokens, normalize),
                }


def measure_suite(suite: Suite, begin: Start, repeats: int, talk: Talk) -> list[Measured]:
    """All tasks together, or each with new processes."""
    groups = [[task] for task in suite.tasks] if suite.separate else [list(suite.tasks)]
    return [measure(group, suite.contenders, begin, repeats, talk) for group in groups]


def start(weights: Weights, config: BenchConfig, spec: ContenderSpec) -> WorkerProcess:
    """A contender in its process. Raises AbsentError."""
    if not spec.installed:
        raise AbsentError("not installed")
    given: dict[str, Any] = (
        {"backbone": weights.reference} if spec.weights is None else {"weights": str(weights.path(spec.weights))}
    )
    return WorkerProcess(spec.factory, spec.arguments | given, config.threads, config.timeout_s)


def _wanted(suite: Suite, config: BenchConfig) -> Suite:
    def asked(spec: ContenderSpec) -> bool:
        if spec.peer:
            return config.peers is None or spec.name in config.peers
        return config.engines is None or spec.engine in config.engines

    return Suite(suite.name, suite.tasks, tuple(filter(asked, suite.contenders)), suite.separate)


def _check_names(what: str, given: Sequence[str], known: Sequence[str] | dict[str, Any]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"no {what} '{name}'; expected one of {', '.join(known)}")
